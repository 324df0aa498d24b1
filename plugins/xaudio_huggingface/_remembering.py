"""Feature extractors as text, so that what was explained can be seen and heard again without the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from xaudio.plugin import ModelError

from ._library import transformers
from ._reading import read_extractor
from ._twin import Twin
from ._twins import TWINS, twin_of

NAME = "huggingface"


def spec_of(twin: Twin) -> dict[str, Any]:
    """Name and options of the representation that a twin is; nothing if its extractor is not all that its text says."""
    try:
        text = json.dumps(json.loads(twin.extractor.to_json_string()), sort_keys=True)
        again = remembered(text, twin.samples)
    except Exception:  # an extractor of the user's own, or one that holds what no text can
        return {}
    noise = torch.randn(1, twin.samples, generator=torch.Generator().manual_seed(1)) / 10
    same = type(again) is type(twin) and torch.equal(again(noise), twin(noise))
    return {"name": NAME, "options": {"extractor": text, "samples": twin.samples}} if same else {}


def remembered(extractor: str, samples: int | None = None) -> Twin:
    """The twin of an extractor in a folder, or of its configuration as text.

    Raises
    ------
    ModelError
        If it is neither, or of a kind that is not known.
    """
    twin = twin_of(_of_text(extractor) if extractor.lstrip().startswith("{") else _of_folder(Path(extractor)))
    return twin if samples is None else twin.at(samples)


def _of_text(text: str) -> Any:
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise ModelError(f"The feature extractor's text is not JSON ({error}); expected its preprocessor_config.json.") from None
    kind = settings.get("feature_extractor_type")
    if kind not in TWINS:
        raise ModelError(f"The feature extractor's text is of the type {kind!r}; expected one of {', '.join(TWINS)}.")
    try:
        return getattr(transformers(), kind).from_dict(settings)
    except (TypeError, ValueError, ImportError) as error:
        raise ModelError(f"The feature extractor's text cannot be read as {kind}: {' '.join(str(error).split())[:300]}") from None


def _of_folder(path: Path) -> Any:
    if not path.is_dir():
        raise ModelError(f"{path}: is not a folder. Give the folder that holds the feature extractor; nothing is downloaded.")
    return read_extractor(path)

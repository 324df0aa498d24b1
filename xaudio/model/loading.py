"""Models from where they are: a run folder, or what a loader knows how to read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ..errors import ModelError, unknown
from ..registry.loading import registry
from ..registry.options import check_options, jsonable, parse_spec
from .folders import WEIGHTS
from .model import Model


def read_model(place: str | os.PathLike[str]) -> Model:
    """The model of a run folder, or of a loader with its options, as in "torchscript:path=model.pt,representation=waveform".

    Parameters
    ----------
    place : path or str

    Raises
    ------
    ModelError
        If it is neither, or the model cannot be used.
    PluginError
        If an option of the loader is missing or does not fit.
    """
    text = os.fspath(place)
    name = registry().spelt("loader", text.partition(":")[0].strip())
    if name in registry().names("loader") and not os.path.exists(
        Path(text) / WEIGHTS
    ):  # False, too, of what is too long for a name
        return _by_loader(name, parse_spec(text)[1] if ":" in text else {})
    _refuse_others(text)
    return Model.load(Path(text))


def _by_loader(name: str, options: dict[str, str]) -> Model:
    factory = registry().factory("loader", name)
    given = check_options(f"loader {name!r}", factory, options)
    loaded = factory(**given)
    if not isinstance(loaded, Model):
        raise ModelError(f"The loader {name!r} returned a {type(loaded).__name__}; expected an xaudio.Model.")
    return replace(loaded, facts={"loader": {"name": name, "options": jsonable(given)}, **loaded.facts})


def _refuse_others(text: str) -> None:
    """Raise `ModelError` for what looks like a loader that there is not, or is a file."""
    loaders = registry().names("loader")
    name, colon, rest = text.partition(":")
    if colon and "=" in rest and not os.path.exists(text):
        raise ModelError(f"{text}: {unknown('loader of models', name, loaders)} {' '.join(registry().problems())}".strip())
    if os.path.isfile(text):
        raise ModelError(
            f"{text}: is a file, not the run folder of a model. Say which loader reads it, as in NAME:path={text}: "
            f"{', '.join(loaders)}."
        )

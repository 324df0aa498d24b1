"""Models of transformers in a folder, as `save_pretrained` writes it. Nothing is ever downloaded, and nothing is unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xaudio.plugin import Model, ModelError

from ._adapter import adapted
from ._kinds import EMBEDDERS, task_of
from ._library import transformers
from ._reading import read, read_extractor

CONFIG, WEIGHTS = "config.json", "*.safetensors"
AUTO = {
    "CTC": "AutoModelForCTC",
    "AUDIO_FRAME_CLASSIFICATION": "AutoModelForAudioFrameClassification",
    "AUDIO_XVECTOR": "AutoModelForAudioXVector",
    "AUDIO_CLASSIFICATION": "AutoModelForAudioClassification",
}


def read_folder(path: Path) -> Model:
    """The model of a folder, with its feature extractor.

    Raises
    ------
    ModelError
        If the folder holds no such model, or another one than can be explained.
    """
    architecture = _architecture(path)
    library = transformers()
    task = task_of(architecture)
    if task is None and architecture not in EMBEDDERS:
        raise ModelError(
            f"{path}: holds a {architecture}, which is of none of the tasks {', '.join(AUTO.values())} or CLAP's audio embedding."
        )
    _check_weights(path)
    loader = getattr(library, AUTO[task]) if task else getattr(library, architecture)
    extractor = read_extractor(path)
    model, loading = read(path, "model", loader.from_pretrained, use_safetensors=True, output_loading_info=True)
    missing = sorted([*loading["missing_keys"], *(str(key) for key, *_ in loading.get("mismatched_keys", ()))])
    if missing:
        raise ModelError(
            f"{path}: its weights lack {missing[0]}{' and others' * (len(missing) > 1)}: a {architecture} would have "
            "weights that were never trained. Save the trained model with save_pretrained."
        )
    tokenizer = _tokenizer(path, library) if task == "CTC" or architecture == "ClapModel" else None
    return adapted(model.eval(), extractor, tokenizer=tokenizer)


def _architecture(path: Path) -> str:
    """Name of the class that a folder's configuration tells."""
    if not path.is_dir():
        raise ModelError(f"{path}: is not a folder. Give the folder that save_pretrained wrote; nothing is downloaded.")
    if not (path / CONFIG).is_file():
        raise ModelError(f"{path}: holds no model of Hugging Face: there is no {CONFIG} in it.")
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        architectures = config.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path / CONFIG}: cannot be read ({error}). Copy it again.") from None
    if not architectures:
        raise ModelError(
            f"{path / CONFIG}: does not say of which class the model is (architectures). Save it with save_pretrained."
        )
    if "auto_map" in config:
        raise ModelError(f"{path}: the model brings code of its own, which is not run. Load it in Python, and give the object.")
    return str(architectures[0])


def _check_weights(path: Path) -> None:
    if any(path.glob(WEIGHTS)):
        return
    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in path.glob(pattern))
    why = (
        f"its weights are pickled ({pickled[0]}), which can run code: load it in Python and save it with "
        "save_pretrained(folder, safe_serialization=True)"
        if pickled
        else f"there are no weights in it ({WEIGHTS}): save the model with save_pretrained"
    )
    raise ModelError(f"{path}: {why}.")


def _tokenizer(path: Path, library: Any) -> Any:
    """The tokenizer of a folder; None without one."""
    try:
        return library.AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    except Exception:  # without it, symbols are numbers, and no text is read
        return None

"""What the outputs of a model of transformers are, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from xaudio.plugin import Kind, ModelError, class_names

from ._library import PACKAGE

TASKS = {"CTC": "ctc", "AUDIO_FRAME_CLASSIFICATION": "frames", "AUDIO_XVECTOR": "embedding", "AUDIO_CLASSIFICATION": "classes"}
"""The tasks of the Auto classes, and what their models' outputs are."""

EMBEDDERS = ("ClapAudioModelWithProjection", "ClapModel")
PROBLEMS: dict[str | None, Kind] = {
    "regression": "values",
    "multi_label_classification": "labels",
    "single_label_classification": "classes",
}
FUNCTIONS: dict[str | None, Kind] = {"none": "values", "sigmoid": "labels", "softmax": "classes"}
"""What a pipeline was told to apply."""

INPUTS = ("input_values", "input_features")
SENSES = {"input_ids": "text", "pixel_values": "pictures", "pixel_values_videos": "videos"}


def auto_classes() -> dict[str, tuple[str, ...]]:
    """Names of the classes of each task, in the installed version."""
    mappings = import_module(f"{PACKAGE}.models.auto.modeling_auto")
    return {task: tuple(getattr(mappings, f"MODEL_FOR_{task}_MAPPING_NAMES").values()) for task in TASKS}


def task_of(name: str) -> str | None:
    """The task of a class by its name."""
    return next((task for task, names in auto_classes().items() if name in names), None)


def kind_of_class(model: nn.Module) -> Kind | None:
    """What the class of a model says its outputs are; None if it is of no known task.

    Raises
    ------
    ModelError
        If it answers in words, or reads no sound.
    """
    names = [cls.__name__ for cls in type(model).__mro__]
    if set(names) & set(EMBEDDERS):
        return "embedding"
    tasks = [task for task in map(task_of, names) if task]
    if tasks:
        return TASKS[tasks[0]]  # type: ignore[return-value]
    reads = getattr(model, "main_input_name", None)
    if "PreTrainedModel" in names and reads not in INPUTS:
        raise ModelError(f"{names[0]} reads {SENSES.get(str(reads), reads)}, not sound.")
    if hasattr(model, "config") and getattr(model.config, "is_encoder_decoder", False) and names[0].endswith("Generation"):
        raise ModelError(
            f"{names[0]} writes a text word by word: it has no classes. Explain a model with a head for classes, frames or CTC, "
            "or wrap it in a module that returns the scores to be explained."
        )
    return None


def kind_of_head(config: Any, scores: Tensor, kind: Kind | None, function: str | None = None) -> Kind:
    """The kind, where the class of a model leaves it open: from the shape of the scores and the configuration's problem type.

    Parameters
    ----------
    config : PretrainedConfig or None
    scores : Tensor
        Of one recording.
    kind : str or None
        As `kind_of_class` says it.
    function : str or None
        "softmax", "sigmoid" or "none", where a pipeline was told.
    """
    if kind in ("ctc", "frames", "embedding"):
        return kind
    if scores.ndim > 2:
        return "frames"
    told = FUNCTIONS.get(function) or PROBLEMS.get(getattr(config, "problem_type", None))
    # One output without a word about it is a regression, as the loss of transformers has it.
    return told or ("values" if scores.shape[-1] == 1 else "classes")


def classes_of(config: Any, kind: Kind, outputs: int, tokenizer: Any = None) -> tuple[str, ...]:
    """Names of the outputs.

    Raises
    ------
    ModelError
        If they are not one for each output.
    """
    if kind == "embedding":
        return tuple(map(str, range(outputs)))
    if kind == "ctc":
        return class_names(_symbols(config, outputs, tokenizer))
    labels = dict(getattr(config, "id2label", None) or {})
    by_index = {int(index): name for index, name in labels.items()}
    if by_index.keys() != set(range(outputs)):
        if getattr(config, "id2label", None):
            raise ModelError(
                f"id2label names {len(labels)} classes for {outputs} outputs: correct config.id2label, or give classes."
            )
        return tuple(map(str, range(outputs)))
    return class_names([by_index[index] for index in range(outputs)])


def _symbols(config: Any, outputs: int, tokenizer: Any) -> Iterable[str]:
    """The symbols of a CTC model; without a tokenizer, numbers, and "<pad>" for the one without sound."""
    symbols = {index: str(index) for index in range(outputs)}
    blank = getattr(config, "pad_token_id", None)
    if tokenizer is None and blank in symbols:
        symbols[blank] = "<pad>"
    if tokenizer is not None:
        symbols |= {index: token for token, index in tokenizer.get_vocab().items() if index in symbols}
    return ["<space>" if not symbol.strip() else symbol for _, symbol in sorted(symbols.items())]

"""A model's file: its weights, and how the rest is made again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, PluginError, listing
from ..output.tensors import read_tensors, write_tensors
from ..registry.loading import registry
from ..registry.options import format_spec
from ..sound.rules import Rules
from ..types import Representation

FORMAT = 1
WEIGHTS = "model.safetensors"


def write_model(model: Any, path: Path) -> Path:
    """Write the file of a `Model`; see `Model.save`."""
    if not model.model_spec or not (model.representation_spec or "loader" in model.model_spec):
        raise ModelError(
            "Only a model and a representation made by plugins can be saved; register yours as a plugin, or keep the model with "
            "xaudio.save_model and a loader."
        )
    weights = (model.answers or model.network).state_dict()
    others = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(
            f"The network keeps more than tensors ({listing(others, 4)}), such as quantised weights: it cannot be saved."
        )
    tensors = {f"network.{name}": tensor.clone() for name, tensor in weights.items()}  # some share their memory
    if model.mean is not None:
        tensors["mean"] = model.mean
    metadata = {
        "format": FORMAT,
        "model": model.model_spec,
        "representation": model.representation_spec,
        "classes": model.classes,
        "task": model.task,
        "facts": model.facts,
        "kind": model.kind,
    }
    return write_tensors(path, tensors, "xaudio.model", metadata)


def read_parts(path: Path) -> dict[str, Any]:
    """What a `Model` is made of, from its file; see `Model.load`."""
    if not os.path.exists(path):  # False, too, of what is too long for a name
        raise ModelError(f"{path.parent}: is not the run folder of a model: there is no {WEIGHTS} in it. Run xaudio train first.")
    metadata, tensors = read_tensors(path, "xaudio.model", "Train again, or copy the file again.")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        kept_format = metadata.get("format") if isinstance(metadata, dict) else None
        raise ModelError(f"{path}: has format {kept_format}; this version of xaudio reads format {FORMAT}.")
    try:
        return _decode(metadata, tensors, path.parent)
    except PluginError as error:
        raise ModelError(f"{path}: needs a plugin that is not there. {error}") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(f"{path}: its description is damaged ({type(error).__name__}: {error}). Copy it again.") from None


def holds_weights(path: Path, network: nn.Module, mean: Tensor | None) -> bool:
    """Whether a model's file holds just the weights that a network has now, and this training mean."""
    try:
        kept = read_tensors(path, "xaudio.model", "")[1]
    except ModelError:
        return False
    own = {f"network.{name}": value for name, value in network.state_dict().items()} | ({} if mean is None else {"mean": mean})
    return kept.keys() == own.keys() and all(_equal(kept[name], value) for name, value in own.items())


def _equal(kept: Tensor, own: Any) -> bool:
    """Whether two tensors hold the same numbers, of which NaN is one."""
    if not isinstance(own, Tensor) or kept.shape != own.shape:
        return False
    kept, own = kept.to(own.dtype), own.detach().cpu()
    return torch.equal(kept, own) or bool(((kept == own) | (kept.isnan() & own.isnan())).all())


def bytes_of(value: Any) -> Iterator[bytes]:
    """What a state holds: tensors, and where layers are quantised tuples of tensors and of what is none."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from bytes_of(part)
    elif isinstance(value, Tensor):
        numbers = value.dequantize() if value.is_quantized else value
        yield numbers.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    else:
        yield repr(value).encode()


def _decode(metadata: Mapping[str, Any], tensors: dict[str, Tensor], folder: Path) -> dict[str, Any]:
    """The parts of the model that a file's metadata and tensors describe."""
    mean = tensors.pop("mean", None)
    model = metadata["model"]
    network, reads = _by_loader(model["loader"], metadata) if "loader" in model else _by_plugins(model, metadata)
    try:
        network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in tensors.items()})
    except RuntimeError as error:
        named = model.get("name") or model["loader"]["name"]
        raise ModelError(f"the weights do not fit the model {named!r}: {' '.join(str(error).split())}") from None
    cells = tuple(len(axis.centres) for axis in reads.axes)
    if mean is not None and tuple(mean.shape[1:]) != cells:
        raise ModelError(f"the training mean has shape {tuple(mean.shape)}; expected (channels, *{cells}).")
    facts = {**metadata["facts"], "run": str(folder)}
    try:
        Rules.read(facts, reads.placement)  # refused now rather than when it is first used
    except PluginError as error:
        raise ModelError(f"its rules for recordings are damaged ({error}). Save the model again.") from None
    return {
        "network": network.eval(),
        "representation": reads,
        "classes": tuple(metadata["classes"]),
        "task": metadata["task"],
        "mean": mean,
        "model_spec": model,
        "representation_spec": metadata["representation"],
        "facts": facts,
        "kind": metadata.get("kind", "classes"),
    }


def _by_plugins(model: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[nn.Module, Representation]:
    """The network, still without its weights, and what it reads."""
    network = registry().create("model", model["name"], {**model["options"], "classes": len(metadata["classes"])})
    return network, _representation(metadata["representation"])


def _by_loader(loader: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[nn.Module, Representation]:
    """The same, of a loader, whose model knows what it reads where the file does not.

    Raises
    ------
    ModelError
        If the file that the loader reads is another by now.
    """
    loaded = registry().create("loader", loader["name"], loader["options"])
    if loaded.facts.get("content") != metadata["facts"].get("content"):
        spelt = format_spec(loader["name"], loader["options"])
        raise ModelError(f"the file of {spelt} has changed since the model was saved: save it again.")
    spec = metadata["representation"]
    network = loaded.answers or loaded.network
    return network, _representation(spec) if spec else loaded.representation


def _representation(spec: Mapping[str, Any]) -> Representation:
    made: Representation = registry().create("representation", spec["name"], spec["options"])
    return made

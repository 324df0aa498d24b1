"""Models in files that hold no code of the user's: TorchScript, and weights of a model that a plugin makes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from xaudio import Model, ModelError, XaudioError
from xaudio.plugin import check_options, create, nearest, parse_spec, registry

from ._common import Told, nested, noted

WRAPPERS = ("module.", "_orig_mod.", "network.", "model.", "net.")
"""What stands before each name where a network was saved inside another, as by DataParallel, torch.compile and Lightning."""

INSIDE = ("state_dict", "model_state_dict", "model", "network", "net", "weights")
"""Under what a checkpoint keeps its weights beside other things."""


def of_torchscript(path: Path, told: Told) -> Model:
    """The model of a TorchScript file.

    Raises
    ------
    ModelError
        If it is none, or does not fit what is told of it.
    """
    import torch

    existing(path)
    try:
        with warnings.catch_warnings(), path.open("rb") as file:  # whose name may be no text, which torch does not take
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript itself
            network = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # RuntimeError for most, others for what no archive is
        raise ModelError(
            f"{path}: is damaged or not TorchScript ({_first_line(error)}). Weights alone are read by weights:path={path}."
        ) from None
    return noted(_told(path, network, told), path)


def _told(path: Path, network: Any, told: Told, otherwise: str | None = None) -> Model:
    try:
        return told.model_of(network, otherwise=otherwise)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def of_weights(path: Path, spec: str, told: Told) -> Model:
    """A model that a plugin makes, with weights of a file.

    Raises
    ------
    ModelError
        If the file is damaged, or its weights are those of another network.
    """
    name, options = parse_spec(nested(spec))
    weights, names = weights_of(path), told.names()
    network = _created(name, options, 2 if names is None else len(names))
    weights = _bare(weights, network)
    if names is None:
        network = _created(name, options, _outputs(weights, network, _created(name, options, 3)))
    _load(network, weights, path, spec)
    model = noted(_told(path, network, told, getattr(network, "representation", None)), path)
    return replace(model, model_spec={"name": registry().spelt("model", name), "options": options})


def weights_of(path: Path) -> dict[str, Any]:
    """Named tensors of a safetensors file or of a checkpoint of torch, of which nothing is run.

    Raises
    ------
    ModelError
        If it is neither, or holds no weights.
    """
    existing(path)
    content = _safetensors(path) if path.suffix == ".safetensors" else _checkpoint(path)
    weights = _named_tensors(content)
    if not weights:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise ModelError(f"{path}: holds no named tensors, but {keys}; expected a state dict.")
    return weights


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: is damaged or not a safetensors file ({_first_line(error)}).") from None


def _checkpoint(path: Path) -> Any:
    """What torch.save wrote, if it is made of tensors and plain values alone."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle's, zipfile's and torch's own
        raise ModelError(
            f"{path}: is damaged, or holds more than weights, which could run any code and is not loaded ({_first_line(error)}). "
            "Save model.state_dict(), or load it in code of your own by python:at=FILE.py:function."
        ) from None


def _named_tensors(content: Any) -> dict[str, Any]:
    from torch import Tensor

    if not isinstance(content, Mapping):
        return {}
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return {str(name): value for name, value in content.items()}
    return next((inner for key in INSIDE if (inner := _named_tensors(content.get(key)))), {})


def _bare(weights: dict[str, Any], network: Any) -> dict[str, Any]:
    """The weights by the names that a network gives them."""
    wanted = set(network.state_dict())
    while not set(weights) & wanted:
        prefix = next((one for one in WRAPPERS if all(name.startswith(one) for name in weights)), None)
        if prefix is None:
            break
        weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _outputs(weights: Mapping[str, Any], two: Any, three: Any) -> int:
    """How many classes weights are of, told by the tensor whose shape follows from it in networks of two and of three."""
    other = three.state_dict()
    for name, tensor in two.state_dict().items():
        axes = [axis for axis, size in enumerate(tensor.shape) if (size, other[name].shape[axis]) == (2, 3)]
        if axes and name in weights and weights[name].ndim == tensor.ndim:
            return int(weights[name].shape[axes[0]])
    return 2


def _created(name: str, options: Mapping[str, Any], count: int) -> Any:
    given = check_options(f"model {name!r}", registry().factory("model", name), {**options, "classes": count})
    try:
        return create("model", name, **given).eval()
    except XaudioError:
        raise
    except Exception as error:
        raise ModelError(f"The model {name!r} cannot be made with {count} classes ({_first_line(error)}).") from error


def _load(network: Any, weights: Mapping[str, Any], path: Path, spec: str) -> None:
    wanted = set(network.state_dict())
    missing, more = sorted(wanted - set(weights)), sorted(set(weights) - wanted)
    if missing or more:
        parts = [f"{what}: {', '.join(names[:4])}" for what, names in (("missing", missing), ("unknown", more)) if names]
        raise ModelError(f"{path}: its weights are not those of the model {spec!r} ({'; '.join(parts)}).")
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split()[9:]) or str(error)
        raise ModelError(f"{path}: its weights do not fit the model {spec!r}: {reason[:300].rstrip('. ')}.") from None


def existing(path: Path) -> None:
    """Raise `ModelError` if there is no such file, or none of its kind is read."""
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; expected a file.")
    if not path.is_file():
        beside = (one.name for one in path.parent.glob("*")) if path.parent.is_dir() else ()
        raise ModelError(f"{path}: there is no such file.{nearest(path.name, beside)}")
    if path.suffix == ".pt2":
        raise ModelError(
            f"{path}: is a program of torch.export, which torch reads by unpickling, so that it could run any code. Load it in "
            "code of your own, by python:at=FILE.py:function that returns torch.export.load(path).module()."
        )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")

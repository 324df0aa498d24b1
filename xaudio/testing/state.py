"""What a plugin must leave as it was: the model, the generators, the settings of the process, files."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..model.modes import AUTOCAST
from ..output.runs import cache_folder

State = dict[str, dict[str, Any]]
"""By aspect, such as "hooks", and by name: values that compare."""

OF_EVERY_MODULE = frozenset(nn.Module().__dict__)
"""Attributes that each module has."""

SIMPLE = (bool, int, float, str, tuple, type(None))


class Same:
    """Equal to another that holds the same object."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Left:
    """What a call left behind: the names of what changed, by aspect, and files."""

    changes: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def said(self, aspect: str, how: str = "changed") -> str:
        """A sentence about an aspect, or nothing if it is as before."""
        names = self.changes.get(aspect, [])
        return f"{', '.join(names[:3])}{' and more' if len(names) > 3 else ''}: {how}" if names else ""


def left_in_process(left: Left, *, chance: bool = False) -> str:
    """What was left behind of the generators (unless chance is named already), settings, figures and files, or nothing."""
    drawn = "a seed was set or numbers were drawn; take an option seed and a generator of your own"
    parts = [
        "" if chance else left.said("generators", drawn),
        left.said("settings", "changed for everybody"),
        left.said("hooks", "left behind"),
        left.said("figures", "left open"),
        left.said("style", "changed for everybody"),
        f"it wrote {', '.join(left.files[:3])}" if left.files else "",
    ]
    return "; ".join(filter(None, parts))


@contextmanager
def watching(network: Any = None) -> Iterator[Left]:
    """Notes what changes meanwhile, of a network and of the process; see `stirred`."""
    left = Left()
    with stirred():
        before = state_of(network)
        with _written() as files:
            yield left
        after = state_of(network)
    left.files = files
    left.changes = {aspect: names for aspect in before if (names := _changed(before[aspect], after[aspect]))}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in {**before, **after} if name not in before or name not in after or before[name] != after[name]]


def state_of(network: Any = None) -> State:
    """Everything that a call must leave as it was, of a network (or None) and of the process."""
    of_network = _of_network(network) if isinstance(network, nn.Module) else {}
    hooks = {**of_network.get("hooks", {}), **_global_hooks()}
    return {**of_network, "hooks": hooks, "generators": _generators(), "settings": _settings(), **_of_matplotlib()}


def _of_network(network: nn.Module) -> State:
    modules = {name or "the model": module for name, module in network.named_modules()}
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    return {
        "modes": {name: module.training for name, module in modules.items()},
        "modules": {name: [Same(module), type(module), Same(type(module).forward)] for name, module in modules.items()},
        "attributes": {f"{name}.{key}": value for name, module in modules.items() for key, value in _attributes(module)},
        "hooks": _hooks(modules, parameters),
        "requires_grad": {name: weight.requires_grad for name, weight in parameters.items()},
        "weights": {name: [Same(tensor), *_bits(tensor)] for name, tensor in {**parameters, **buffers}.items()},
        "gradients": {name: None if weight.grad is None else _bits(weight.grad) for name, weight in parameters.items()},
    }


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for key, value in vars(module).items():
        if key not in OF_EVERY_MODULE:
            yield key, value if isinstance(value, SIMPLE) else Same(value) if callable(value) else type(value)


def _hooks(modules: dict[str, nn.Module], parameters: dict[str, nn.Parameter]) -> dict[str, Any]:
    """Hooks of all sorts by where they are."""
    owners: dict[str, Any] = {**modules, **parameters}
    hooks = {}
    for name, owner in owners.items():
        sorts = [sort for sort in dir(owner) if sort.endswith(("_hooks", "_hooks_"))] if isinstance(owner, nn.Module) else []
        for sort in [*sorts] or ["_backward_hooks", "_post_accumulate_grad_hooks"]:
            held = getattr(owner, sort, None)
            if isinstance(held, dict) and held:
                hooks[f"{sort.strip('_').replace('_', ' ')} of {name}"] = [Same(hook) for hook in held.values()]
    return hooks


def _global_hooks() -> dict[str, Any]:
    torch_modules = vars(torch.nn.modules.module)
    kept = {key: held for key, held in torch_modules.items() if key.startswith("_global") and isinstance(held, dict)}
    return {key.strip("_").replace("_", " "): [Same(hook) for hook in held.values()] for key, held in kept.items() if held}


def _bits(tensor: Tensor) -> list[Any]:
    flat = tensor.detach().cpu().contiguous().reshape(-1).resolve_conj()
    return [tensor.dtype, tensor.device, tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes() if len(flat) else b""]


def _generators() -> dict[str, Any]:
    numbers: Any = np.random.get_state(legacy=True)  # noqa: NPY002 (the global one is what is watched)
    states: dict[str, Any] = {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": [np.asarray(numbers[1]).tobytes(), *numbers[2:]],
        "random's global generator": random.getstate(),
    }
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["the GPU's global generator"] = [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return states


def _settings() -> dict[str, Any]:
    """Settings of torch, numpy and the process that decide how others compute."""
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.empty(0).device,
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's inference mode": torch.is_inference_mode_enabled(),
        "torch's anomaly mode": torch.is_anomaly_enabled(),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's precision of matrix products": torch.get_float32_matmul_precision(),
        "torch's autocast": [kind for kind in AUTOCAST if torch.is_autocast_enabled(kind)],
        "torch's number of threads": torch.get_num_threads(),
        "cudnn's benchmark": torch.backends.cudnn.benchmark,
        "numpy's handling of errors": np.geterr(),
        "the working folder": os.getcwd(),
    }


def _of_matplotlib() -> State:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return {"figures": {}, "style": {}}
    kept = {key: repr(value) for key, value in _style(pyplot).items()}
    return {"figures": {f"figure {number}": True for number in pyplot.get_fignums()}, "style": kept}


def _style(pyplot: Any) -> dict[str, Any]:
    """What matplotlib is set to, as it holds it: to ask for all that, and to set it, takes longer than a small check."""
    return dict(dict.items(pyplot.rcParams))


def _set_default_device(device: torch.device) -> None:
    """As torch's, but that nothing is set where that is the default already, since every call costs more from then on."""
    if torch.get_default_device() != device:
        torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


SWITCHES: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
)
"""How settings of torch are read, and set to what was read."""


@contextmanager
def restored() -> Iterator[None]:
    """Whatever a plugin does to the process meanwhile ends here, so that the next check is not another's victim."""
    generators = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    settings = [(read(), write) for read, write in SWITCHES]
    autocast = {kind: torch.is_autocast_enabled(kind) for kind in AUTOCAST}
    errors, folder, benchmark = np.geterr(), os.getcwd(), torch.backends.cudnn.benchmark
    pyplot = sys.modules.get("matplotlib.pyplot")
    figures, style = (pyplot.get_fignums(), _style(pyplot)) if pyplot else ([], {})
    try:
        yield
    finally:
        for value, write in settings:
            write(value)
        for kind, enabled in autocast.items():
            torch.set_autocast_enabled(kind, enabled)
        torch.backends.cudnn.benchmark = benchmark
        torch.set_rng_state(generators[0])
        np.random.set_state(generators[1])  # noqa: NPY002
        random.setstate(generators[2])
        np.seterr(**errors)
        os.chdir(folder)
        if pyplot:
            now = _style(pyplot)
            pyplot.rcParams.update({key: value for key, value in style.items() if now.get(key) is not value})
            for number in set(pyplot.get_fignums()) - set(figures):
                pyplot.close(number)


_STIRRED = count()


@contextmanager
def stirred() -> Iterator[None]:
    """As `restored`, and the global generators start elsewhere each time, so that what draws from them shows."""
    with restored():
        seed = next(_STIRRED)
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed_all(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        yield


_WATCHED: list[set[str]] = []
"""Paths that were opened to write, of each block that watches."""

CREATES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
"""Events of `sys.addaudithook` that make something, and which argument is its path."""


@cache
def _watch_files() -> None:
    """Hear of every file that Python opens; such a hook stays, so there is one for the whole process."""
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _WATCHED or (event != "open" and event not in CREATES):
        return
    if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    path = arguments[CREATES.get(event, 0)]
    if isinstance(path, str | bytes | os.PathLike):
        for paths in _WATCHED:
            paths.add(os.path.abspath(os.fsdecode(path)))


@contextmanager
def _written() -> Iterator[list[str]]:
    """Fills a list with what was written meanwhile and is still there, but for caches."""
    _watch_files()
    opened: set[str] = set()
    files: list[str] = []
    here = set(os.listdir())
    folder = os.getcwd()
    _WATCHED.append(opened)
    try:
        yield files
    finally:
        _WATCHED.remove(opened)
        opened |= {os.path.join(folder, name) for name in set(os.listdir(folder)) - here}
        files += sorted(path for path in opened if os.path.exists(path) and not _is_cache(Path(path)))


def _is_cache(path: Path) -> bool:
    caches = [cache_folder(), Path.home() / ".cache", Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")]
    if matplotlib := sys.modules.get("matplotlib"):
        caches.append(Path(matplotlib.get_cachedir()))
    compiled = Path(tempfile.gettempdir()) / "torchinductor"
    return (
        any(path.is_relative_to(folder) for folder in caches)
        or "__pycache__" in path.parts
        or str(path).startswith(("/dev/", "/proc/", str(compiled)))
    )

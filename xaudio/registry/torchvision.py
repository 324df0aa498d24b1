"""Import what imports torchvision also where torchvision does not work.

It is often missing or broken beside a torch from another source ("operator torchvision::nms does not exist"), which should not
stop anyone from explaining a sound.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

NAME = "torchvision"


@contextmanager
def beside_torchvision(needed: Mapping[str, Sequence[str]] | None = None) -> Iterator[None]:
    """For a while, torchvision as it is if it can be imported, and else a stand-in.

    Parameters
    ----------
    needed : mapping of str to sequence of str, optional
        Names of the classes that are imported from its modules, which the stand-in has, empty. Without any it is as though
        torchvision was not installed.
    """
    try:
        for name in needed or [NAME]:
            import_module(name)
    except Exception:  # it fails in many ways: ImportError, RuntimeError, OSError
        _forget()
        sys.modules.update(_stand_in(needed) if needed else {NAME: None})  # type: ignore[dict-item]
        try:
            yield
        finally:  # whoever imports torchvision later must get the real one, or its own error
            _forget()
    else:
        yield


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def _stand_in(needed: Mapping[str, Sequence[str]]) -> dict[str, ModuleType]:
    """Modules with just those classes, empty, each an attribute of the one above it."""
    above = {name.rsplit(".", depth)[0] for name in needed for depth in range(name.count(".") + 1)}
    modules = {name: ModuleType(name) for name in sorted({*needed, *above})}
    for name, classes in needed.items():
        for class_name in classes:
            setattr(modules[name], class_name, type(class_name, (), {}))
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    return modules

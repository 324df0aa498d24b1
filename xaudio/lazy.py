"""Names that are loaded from their modules when they are first used: a stub beside a module says which, once.

The names stay in the module that offers them. (Scientific Python's lazy-loader would keep those of `xaudio.plugin` in
`xaudio`, where the function `registry` would hide the package of that name.)
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

Attached = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def attach_stub(module: str, file: str, package: str) -> Attached:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a module, from the imports of the stub beside it.

    Parameters
    ----------
    module, file : str
        The module's ``__name__`` and ``__file__``.
    package : str
        To which the imports of the stub are relative.
    """
    tree = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1]
    return attach(module, {alias.name: f"{package}.{node.module}" for node in imports for alias in node.names})


def attach(module: str, origins: Mapping[str, str]) -> Attached:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a module.

    Parameters
    ----------
    module : str
        Its ``__name__``.
    origins : mapping of str to str
        From each name to the module that has it.
    """

    def load(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(import_module(origins[name]), name)
        setattr(sys.modules[module], name, value)
        return value

    return load, lambda: sorted(origins), sorted(origins)

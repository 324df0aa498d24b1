"""Models that the user's own code makes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from xaudio import Model, ModelError, XaudioError

from ._common import Told


def of_code(at: str, told: Told) -> Model:
    """What a function of the user's code returns, as a model.

    Raises
    ------
    ModelError
        If there is no such function, it fails, or it returns something else.
    """
    place, colon, name = at.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ModelError(f"at={at!r}: expected FILE.py:function, or module:function.")
    function = getattr(_module(place), name, None)
    if function is None:
        raise ModelError(f"{place}: has no function {name!r}.")
    if not callable(function):
        raise ModelError(f"{place}: {name!r} is a {type(function).__name__}; expected a function without arguments.")
    model = _as_model(_run(function, at), at, told)
    shown = f"{Path(place).absolute()}:{name}" if place.endswith(".py") else at
    options = {key: value for key, value in vars(told).items() if value is not None}
    return replace(model, facts={"loader": {"name": "python", "options": {"at": shown, **options}}, **model.facts})


def _module(place: str) -> Any:
    try:
        return _of_file(Path(place)) if place.endswith(".py") else import_module(place)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{place}: cannot be run ({_reason(error)}).") from error


def _of_file(path: Path) -> Any:
    """The module of a file, which may import what lies beside it."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file.")
    spec = spec_from_file_location(f"_xaudio_code_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: cannot be run as Python.")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and the like look their module up
    sys.path.insert(0, str(path.absolute().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.absolute().parent))
    return module


def _run(function: Callable[[], Any], at: str) -> Any:
    try:
        return function()
    except XaudioError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{at}: failed ({_reason(error)}).") from error


def _as_model(returned: Any, at: str, told: Told) -> Model:
    if returned is None:
        raise ModelError(f"{at}: returned nothing; expected an xaudio.Model or a torch module.")
    try:
        return told.model_of(returned)
    except ModelError as error:
        raise ModelError(f"{at}: {error}") from None


def _reason(error: BaseException) -> str:
    """What went wrong and, of the user's own code, where."""
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(told.split())

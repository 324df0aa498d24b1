"""transformers itself: imported when it is needed, and recognised without being imported."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from xaudio.plugin import ModelError, beside_torchvision

PACKAGE = "transformers"
INSTALL = "pip install 'xaudio[huggingface]'"


def is_of_library(thing: Any, base: str) -> bool:
    """Whether a thing is an instance of a class of transformers by this name, or of one that inherits it."""
    return any(cls.__name__ == base and cls.__module__.partition(".")[0] == PACKAGE for cls in type(thing).__mro__)


def transformers() -> ModuleType:
    """The library, also beside a torchvision that does not work.

    Raises
    ------
    ModelError
        If it is not installed, or cannot be imported.
    """
    if PACKAGE in sys.modules:
        return sys.modules[PACKAGE]
    try:
        with beside_torchvision():
            library = import_module(PACKAGE)
            from transformers.utils import is_torchvision_available

            is_torchvision_available()  # remembered for what is imported later
    except ModuleNotFoundError as error:
        if error.name == PACKAGE:
            raise ModelError(f"Models of Hugging Face need transformers, which is not installed: {INSTALL}.") from None
        raise ModelError(f"transformers cannot be imported: {error}. {INSTALL} installs what it needs.") from None
    except Exception as error:  # another package that does not suit it
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"transformers cannot be imported: {reason}") from None
    return library

"""Reading the files of a folder by transformers: these alone, and quietly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from xaudio.plugin import ModelError

from ._library import PACKAGE, transformers


def read_extractor(path: Path) -> Any:
    """The feature extractor of a folder.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    return read(path, "feature extractor", transformers().AutoFeatureExtractor.from_pretrained)


def read(path: Path, what: str, reader: Any, **options: Any) -> Any:
    """What a reader makes of the files of a folder alone.

    Raises
    ------
    ModelError
        If it cannot read them.
    """
    try:
        with _quietly():
            return reader(str(path), local_files_only=True, **options)
    except Exception as error:  # it is another library's code, which fails in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        missing = (
            "" if what == "model" or (path / "preprocessor_config.json").exists() else "there is no preprocessor_config.json: "
        )
        raise ModelError(f"{path}: its {what} cannot be read: {missing}{reason[:300]}") from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the bars and the remarks of transformers: what matters of them is checked here."""
    said = import_module(f"{PACKAGE}.utils.logging")
    bars, verbosity = said.is_progress_bar_enabled(), said.get_verbosity()
    said.disable_progress_bar()
    said.set_verbosity_error()
    try:
        yield
    finally:
        said.set_verbosity(verbosity)
        if bars:
            said.enable_progress_bar()

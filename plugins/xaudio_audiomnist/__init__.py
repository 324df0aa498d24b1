"""AudioMNIST: 30,000 English digits of 60 speakers, as released with the paper (github.com/soerenab/AudioMNIST, MIT licence)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import hookimpl


def audiomnist(*, data: Path | None = None, seed: int = 0) -> Any:
    """The AudioMNIST corpus, with the tasks digit and sex and the paper's folds.

    Each task has its published folds when all the speakers that these name are there, and otherwise speaker-disjoint
    folds of like composition; ``notes`` then says so. Hidden files and files that are not WAV are not recordings.

    Parameters
    ----------
    data : Path or None
        The folder that holds one folder per speaker (01, 02, ...), or its parent with "data". None is the folder that
        `xaudio data fetch audiomnist` fills.
    seed : int
        Of the folds, where the published ones cannot be used.

    Raises
    ------
    DataError
        If there is no such folder, no recording in it, or a recording whose name does not fit the corpus.
    """
    from . import _corpus

    return _corpus.load(data, seed)


def _fetch(destination: Path | None = None, **options: Any) -> Path:
    """Download, unpack and verify the corpus; see `xaudio_audiomnist.fetch.fetch`."""
    from .fetch import fetch

    return fetch(destination, **options)


# The command `xaudio data fetch NAME` looks for this attribute on a data set's factory.
audiomnist.fetch = _fetch  # type: ignore[attr-defined]


def _recognises(data: Path) -> bool:
    """Whether a folder has the layout and the metadata of the corpus, or its name."""
    from . import _corpus

    return _corpus.is_corpus(data)


# Where no data set is named, xaudio looks for this attribute on the factories.
audiomnist.recognises = _recognises  # type: ignore[attr-defined]


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"audiomnist": audiomnist}

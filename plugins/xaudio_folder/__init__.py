"""Recordings of one's own: a folder, a table, a manifest or an archive, as people and other tools keep them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from xaudio.plugin import DataError, Seed, check_options, hookimpl

Separator = Literal["auto", "none", "semicolon", "comma", "pipe", "space", "plus", "slash"]


def folder(
    *,
    data: Path | None = None,
    label: tuple[str, ...] = (),
    group: str = "",
    path: str = "",
    split: str = "",
    labels: str = "",
    separator: Separator = "auto",
    several: Literal["auto", "yes", "no"] = "auto",
    rows: Literal["auto", "clips", "events"] = "auto",
    empty: Literal["unknown", "none"] = "unknown",
    channels: str = "mean",
    seed: Seed = 0,
) -> Any:
    """Recordings of your own, in any of the usual layouts, which is recognised and said; nothing is decoded to list them.

    A folder for each class; a table (CSV, TSV, JSON lines, Parquet) with paths and labels, as of AudioFolder, ESC-50,
    UrbanSound8K, FSD50K, NeMo or SpeechBrain; Speech Commands; Kaldi and lhotse; label tracks, JAMS and Raven tables beside
    the recordings; tar files of WebDataset.

    Parameters
    ----------
    data : Path or None
        The folder, or one table or tar file in it.
    label : tuple of str
        Columns with labels, each a task (``label=emotion+sex``); or several columns of 0 and 1, one for each label.
    group : str
        Column with what no two folds may share: the speaker, the source file, the site.
    path : str
        Column with the paths.
    split : str
        Column with the part (train, validation, test) or the fold.
    labels : str
        A regular expression of paths, whose named groups are labels: "(?P<word>[a-z]+)_(?P<speaker>[0-9]+)". The groups
        "speaker" and "split" are not labels. No comma can be in it.
    separator : str
        Between several labels in a cell.
    several : str
        "yes" where a recording has a row for each of its labels; "no" where all events of a recording have one label, so that
        the recording has one class, as a model of classes needs it.
    rows : str
        Whether rows with a start and an end are excerpts to classify ("clips") or events in a recording ("events").
    empty : str
        Whether an empty cell of several labels means that they are unknown, or that there is none of them.
    channels : str
        Of recordings with several channels: "mean" mixes them down, "left" is the first, "right" the second, a number from 0
        any, "all" keeps all.
    seed : int
        Of folds that are drawn, where the data have none.

    Raises
    ------
    DataError
        If there is no such folder, no layout fits, or no recording is there.
    """
    from ._columns import Choice
    from ._making import from_folder, from_object

    choice = Choice(path, label, group, split, separator, several, rows, empty, _pattern(labels), channels)
    if isinstance(data, Path):
        return from_folder(data, choice, seed)
    if data is None:
        raise DataError("folder: no folder was given. Give --data PATH, a folder with recordings.")
    return from_object(data, choice, seed)


def _pattern(text: str) -> re.Pattern[str] | None:
    """A regular expression with named groups."""
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise DataError(f"The option labels, {text!r}, is not a regular expression ({error}).") from None
    if not pattern.groupindex:
        raise DataError(f"The option labels, {text!r}, names nothing; expected groups such as (?P<label>[a-z]+).")
    return pattern


def _adapt(data: object, options: Mapping[str, Any]) -> Any:
    """A data set of an object of datasets, soundata or mirdata; None if it is none."""
    given = check_options("dataset 'folder'", folder, options)
    return folder(**{**given, "data": data})


# `xaudio.open_dataset` looks for this attribute on the factories where it is given an object.
folder.adapt = _adapt  # type: ignore[attr-defined]


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"folder": folder}

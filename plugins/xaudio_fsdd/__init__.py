"""The Free Spoken Digit Dataset: 3,000 English digits of six speakers at 8 kHz (CC BY-SA 4.0)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import DataError, counted, hookimpl

PATTERN = "{digit}_{speaker}_{index}.wav, such as 7_jackson_32.wav"
NAME = re.compile(r"([0-9])_([^\W\d_]+)_[0-9]+\.wav", re.IGNORECASE)
SOURCE = "github.com/Jakobovski/free-spoken-digit-dataset"


def fsdd(*, data: Path | None = None) -> Any:
    """The Free Spoken Digit Dataset, with the task digit and one fold per speaker.

    Of its 3,000 recordings 20 are longer than one second, 8 of them without the silence at their ends as well, so that
    trimming could not shorten them all; the loudest second keeps at least 99 % of the energy of each.

    Parameters
    ----------
    data : Path or None
        The repository's folder, or the folder "recordings" in it.

    Raises
    ------
    DataError
        If there is no such folder, or its recordings are missing or have other names.
    """
    from xaudio.plugin import Recording, SpeakerDataset  # needs numpy, without which the command line starts sooner

    if data is None or not data.is_dir():
        what = "no folder was given" if data is None else f"{data}: there is no such folder"
        raise DataError(f"fsdd: {what}. Give --data PATH, a copy of {SOURCE}.")
    folder = data / "recordings" if (data / "recordings").is_dir() else data
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".wav" and not path.name.startswith("."))
    if not files:
        raise DataError(f"{folder}: holds no recordings; expected {PATTERN}. Check the path.")
    recordings = [Recording(str(path), speaker, {"digit": digit}) for path in files for digit, speaker in [parse_name(path)]]
    others = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (".flac", ".ogg", ".mp3"))
    said = counted(len(others), "file is not WAV and is", "files are not WAV and are")
    left_out = [f"{said} left out, such as {others[0]}."] if others else []
    speakers = sorted({recording.speaker for recording in recordings})
    return SpeakerDataset(
        name="fsdd",
        title="FSDD",
        tasks={"digit": tuple("0123456789")},
        recordings=recordings,
        test_speakers={"digit": [[speaker] for speaker in speakers]},
        fit="loudest",
        notes=(
            f"{counted(len(speakers), 'fold')}, each tested on one speaker: too few speakers for the five folds of AudioMNIST.",
            *left_out,
        ),
    )


def parse_name(path: Path) -> tuple[int, str]:
    """Digit and speaker of a file, or a DataError if its name does not follow `PATTERN`."""
    match = NAME.fullmatch(path.name)
    if not match:
        raise DataError(f"{path}: is not the name of a recording; expected {PATTERN}. Rename or remove what does not belong.")
    return int(match[1]), match[2]


def _recognises(data: Path) -> bool:
    """Whether a folder has the layout: recordings by their names, all in one folder."""
    folder = data / "recordings" if (data / "recordings").is_dir() else data
    names = [path.name for path in folder.iterdir() if path.suffix.lower() == ".wav"] if folder.is_dir() else []
    return bool(names) and all(NAME.fullmatch(name) for name in names)


# Where no data set is named, xaudio looks for this attribute on the factories.
fsdd.recognises = _recognises  # type: ignore[attr-defined]


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"fsdd": fsdd}

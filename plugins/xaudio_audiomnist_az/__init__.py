"""AudioMNIST_AZ: Azerbaijani digits of 40 speakers at 16 kHz, in AudioMNIST's layout (github.com/Natavan-A/AudioMNIST_AZ)."""

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaudio.plugin import Clip, DataError, hookimpl

if TYPE_CHECKING:
    from xaudio.plugin import Recording

PATTERN = "NN/{digit}_{NN}_{repetition}.wav with NN the speaker, such as 03/7_03_2.wav"
METADATA = "metadata.txt"
SEXES = {"m": "male", "f": "female"}
FOLDS = 5


def audiomnist_az(*, data: Path | None = None, seed: int = 0) -> Any:
    """The Azerbaijani sibling of AudioMNIST, with the tasks digit and sex and five folds of each.

    Nearly all recordings are longer than one second, with noise around the word that hides the silence from trimming:
    the loudest second is kept. All carry a constant offset (a twelfth of full scale), louder than the speech of most; it
    is removed, since it would decide which second is the loudest and outshine the speech in a spectrogram.

    Parameters
    ----------
    data : Path or None
        The folder that holds one folder per speaker (01, 02, ...), or its parent with "data". The metadata are looked for
        in both.
    seed : int
        Of the folds. Those of the digit task hold each sex in like parts; the sex task uses as many speakers of one sex as
        of the other, drawn at random.

    Raises
    ------
    DataError
        If there is no such folder, no recording in it, or a recording whose name does not fit.
    """
    from xaudio.plugin import Recording, SpeakerDataset  # needs numpy, without which the command line starts sooner

    if data is None or not data.is_dir():
        what = "no folder was given" if data is None else f"{data}: there is no such folder"
        raise DataError(f"audiomnist-az: {what}. Give --data PATH, a copy of github.com/Natavan-A/AudioMNIST_AZ.")
    folder = data / "data" if (data / "data").is_dir() else data
    paths = [path for path in sorted(folder.glob("*/*")) if path.suffix.lower() == ".wav" and not path.name.startswith(".")]
    if not paths:
        raise DataError(f"{folder}: holds no recordings; expected {PATTERN}. Check the path.")
    files: dict[tuple[int, int, int], Path] = {}
    for path in paths:
        twin = files.setdefault(parse_name(path), path)
        if twin is not path:
            raise DataError(f"{path}: is the same recording by its name as {twin}. Remove or rename one of them.")
    speakers = sorted({speaker for speaker, _, _ in files})
    sexes, notes = read_sexes(folder)
    groups: dict[str, list[str]] = {}
    for speaker in speakers:
        groups.setdefault(sexes.get(speaker, "unknown"), []).append(f"{speaker:02d}")
    if "unknown" in groups:
        notes.append(f"No sex is known of the speakers {', '.join(groups['unknown'])}: add them to {METADATA} for the sex task.")
    spoken = {(speaker, digit) for speaker, digit, _ in files}
    gaps = [f"{digit} of {speaker:02d}" for speaker in speakers for digit in range(10) if (speaker, digit) not in spoken]
    if gaps:
        notes.append(f"There is no recording of: {', '.join(gaps)} (digit of speaker).")
    test_speakers, fold_notes = draw_folds(groups, seed)
    classes = tuple(SEXES.values())
    return SpeakerDataset(
        name="audiomnist-az",
        title="AudioMNIST-AZ",
        tasks={"digit": tuple("0123456789"), "sex": classes},
        recordings=[
            Recording(
                str(path),
                f"{speaker:02d}",
                {"digit": digit, "sex": classes.index(sexes[speaker]) if speaker in sexes else None},
            )
            for (speaker, digit, _), path in sorted(files.items())
        ],
        test_speakers=test_speakers,
        fit="loudest",
        notes=(*notes, *fold_notes),
        read=read_without_offset,
    )


def parse_name(path: Path) -> tuple[int, int, int]:
    """Speaker, digit and repetition of a file, or a DataError if its name does not follow `PATTERN`."""
    match = re.fullmatch(r"([0-9])_([0-9]{1,2})_([0-9]{1,4})\.wav", path.name, re.IGNORECASE)
    if not match or not re.fullmatch("[0-9]{1,2}", path.parent.name) or int(path.parent.name) != int(match[2]):
        raise DataError(
            f"{path}: is not the name of a recording; expected {PATTERN}. Rename, move or remove what does not belong."
        )
    return int(match[2]), int(match[1]), int(match[3])


def read_sexes(folder: Path) -> tuple[dict[int, str], list[str]]:
    """Sex by speaker, from the metadata in a folder or its parent, and a note if there are none."""
    for path in (folder / METADATA, folder.parent / METADATA):
        try:
            return parse_metadata(path.read_text(encoding="utf-8-sig", errors="replace")), []
        except (OSError, csv.Error):
            continue
    return {}, [f"There is no readable {METADATA} in {folder} or its parent."]


def parse_metadata(text: str) -> dict[int, str]:
    """Sex by speaker, from the columns "SPK ID" and "Gender"; rows without a usable one are left out."""
    sexes = {}
    for row in csv.DictReader(text.splitlines()):
        speaker, gender = (str(row.get(column) or "").strip().lower() for column in ("SPK ID", "Gender"))
        if re.fullmatch("[0-9]{1,4}", speaker) and gender in SEXES:
            sexes[int(speaker)] = SEXES[gender]
    return sexes


def draw_folds(groups: Mapping[str, list[str]], seed: int) -> tuple[dict[str, list[list[str]]], list[str]]:
    """Test speakers of each task's folds, as many as the speakers allow, and how they were drawn."""
    from xaudio.plugin import speaker_folds

    everybody = min(FOLDS, sum(map(len, groups.values())))
    by_sex = {sex: groups.get(sex, []) for sex in SEXES.values()}
    smallest = min(map(len, by_sex.values()))
    each = min(FOLDS, smallest)
    folds = {
        "digit": speaker_folds(groups, everybody, seed=seed) if everybody >= 3 else [],
        "sex": speaker_folds(by_sex, each, seed=seed, balanced=True) if each >= 3 and "unknown" not in groups else [],
    }
    return folds, [
        f"Digit task: {len(folds['digit'])} folds drawn with seed {seed}."
        + " At least three speakers are needed." * (everybody < 3),
        f"Sex task: {len(folds['sex'])} folds drawn with seed {seed}, of {smallest} female and {smallest} male speakers."
        + " At least three of each are needed." * (each < 3)
        + " The sex of every speaker is needed." * ("unknown" in groups),
    ]


def read_without_offset(recording: "Recording") -> Clip:
    """Read a recording and subtract its mean; scale it down if that takes it beyond full scale."""
    import numpy as np

    from xaudio.plugin import read_audio

    clip = read_audio(recording.source, labels=recording.labels, speaker=recording.speaker)
    offset = float(clip.waveform.mean(dtype=np.float64))
    waveform = clip.waveform - np.float32(offset)
    peak = float(np.abs(waveform).max())
    note = f"offset of {offset:.4f} removed"
    if peak > 1:
        waveform, note = waveform / np.float32(peak), f"{note}, scaled by {1 / peak:.3f}"
    return replace(clip, waveform=waveform, notes=(*clip.notes, note))


def _recognises(data: Path) -> bool:
    """Whether a folder holds folders of speakers, and metadata with their sexes in it or above."""
    folder = data / "data" if (data / "data").is_dir() else data
    return (
        folder.is_dir()
        and bool(read_sexes(folder)[0])
        and any(re.fullmatch("[0-9]{1,2}", path.name) for path in folder.iterdir())
    )


# Where no data set is named, xaudio looks for this attribute on the factories.
audiomnist_az.recognises = _recognises  # type: ignore[attr-defined]


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"audiomnist-az": audiomnist_az}

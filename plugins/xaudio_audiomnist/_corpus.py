"""The released layout of AudioMNIST: names of files and folders, metadata, folds."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xaudio.plugin import (
    Checked,
    DataError,
    ModelError,
    Recording,
    SpeakerDataset,
    cache_folder,
    counted,
    read_json,
    speaker_folds,
    write_json,
)

from .checksums import compare

PATTERN = "{digit}_{speaker}_{repetition}.wav, such as 7_03_12.wav"
METADATA = "audioMNIST_meta.txt"
SPEAKERS, PER_SPEAKER = 60, 500
SEXES = ("male", "female")

# Test speakers of the folds of the paper's code.
DIGIT_FOLDS = (
    (26, 52, 60, 18, 32, 42, 5, 13, 22, 33, 45, 51),
    (28, 56, 7, 19, 35, 1, 6, 16, 23, 34, 46, 53),
    (36, 57, 9, 24, 37, 2, 8, 17, 29, 39, 48, 54),
    (43, 58, 14, 25, 38, 3, 10, 20, 30, 40, 49, 55),
    (12, 47, 59, 15, 27, 41, 4, 11, 21, 31, 44, 50),
)
SEX_FOLDS = (
    (58, 59, 60, 7, 23, 38),
    (36, 47, 56, 2, 44, 50),
    (26, 12, 57, 25, 37, 45),
    (43, 28, 52, 48, 53, 41),
)


class AudioMNIST(SpeakerDataset):
    """The corpus, which knows the published checksums."""

    def check(self) -> Checked:
        """How many recordings are there and as published; kept while the files are as they were."""
        place = cache_folder() / "audiomnist-checked" / f"{self.fingerprint()}.json"
        with contextlib.suppress(ModelError, TypeError, KeyError):
            kept = read_json(place)
            return Checked(str(kept["said"]), tuple(kept["damaged"]))
        checked = compare([(*parse_name(Path(one.source).name), Path(one.source)) for one in self.recordings]).checked()
        write_json(place, {"said": checked.said, "damaged": list(checked.damaged)})
        return checked


def default_folder() -> Path:
    """Where the corpus is fetched to and looked for unless the user names a folder."""
    return cache_folder() / "audiomnist"


def load(data: Path | None, seed: int) -> SpeakerDataset:
    """The data set in a folder; see `xaudio_audiomnist.audiomnist`."""
    try:
        folder = corpus_folder(data)
        recordings = find_recordings(folder)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}). Check its permissions.") from None
    speakers = sorted({speaker for _, speaker, _, _ in recordings})
    sexes, notes = read_sexes(folder)
    sexes = {speaker: sex for speaker, sex in sexes.items() if speaker in speakers}
    if not notes and (unknown := [speaker for speaker in speakers if speaker not in sexes]):
        notes.append(f"The metadata give no sex for the speakers {_listed(unknown)}.")
    if set(range(1, SPEAKERS + 1)) != set(speakers):
        notes.append(f"{counted(len(speakers), 'speaker')}; the corpus has {SPEAKERS}.")
    elif len(recordings) != SPEAKERS * PER_SPEAKER:
        notes.append(f"{counted(len(recordings), 'recording')}; the corpus has {SPEAKERS * PER_SPEAKER}.")
    digit, digit_notes = digit_folds(speakers, sexes, seed)
    sex, sex_notes = sex_folds(speakers, sexes, seed)
    return AudioMNIST(
        name="audiomnist",
        title="AudioMNIST" + ("" if len(speakers) == SPEAKERS else f" ({counted(len(speakers), 'speaker')})"),
        tasks={"digit": tuple("0123456789"), "sex": SEXES},
        recordings=[
            Recording(str(path), name(speaker), {"digit": digit_, "sex": sexes.get(speaker)})
            for digit_, speaker, _, path in recordings
        ],
        test_speakers={"digit": digit, "sex": sex},
        fit="error",
        resampling="fft",
        notes=(*notes, *digit_notes, *sex_notes),
    )


def name(speaker: int) -> str:
    """A speaker as the corpus writes it, such as "03"."""
    return f"{speaker:02d}"


def corpus_folder(data: Path | None) -> Path:
    """The folder with one folder per speaker: ``data``, or "data" in it.

    Raises
    ------
    DataError
        If there is none.
    """
    root = default_folder() if data is None else data
    if data is None and not root.exists():
        raise DataError(
            f"{root}: AudioMNIST is not there. Fetch it with 'xaudio data fetch audiomnist' (about 1 GB), or give --data PATH."
        )
    if not root.is_dir():
        what = "is a file" if root.exists() else "there is no such folder"
        raise DataError(f"{root}: {what}; expected the folder of AudioMNIST. Check the path, or 'xaudio data fetch audiomnist'.")
    for folder in (root, root / "data"):
        if folder.is_dir() and speaker_folders(folder):
            return folder
    raise DataError(f"{root}: has no folders of speakers; expected 01, 02, ... in it or in its folder 'data'. Check the path.")


def is_corpus(data: Path) -> bool:
    """Whether a folder holds the corpus: folders of speakers, and its metadata in it or above."""
    return any((place / METADATA).is_file() for place in (data, data / "data", data.parent)) and any(
        place.is_dir() and bool(speaker_folders(place)) for place in (data, data / "data")
    )


def speaker_folders(folder: Path) -> list[tuple[int, Path]]:
    """Speakers and their folders, in their order."""
    entries = (path for path in folder.iterdir() if re.fullmatch("[0-9]{1,2}", path.name) and path.is_dir())
    return sorted((int(path.name), path) for path in entries)


def parse_name(file: str) -> tuple[int, int, int]:
    """Digit, speaker and repetition of a file's name.

    Raises
    ------
    DataError
        If it does not follow `PATTERN`.
    """
    match = re.fullmatch(r"([0-9])_([0-9]{1,2})_([0-9]{1,4})\.wav", file, re.IGNORECASE)
    if not match:
        raise DataError(f"{file!r} is not the name of a recording; expected {PATTERN}.")
    digit, speaker, repetition = map(int, match.groups())
    return digit, speaker, repetition


def find_recordings(folder: Path) -> list[tuple[int, int, int, Path]]:
    """Digit, speaker, repetition and path of every recording, by speaker, digit and repetition.

    Raises
    ------
    DataError
        If there are none, or some have a name that is broken or of another speaker.
    """
    files: list[tuple[int, int, int, Path]] = []
    broken: list[Path] = []
    strangers: list[Path] = []
    for owner, speaker_folder in speaker_folders(folder):
        for path in sorted(speaker_folder.iterdir()):
            if path.suffix.lower() != ".wav" or path.name.startswith("."):
                continue
            try:
                digit, speaker, repetition = parse_name(path.name)
            except DataError:
                broken.append(path)
                continue
            if speaker != owner:
                strangers.append(path)
            files.append((digit, speaker, repetition, path))
    strays = [path for path in sorted(folder.glob("*/*.wav")) if not re.fullmatch("[0-9]{1,2}", path.parent.name)]
    if strays:
        raise DataError(
            f"{strays[0]}: {_count(strays, 'folder that is not a speaker')}; expected 01, 02, ... "
            "Rename or remove what does not belong."
        )
    if broken:
        raise DataError(
            f"{broken[0]}: {_count(broken, 'broken name')}; expected {PATTERN}. Rename or remove what does not belong."
        )
    if strangers:
        raise DataError(
            f"{strangers[0]}: {_count(strangers, 'name of another speaker')} than its folder's. Move it to its speaker's folder."
        )
    if not files:
        raise DataError(f"{folder}: the speakers' folders hold no recordings; expected {PATTERN}. Check the path.")
    return sorted(files, key=lambda entry: (entry[1], entry[0], entry[2], entry[3]))


def _count(paths: Sequence[Path], what: str) -> str:
    return f"has a {what}" + (f" (the first of {len(paths)} such files)" if len(paths) > 1 else "")


def read_sexes(folder: Path) -> tuple[dict[int, int], list[str]]:
    """Sex (index into `SEXES`) by speaker, from the metadata in a folder or its parent, and what is wrong with them."""
    for path in (folder / METADATA, folder.parent / METADATA):
        if path.is_file():
            break
    else:
        return {}, [f"There is no {METADATA} in {folder} or its parent: no sex is known, so only the digit task can be used."]
    try:
        sexes = parse_metadata(path.read_text(encoding="utf-8-sig", errors="replace"))
    except OSError as error:
        problem = error.strerror or "cannot be read"
    except DataError as error:
        problem = str(error)
    else:
        if sexes:
            return sexes, []
        problem = "it names the sex of no speaker"
    return {}, [f"{path} cannot be used ({problem}): no sex is known, so only the digit task can be used. Fetch the file again."]


def parse_metadata(text: str) -> dict[int, int]:
    """Sex by speaker, from the text of the metadata.

    Only the speaker's number and gender are read, tolerantly: a speaker without a usable one is left out.

    Raises
    ------
    DataError
        If the text is not a JSON object.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"it is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError("it is not a JSON object keyed by speaker")
    sexes = {}
    for key, fields in content.items():
        gender = _field(fields, "gender") if isinstance(fields, dict) else None
        if re.fullmatch("[0-9]{1,4}", key.strip()) and gender in SEXES:
            sexes[int(key)] = SEXES.index(gender)
    return sexes


def _field(fields: Mapping[str, Any], wanted: str) -> str | None:
    for key, value in fields.items():
        if key.strip().lower() == wanted and isinstance(value, str):
            return value.strip().lower()
    return None


def digit_folds(speakers: Collection[int], sexes: Mapping[int, int], seed: int) -> tuple[list[list[str]], list[str]]:
    """Test speakers of the digit task's folds, and notes."""
    if {speaker for fold in DIGIT_FOLDS for speaker in fold} == set(speakers):
        return _named(DIGIT_FOLDS), []
    count = min(len(DIGIT_FOLDS), len(speakers))
    if count < 3:
        return [], [
            f"Digit task: {counted(len(speakers), 'speaker is', 'speakers are')} too few for folds; at least three are needed."
        ]
    folds = speaker_folds(_by_sex(speakers, sexes), count, seed=seed)
    return folds, [
        f"Digit task: {count} folds drawn with seed {seed}, not the paper's, since not exactly its speakers are there."
    ]


def sex_folds(speakers: Collection[int], sexes: Mapping[int, int], seed: int) -> tuple[list[list[str]], list[str]]:
    """Test speakers of the sex task's folds, as many of one sex as of the other, and notes.

    The published folds need the sexes of their speakers alone; folds that are drawn need those of all.
    """
    if {speaker for fold in SEX_FOLDS for speaker in fold} <= set(sexes):
        return _named(SEX_FOLDS), []
    unknown = [speaker for speaker in speakers if speaker not in sexes]
    if sexes and unknown:
        return [], [f"Sex task: no folds, since the metadata give no sex for the speakers {_listed(unknown)}: add them."]
    groups = _by_sex(sexes, sexes)
    smallest = min(len(groups.get(sex, ())) for sex in SEXES)
    count = min(len(SEX_FOLDS), smallest)
    if count < 3:
        known = counted(smallest, "speaker of one sex is", "speakers of one sex are")
        return [], [f"Sex task: no folds, since {known} known; at least three of each are needed."]
    folds = speaker_folds(groups, count, seed=seed, balanced=True)
    used = f"{smallest} female and {smallest} male speakers"
    return folds, [
        f"Sex task: {count} folds of {used} drawn with seed {seed}, not the paper's, since not all of its speakers are there."
    ]


def _by_sex(speakers: Iterable[int], sexes: Mapping[int, int]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for speaker in speakers:
        sex = SEXES[sexes[speaker]] if speaker in sexes else "unknown"
        groups.setdefault(sex, []).append(name(speaker))
    return groups


def _named(folds: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[name(speaker) for speaker in fold] for fold in folds]


def _listed(speakers: Iterable[int]) -> str:
    return ", ".join(name(speaker) for speaker in speakers)

"""Lists of recordings, and folds that never share a speaker."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given, strategies as st

from xaudio.errors import DataError
from xaudio.sound.datasets import Recording, SpeakerDataset, files_of, speaker_folds
from xaudio.types import Dataset

DIGITS = {"digit": tuple("0123456789")}


def made(labels: list[tuple[str, int | None]], folds: list[list[str]], **fields: Any) -> SpeakerDataset:
    """A data set of (speaker, digit) without files."""
    recordings = [Recording(f"{index}.wav", speaker, {"digit": digit}) for index, (speaker, digit) in enumerate(labels)]
    return SpeakerDataset("made", "Made", DIGITS, recordings, {"digit": folds}, **fields)


def test_files_are_named_where_they_are_missing_and_not_where_a_data_set_reads_something_else(tmp_path: Path) -> None:
    (tmp_path / "there.x").write_bytes(b"")
    missing = str(tmp_path / "missing.x")

    def data(source: str, **fields: Any) -> SpeakerDataset:
        return SpeakerDataset("one", "One", DIGITS, [Recording(source, "a", {"digit": 1})], {"digit": []}, **fields)

    assert data("a.wav").files == files_of(data("a.wav")) == ["a.wav"]
    assert data(missing).files == [missing]
    there = str(tmp_path / "there.x")
    for source in (there, missing, f"{there}/clip.wav", f"{there}:clip.wav", "train/7", "7_anna_0", "https://example.org/a.wav"):
        own = data(source, read=lambda recording: None)
        assert own.files == [source if source == there else ""]
        if source == there:
            assert own.fingerprint() == data(source).fingerprint()
        else:
            with pytest.raises(DataError, match=rf"^{source}: there is no such file\..+ needs its own `fingerprint_of`"):
                own.fingerprint()
            assert data(source, read=lambda recording: None, fingerprint_of=lambda recordings: "own").fingerprint() == "own"


@pytest.mark.parametrize("files", [None, [], ()])
def test_data_that_name_no_files_have_none(files: Any) -> None:
    class Named(list[int]):
        pass

    named: Any = Named([1, 2])
    assert files_of(named) == ["", ""]
    named.files = files
    assert files_of(named) == ["", ""]


@given(
    st.lists(st.tuples(st.sampled_from("abcdefghi"), st.none() | st.integers(0, 9)), min_size=1, max_size=40), st.integers(3, 8)
)
def test_folds_share_no_speaker_and_validation_is_the_test_before(labels: list[tuple[str, int | None]], count: int) -> None:
    groups = [list("abcdefgh"[index::count]) for index in range(count)]  # the speaker i is in no fold
    data = made(labels, groups)
    folds = data.folds("digit")
    assert len(folds) == count
    names = np.array(data.speakers)
    for index, fold in enumerate(folds):
        parts = [set(names[part]) for part in fold]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert parts[2] <= set(groups[index])
        assert np.array_equal(fold.validation, folds[index - 1].test)
        used = np.concatenate(fold)
        expected = [i for i, (speaker, digit) in enumerate(labels) if speaker != "i" and digit is not None]
        assert sorted(used.tolist()) == expected  # each once, unlabelled ones and strangers never
        assert fold.train.tolist() == sorted(fold.train.tolist())


def test_labels_need_no_decoding() -> None:
    data = made([("a", 3), ("b", None), ("c", 0)], [["a"], ["b"], ["c"]])
    assert data.labels("digit").tolist() == [3, -1, 0]
    assert data.labels("digit").dtype == np.int64
    assert len(data) == 3
    assert data.speakers == ["a", "b", "c"]
    assert isinstance(data, Dataset)


def test_a_task_that_does_not_exist_is_an_error() -> None:
    data = made([("a", 3)], [["a"], ["b"], ["c"]])
    for ask in (data.labels, data.folds):
        with pytest.raises(DataError, match=r"^In the data set 'made': Unknown task 'digits'\. Did you mean 'digit'"):
            ask("digits")


@pytest.mark.parametrize(
    ("labels", "folds", "message"),
    [
        ([], [["a"], ["b"], ["c"]], "has no recordings"),
        ([("a", 10)], [["a"], ["b"], ["c"]], "has 0.wav, whose label of task 'digit' is 10; expected a class, 0 to 9"),
        ([("a", -2)], [["a"], ["b"], ["c"]], "has 0.wav, whose label of task 'digit' is -2"),
        ([("a", 1)], [["a"], ["b", "a"], ["c"]], "has a speaker in two folds of task 'digit'"),
        ([("a", 1)], [["a", "a"], ["b"], ["c"]], "has a speaker in two folds"),
    ],
)
def test_data_that_cannot_be_right_is_refused(labels: Any, folds: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"The data set 'made' {message}"):
        made(labels, folds)


def test_a_task_without_folds_is_refused() -> None:
    with pytest.raises(DataError, match="names no test speakers for the task 'digit'"):
        SpeakerDataset("made", "Made", DIGITS, [Recording("a.wav", "a", {"digit": 1})], {})


def test_two_folds_are_too_few() -> None:
    with pytest.raises(DataError, match="task 'digit' of 'made' has 2 folds; expected at least three"):
        made([("a", 1)], [["a"], ["b"]]).folds("digit")


def test_recordings_are_read_with_their_labels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    recording = Recording(str(tmp_path / "a.wav"), "07", {"digit": 3})
    clip = SpeakerDataset("made", "Made", DIGITS, [recording], {"digit": [["07"]]})[0]
    assert (clip.speaker, clip.labels, clip.source, len(clip.waveform)) == ("07", {"digit": 3}, recording.source, 100)


def files(folder: Path, **contents: bytes) -> SpeakerDataset:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    recordings = [Recording(str(folder / name), "a", {"digit": 1}) for name in contents]
    return SpeakerDataset("made", "Made", DIGITS, recordings, {"digit": [["a"]]})


def test_the_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    first = files(tmp_path / "one", a=b"1", b=b"2").fingerprint()
    assert files(tmp_path / "two", a=b"1", b=b"2").fingerprint() == first  # wherever the files are
    others = [
        files(tmp_path / "three", a=b"1", b=b"3").fingerprint(),
        files(tmp_path / "four", a=b"1", c=b"2").fingerprint(),
        files(tmp_path / "five", b=b"2", a=b"1").fingerprint(),
        files(tmp_path / "six", a=b"1").fingerprint(),
    ]
    assert len({first, *others}) == 5


def test_the_fingerprint_is_computed_once(tmp_path: Path) -> None:
    data = files(tmp_path, a=b"1")
    first = data.fingerprint()
    (tmp_path / "a").write_bytes(b"2")
    assert data.fingerprint() == first


def test_a_missing_file_is_named_by_the_fingerprint(tmp_path: Path) -> None:
    data = files(tmp_path, a=b"1", b=b"2")
    (tmp_path / "b").unlink()
    with pytest.raises(DataError, match=r"/b: cannot be read \(No such file or directory\)"):
        data.fingerprint()


groups = st.dictionaries(st.sampled_from(["female", "male", "other"]), st.integers(0, 12), min_size=1).map(
    lambda sizes: {name: [f"{name}{index}" for index in range(size)] for name, size in sizes.items()}
)


@given(groups, st.integers(1, 6), st.integers(0, 99), st.booleans())
def test_speaker_folds_are_alike(groups: dict[str, list[str]], count: int, seed: int, balanced: bool) -> None:
    sizes = [len(group) for group in groups.values()]
    try:
        folds = speaker_folds(groups, count, seed=seed, balanced=balanced)
    except DataError as error:
        assert min(sizes) < count if balanced else sum(sizes) < count
        assert len(str(error).splitlines()) == 1
        return
    dealt = [speaker for fold in folds for speaker in fold]
    assert len(folds) == count
    assert len(dealt) == len(set(dealt))
    for name, group in groups.items():
        shares = [len(set(fold) & set(group)) for fold in folds]
        assert max(shares) - min(shares) <= 1
        assert sum(shares) == (min(sizes) if balanced else len(group)), name
    if balanced:  # each fold holds as many of each group
        assert all(len({len(set(fold) & set(group)) for group in groups.values()}) == 1 for fold in folds)
    else:
        assert max(map(len, folds)) - min(map(len, folds)) <= 1
    assert folds == speaker_folds(
        {name: group[::-1] for name, group in reversed(groups.items())}, count, seed=seed, balanced=balanced
    )


@given(st.integers(0, 99), st.integers(0, 99))
def test_another_seed_deals_otherwise(seed: int, other: int) -> None:
    assume(seed != other)
    group = {"all": [str(index) for index in range(30)]}
    assert speaker_folds(group, 5, seed=seed) != speaker_folds(group, 5, seed=other)


def test_the_speakers_of_a_balanced_fold_are_drawn_from_all() -> None:
    groups = {"female": ["f1", "f2", "f3"], "male": [f"m{index}" for index in range(20)]}
    drawn = {speaker for seed in range(40) for fold in speaker_folds(groups, 3, seed=seed, balanced=True) for speaker in fold}
    assert len(drawn) == 23


@pytest.mark.parametrize(
    ("groups", "balanced", "message"),
    [
        ({"female": ["a", "b"], "male": list("cdefg")}, True, "2 speakers of group 'female' cannot be divided into 3 folds"),
        ({"all": ["a", "b"]}, False, "2 speakers cannot be divided into 3 folds"),
        ({"all": []}, False, "0 speakers cannot be divided into 3 folds"),
        ({}, False, "0 speakers cannot be divided into 3 folds"),
    ],
)
def test_too_few_speakers_are_refused(groups: dict[str, list[str]], balanced: bool, message: str) -> None:
    with pytest.raises(DataError, match=message):
        speaker_folds(groups, 3, seed=0, balanced=balanced)

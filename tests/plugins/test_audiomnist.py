import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xaudio import DataError
from xaudio.registry.loading import registry
from xaudio_audiomnist import _corpus, audiomnist

FEMALE = {12, 26, 28, 36, 43, 47, 52, 56, 57, 58, 59, 60}
METADATA = {f"{speaker:02d}": {"age": "1234", "gender": "female" if speaker in FEMALE else "male"} for speaker in range(1, 61)}


def corpus(folder: Path, speakers=range(1, 61), metadata: object = METADATA, *, sub: str = "data", form: str = "02d") -> Path:
    """A corpus of empty files, one recording of two digits per speaker; the data set decodes nothing until asked."""
    for speaker in speakers:
        own = folder / sub / format(speaker, form)
        own.mkdir(parents=True)
        for digit in (0, 7):
            (own / f"{digit}_{speaker:{form}}_0.wav").touch()
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        (folder / sub / "audioMNIST_meta.txt").write_text(text, encoding="utf-8")
    return folder


def held_out(dataset, task: str) -> list[set[int]]:
    """Speakers in the test set of each fold."""
    return [{int(dataset.speakers[index]) for index in fold.test} for fold in dataset.folds(task)]


def test_published_folds(tmp_path: Path) -> None:
    dataset = audiomnist(data=corpus(tmp_path))
    assert dataset.title == "AudioMNIST"
    digit, sex = held_out(dataset, "digit"), held_out(dataset, "sex")
    assert digit[0] == {26, 52, 60, 18, 32, 42, 5, 13, 22, 33, 45, 51}
    assert digit[4] == {12, 47, 59, 15, 27, 41, 4, 11, 21, 31, 44, 50}
    assert sex == [{58, 59, 60, 7, 23, 38}, {36, 47, 56, 2, 44, 50}, {26, 12, 57, 25, 37, 45}, {43, 28, 52, 48, 53, 41}]
    assert [len(speakers) for speakers in digit] == [12] * 5
    assert set().union(*digit) == set(range(1, 61))
    assert [len(speakers & FEMALE) for speakers in sex] == [3] * 4
    assert not any("folds" in note for note in dataset.notes)


@pytest.mark.parametrize("task", ["digit", "sex"])
@pytest.mark.parametrize("speakers", [range(1, 61), [*range(1, 15), 26, 28]])
def test_folds_share_no_speaker_and_validate_on_the_fold_before(tmp_path: Path, task: str, speakers) -> None:
    dataset = audiomnist(data=corpus(tmp_path, speakers))
    folds = dataset.folds(task)
    names = np.array(dataset.speakers)
    used = {int(index) for fold in folds for index in fold.test}
    for number, fold in enumerate(folds):
        assert np.array_equal(fold.validation, folds[number - 1].test)
        parts = [set(names[part]) for part in fold]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert {int(index) for part in fold for index in part} == used


def test_labels_and_speakers(tmp_path: Path) -> None:
    dataset = audiomnist(data=corpus(tmp_path, [1, 12]))
    assert dataset.speakers == ["01", "01", "12", "12"]
    assert dataset.labels("digit").tolist() == [0, 7, 0, 7]
    assert dataset.labels("sex").tolist() == [0, 0, 1, 1]
    assert dataset.tasks["sex"] == ("male", "female")
    assert dataset.recordings[3].source == str(tmp_path / "data" / "12" / "7_12_0.wav")
    assert dataset.fit == "error"
    assert dataset.resampling == "fft"


def test_the_stored_metadata_without_three_speakers_keep_the_published_folds(tmp_path: Path) -> None:
    metadata = {key: value for key, value in METADATA.items() if key not in ("17", "22", "34")}
    dataset = audiomnist(data=corpus(tmp_path, metadata=metadata))
    assert any("17, 22, 34" in note for note in dataset.notes)
    assert held_out(dataset, "sex")[0] == {58, 59, 60, 7, 23, 38}
    assert {int(name) for name, sex in zip(dataset.speakers, dataset.labels("sex"), strict=True) if sex < 0} == {17, 22, 34}


@pytest.mark.parametrize("form", ["d", "02d"])
def test_speakers_are_compared_as_numbers(tmp_path: Path, form: str) -> None:
    metadata = {str(int(key)): value for key, value in METADATA.items()}
    dataset = audiomnist(data=corpus(tmp_path, metadata=metadata, form=form))
    assert held_out(dataset, "digit")[0] == {26, 52, 60, 18, 32, 42, 5, 13, 22, 33, 45, 51}
    assert (dataset.labels("sex") == 1).sum() == 2 * len(FEMALE)


@pytest.mark.parametrize("inner", [False, True])
def test_data_is_the_folder_of_speakers_or_its_parent(tmp_path: Path, inner: bool) -> None:
    corpus(tmp_path)
    meta = tmp_path / "data" / "audioMNIST_meta.txt"
    if inner:
        meta.rename(tmp_path / meta.name)
    for data in (tmp_path, tmp_path / "data"):
        assert len(audiomnist(data=data).folds("sex")) == 4


def test_drawn_folds_are_stratified_and_follow_the_seed(tmp_path: Path) -> None:
    speakers = [*sorted(FEMALE)[:7], *range(1, 12), *range(13, 20)]
    corpus(tmp_path, speakers)
    dataset = audiomnist(data=tmp_path, seed=3)
    assert dataset.title == "AudioMNIST (25 speakers)"
    digit, sex = held_out(dataset, "digit"), held_out(dataset, "sex")
    assert [len(fold) for fold in digit] == [5] * 5
    assert set().union(*digit) == set(speakers)
    assert {len(fold & FEMALE) for fold in digit} == {1, 2}
    assert len(sex) == 4
    assert all(len(fold & FEMALE) == len(fold - FEMALE) for fold in sex)
    assert sum(map(len, sex)) == 14
    assert held_out(audiomnist(data=tmp_path, seed=3), "digit") == digit
    assert held_out(audiomnist(data=tmp_path, seed=4), "digit") != digit
    assert sum("not the paper's" in note for note in dataset.notes) == 2


@pytest.mark.parametrize(("female", "folds"), [([12, 26, 28], 3), ([12, 26], 0)])
def test_as_many_sex_folds_as_the_smaller_sex_allows(tmp_path: Path, female: list[int], folds: int) -> None:
    dataset = audiomnist(data=corpus(tmp_path, [*range(1, 8), *female]))
    assert len(dataset.test_speakers["sex"]) == folds
    if not folds:
        assert any("2 speakers of one sex" in note for note in dataset.notes)
        with pytest.raises(DataError, match="at least three"):
            dataset.folds("sex")


def test_two_speakers_have_no_folds(tmp_path: Path) -> None:
    dataset = audiomnist(data=corpus(tmp_path, [1, 2]))
    assert any("too few" in note for note in dataset.notes)
    with pytest.raises(DataError, match="at least three"):
        dataset.folds("digit")


@pytest.mark.parametrize("metadata", [None, "", "{", "[1, 2]", "null", "[" * 100_000, '{"01": {"gender": "?"}}', "\x00\xff"])
def test_without_usable_metadata_the_digit_task_works(tmp_path: Path, metadata: str | None) -> None:
    dataset = audiomnist(data=corpus(tmp_path, metadata=metadata))
    assert len(dataset.folds("digit")) == 5
    assert set(dataset.labels("sex")) == {-1}
    assert any("only the digit task" in note for note in dataset.notes)
    with pytest.raises(DataError, match="sex"):
        dataset.folds("sex")


def test_other_files_and_hidden_files_are_no_recordings(tmp_path: Path) -> None:
    corpus(tmp_path, [1, 2, 3])
    (tmp_path / "data" / "01" / "notes.txt").touch()
    (tmp_path / "data" / "01" / "._0_01_0.wav").touch()
    assert len(audiomnist(data=tmp_path)) == 6


def test_fewer_recordings_than_released_are_noted(tmp_path: Path) -> None:
    assert "120 recordings; the corpus has 30000." in audiomnist(data=corpus(tmp_path)).notes


def test_without_data_the_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAUDIO_CACHE", str(tmp_path / "xaudio"))
    with pytest.raises(DataError, match=r"xaudio data fetch audiomnist.*--data") as caught:
        audiomnist()
    assert "\n" not in str(caught.value)
    corpus(tmp_path / "xaudio" / "audiomnist", [1, 2, 3])
    assert len(audiomnist()) == 6


def test_paths_that_are_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        audiomnist(data=tmp_path / "nowhere")
    (tmp_path / "file.zip").touch()
    with pytest.raises(DataError, match="is a file"):
        audiomnist(data=tmp_path / "file.zip")
    with pytest.raises(DataError, match="no folders of speakers"):
        audiomnist(data=tmp_path)
    (tmp_path / "01").mkdir()
    with pytest.raises(DataError, match="hold no recordings"):
        audiomnist(data=tmp_path)


def test_broken_names_are_counted(tmp_path: Path) -> None:
    corpus(tmp_path, [1, 2, 3])
    for name in ("07_02_1.wav", "seven_02_1.wav", "7_02.wav"):
        (tmp_path / "data" / "02" / name).touch()
    with pytest.raises(DataError, match=r"07_02_1\.wav: has a broken name \(the first of 3 such files\); expected"):
        audiomnist(data=tmp_path)


def test_a_recording_in_another_speakers_folder(tmp_path: Path) -> None:
    corpus(tmp_path, [1, 2, 3])
    (tmp_path / "data" / "02" / "7_03_9.wav").touch()
    with pytest.raises(DataError, match=r"7_03_9\.wav: has a name of another speaker"):
        audiomnist(data=tmp_path)


def test_the_registry_offers_it_with_its_options(tmp_path: Path) -> None:
    dataset = registry().create("dataset", "audiomnist", {"data": str(corpus(tmp_path, [1, 2, 3])), "seed": "5"})
    assert len(dataset) == 6
    assert callable(registry().factory("dataset", "audiomnist").fetch)


@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 9999), st.booleans())
def test_valid_names_are_parsed(digit: int, speaker: int, repetition: int, padded: bool) -> None:
    file = f"{digit}_{speaker:02d}_{repetition}.wav" if padded else f"{digit}_{speaker}_{repetition}.wav"
    assert _corpus.parse_name(file) == (digit, speaker, repetition)


@pytest.mark.slow
@given(st.one_of(st.text(), st.from_regex(r"[0-9]?_?[0-9]*_[0-9]*\.wav"), st.text("0123456789_.wavWAV\n٣²")))
def test_any_name_is_parsed_or_refused(file: str) -> None:
    if re.fullmatch(r"[0-9]_[0-9]{1,2}_[0-9]{1,4}\.[wW][aA][vV]", file):
        assert list(_corpus.parse_name(file)) == [int(part) for part in re.findall("[0-9]+", file)]
    else:
        with pytest.raises(DataError, match="expected") as caught:
            _corpus.parse_name(file)
        assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["01", "1", "gender", " Gender "]), inner),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.one_of(st.text(), JSON.map(json.dumps)))
def test_any_metadata_are_parsed_or_refused(text: str) -> None:
    try:
        sexes = _corpus.parse_metadata(text)
    except DataError:
        return
    assert isinstance(json.loads(text), dict)
    assert set(sexes.values()) <= {0, 1}


@pytest.mark.slow
@given(st.dictionaries(st.integers(1, 99), st.sampled_from(["male", "Female ", "?", None, 3]), max_size=8), st.booleans(), JSON)
def test_metadata_give_the_sex_whatever_the_other_fields_say(genders, padded: bool, age) -> None:
    key = "{:02d}" if padded else "{:d}"
    text = json.dumps({key.format(speaker): {"age": age, "Gender": gender} for speaker, gender in genders.items()})
    expected = {speaker: {"male": 0, "Female ": 1}[sex] for speaker, sex in genders.items() if sex in ("male", "Female ")}
    assert _corpus.parse_metadata(text) == expected


def test_real_recordings_in_the_same_layout(real_data: Any) -> None:
    dataset = audiomnist(data=real_data("audiomnist-az"))
    assert dataset.title == "AudioMNIST (40 speakers)"
    assert len(dataset) == 2027
    assert len(dataset.folds("digit")) == 5
    assert dataset[0].labels == {"digit": 0, "sex": None}
    assert dataset[0].sample_rate == 16_000


def test_drawn_folds_of_the_sex_task_need_every_speakers_sex(tmp_path: Path) -> None:
    metadata = {key: value for key, value in METADATA.items() if key != "05"}
    dataset = audiomnist(data=corpus(tmp_path, range(1, 31), metadata))
    assert len(dataset.folds("digit")) == 5
    with pytest.raises(DataError, match="no sex for the speakers 05"):
        dataset.folds("sex")


def test_folders_that_are_no_speaker_are_refused(tmp_path: Path) -> None:
    corpus(tmp_path, [1, 2, 3])
    (tmp_path / "data" / "100").mkdir()
    (tmp_path / "data" / "100" / "0_100_1.wav").touch()
    with pytest.raises(DataError, match="folder that is not a speaker"):
        audiomnist(data=tmp_path)


def test_the_real_recordings_are_as_published_and_damage_is_named(real_data, tmp_path, run_command):
    folder = Path(shutil.copytree(real_data("audiomnist-en"), tmp_path / "copy"))
    checked = audiomnist(data=folder).check()
    assert checked.said.startswith(
        "49 of the 30,000 recordings of AudioMNIST are there, 49 of them as published; 29,951 missing: "
    )
    assert checked.damaged == ()
    damaged = next(iter(sorted(folder.glob("data/*/*.wav"))))
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    name = f"{damaged.parent.name}/{damaged.name}"
    assert audiomnist(data=folder).check().damaged == (name,)
    assert "48 of them as published" in audiomnist(data=folder).check().said
    done = run_command("data", "info", "--data", folder, status=1)
    assert f"1 of 49 recordings is not as it was published: {name}." in done.stderr


def test_the_checksums_are_of_all_recordings(real_data):
    import gzip

    from xaudio_audiomnist import checksums

    published = Path(checksums.__file__).with_name("sha256.bin").read_bytes()
    assert len(published) == checksums.RECORDINGS * checksums.BYTES
    with gzip.open(real_data("audiomnist-en") / "sha256-of-all-30000.tsv.gz", "rt") as lines:
        for line in lines:
            digest, _, name = line.split()
            place = checksums._place(*(int(part) for part in (name[5:7], name[8], name[13:-4])))
            assert published[place * 8 : place * 8 + 8].hex() == digest[:16]


def test_a_whole_corpus_of_other_content_is_not_the_published_one(tmp_path):
    from xaudio_audiomnist.checksums import compare, refuse_damaged

    path = tmp_path / "x.wav"
    path.write_bytes(b"other")
    sums = compare([(0, 1, 0, path), (0, 1, 99, path)], shown=False)
    assert (sums.damaged, sums.other, len(sums.missing)) == (["01/0_01_0.wav"], ["01/0_01_99.wav"], 29_999)
    with pytest.raises(DataError, match=r"1 damaged: 01/0_01_0.wav; 29,999 missing: 01/0_01_1.wav, .* and 29,989 more"):
        refuse_damaged(sums, tmp_path)

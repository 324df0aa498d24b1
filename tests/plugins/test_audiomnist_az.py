from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xaudio import DataError, write_audio
from xaudio.registry.loading import registry
from xaudio.sound.fitting import fit_length
from xaudio_audiomnist_az import audiomnist_az, parse_metadata, parse_name

HEADER = "SPK ID,0,1,2,3,4,5,6,7,8,9,Gender"


def corpus(folder: Path, female: int = 6, male: int = 9, *, missing: int = 0) -> Path:
    """Speakers 1 to ``female`` are female; the last ``missing`` speakers have no row of metadata."""
    rows = [HEADER]
    for speaker in range(1, female + male + 1):
        own = folder / "data" / f"{speaker:02d}"
        own.mkdir(parents=True)
        for digit in range(10):
            (own / f"{digit}_{speaker:02d}_1.wav").touch()
        rows.append(f"{speaker}{',1' * 10},{'F' if speaker <= female else 'M'}")
    (folder / "metadata.txt").write_text("\r\n".join(rows[: len(rows) - missing]) + "\r\n", newline="")
    return folder


def test_five_folds_of_each_task(tmp_path: Path) -> None:
    dataset = registry().create("dataset", "audiomnist-az", {"data": str(corpus(tmp_path))})
    assert dataset.tasks["sex"] == ("male", "female")
    assert [dataset.labels("sex")[dataset.speakers.index(speaker)] for speaker in ("01", "06", "07", "15")] == [1, 1, 0, 0]
    digit, sex = dataset.folds("digit"), dataset.folds("sex")
    assert sorted(np.concatenate([fold.test for fold in digit])) == list(range(150))
    assert len(sex) == 5
    assert all(np.ptp(np.bincount(dataset.labels("sex")[fold.test])) == 0 for fold in sex)
    for fold in (*digit, *sex):
        parts = [{dataset.speakers[index] for index in part} for part in fold]
        assert sum(map(len, parts)) == len(set().union(*parts))
    assert audiomnist_az(data=tmp_path, seed=1).test_speakers != dataset.test_speakers
    assert audiomnist_az(data=tmp_path / "data").test_speakers == dataset.test_speakers


def test_gaps_and_speakers_without_metadata_are_noted(tmp_path: Path) -> None:
    corpus(tmp_path, missing=2)
    (tmp_path / "data" / "03" / "8_03_1.wav").unlink()
    dataset = audiomnist_az(data=tmp_path)
    assert any("14, 15" in note for note in dataset.notes)
    assert any("8 of 03" in note for note in dataset.notes)
    assert (dataset.labels("sex") < 0).sum() == 20
    assert len(dataset.folds("digit")) == 5
    with pytest.raises(DataError, match=r"sex.*has 0 folds.*No sex is known of the speakers 14, 15: add them"):
        dataset.folds("sex")


def test_two_files_of_one_recording_are_refused(tmp_path: Path) -> None:
    corpus(tmp_path)
    (tmp_path / "data" / "1").mkdir()
    (tmp_path / "data" / "1" / "0_01_1.wav").touch()
    with pytest.raises(DataError, match="is the same recording by its name as"):
        audiomnist_az(data=tmp_path)


@pytest.mark.parametrize("content", [None, "", "nonsense", "SPK ID,Gender\n1", "x" * 200_000])
def test_without_usable_metadata_the_digit_task_works(tmp_path: Path, content: str | None) -> None:
    corpus(tmp_path)
    (tmp_path / "metadata.txt").unlink()
    if content is not None:
        (tmp_path / "metadata.txt").write_text(content)
    dataset = audiomnist_az(data=tmp_path)
    assert len(dataset.folds("digit")) == 5
    assert any("No sex is known" in note for note in dataset.notes)
    assert any("At least three of each" in note for note in dataset.notes)
    with pytest.raises(DataError, match="sex"):
        dataset.folds("sex")


def test_few_speakers_have_fewer_folds(tmp_path: Path) -> None:
    dataset = audiomnist_az(data=corpus(tmp_path / "few", 3, 4))
    assert (len(dataset.folds("digit")), len(dataset.folds("sex"))) == (5, 3)
    with pytest.raises(DataError, match="at least three"):
        audiomnist_az(data=corpus(tmp_path / "two", 1, 1)).folds("digit")


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data PATH"):
        audiomnist_az()
    with pytest.raises(DataError, match="no such folder"):
        audiomnist_az(data=tmp_path / "nowhere")
    with pytest.raises(DataError, match="no recordings"):
        audiomnist_az(data=tmp_path)
    corpus(tmp_path)
    (tmp_path / "data" / "02" / "8_03_7.wav").touch()
    with pytest.raises(DataError, match=r"8_03_7\.wav: is not the name"):
        audiomnist_az(data=tmp_path)


def test_the_offset_is_removed(tmp_path: Path) -> None:
    corpus(tmp_path, 3, 3)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    tone[8_000:] = 0
    write_audio(tmp_path / "data" / "01" / "0_01_1.wav", tone - 0.1, 16_000)
    clip = audiomnist_az(data=tmp_path)[0]
    assert clip.notes == ("offset of -0.1000 removed",)
    assert np.abs(clip.waveform - tone).max() < 1e-4
    assert clip.waveform.dtype == np.float32


def test_the_offset_removed_never_exceeds_full_scale(tmp_path: Path) -> None:
    corpus(tmp_path, 3, 3)
    waveform = np.full(16_000, -0.1)
    waveform[::100] = 1.0
    write_audio(tmp_path / "data" / "01" / "0_01_1.wav", waveform, 16_000)
    clip = audiomnist_az(data=tmp_path)[0]
    assert np.abs(clip.waveform).max() == 1
    assert "scaled by" in clip.notes[-1]


@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 9999))
def test_valid_names_are_parsed(digit: int, speaker: int, repetition: int) -> None:
    assert parse_name(Path(f"{speaker:02d}/{digit}_{speaker:02d}_{repetition}.wav")) == (speaker, digit, repetition)


@given(st.one_of(st.text(), st.text("0123456789_.wav/\n٣")))
def test_any_name_is_parsed_or_refused(path: str) -> None:
    try:
        speaker, digit, repetition = parse_name(Path("03") / path)
    except DataError:
        return
    assert 0 <= digit <= 9
    assert 0 <= speaker <= 99
    assert repetition >= 0


@given(st.dictionaries(st.integers(1, 99), st.sampled_from(["M", "F", "m ", "", "X", '"'])))
def test_metadata_are_parsed(genders: dict[int, str]) -> None:
    text = "\r\n".join([HEADER, *(f"{speaker}{',x' * 10},{gender}" for speaker, gender in genders.items())])
    expected = {"M": "male", "F": "female", "m ": "male"}
    if '"' not in genders.values():  # an open quote swallows the rows after it
        assert parse_metadata(text) == {speaker: expected[gender] for speaker, gender in genders.items() if gender in expected}
    assert set(parse_metadata(text).values()) <= {"male", "female"}


@given(st.text() | st.text("SPK ID,Gender\n1MF\"'\r\x00").map(lambda text: HEADER + "\n" + text))
def test_any_text_gives_sexes_or_none(text: str) -> None:
    assert set(parse_metadata(text).values()) <= {"male", "female"}


def test_real_recordings(real_data: Any) -> None:
    dataset = audiomnist_az(data=real_data("audiomnist-az"))
    assert len(dataset) == 2027
    assert any("0 of 18, 9 of 22, 1 of 37" in note for note in dataset.notes)
    assert len({speaker for speaker, sex in zip(dataset.speakers, dataset.labels("sex"), strict=True) if sex == 1}) == 10
    used = {speaker for fold in dataset.test_speakers["sex"] for speaker in fold}
    assert len(used) == 20
    kept = []
    for index in range(0, len(dataset), 25):
        clip = dataset[index]
        assert abs(clip.waveform.mean()) < 1e-4
        assert np.abs(clip.waveform).max() <= 1
        window, _, _ = fit_length(clip, 16_000, dataset.fit)
        kept.append((window**2).sum() / (clip.waveform**2).sum())
    # With the offset in place the loudest second held 79 % of the energy of a median recording, most of it offset.
    assert np.median(kept) > 0.99
    assert np.mean(np.array(kept) > 0.9) > 0.97

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xaudio import DataError
from xaudio.registry.loading import registry
from xaudio.sound.fitting import fit_length
from xaudio_fsdd import fsdd, parse_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recordings").mkdir()
    for speaker in ("theo", "jackson", "lucas"):
        for digit in (0, 7):
            (tmp_path / "recordings" / f"{digit}_{speaker}_0.wav").touch()
    return tmp_path


def test_one_fold_per_speaker(folder: Path) -> None:
    dataset = registry().create("dataset", "fsdd", {"data": str(folder)})
    assert dataset.speakers == ["jackson", "lucas", "theo"] * 2
    assert dataset.labels("digit").tolist() == [0, 0, 0, 7, 7, 7]
    folds = dataset.folds("digit")
    assert [[dataset.speakers[index] for index in fold.test] for fold in folds] == [["jackson"] * 2, ["lucas"] * 2, ["theo"] * 2]
    assert "3 folds" in dataset.notes[0]
    assert len(fsdd(data=folder / "recordings")) == 6


def test_errors_say_what_to_do(folder: Path) -> None:
    with pytest.raises(DataError, match="--data PATH"):
        fsdd()
    with pytest.raises(DataError, match="no such folder"):
        fsdd(data=folder / "nowhere")
    (folder / "recordings" / "7_theo.wav").touch()
    with pytest.raises(DataError, match=r"7_theo\.wav: is not the name of a recording"):
        fsdd(data=folder)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings"):
        fsdd(data=folder / "empty")


@given(st.integers(0, 9), st.text("abcdefghijklmnopqrstuvwxyzé", min_size=1), st.integers(0))
def test_valid_names_are_parsed(digit: int, speaker: str, index: int) -> None:
    assert parse_name(Path(f"{digit}_{speaker}_{index}.wav")) == (digit, speaker)


@given(st.one_of(st.text(), st.text("0123456789_ab.wav\n٣")))
def test_any_name_is_parsed_or_refused(name: str) -> None:
    try:
        digit, speaker = parse_name(Path("folder") / name)
    except DataError:
        return
    assert 0 <= digit <= 9
    assert speaker.isalpha()


def test_real_recordings(real_data: Any) -> None:
    dataset = fsdd(data=real_data("fsdd"))
    assert len(dataset) == 3000
    assert np.bincount(dataset.labels("digit")).tolist() == [300] * 10
    assert [tuple(map(len, fold)) for fold in dataset.folds("digit")] == [(2000, 500, 500)] * 6
    # The default rule keeps what was said in each recording that is too long for the models of the paper.
    long = [clip for clip in map(dataset.__getitem__, range(len(dataset))) if clip.duration > 1]
    assert len(long) == 20
    for clip in long:
        kept, _, _ = fit_length(clip, 8000, dataset.fit)
        assert len(kept) == 8000
        assert (kept**2).sum() > 0.99 * (clip.waveform**2).sum()

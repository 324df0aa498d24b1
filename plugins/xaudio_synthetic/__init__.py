"""Generated speech: digits spoken by a formant synthesiser, for trying everything without a download."""

from collections.abc import Callable, Mapping
from typing import Any

from xaudio.plugin import DataError, SpeakerDataset, hookimpl

FEWEST_SPEAKERS = 8
"""Four folds of the sex task need a speaker of each sex."""
RATES = (8000, 48000)
"""Lowest and highest sample rate in Hz."""


def synthetic(
    *, speakers: int = 24, repetitions: int = 4, sample_rate: int = 8000, seed: int = 0, difficulty: float = 1.0
) -> SpeakerDataset:
    """Digits spoken by a formant synthesiser: no file, no download.

    A recording depends on the seed, its speaker, digit and repetition alone: asking for more of them, or for another
    sample rate, does not change what is said or how. Each clip's ``truth`` holds "times" (frames,) in s, "f0"
    (frames,) in Hz, 0 where there is no voice, and "formants" (frames, 4) in Hz. Where the speaker's sex is to be heard is in
    "boxes.sex" (n, 4), rows of start and end in s and lowest and highest frequency in Hz: around the F0 ("boxes.sex_f0") and
    the formants ("boxes.sex_formants") of the voiced parts.

    Parameters
    ----------
    speakers : int
        Number of speakers, at least 8; every other one is female.
    repetitions : int
        Recordings of each digit by each speaker.
    sample_rate : int
        In Hz, 8000 to 48000.
    seed : int
        Of the speakers, the recordings and the folds.
    difficulty : float
        Of accents, slurring and background noise, 0 to 4; at 1 a good model errs on a few recordings in a hundred.

    Raises
    ------
    DataError
        If an option is out of its range.
    """
    from .dataset import make_dataset

    _check(speakers, repetitions, sample_rate, seed, difficulty)
    return make_dataset(speakers, repetitions, sample_rate, seed, difficulty)


def _check(speakers: int, repetitions: int, sample_rate: int, seed: int, difficulty: float) -> None:
    """Raise `DataError` for an option that is out of its range."""
    if speakers < FEWEST_SPEAKERS:
        raise DataError(
            f"The data set 'synthetic' cannot be divided into folds with {speakers} speakers; "
            f"give speakers={FEWEST_SPEAKERS} or more."
        )
    if repetitions < 1:
        raise DataError(f"The data set 'synthetic' has repetitions={repetitions}; expected 1 or more.")
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise DataError(f"The data set 'synthetic' has sample_rate={sample_rate} Hz; expected {RATES[0]} to {RATES[1]} Hz.")
    if seed < 0:
        raise DataError(f"The data set 'synthetic' has seed={seed}; expected 0 or more.")
    if not 0 <= difficulty <= 4:
        raise DataError(f"The data set 'synthetic' has difficulty={difficulty:g}; expected 0 to 4.")


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"synthetic": synthetic}

"""Generated speech: digits spoken by a formant synthesiser, for trying everything without a download."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le

from xaudio.plugin import Count, Seed, hookimpl

FEWEST_SPEAKERS = 8
"""Four folds of the sex task need a speaker of each sex."""


def synthetic(
    *,
    speakers: Annotated[int, Ge(FEWEST_SPEAKERS)] = 24,
    repetitions: Count = 4,
    sample_rate: Annotated[int, Ge(8000), Le(48000)] = 8000,
    seed: Seed = 0,
    difficulty: Annotated[float, Ge(0), Le(4)] = 1.0,
) -> Any:
    """Digits spoken by a formant synthesiser: no file, no download.

    A recording depends on the seed, its speaker, digit and repetition alone: asking for more of them, or for another
    sample rate, does not change what is said or how. Each clip's ``truth`` holds "times" (frames,) in s, "f0"
    (frames,) in Hz, 0 where there is no voice, and "formants" (frames, 4) in Hz. Where the speaker's sex is to be heard is in
    "boxes.sex" (n, 4), rows of start and end in s and lowest and highest frequency in Hz: around the F0 ("boxes.sex_f0") and
    the formants ("boxes.sex_formants") of the voiced parts.

    Parameters
    ----------
    speakers : int
        Number of speakers; every other one is female.
    repetitions : int
        Recordings of each digit by each speaker.
    sample_rate : int
        In Hz.
    seed : int
        Of the speakers, the recordings and the folds.
    difficulty : float
        Of accents, slurring and background noise; at 1 a good model errs on a few recordings in a hundred.
    """
    from .dataset import make_dataset

    return make_dataset(speakers, repetitions, sample_rate, seed, difficulty)


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"synthetic": synthetic}

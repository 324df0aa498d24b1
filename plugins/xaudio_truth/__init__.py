"""Generated sounds of which it is known where the evidence for their class lies."""

from collections.abc import Callable, Mapping
from typing import Any

from xaudio.plugin import DataError, SpeakerDataset, hookimpl

FEWEST_RECORDINGS = 160
"""Every group has a recording of each of 16 classes."""
MOST_OTHERS = 60
"""More do not fit between the carriers."""


def truth(
    *,
    recordings: int = 2000,
    fewest_others: int = 10,
    most_others: int = 50,
    noise: float = -10.0,
    planted: float = 0.6,
    seed: int = 0,
) -> SpeakerDataset:
    """Sounds of 1 s at 8 kHz, generated, of which it is known where the evidence for their class lies: no file, no download.

    Each recording belongs to one of the tasks ``carriers`` (which of four tones sound among others), ``slot`` (when a burst
    of noise comes among bursts of tone), ``conjunction`` (which of two tones comes first at two given times) and
    ``clever_hans`` (which of four tones sounds, and a click that gives it away in training). It depends on the seed and its
    number alone. Each clip's ``truth`` holds "boxes.TASK" (n, 4), rows of start and end in s and lowest and highest
    frequency in Hz, where the evidence lies, and "decoys.TASK" (n, 4), what is there but says nothing: of clever_hans, the
    click.

    Parameters
    ----------
    recordings : int
        Of each task, 160 at least.
    fewest_others, most_others : int
        Limits of the number of other tones in carriers and clever_hans, 1 to 60.
    noise : float
        Level of the white noise behind everything in dB, relative to a tone; -60 to 0.
    planted : float
        Share of the recordings of clever_hans that hold a click, 0 to 1.
    seed : int
        Of the recordings.

    Raises
    ------
    DataError
        If an option is out of its range.
    """
    from .dataset import make_dataset

    if recordings < FEWEST_RECORDINGS:
        raise DataError(f"The data set 'truth' has recordings={recordings}; expected {FEWEST_RECORDINGS} or more.")
    if not 1 <= fewest_others <= most_others <= MOST_OTHERS:
        raise DataError(
            f"The data set 'truth' has fewest_others={fewest_others} and most_others={most_others}; expected 1 to "
            f"{MOST_OTHERS}, the fewest not above the most."
        )
    if not -60 <= noise <= 0:
        raise DataError(f"The data set 'truth' has noise={noise:g} dB; expected -60 to 0 dB.")
    if not 0 <= planted <= 1:
        raise DataError(f"The data set 'truth' has planted={planted:g}; expected a share, 0 to 1.")
    if seed < 0:
        raise DataError(f"The data set 'truth' has seed={seed}; expected 0 or more.")
    return make_dataset(recordings, fewest_others, most_others, noise, planted, seed)


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"truth": truth}

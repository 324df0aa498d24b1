"""Generated sounds of which it is known where the evidence for their class lies."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le

from xaudio.plugin import PluginError, Seed, Share, hookimpl

FEWEST_RECORDINGS = 160
"""Every group has a recording of each of 16 classes."""
Others = Annotated[int, Ge(1), Le(60)]
"""More do not fit between the carriers."""


def truth(
    *,
    recordings: Annotated[int, Ge(FEWEST_RECORDINGS)] = 2000,
    fewest_others: Others = 10,
    most_others: Others = 50,
    noise: Annotated[float, Ge(-60), Le(0)] = -10.0,
    planted: Share = 0.6,
    seed: Seed = 0,
) -> Any:
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
        Of each task.
    fewest_others, most_others : int
        Limits of the number of other tones in carriers and clever_hans.
    noise : float
        Level of the white noise behind everything in dB, relative to a tone.
    planted : float
        Share of the recordings of clever_hans that hold a click.
    seed : int
        Of the recordings.

    Raises
    ------
    PluginError
        If fewest_others is above most_others.
    """
    from .dataset import make_dataset

    if fewest_others > most_others:
        raise PluginError(
            f"The data set 'truth' has fewest_others={fewest_others} and most_others={most_others}; expected the fewest not "
            "above the most."
        )
    return make_dataset(recordings, fewest_others, most_others, noise, planted, seed)


@hookimpl
def xaudio_datasets() -> Mapping[str, Callable[..., Any]]:
    """Offer the data set."""
    return {"truth": truth}

"""A residual network on levels of mel bands, for recordings of any rate and length."""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from xaudio.plugin import Count, Positive, Share, hookimpl


def log_mel_cnn(
    *,
    classes: int,
    sample_rate: Count = 16000,
    bands: Annotated[int, Ge(8)] = 64,
    window: Positive = 0.032,
    hop: Positive = 0.016,
    width: Count = 16,
    dropout: Share = 0.2,
) -> Any:
    """Log-mel residual network: four stages of two convolutions each, then the mean over time and frequency.

    It is trained at the length of the data's recordings: the longest, or where longer ones are cut, the length that nine of
    ten do not exceed.

    Parameters
    ----------
    classes : int
        Number of classes.
    sample_rate : int
        In Hz; half of it is the highest frequency that is heard.
    bands : int
        How many mel bands.
    window : float
        Length of the window in seconds.
    hop : float
        From one frame to the next, in seconds.
    width : int
        Channels of the first stage, which each further one doubles.
    dropout : float
        Share of the last features that are left out at each step of the training.
    """
    from ._log_mel_cnn import LogMelCnn

    return LogMelCnn(classes, sample_rate, bands, window, hop, width, dropout)


@hookimpl
def xaudio_models() -> Mapping[str, Any]:
    """Offer the network."""
    return {"log-mel-cnn": log_mel_cnn}

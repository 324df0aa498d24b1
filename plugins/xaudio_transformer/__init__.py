"""Small transformers for sound that are trained from the start, in the manner of wav2vec 2.0 and of the AST."""

from collections.abc import Mapping
from typing import Any, Literal

from xaudio.plugin import Count, Share, hookimpl


def transformer(
    *,
    classes: int,
    reads: Literal["waveform", "log_mel"] = "log_mel",
    sample_rate: Count = 8000,
    width: Count = 64,
    layers: Count = 3,
    heads: Count = 4,
    dropout: Share = 0.1,
) -> Any:
    """Small transformer on patches of a log-mel spectrogram, as the AST, or on a waveform behind convolutions, as wav2vec 2.0.

    Self-attention with positions of sines, normalisation before each part, and the mean over all places at the end. It takes
    recordings of any length.

    Parameters
    ----------
    classes : int
        Number of classes.
    reads : {"waveform", "log_mel"}
        The waveform, of mean 0 and variance 1, or levels in 64 mel bands, in patches of 8 bands and 8 frames.
    sample_rate : int
        In Hz; half of it is the highest frequency that is heard.
    width : int
        Of what stands for a place; a multiple of twice the heads, and of 4.
    layers : int
        Of self-attention.
    heads : int
        Of each layer.
    dropout : float
        Share of the values that are left out at each step of the training.
    """
    from ._transformer import Transformer

    return Transformer(classes, reads, sample_rate, width, layers, heads, dropout)


@hookimpl
def xaudio_models() -> Mapping[str, Any]:
    """Offer the network."""
    return {"transformer": transformer}

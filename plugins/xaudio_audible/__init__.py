"""Sounds of explanations: the part of a recording that speaks for the explained class, and the part against it."""

from typing import Any, Literal

from xaudio import hookimpl


def audible(
    *,
    format: Literal["wav", "flac"] = "wav",  # noqa: A002 (it is the option's name)
    loudness: Literal["peak", "match"] = "peak",
    peak: float = 0.95,
    domain: Literal["features", "waveform"] = "features",
) -> Any:
    """Sounds to hear beside each other: the recording, what speaks for the explained class, and what speaks against it.

    Writes ``original``, ``positive`` and ``negative`` as 16-bit audio, and ``audible.json`` with the level, gain and
    share of relevance of each, and the reason if one is silent. On the waveform this is relu(R) * x and relu(-R) * x
    (arXiv 1807.03418, equation 4) up to the gain. Positive and negative relevance are each scaled by their own maximum,
    so that both are heard: compare their shares in ``audible.json``, not how loud they are. In a frequency view the
    relevance is the gains of a filter, in a time-frequency view those of the cells of the transform.

    Parameters
    ----------
    format : {"wav", "flac"}
        Format of the files.
    loudness : {"peak", "match"}
        "peak" scales each part to the same peak, "match" to the mean power of the recording (but not above the peak).
    peak : float
        Highest magnitude of a sample, above 0 and up to 1; the recording itself is only scaled if it would clip.
    domain : {"features", "waveform"}
        Where relevance weights the sound: in the cells that the model reads or the view shows (for a spectrogram, with the
        phases of the recording), or in the samples, after bringing the relevance of the cells back to them. Equal for waveforms.
    """
    from ._audible import Audible

    return Audible(format=format, loudness=loudness, peak=peak, domain=domain)


@hookimpl
def xaudio_renderers() -> dict[str, Any]:
    """The renderer ``audible``."""
    return {"audible": audible}

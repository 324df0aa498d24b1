"""Pictures of explanations: relevance over the spectrogram, or over the waveform with single samples coloured."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from xaudio.plugin import Percentile, hookimpl


def visual(
    *,
    dpi: Annotated[int, Ge(10), Le(1200)] = 150,
    zoom: tuple[float, float] | None = None,
    percentile: Percentile = 99.5,
    times: Literal["recording", "model"] = "recording",
    scale: Literal["linear", "log", "mel"] = "linear",
    format: Literal["png", "svg", "pdf"] = "png",  # noqa: A002 (it is the option's name)
) -> Any:
    """Picture of the sound with the relevance over it: red speaks for the explained class, blue against it.

    Writes ``explanation.png`` (or ``.svg``, ``.pdf``). A model of spectrograms gives the spectrogram in grey under a
    heat map; a model of waveforms gives the waveform, its relevance, and a segment with every sample coloured. Views are
    drawn alike: time-frequency as the first, time and frequency as the second, with the sum of the relevance from 0 Hz up.
    Zeros that the model heard around a shorter recording are hatched in grey.

    Parameters
    ----------
    dpi : int
        Dots per inch of the picture.
    zoom : tuple of float, or None
        Start and end in seconds (in Hz along a frequency axis) of the segment shown in detail (a spectrogram is cut to
        it); by default the 50 ms, or twentieth of the frequencies, with the most relevance, and the whole spectrogram.
    percentile : float
        Percentile of the magnitudes of relevance that are not zero at which the colour saturates.
    times : {"recording", "model"}
        "recording": seconds of the recording, also where the model heard a part of it; "model": seconds of the model's window.
    scale : {"linear", "log", "mel"}
        Of axes in Hz.
    format : {"png", "svg", "pdf"}
        Format of the file.
    """
    from ._visual import Visual

    return Visual(dpi=dpi, zoom=zoom, percentile=percentile, times=times, scale=scale, format=format)


@hookimpl
def xaudio_renderers() -> dict[str, Any]:
    """The renderer ``visual``."""
    return {"visual": visual}

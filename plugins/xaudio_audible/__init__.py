"""Sounds of explanations: what of a recording speaks for the explained class, what against it, and the rest."""

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from xaudio.plugin import Amount, Percentile, PositiveShare, hookimpl

from ._names import PARTS


def audible(
    *,
    parts: tuple[str, ...] = PARTS,
    domain: Literal["auto", "features", "waveform", "frequency", "time-frequency"] = "auto",
    normalisation: Literal["maximum", "percentile", "soft", "top"] = "percentile",
    percentile: Percentile = 99.0,
    top: PositiveShare = 0.05,
    smooth_ms: Amount | None = None,
    smooth_hz: Amount = 0.0,
    loudness: Literal["match", "peak", "keep"] = "match",
    level: Literal["recording", "reference"] = "recording",
    peak: PositiveShare = 0.95,
    fade_ms: Amount = 0.0,
    slow: Annotated[float, Ge(1), Le(8)] = 1.0,
    slow_by: Literal["stretch", "resample"] = "stretch",
    rate: Literal["model", "recording"] = "model",
    extras: tuple[str, ...] = (),
    format: Literal["wav", "flac"] = "wav",  # noqa: A002 (it is the option's name)
) -> Any:
    """Sounds to hear next to each other: the recording, what speaks for the explained class, what against it, and the rest.

    Writes each part as 16-bit audio, and ``audible.json`` with the level, gain and share of relevance of each, and the
    reason if one is silent. From the relevance R comes one mask M in [0, 1], by the normalisation of |R|:
    ``positive`` is the recording x under M where R > 0, ``negative`` under M where R < 0, and ``complement`` is what both
    leave of x, so that the three add up to the recording (before the gains, which ``audible.json`` names). In the samples
    with normalisation=maximum,smooth_ms=0 the first two are relu(R) * x and relu(-R) * x (arXiv 1807.03418, equation 4) up to
    the gain. Each part has a gain of its own: compare their shares in ``audible.json``, not how loud they are.

    Parameters
    ----------
    parts : names
        Which sounds to write, joined by +: original, positive, negative, complement (the rest: what the explanation leaves out).
    domain : {"auto", "features", "waveform", "frequency", "time-frequency"}
        Where the mask weights the sound. "features": in what the model reads or the view shows (for a spectrogram its cells,
        with the phases of the recording). "waveform": in the samples, after bringing the relevance of the cells back to them.
        "frequency", "time-frequency": in this view of the explanation, as the gains of a filter or in the cells of a
        short-time Fourier transform. "auto": features, but for relevance of samples time-frequency, unless values of both
        signs cancel there, as those of explainers do that do not multiply by the input.
    normalisation : {"maximum", "percentile", "soft", "top"}
        "maximum": M = |R| / max |R|; "percentile": M = |R| / p, but at most 1, with p the percentile of the |R| that are
        not 0; "top": M = 1 in the top share of these and 0 elsewhere; "soft": M = R^2 / (R^2 + t^2) with t the least |R|
        of the top share.
    percentile : float
        Of the normalisation "percentile".
    top : float
        Share for the normalisations "top" and "soft".
    smooth_ms : float or none
        Width in ms over which the mask is averaged in time, against musical noise and clicks; 0 for not at all; by default 20
        in samples and 0 elsewhere.
    smooth_hz : float
        Width in Hz over which it is averaged in frequency, where the domain has frequencies; 0 for none.
    loudness : {"match", "peak", "keep"}
        "match" makes each part as loud as the recording (ITU-R BS.1770), but raises none by more than 30 dB or above the peak;
        "peak" scales each to the same peak. Of what holds less than 1 % of the relevance there is nothing to hear then.
        "keep" leaves the levels as they are, so that the parts add up to the original.
    level : {"recording", "reference"}
        Of the recording: its own, or the -23 LUFS at which pages, notebooks and studies play every sound.
    peak : float
        Highest magnitude of a sample; at its own level the recording is only scaled if it would clip.
    fade_ms : float
        Length in ms of the fades in and out at the ends of the recording.
    slow : float
        How many times as long the sounds last.
    slow_by : {"stretch", "resample"}
        "stretch" keeps the pitch (WSOLA, with the same frames for all parts), "resample" plays the samples more slowly, so
        that the pitch falls as on a tape.
    rate : {"model", "recording"}
        Sample rate of the files: the model's, or the recording's own, without the zeros around it; what lies above half the
        model's rate is then in original and complement only, since the model never heard it.
    extras : names
        More files, joined by +: comparison (original, beep, positive) and stereo (original left, positive right).
    format : {"wav", "flac"}
        Format of the files.
    """
    from ._audible import Audible

    return Audible(
        parts_written=parts,
        domain=domain,
        normalisation=normalisation,
        percentile=percentile,
        top=top,
        smooth_ms=smooth_ms,
        smooth_hz=smooth_hz,
        loudness=loudness,
        level=level,
        peak=peak,
        fade_ms=fade_ms,
        slow=slow,
        slow_by=slow_by,
        rate=rate,
        extras=extras,
        format=format,
    )


@hookimpl
def xaudio_renderers() -> dict[str, Any]:
    """The renderer ``audible``."""
    return {"audible": audible}

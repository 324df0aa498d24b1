"""Levels of mel bands, and the cepstral coefficients of them, as what a model reads.

Both take the formulas and the defaults of a library by the name of its convention, and every option apart from that.
"""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import Representation, hookimpl

from . import _options as option


def log_mel(
    *,
    convention: option.Convention = "librosa",
    sample_rate: option.SampleRate = "convention",
    samples: option.Samples = "convention",
    placement: option.Place = "convention",
    n_fft: option.Transform = "convention",
    window: option.Window = "convention",
    periodic: option.Periodic = "convention",
    window_length: option.WindowLength = "convention",
    hop: option.Hop = "convention",
    padding: option.Padding = "convention",
    bands: option.Bands = "convention",
    fmin: option.Lowest = "convention",
    fmax: option.Highest = "convention",
    scale: option.Scale = "convention",
    norm: option.Norm = "convention",
    power: option.Power = "convention",
    levels: option.Levels = "convention",
    offset: option.Offset = "convention",
    floor: option.Floor = "convention",
    reference: option.Reference = "convention",
    top_db: option.TopDb = "convention",
    normalisation: option.Normalisation = "convention",
    mean: option.Mean = "convention",
    std: option.Std = "convention",
    preemphasis: option.Preemphasis = "convention",
    preemphasis_of: option.PreemphasisOf = "convention",
    remove_dc: option.RemoveDc = "convention",
    gain: option.Gain = "convention",
    drop_last: option.DropLast = "convention",
    order: option.Order = "frequency_time",
    channels: option.Channels = 1,
) -> Representation:
    """Levels of mel bands, by the formulas of librosa, torchaudio, Hugging Face, Whisper, Kaldi, AST or the PANNs."""
    given = _given(locals())
    from xaudio.plugin import channelwise

    from ._log_mel import LogMel

    return channelwise(LogMel(convention, given), channels)


def mfcc(
    *,
    convention: option.Convention = "librosa",
    sample_rate: option.SampleRate = "convention",
    samples: option.Samples = "convention",
    placement: option.Place = "convention",
    n_fft: option.Transform = "convention",
    window: option.Window = "convention",
    periodic: option.Periodic = "convention",
    window_length: option.WindowLength = "convention",
    hop: option.Hop = "convention",
    padding: option.Padding = "convention",
    bands: option.Bands = "convention",
    fmin: option.Lowest = "convention",
    fmax: option.Highest = "convention",
    scale: option.Scale = "convention",
    norm: option.Norm = "convention",
    power: option.Power = "convention",
    levels: option.Levels = "convention",
    offset: option.Offset = "convention",
    floor: option.Floor = "convention",
    reference: option.Reference = "convention",
    top_db: option.TopDb = "convention",
    normalisation: option.Normalisation = "convention",
    mean: option.Mean = "convention",
    std: option.Std = "convention",
    preemphasis: option.Preemphasis = "convention",
    preemphasis_of: option.PreemphasisOf = "convention",
    remove_dc: option.RemoveDc = "convention",
    gain: option.Gain = "convention",
    drop_last: option.DropLast = "convention",
    coefficients: option.Coefficients = "convention",
    first: option.First = 0,
    orthonormal: option.Orthonormal = True,
    lifter: option.Lifter = "convention",
    order: option.Order = "frequency_time",
    channels: option.Channels = 1,
) -> Representation:
    """Mel-frequency cepstral coefficients, by the formulas of librosa, torchaudio or another convention of log_mel.

    Relevance of them is seen in time alone: a coefficient is of all frequencies at once.
    """
    given = _given(locals())
    from xaudio.plugin import channelwise

    from ._mfcc import MFCC

    return channelwise(MFCC(convention, given), channels)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """What is not left to the convention."""
    return {name: value for name, value in options.items() if name not in ("convention", "channels") and value != "convention"}


@hookimpl
def xaudio_representations() -> Mapping[str, Any]:
    """Offer both."""
    return {"log_mel": log_mel, "mfcc": mfcc}

"""What the conventions give to options that are left to them, and the options as they then are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from xaudio.plugin import Placement, PluginError

LIBROSA: Mapping[str, Any] = {
    "sample_rate": 22050,
    "samples": None,
    "placement": "file",
    "n_fft": 2048,
    "window": "hann",
    "periodic": True,
    "window_length": None,
    "hop": 512,
    "padding": "zero",
    "bands": 128,
    "fmin": 0.0,
    "fmax": None,
    "scale": "slaney",
    "norm": "slaney",
    "power": 2,
    "levels": "dB",
    "offset": 0.0,
    "floor": None,
    "reference": 1.0,
    "top_db": 80.0,
    "normalisation": None,
    "mean": 0.0,
    "std": 1.0,
    "preemphasis": 0.0,
    "preemphasis_of": "recording",
    "remove_dc": False,
    "gain": 1.0,
    "drop_last": False,
    "coefficients": 20,
    "first": 0,
    "orthonormal": True,
    "lifter": 0.0,
    "order": "frequency_time",
    "frame": "fft",
    "whole_hertz": False,
    "extrapolated": True,
    "lifter_from": 1,
}
"""librosa.feature.melspectrogram and librosa.power_to_db; the base of the others.

Some things are no options of their own: ``frame``, whether a frame is as long as the transform (its window in the middle) or
as the window (zeros behind it); ``whole_hertz``, whether half an odd sample rate is rounded down; ``extrapolated``, whether the
sample before the first is found by extrapolation where preemphasis needs it, as in librosa.effects.preemphasis;
``lifter_from``, the number that the lifter gives the coefficient of the level.
"""

TORCHAUDIO = {
    **LIBROSA,
    "sample_rate": 16000,
    "n_fft": 400,
    "hop": None,
    "padding": "reflect",
    "scale": "htk",
    "norm": None,
    "floor": 1e-10,
    "top_db": None,
    "coefficients": 40,
    "whole_hertz": True,
    "extrapolated": False,
}
"""torchaudio.transforms.MelSpectrogram and AmplitudeToDB."""

HUGGINGFACE = {**TORCHAUDIO, "hop": 160, "bands": 80, "levels": "log10", "frame": "window", "preemphasis_of": "frame"}
"""spectrogram and mel_filter_bank of transformers.audio_utils."""

WHISPER = {
    **HUGGINGFACE,
    "samples": 480_000,
    "placement": "start",
    "fmax": 8000.0,
    "scale": "slaney",
    "norm": "slaney",
    "top_db": 80.0,
    "mean": -4.0,
    "std": 4.0,
    "drop_last": True,
}
"""WhisperFeatureExtractor: max(x, largest - 8) in log10, and (x + 4) / 4."""

KALDI = {
    **HUGGINGFACE,
    "n_fft": 512,
    "window": "povey",
    "periodic": False,
    "window_length": 400,
    "padding": None,
    "bands": 23,
    "fmin": 20.0,
    "scale": "kaldi",
    "levels": "log",
    "floor": 2.0**-23,
    "coefficients": 13,
    "preemphasis": 0.97,
    "remove_dc": True,
    "lifter_from": 0,
}
"""torchaudio.compliance.kaldi.fbank without dither, at 16 kHz."""

AST = {**KALDI, "window": "hann", "bands": 128, "mean": -4.2677393, "std": 2 * 4.5689974}
"""ASTFeatureExtractor without its padding."""

PANNS = {
    **LIBROSA,
    "sample_rate": 32000,
    "n_fft": 1024,
    "hop": 320,
    "padding": "reflect",
    "bands": 64,
    "fmin": 50.0,
    "fmax": 14000.0,
    "floor": 1e-10,
    "top_db": None,
}
"""The log-mel spectrogram of the PANNs, of torchlibrosa."""

CONVENTIONS: Mapping[str, Mapping[str, Any]] = {
    "librosa": LIBROSA,
    "torchaudio": TORCHAUDIO,
    "huggingface": HUGGINGFACE,
    "whisper": WHISPER,
    "kaldi": KALDI,
    "ast": AST,
    "panns": PANNS,
}

LOGARITHMIC = {"offset", "floor", "reference", "top_db"}
"""Options that belong to a logarithm."""

CEPSTRAL: Mapping[str, Mapping[str, Any]] = {"torchaudio": {"top_db": 80.0}, "kaldi": {"lifter": 22.0}}
"""What torchaudio.transforms.MFCC and torchaudio.compliance.kaldi.mfcc have beside that."""


@dataclass(frozen=True)
class Settings:
    """The options with the convention's values in place of what was left to it; see `xaudio_log_mel.log_mel`."""

    sample_rate: int
    samples: int
    fixed: bool
    placement: Placement
    n_fft: int
    window: str
    periodic: bool
    window_length: int
    hop: int
    padding: str | None
    bands: int
    fmin: float
    fmax: float
    scale: str
    norm: str | None
    power: int
    levels: str
    offset: float
    floor: float
    reference: float | str
    top_db: float | None
    normalisation: str | None
    mean: float
    std: float
    preemphasis: float
    preemphasis_of: str
    remove_dc: bool
    gain: float
    drop_last: bool
    coefficients: int
    first: int
    orthonormal: bool
    lifter: float
    frame: str
    whole_hertz: bool
    extrapolated: bool
    lifter_from: int
    order: str

    @property
    def frame_length(self) -> int:
        """Samples that a frame takes."""
        return self.n_fft if self.frame == "fft" else self.window_length

    @property
    def margin(self) -> int:
        """Samples that stand before the recording, and behind it."""
        return self.frame_length // 2 if self.padding else 0

    @property
    def minimum(self) -> int:
        """Fewest samples that give a frame, or two where the last is left out."""
        needed = self.frame_length - 2 * self.margin + self.drop_last * self.hop
        return max(1, needed)

    @property
    def frames(self) -> int:
        """How many frames the recordings have."""
        return 1 + (self.samples + 2 * self.margin - self.frame_length) // self.hop - self.drop_last


def settings_of(convention: str, given: Mapping[str, Any], cepstral: bool = False) -> Settings:
    """The options as they are, checked against each other.

    Raises
    ------
    PluginError
        If two of them do not fit together.
    """
    chosen = {**CONVENTIONS[convention], **(CEPSTRAL.get(convention, {}) if cepstral else {}), **given}
    rate, power = chosen["sample_rate"], chosen["power"]
    derived = {
        "samples": chosen["samples"] or rate,
        "fixed": chosen["samples"] is not None,
        "window_length": chosen["window_length"] or chosen["n_fft"],
        "fmax": (rate // 2 if chosen["whole_hertz"] else rate / 2) if chosen["fmax"] is None else chosen["fmax"],
        # librosa's least power is that of its least magnitude.
        "floor": 1e-5**power if chosen["floor"] is None else chosen["floor"],
    }
    derived["hop"] = chosen["hop"] or max(1, derived["window_length"] // 2)
    if chosen["levels"] == "linear" and (idle := LOGARITHMIC & given.keys()):
        raise PluginError(f"levels=linear takes no logarithm, so the option {min(idle)!r} would do nothing: leave it out.")
    settings = Settings(**{**{name: chosen[name] for name in Settings.__dataclass_fields__ if name in chosen}, **derived})
    if not settings.fixed:
        settings = replace(settings, samples=max(settings.samples, settings.minimum))
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    rate = settings.sample_rate
    if settings.window_length > settings.n_fft:
        raise PluginError(
            f"The window of {settings.window_length} samples is longer than the transform (n_fft={settings.n_fft})."
        )
    if settings.fmax > rate / 2:
        raise PluginError(
            f"The bands go up to {settings.fmax:g} Hz, but sound at {rate} Hz has only {rate / 2:g}: give a lower fmax."
        )
    if settings.fmin >= settings.fmax:
        raise PluginError(f"The bands go from {settings.fmin:g} to {settings.fmax:g} Hz; expected fmin below fmax.")
    if settings.samples < settings.minimum:
        raise PluginError(
            f"{settings.samples} samples have no frame: without padding it takes {settings.minimum} at least "
            f"(window_length={settings.window_length}, n_fft={settings.n_fft}, hop={settings.hop})."
        )
    if settings.normalisation and (settings.mean, settings.std) != (0.0, 1.0):
        raise PluginError(
            f"Normalisation of each {settings.normalisation} and a fixed mean and std exclude each other: choose one of the two."
        )

"""Equation 4 of arXiv 1807.03418 for any representation, written at levels that can be heard and never clip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xaudio import Explanation, OutputError, PluginError, write_audio, write_json
from xaudio.types import FloatArray

SILENT = 1e-6
"""Sounds this far (-120 dB) below the recording are what float32 rounding leaves of silence, and are made silent."""


@dataclass(frozen=True)
class Part:
    """A sound and what is known about it.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
        In [-peak, peak].
    gain : float or None
        What the weighted recording was multiplied by; None if it is silent.
    share : float or None
        Share of all |R| that has this part's sign; None for the recording itself.
    reason : str
        Why it is silent, "" if it is not.
    """

    waveform: FloatArray
    gain: float | None
    share: float | None = None
    reason: str = ""

    def facts(self) -> dict[str, Any]:
        """JSON values: peak, rms, gain in dB, share of relevance and reason."""
        return {
            "peak": float(np.abs(self.waveform).max(initial=0.0)),
            "rms": _rms(self.waveform),
            "gain_db": None if self.gain is None else round(20 * math.log10(self.gain), 3),
            "share_of_relevance": self.share,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Audible:
    """Renderer of sounds; see `xaudio_audible.audible` for the options.

    Raises
    ------
    PluginError
        If the peak is out of range.
    """

    format: Literal["wav", "flac"] = "wav"
    loudness: Literal["peak", "match"] = "peak"
    peak: float = 0.95
    domain: Literal["features", "waveform"] = "features"

    def __post_init__(self) -> None:
        if not 0 < self.peak <= 1:
            raise PluginError(f"The option peak of renderer 'audible' is {self.peak}; expected above 0 and up to 1.")

    def __call__(self, explanation: Explanation, folder: Path) -> list[Path]:
        """Write original, positive and negative, and ``audible.json``."""
        parts = self.parts(explanation)
        rate = explanation.clip.sample_rate
        written = [write_audio(folder / f"{name}.{self.format}", part.waveform, rate) for name, part in parts.items()]
        facts = {
            "explained": explanation.classes[explanation.target],
            "loudness": self.loudness,
            "domain": self.domain,
            "sample_rate": rate,
            "sounds": {path.name: part.facts() for path, part in zip(written, parts.values(), strict=True)},
        }
        return [*written, write_json(folder / "audible.json", facts)]

    def parts(self, explanation: Explanation) -> dict[str, Part]:
        """The sounds "original", "positive" and "negative" of an explanation.

        Raises
        ------
        OutputError
            If the relevance is not finite.
        """
        recording, relevance = explanation.clip.waveform, explanation.relevance.astype(np.float64)
        if not np.isfinite(relevance).all():
            raise OutputError(
                f"The relevance of {explanation.clip.source} holds NaN or infinity, so it cannot be heard; check the explainer."
            )
        total = float(np.abs(relevance).sum())
        loudest = float(np.abs(recording).max(initial=0.0))
        gain = self.peak / loudest if loudest > 1 else 1.0
        parts = {"original": Part(recording * gain, gain, reason="" if loudest else "the recording is silent")}
        for name, signed in (("positive", relevance), ("negative", -relevance)):
            share = float(np.maximum(signed, 0).sum() / total) if total else 0.0
            sound = self._weighted(explanation, signed)
            parts[name] = self._levelled(sound, recording, share, name)
        return parts

    def _weighted(self, explanation: Explanation, relevance: FloatArray) -> FloatArray:
        """The recording weighted by relu(R), scaled to [0, 1]."""
        import torch

        recording = torch.from_numpy(explanation.clip.waveform)[None]
        weights = torch.from_numpy(relevance)[None]
        if self.domain == "waveform":
            weights = explanation.representation.to_waveform_relevance(recording, weights)
        weights = weights.clamp(min=0)
        largest = weights.max()
        # Divided in float64, where relevance of any scale keeps its digits.
        mask = (weights / largest if largest > 0 else weights).to(recording.dtype)
        with torch.no_grad():
            if self.domain == "waveform":
                return np.asarray((mask * recording)[0].numpy())
            return np.asarray(explanation.representation.masked_waveform(recording, mask)[0].numpy())

    def _levelled(self, sound: FloatArray, recording: FloatArray, share: float, name: str) -> Part:
        """The sound at the level that the options ask for, or silence and the reason for it."""
        loudest = float(np.abs(sound).max(initial=0.0))
        reference = float(np.abs(recording).max(initial=0.0))
        if loudest <= SILENT * reference:
            where = "the recording is silent" if reference == 0 else f"there is no {name} relevance"
            reason = where if reference == 0 or share == 0 else f"{name} relevance lies only where the recording is silent"
            return Part(np.zeros_like(recording), None, share, reason)
        gain = self.peak / loudest
        if self.loudness == "match":
            heard = recording != 0
            gain = min(gain, _rms(recording[heard]) / _rms(sound[heard]))
        # Clipped by what rounding leaves above the peak, one part in 10 million.
        return Part(np.clip(sound * gain, -self.peak, self.peak), gain, share)


def _rms(waveform: FloatArray) -> float:
    return math.sqrt(float(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0

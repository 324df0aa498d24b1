"""What is measured of a sound that an explanation made audible. All but the model's answer is told from the sounds alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import stft

from xaudio.plugin import Better, FloatArray

FRAME_S, HOP_S = 0.032, 0.008
"""Seconds of a frame of the transform in which artefacts are looked for, and from one to the next."""
NEAR_S, NEAR_HZ = 0.072, 150.0
"""Extent in time and frequency within which a level may not change unless it counts as an artefact."""
FLOOR = 1e-12
"""Power, as a share of the loudest, below which there is only rounding."""


@dataclass(frozen=True)
class Measure:
    """A column of the table."""

    better: Better
    needs_truth: bool
    definition: str


MEASURES: Mapping[str, Measure] = {
    "kept": Measure("higher", True, "Share of the evidence's energy that the mask of the positive part lets through."),
    "removed": Measure("higher", True, "Share of the energy of all the rest that it takes away."),
    "likeness": Measure(
        "higher",
        True,
        "Squared correlation of the positive part with the sound of the evidence alone: the share of the sound's energy that "
        "is the evidence at some level. 10 log10(c / (1 - c)) is its scale-invariant signal-to-distortion ratio in dB.",
    ),
    "fid_in": Measure(
        "higher", False, "Share of recordings whose class the model still names when it hears the written positive part."
    ),
    "fid_out": Measure("lower", False, "Share whose class it still names when it hears the written complement."),
    "roughness_db": Measure(
        "lower",
        False,
        "Energy of the residual in dB relative to the sound: what no level that changes slowly in time and frequency makes of "
        "the recording, such as musical noise and distortion.",
    ),
    "flatness": Measure(
        "none", False, "Spectral flatness of that residual, 0 to 1: near 0 it whistles (musical noise), near 1 it hisses."
    ),
    "clicks_db": Measure(
        "lower", False, "Steepest step from sample to sample relative to the peak, in dB above that of the recording."
    ),
}


def evidence_measures(
    kept_evidence: FloatArray, evidence: FloatArray, kept_rest: FloatArray, rest: FloatArray
) -> dict[str, float]:
    """How well a mask tells evidence from the rest.

    With e and r the evidence and the rest of a recording, and M e and M r what the mask leaves of each (the mask being linear,
    the sound is M e + M r): kept = |M e|^2 / |e|^2, removed = 1 - |M r|^2 / |r|^2, and likeness = <y, e>^2 / (|y|^2 |e|^2)
    with y = M e + M r.

    Parameters
    ----------
    kept_evidence, evidence, kept_rest, rest : ndarray, shape (samples,)

    Returns
    -------
    dict of str to float
        NaN where there is no evidence, or, for the likeness, no sound.
    """
    sound = kept_evidence + kept_rest
    return {
        "kept": _ratio(_energy(kept_evidence), _energy(evidence)),
        "removed": 1 - _ratio(_energy(kept_rest), _energy(rest)),
        "likeness": _ratio(float(sound @ evidence) ** 2, _energy(sound) * _energy(evidence)),
    }


def artefact_measures(sound: FloatArray, recording: FloatArray, rate: int) -> dict[str, float]:
    """What a sound has that the recording does not, whatever its level.

    With the short-time spectra Y of the sound and X of the recording (Hann, 32 ms every 8 ms), A = <Y conj X> / <|X|^2>, the
    means taken over 72 ms and 150 Hz around each cell, is the level that explains the sound best there, and D = Y - A X the
    residual. roughness_db = 10 log10(sum |D|^2 / sum |Y|^2). flatness is the geometric over the arithmetic mean of |D|^2 over
    the frequencies of a frame, averaged over the frames by their energy. clicks_db = 20 log10(s(sound) / s(recording)), with
    s the largest step between neighbouring samples over the largest magnitude: the edge of a mask within a loud sound is
    such a step.

    Parameters
    ----------
    sound, recording : ndarray, shape (samples,)
    rate : int
        In Hz.

    Returns
    -------
    dict of str to float
        NaN for a silent sound or recording.
    """
    if not sound.any() or not recording.any():
        return {"roughness_db": float("nan"), "flatness": float("nan"), "clicks_db": float("nan")}
    spectra, original = _spectra(sound, rate), _spectra(recording, rate)
    size = (1 + 2 * round(NEAR_HZ * FRAME_S / 2), 1 + 2 * round(NEAR_S / HOP_S / 2))
    power = uniform_filter(np.abs(original) ** 2, size, mode="constant")
    products = spectra * original.conj()
    common = uniform_filter(products.real, size, mode="constant") + 1j * uniform_filter(products.imag, size, mode="constant")
    residual = np.abs(spectra - common / np.maximum(power, FLOOR * power.max()) * original) ** 2
    total = float((np.abs(spectra) ** 2).sum())
    return {
        "roughness_db": 10 * float(np.log10(max(float(residual.sum()) / total, FLOOR))),
        "flatness": flatness(residual),
        "clicks_db": 20 * float(np.log10(_steepest(sound) / max(_steepest(recording), FLOOR))),
    }


def flatness(power: FloatArray) -> float:
    """Spectral flatness of power (frequencies, frames): geometric over arithmetic mean, averaged over frames by energy."""
    power = power + FLOOR * float(power.max(initial=0.0))
    energies = power.sum(0)
    if not energies.sum() > 0:
        return float("nan")
    flat = np.exp(np.log(np.maximum(power, np.finfo(np.float64).tiny)).mean(0)) / power.mean(0)
    return float((flat * energies).sum() / energies.sum())


def _spectra(waveform: FloatArray, rate: int) -> NDArray[np.complex128]:
    frame, hop = round(FRAME_S * rate), round(HOP_S * rate)
    found: NDArray[np.complex128] = stft(np.asarray(waveform, np.float64), rate, nperseg=frame, noverlap=frame - hop)[2]
    return found


def _steepest(waveform: FloatArray) -> float:
    return float(np.abs(np.diff(waveform)).max() / np.abs(waveform).max())


def _energy(waveform: FloatArray) -> float:
    return float(np.square(waveform, dtype=np.float64).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")

"""Speakers: what all recordings of one have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from xaudio.plugin import FloatArray

from .words import PHONEMES

FEMALE, MALE = "female", "male"

F0_MEDIAN = {MALE: 117.0, FEMALE: 198.0}
"""In Hz."""
F0_SPREAD = {MALE: 0.165, FEMALE: 0.145}
"""Standard deviation of ln F0 over speakers."""
TRACT_MEDIAN = {MALE: 1.0, FEMALE: 1.12}
"""Factor on the formants; the length of the tract is 17.5 cm divided by it."""
TRACT_SPREAD = 0.05

SPEAKER_STREAM = 1
"""Keeps the random numbers of speakers apart from those of recordings."""


@dataclass(frozen=True, eq=False)
class Voice:
    """A speaker.

    Parameters
    ----------
    sex : str
        "male" or "female".
    f0 : float
        Median fundamental frequency in Hz.
    declination : float
        Fall of ln F0 over a word.
    jitter, shimmer : float
        Standard deviations of the relative change of period and of amplitude from one pulse to the next.
    tract : float
        Factor on the formants.
    rate : float
        Speaking rate; 2 halves the durations.
    breathiness : float
        Amplitude of the aspiration within voicing.
    tilt : float
        Frequency in Hz above which the voice falls by another 6 dB an octave.
    frication : float
        Factor on the amplitudes of fricatives and bursts.
    accent : dict of str to ndarray, shape (4,)
        Factors on the formants of each phoneme.
    slur : float
        0 for careful to 1 for careless speech, see `articulation`.
    snr : float
        Speech to background in dB.
    colour : float
        Slope of the background's spectrum; 0 is white, 1 falls by 6 dB an octave.
    level : float
        Peak of the recordings, full scale being 1.
    """

    sex: str
    f0: float
    declination: float
    jitter: float
    shimmer: float
    tract: float
    rate: float
    breathiness: float
    tilt: float
    frication: float
    accent: dict[str, FloatArray]
    slur: float
    snr: float
    colour: float
    level: float


def sex_of(speaker: int) -> str:
    """Sex of a speaker, given their index: every other one is female."""
    return FEMALE if speaker % 2 else MALE


def voice_of(seed: int, speaker: int, spread: float) -> Voice:
    """The speaker with an index; the same one however many there are.

    F0 and tract length follow a low-discrepancy sequence (Roberts 2018, R2) through the normal quantiles, so that few
    speakers already cover both, tails included.

    Parameters
    ----------
    seed, speaker : int
    spread : float
        Scales accents, slurring and background; 0 keeps to the tables in `words`, 1 is usual.
    """
    sex = sex_of(speaker)
    rng = np.random.default_rng([SPEAKER_STREAM, seed, speaker])
    offset = np.random.default_rng([SPEAKER_STREAM, seed]).random((2, 2))[speaker % 2]
    # 0.7549 and 0.5698 are 1/p and 1/p^2 with p^3 = p + 1; 3 % at either end are left out.
    place = (offset + (speaker // 2) * np.array([0.7548776662466927, 0.5698402909980532])) % 1
    pitch, tract = ndtri(0.03 + 0.94 * place)
    vowels = {name: phoneme.vowel for name, phoneme in PHONEMES.items()}
    accents = {name: (0.055 if vowel else 0.03) * spread for name, vowel in vowels.items()}
    return Voice(
        sex=sex,
        f0=float(F0_MEDIAN[sex] * np.exp(F0_SPREAD[sex] * pitch)),
        declination=rng.uniform(0.08, 0.3),
        jitter=rng.uniform(0.002, 0.010),
        shimmer=rng.uniform(0.02, 0.08),
        tract=float(TRACT_MEDIAN[sex] * np.exp(TRACT_SPREAD * tract)),
        rate=float(np.exp(rng.normal(0, 0.12))),
        breathiness=float(rng.uniform(0.01, 0.05) * (1.5 if sex == FEMALE else 1.0)),
        tilt=rng.uniform(1500, 4500),
        frication=float(np.exp(rng.normal(0, 0.3))),
        accent={name: np.exp(rng.normal(0, width, 4) * (1, 1, 0.6, 0.6)) for name, width in accents.items()},
        slur=rng.uniform(0.2, 0.65),
        snr=rng.uniform(24, 40) - 14 * spread,
        colour=rng.uniform(0.2, 1.0),
        level=rng.uniform(0.3, 0.9),
    )

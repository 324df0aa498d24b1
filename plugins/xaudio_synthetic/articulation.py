"""What the mouth and the larynx do over time: a word of one speaker as tracks of formants and amplitudes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xaudio.plugin import FloatArray

from .voice import Voice
from .words import DIGITS, NEUTRAL, PHONEMES, Phoneme

STEP = 0.005
"""Seconds between frames."""
SHORTEST, LONGEST = 0.34, 0.70
"""Limits of a word's duration in s, without the silence around it."""
SILENCE = (-0.04, 0.07)
"""Limits of the silence in s at either end."""
MOST_SLUR = 0.9
"""Even careless speech keeps a tenth of its targets."""
BASE_BANDWIDTHS = (70.0, 90.0, 130.0, 200.0)
VOICED = 0.05
"""Amplitude of voicing from which a frame counts as voiced."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """A word over time, one value per frame; frame i is centred at i times `STEP`.

    Parameters
    ----------
    formants, bandwidths : ndarray, shape (frames, 4)
        In Hz.
    voicing, aspiration, frication, nasal : ndarray, shape (frames,)
        Amplitudes, see `words.Phoneme`.
    band : ndarray, shape (frames, 2)
        Centre and width of the frication in Hz.
    f0 : ndarray, shape (frames,)
        In Hz, also where the voice is silent.
    pulses, strengths : ndarray, shape (pulses,)
        Times in s and amplitudes of the glottal closures.
    breathiness, tilt, snr, colour, level : float
        As in `voice.Voice`, of this recording.
    """

    formants: FloatArray
    bandwidths: FloatArray
    voicing: FloatArray
    aspiration: FloatArray
    frication: FloatArray
    nasal: FloatArray
    band: FloatArray
    f0: FloatArray
    pulses: FloatArray
    strengths: FloatArray
    breathiness: float
    tilt: float
    snr: float
    colour: float
    level: float

    @property
    def times(self) -> FloatArray:
        """Centre of each frame in s."""
        return np.arange(len(self.f0)) * STEP

    @property
    def duration(self) -> float:
        """Length in s."""
        return len(self.f0) * STEP


def articulate(voice: Voice, digit: int, rng: np.random.Generator, spread: float) -> Tracks:
    """Tracks of one recording of a digit.

    Parameters
    ----------
    voice : Voice
    digit : int
        0 to 9.
    rng : Generator
        Of this recording.
    spread : float
        Scales the variation between recordings, 1 is usual.
    """
    names = [name for name, _ in DIGITS[digit]]
    phonemes = [PHONEMES[name] for name in names]
    slur = float(np.clip(rng.normal(voice.slur, 0.2) * spread, 0, MOST_SLUR))
    durations = _durations(voice, np.array([length for _, length in DIGITS[digit]]) / 1000, rng, spread)
    # Below 0 the recording starts or ends within the word, as hand-cut ones do.
    silence = np.clip(rng.normal(0.03, 0.03 * spread, 2), *SILENCE)
    edges = silence[0] + np.concatenate([[0.0], np.cumsum(durations)])
    times = np.arange(round((edges[-1] + silence[1]) / STEP)) * STEP
    targets = _targets(voice, names, slur, rng, spread)
    formants = _glide(times, edges, targets, 0.010 + 0.025 * slur)
    amplitudes = np.array([[one.voicing, one.aspiration, one.frication] for one in phonemes])
    amplitudes *= _gains(voice, phonemes, slur, rng)
    voicing, aspiration, frication = _switch(times, edges, amplitudes).T
    nasal = _glide(times, edges, np.array([[one.nasal] for one in phonemes]), 0.018)[:, 0]
    band = _glide(times, edges, np.array([one.band for one in phonemes]) * voice.tract, 0.004)
    f0 = _pitch(voice, times, edges, rng, spread)
    pulses = _pulse_times(times, f0)
    pulses = pulses + rng.normal(0, voice.jitter, len(pulses)) / np.interp(pulses, times, f0)
    bandwidths = np.array(BASE_BANDWIDTHS) * voice.tract * rng.uniform(0.85, 1.3) * (1 + 0.8 * nasal[:, None])
    return Tracks(
        formants=formants,
        bandwidths=bandwidths,
        voicing=voicing,
        aspiration=aspiration,
        frication=frication,
        nasal=nasal,
        band=band,
        f0=f0,
        pulses=pulses,
        strengths=1 + rng.normal(0, voice.shimmer, len(pulses)),
        breathiness=float(voice.breathiness * np.exp(rng.normal(0, 0.25))),
        tilt=float(voice.tilt * np.exp(rng.normal(0, 0.15))),
        snr=float(voice.snr + rng.normal(0, 4)),
        colour=voice.colour,
        level=float(voice.level * rng.uniform(0.6, 1.0)),
    )


def _durations(voice: Voice, lengths: FloatArray, rng: np.random.Generator, spread: float) -> FloatArray:
    """Durations in s of the phonemes, their sum within `SHORTEST` and `LONGEST`."""
    lengths = lengths * np.exp(rng.normal(0, 0.08 + 0.1 * spread, len(lengths)))
    lengths = lengths / (voice.rate * np.exp(rng.normal(0, 0.08)))
    total = float(lengths.sum())
    return lengths * float(np.clip(total, SHORTEST, LONGEST)) / total


def _targets(voice: Voice, names: list[str], slur: float, rng: np.random.Generator, spread: float) -> FloatArray:
    """Formant targets (phonemes, 4) in Hz: vowels slide to their neighbours and to the neutral tract."""
    targets = np.empty((len(names), 4))
    for row, name in enumerate(names):
        phoneme = PHONEMES[name]
        slide = float(np.clip(slur + rng.normal(0, 0.15) * spread, 0, MOST_SLUR))
        jitter = np.exp(rng.normal(0, 0.015 + 0.02 * spread, 4))
        target = np.array(phoneme.formants)
        if phoneme.neighbour:
            target = (1 - slide) * target + slide * np.array(PHONEMES[phoneme.neighbour].formants)
        if phoneme.vowel:
            target = (1 - 0.6 * slur) * target + 0.6 * slur * np.array(NEUTRAL)
        targets[row] = target * voice.accent[name] * jitter * voice.tract
    # Formants cannot cross; the least distance keeps each a peak of its own.
    apart = np.array([0.0, 200.0, 400.0, 600.0])
    return np.asarray(np.maximum.accumulate(targets - apart, axis=1) + apart)


def _gains(voice: Voice, phonemes: list[Phoneme], slur: float, rng: np.random.Generator) -> FloatArray:
    """Factors (phonemes, 3) on the amplitudes: careless speech weakens consonants by up to 30 dB."""
    decibels = rng.normal(0, 1.5, (len(phonemes), 3))
    lost = 30 * slur * rng.random(len(phonemes))
    decibels -= np.where([phoneme.vowel for phoneme in phonemes], 0.1 * lost, lost)[:, None]
    return np.asarray(10 ** (decibels / 20) * (1, 1, voice.frication))


def _glide(times: FloatArray, edges: FloatArray, values: FloatArray, smoothing: float) -> FloatArray:
    """Values (phonemes, n) reached in the middle of each phoneme, with smooth transitions (frames, n).

    ``smoothing`` is the standard deviation in s of the Gaussian that rounds them.
    """
    starts, lengths = edges[:-1], np.diff(edges)
    knots = np.stack([starts + 0.35 * lengths, starts + 0.65 * lengths], axis=1).ravel()
    track = np.stack([np.interp(times, knots, np.repeat(column, 2)) for column in values.T], axis=1)
    return _smooth(track, smoothing)


def _switch(times: FloatArray, edges: FloatArray, values: FloatArray) -> FloatArray:
    """Values (phonemes, n) held over each phoneme, with ramps of 10 ms, and 0 outside the word (frames, n)."""
    lengths = np.diff(edges)
    ramp = np.minimum(0.005, 0.3 * lengths)
    knots = np.stack([edges[:-1] + ramp, edges[1:] - ramp], axis=1).ravel()
    knots = np.concatenate([[edges[0] - 0.005], knots, [edges[-1] + 0.015]])
    return np.stack([np.interp(times, knots, np.pad(np.repeat(column, 2), 1)) for column in values.T], axis=1)


def _smooth(track: FloatArray, deviation: float) -> FloatArray:
    """A track (frames, n) convolved with a Gaussian, its ends held."""
    reach = int(np.ceil(3 * deviation / STEP))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / deviation) ** 2)
    padded = np.pad(track, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0)
    return np.asarray(windows @ (kernel / kernel.sum()))


def _pitch(voice: Voice, times: FloatArray, edges: FloatArray, rng: np.random.Generator, spread: float) -> FloatArray:
    """F0 in Hz of each frame: declination, a rise and fall, and slow wavering."""
    place = np.clip((times - edges[0]) / (edges[-1] - edges[0]), 0, 1)
    base = np.log(voice.f0) + rng.normal(0, 0.05 + 0.03 * spread)
    accent = rng.normal(0.05, 0.04) * np.sin(np.pi * place)
    waver = _smooth(rng.normal(0, 1, (len(times), 1)), 0.03)[:, 0] * 0.02
    return np.asarray(np.exp(base + voice.declination * (0.5 - place) + accent + waver))


def _pulse_times(times: FloatArray, f0: FloatArray) -> FloatArray:
    """Times in s at which the phase, the integral of F0, passes a whole number."""
    fine = np.arange(0, times[-1] + STEP, STEP / 5)
    phase = np.cumsum(np.interp(fine, times, f0)) * STEP / 5
    return np.interp(np.arange(1, int(phase[-1])), phase, fine)

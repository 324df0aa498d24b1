"""From tracks to sound: glottal pulses and noise through a tract that changes over time.

Source and filter are put together in frames of 10 ms that overlap by half: each frame of the excitation is multiplied in
frequency by the frame's transfer function, and the results are added (overlap-add). The Hann windows of the frames sum
to 1, so each pulse rings with an interpolation of two neighbouring responses, and nothing clicks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from xaudio.plugin import FloatArray

from .articulation import STEP, VOICED, Tracks

ComplexArray = NDArray[np.complexfloating]

REFERENCE_RATE = 8000.0
"""Sources are scaled so that their spectral density does not depend on the sample rate."""
RING = 0.045
"""Seconds a frame may ring on."""
LEAD = 0.004
"""Seconds before a frame into which its band-limited response may reach."""
HIGH_POLES = (4500.0, 5500.0, 6500.0, 7500.0)
"""Fixed poles in Hz above the fourth formant, for a tract of 17.5 cm."""
HIGH_POLE_WIDTH = 0.08
"""Their bandwidth as a share of their frequency."""
NASAL_POLE, NASAL_ZERO, NASAL_WIDTH = 270.0, 480.0, 100.0
"""In Hz; the zero is that of an open velum, on the pole if it is closed."""


def synthesise(tracks: Tracks, tract: float, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """The sound of a recording, float32 (samples,), its peak `Tracks.level`.

    Parameters
    ----------
    tracks : Tracks
    tract : float
        Factor on the fixed poles above the fourth formant.
    sample_rate : int
        In Hz.
    rng : Generator
        Of the noise; nothing else depends on it.
    """
    samples = round(tracks.duration * sample_rate)
    noise = rng.normal(0, np.sqrt(sample_rate / REFERENCE_RATE), (2, samples))
    noise[0] *= _glottal_opening(tracks, sample_rate, samples)
    index, window, length = _frames(len(tracks.f0), sample_rate)
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    pulses, breath, hiss = (
        rfft(_cut(signal, index) * window, length, axis=1)
        for signal in (_pulse_train(tracks, sample_rate, samples), noise[0], noise[1])
    )
    voice = pulses * (tracks.voicing[:, None] * _glottal_spectrum(frequencies, tracks))
    breath *= (tracks.aspiration + tracks.breathiness * tracks.voicing)[:, None] * _radiation(frequencies)
    spectrum = (voice + breath) * _tract(frequencies, tracks, tract) + hiss * _frication(frequencies, tracks)
    spectrum *= _band_edge(frequencies, sample_rate)
    speech = _overlap_add(irfft(spectrum, length, axis=1), index, samples, sample_rate)
    return _record(speech, tracks, sample_rate, rng)


def _frames(frames: int, sample_rate: int) -> tuple[NDArray[np.int64], FloatArray, int]:
    """Sample indices and Hann window of each frame (frames, width), and the length of their transforms.

    Frames need not start on whole samples: the windows are taken at the samples' exact distances from the centre.
    """
    step = STEP * sample_rate
    centres = np.arange(frames) * step
    width = 2 * int(np.ceil(step)) + 1
    index = np.floor(centres - step).astype(np.int64)[:, None] + 1 + np.arange(width)
    distance = np.abs(index - centres[:, None]) / step
    window = np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * distance), 0.0)
    return index, window, next_fast_len(width + round((LEAD + RING) * sample_rate), real=True)


def _cut(signal: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """Frames of a signal, 0 beyond its ends."""
    inside = (index >= 0) & (index < len(signal))
    return np.where(inside, signal[np.clip(index, 0, len(signal) - 1)], 0.0)


def _overlap_add(frames: FloatArray, index: NDArray[np.int64], samples: int, sample_rate: int) -> FloatArray:
    """Sum of the frames at their places; the last `LEAD` of each is what comes before it."""
    length = frames.shape[1]
    offset = np.arange(length)
    offset[length - round(LEAD * sample_rate) :] -= length
    place = index[:, :1] + offset
    inside = (place >= 0) & (place < samples)
    return np.asarray(np.bincount(place[inside], frames[inside], minlength=samples), dtype=np.float64)


def _pulse_train(tracks: Tracks, sample_rate: int, samples: int) -> FloatArray:
    """Band-limited pulses at fractional samples: each is a sinc under a Hann window of 17 samples."""
    reach = 8
    place = tracks.pulses * sample_rate
    index = np.floor(place).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = index - place[:, None]
    taps = np.sinc(distance) * (0.5 + 0.5 * np.cos(np.pi * distance / (reach + 0.5)))
    taps *= tracks.strengths[:, None] * sample_rate / REFERENCE_RATE
    inside = (index >= 0) & (index < samples)
    return np.asarray(np.bincount(index[inside], taps[inside], minlength=samples), dtype=np.float64)


def _glottal_opening(tracks: Tracks, sample_rate: int, samples: int) -> FloatArray:
    """Modulation of breath by the open glottis where there is voicing, 1 elsewhere."""
    times = np.arange(samples) / sample_rate
    phase = np.interp(times, tracks.pulses, np.arange(len(tracks.pulses)))
    depth = 0.6 * np.interp(times, tracks.times, np.minimum(tracks.voicing, 1.0))
    return np.asarray(1 - depth * np.cos(2 * np.pi * (phase + 0.5)))


def _glottal_spectrum(frequencies: FloatArray, tracks: Tracks) -> ComplexArray:
    """Derivative of the glottal flow (bins,): a peak near F0, then 6 dB an octave, and 12 above the tilt's frequency."""
    corner = 0.9 * float(np.median(tracks.f0))
    ratio = 1j * frequencies / corner
    return np.asarray(5 * ratio / (1 + ratio) ** 2 / (1 + 1j * frequencies / tracks.tilt))


def _radiation(frequencies: FloatArray) -> FloatArray:
    """Breath is nearly white at the lips: low frequencies are weakened (bins,)."""
    return frequencies / (frequencies + 500.0)


def _resonance(frequencies: FloatArray, centre: FloatArray, width: FloatArray) -> ComplexArray:
    """Denominator, 1 at 0 Hz, of a resonance with a pole pair; the inverse is its response (frames, bins)."""
    denominator = np.empty((len(centre), len(frequencies)), dtype=complex)
    denominator.real = 1 - np.outer(centre**-2.0, frequencies**2)
    denominator.imag = np.outer(width / centre**2, frequencies)
    return denominator


def _tract(frequencies: FloatArray, tracks: Tracks, tract: float) -> ComplexArray:
    """Transfer function of the tract in each frame (frames, bins): formants in cascade, a nasal pole and zero."""
    high = np.array(HIGH_POLES) * tract
    denominator: ComplexArray = _resonance(frequencies, high, HIGH_POLE_WIDTH * high).prod(0, keepdims=True)
    for centre, width in zip(tracks.formants.T, tracks.bandwidths.T, strict=True):
        denominator = denominator * _resonance(frequencies, centre, width)
    response: ComplexArray = 1 / denominator
    nasal = np.flatnonzero(tracks.nasal > 0.01)
    if nasal.size:  # elsewhere the pole and the zero cancel
        width = np.full(nasal.size, NASAL_WIDTH * tract)
        pole = np.full(nasal.size, NASAL_POLE * tract)
        zero = pole + (NASAL_ZERO - NASAL_POLE) * tract * tracks.nasal[nasal]
        response[nasal] *= _resonance(frequencies, zero, width) / _resonance(frequencies, pole, width)
    return response


def _frication(frequencies: FloatArray, tracks: Tracks) -> FloatArray:
    """Spectrum of the frication in each frame (frames, bins): a bell around its centre and a weak floor."""
    distance = (frequencies - tracks.band[:, :1]) / tracks.band[:, 1:]
    return np.asarray(tracks.frication[:, None] * (np.exp(-0.5 * distance**2) + 0.03) * _radiation(frequencies))


def _band_edge(frequencies: FloatArray, sample_rate: int) -> FloatArray:
    """A slope of half a cosine over the last 6 % below the Nyquist frequency, so that frames do not ring for long."""
    place = np.clip((frequencies / (sample_rate / 2) - 0.94) / 0.06, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * place))


def _record(speech: FloatArray, tracks: Tracks, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Speech with its background, at its level."""
    background = _background(len(speech), tracks.colour, sample_rate, rng)
    # Relative to the mean power of the voiced frames, so that pauses do not count.
    loudness = np.interp(np.arange(len(speech)) / sample_rate, tracks.times, tracks.voicing > VOICED)
    power = float((loudness * speech**2).sum() / loudness.sum())
    sound = speech + background * np.sqrt(power) * 10 ** (-tracks.snr / 20)
    return np.asarray(sound * (tracks.level / np.abs(sound).max()), dtype=np.float32)


def _background(samples: int, colour: float, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Coloured noise (samples,) whose power up to 4 kHz is 1."""
    length = next_fast_len(samples, real=True)
    spectrum = rfft(rng.normal(0, 1, length))
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    spectrum *= (100 / np.maximum(frequencies, 100.0)) ** colour
    in_band = frequencies <= REFERENCE_RATE / 2
    power = 2 * float((np.abs(spectrum[in_band]) ** 2).sum()) / length**2
    return np.asarray(irfft(spectrum / np.sqrt(power), length)[:samples])

"""Read, check, resample, fit and write recordings."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, OutputError
from ..output.runs import replaced
from ..output.words import counted
from ..registry.plain import whole
from ..types import Clip, Fit, FloatArray, Resampling
from .decoding import RATES, check_rate, decode_file

LARGEST = 2.0**32
"""Samples beyond this are no sound: their squares soon are no float32 any more."""

VORBIS_RATE = 200_000
"""Highest sample rate in Hz of an OGG file; libsndfile crashes beyond it."""

FORMATS = (".wav", ".flac", ".ogg")
FULL_SCALE_INT16 = 32768.0
TOLERANCE, TOLERANCE_SHARE = 0.010, 0.01
"""Seconds, and share of the length that is taken, by which a recording may be too long: its end is left out, with a note."""

EQUALLY_LOUD = 1e-3
"""Share of its energy by which a window may be below the loudest and still counts as loud, so that rounding moves none."""

SILENCE_DB = -40.0
"""Frames this far below the loudest frame are silence to `trim_silence`."""


def read_audio(path: str | Path, **labels: Any) -> Clip:
    """Read a recording.

    Parameters
    ----------
    path : path
        WAV (also RF64), FLAC, OGG (Vorbis, Opus, FLAC), MP3, AIFF, AU, CAF, W64 or NIST, or a pipe; integer or float, any
        number of channels (mixed down to one, which is noted).
    **labels
        Other fields of the clip, such as ``labels`` and ``speaker``.

    Returns
    -------
    Clip
        At the file's own sample rate.

    Raises
    ------
    AudioError
        If the file is missing, empty, truncated, not audio, or holds samples that are not numbers.
    """
    samples, rate, notes = decode_file(Path(path))
    return make_clip(samples.T, rate, source=str(path), notes=(*notes, *labels.pop("notes", ())), **labels)


def as_rate(rate: Any, where: str) -> int:
    """A sample rate in Hz as an int, from a number of any library, or its digits.

    Raises
    ------
    AudioError
        If it is not a whole number, or one that no recording has.
    """
    given = rate.strip() if isinstance(rate, str) else rate
    number = whole(int(given) if isinstance(given, str) and given.isdecimal() else given)
    if number is None:
        raise AudioError(f"{where}: the sample rate is {rate!r}; expected a whole number of Hz, {RATES[0]} to {RATES[1]}.")
    check_rate(number, where)
    return number


def make_clip(samples: Any, sample_rate: int, *, source: str = "array", **fields: Any) -> Clip:
    """A clip from an array or tensor.

    Parameters
    ----------
    samples : array_like, shape (samples,) or (channels, samples)
        Integers are scaled by their full scale; floats are taken as they are, full scale being [-1, 1].
    sample_rate : int
        In Hz.
    source : str
        How messages and results name it.
    **fields
        Other fields of the clip.

    Raises
    ------
    AudioError
        If there are fewer than two samples, or samples that are not numbers, or the shape does not fit.
    """
    sample_rate = as_rate(sample_rate, source)
    array = _array_of(samples, source)
    notes: tuple[str, ...] = tuple(fields.pop("notes", ()))
    if array.ndim == 2:
        channels, length = array.shape
        if channels > length and length:
            raise AudioError(f"{source}: has shape {array.shape}; expected (channels, samples). Transpose it.")
        if channels > 1:
            notes += (f"mixed down from {counted(channels, 'channel')}",)
    elif array.ndim != 1:
        raise AudioError(f"{source}: has shape {array.shape}; expected (samples,) or (channels, samples).")
    scaled = _scaled(array, source)
    mono = scaled if scaled.ndim == 1 else scaled.mean(0, dtype=np.float64) if len(scaled) else scaled.reshape(-1)
    if mono.size < 2:
        raise AudioError(f"{source}: has {mono.size} sample{'s' * (mono.size != 1)}; expected at least two.")
    bad = np.flatnonzero(~np.isfinite(mono))
    if bad.size:
        raise AudioError(
            f"{source}: {bad.size} of {mono.size} samples are NaN or infinite, the first is sample {bad[0]}. "
            "Repair the recording."
        )
    with np.errstate(over="ignore"):  # is reported below
        waveform = np.ascontiguousarray(mono, dtype=np.float32)
    if max(waveform.max(), -waveform.min()) > LARGEST:
        raise AudioError(f"{source}: has samples too large for a sound; expected values in [-1, 1].")
    notes = tuple(dict.fromkeys((*notes, *_beyond_full_scale(array))))  # a clip may be checked more than once
    return Clip(waveform, sample_rate, source=source, notes=notes, **fields)


def _array_of(samples: Any, source: str) -> NDArray[Any]:
    if np.ma.is_masked(samples):
        raise AudioError(f"{source}: has masked samples. Fill them in, or cut them out.")
    try:
        if hasattr(samples, "detach"):  # a tensor, whose sign or imaginary part torch may not have changed yet
            samples = samples.detach().resolve_conj().resolve_neg().cpu()
            samples = samples.float() if str(samples.dtype) == "torch.bfloat16" else samples
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of unequal length, or a type that numpy does not have
        raise AudioError(f"{source}: is not an array of samples ({error}); expected integers or floats.") from None


def _scaled(array: NDArray[Any], source: str) -> NDArray[Any]:
    """An array whose full scale is [-1, 1]: integers by the range of their type, as far as that can be their full scale."""
    kind, bits = array.dtype.kind, array.dtype.itemsize * 8
    if kind == "f":
        return array
    if kind not in "iu":
        raise AudioError(f"{source}: holds {array.dtype}; expected integers or floats.")
    half = 2.0 ** (bits - 1)
    if bits == 64 or (kind == "u" and bits == 32):
        raise AudioError(f"{source}: holds {array.dtype}, whose full scale is not known; give int16, int32 or floats in [-1, 1].")
    if bits == 32 and 0 < np.abs(array.astype(np.int64)).max(initial=0) <= FULL_SCALE_INT16:
        raise AudioError(
            f"{source}: holds int32 whose samples all fit into 16 bits, so that their full scale is not known; "
            "give int16, or floats in [-1, 1]."
        )
    return (array - half) / half if kind == "u" else array / half


def _beyond_full_scale(array: NDArray[Any]) -> tuple[str, ...]:
    """A note on floats beyond full scale, and on those that are whole numbers, as a recording of integers is."""
    peak = float(np.abs(array).max(initial=0.0)) if array.dtype.kind == "f" else 0.0
    if peak <= 1:
        return ()
    whole_numbers = bool((array == np.round(array)).all())
    return (
        f"peaks at {peak:.6g} times full scale" + "; whole numbers stored as floats: divide by their full scale" * whole_numbers,
    )


def resample(waveform: FloatArray, rate: int, target: int, method: Resampling) -> FloatArray:
    """A waveform (samples,) at another rate, float32, of ceil(samples * target / rate) samples, as in the paper's code.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
    rate, target : int
        In Hz.
    method : {"fft", "soxr"}
        ``fft`` is what the paper's code used (scipy.signal.resample: the spectrum is cut, so that edges ring);
        ``soxr`` is a long band-limited filter. They differ by tens of dB in single cells near the new Nyquist rate.
    """
    if rate == target:
        return waveform
    length = -(-len(waveform) * target // rate)
    if method == "fft":
        from scipy.signal import resample as fft_resample

        return np.asarray(fft_resample(waveform.astype(np.float64), length), dtype=np.float32)
    import soxr

    # soxr rounds the length; what follows the end is silence for it anyway, so silence there changes nothing else.
    silence = np.zeros(-(-rate // target) + 1, np.float32)
    return np.asarray(soxr.resample(np.concatenate([waveform, silence]), rate, target, quality="HQ")[:length], dtype=np.float32)


def fit_length(clip: Clip, samples: int, rule: Fit) -> tuple[FloatArray, int, str]:
    """A waveform of at most ``samples`` samples, where in the clip it starts, and what was done ("" if it was short enough).

    Parameters
    ----------
    clip : Clip
        Already at the wanted rate.
    samples : int
        The longest that is taken.
    rule : {"error", "trim", "loudest"}
        See `xaudio.types.Fit`.

    Raises
    ------
    AudioError
        If it is too long and the rule does not make it fit.
    """
    waveform, rate = clip.waveform, clip.sample_rate
    if len(waveform) <= samples:
        return waveform, 0, ""
    if rule == "error":
        return _end_left_out(clip, (0, len(waveform)), samples, rule)
    seconds = f"{clip.duration:.3f} s"
    if rule == "trim":
        start, stop = speech_bounds(waveform, rate)
        if stop - start > samples:
            return _end_left_out(clip, (start, stop), samples, rule)
        return waveform[start:stop], start, f"trimmed from {seconds} to {(stop - start) / rate:.3f} s"
    energy = np.concatenate([[0.0], np.cumsum(_without_offset(waveform) ** 2)])
    start = _loudest(energy, samples, rate)
    note = f"loudest {samples / rate:.3f} s of {seconds} kept, from {start / rate:.3f} s"
    return waveform[start : start + samples], start, note


def _loudest(energy: FloatArray, samples: int, rate: int) -> int:
    """Where the loudest window starts, by the energy (samples + 1,) up to each sample; see `xaudio.types.Fit`."""
    last = len(energy) - 1 - samples
    step = max(1, min(rate, samples) // 100)
    starts = np.append(np.arange(0, last, step), last)
    held = energy[starts + samples] - energy[starts]
    return int(starts[np.flatnonzero(held >= (1 - EQUALLY_LOUD) * held.max())[0]])


def _end_left_out(clip: Clip, bounds: tuple[int, int], samples: int, rule: Fit) -> tuple[FloatArray, int, str]:
    """The part of a clip that is a few samples too long, less these; or an error that says how long it is."""
    (start, stop), rate = bounds, clip.sample_rate
    over = stop - start - samples
    if over <= min(TOLERANCE * rate, TOLERANCE_SHARE * samples):
        left_out = (
            f"{over} sample{'s' * (over > 1)} ({1000 * over / rate:.2f} ms) at the end {'were' if over > 1 else 'was'} left out"
        )
        return clip.waveform[start : start + samples], start, left_out
    decimals = next(n for n in (3, 4, 5, 6, 9) if f"{(stop - start) / rate:.{n}f}" != f"{samples / rate:.{n}f}")
    within, advice = {
        "error": ("", "choose a rule: fit 'trim' removes silence at both ends, 'loudest' keeps the window with most energy."),
        "trim": (" without the silence at both ends", "choose fit 'loudest'."),
    }[rule]
    raise AudioError(
        f"{clip.source}: is {(stop - start) / rate:.{decimals}f} s long{within}, longer than the "
        f"{samples / rate:.{decimals}f} s the model takes. Cut it, or {advice}"
    )


def speech_bounds(waveform: FloatArray, rate: int) -> tuple[int, int]:
    """Start and stop sample of what is louder than `SILENCE_DB` below the loudest 10 ms frame."""
    frame = max(1, rate // 100)
    starts = np.arange(0, len(waveform), frame)  # the last frame may be shorter
    energy = np.add.reduceat(_without_offset(waveform) ** 2, starts) / np.diff(starts, append=len(waveform))
    loud = np.flatnonzero(energy > energy.max(initial=0.0) * 10 ** (SILENCE_DB / 10))
    if not loud.size:
        return 0, len(waveform)
    return int(loud[0]) * frame, min(len(waveform), (int(loud[-1]) + 1) * frame)


def _without_offset(waveform: FloatArray) -> FloatArray:
    """The waveform less its median, float64: a constant offset is no sound, but can hold more power than the speech.

    The median and not the mean, so that digital silence stays silent beside speech whose own mean is not 0.
    """
    return waveform.astype(np.float64) - float(np.median(waveform))


def at_rate(clip: Clip, rate: int, method: Resampling) -> Clip:
    """The clip at another sample rate, with a note if that changed it.

    Raises
    ------
    AudioError
        If it is so short that fewer than two samples are left.
    """
    if clip.sample_rate == rate:
        return clip
    waveform = resample(clip.waveform, clip.sample_rate, rate, method)
    if waveform.size < 2:
        raise AudioError(
            f"{clip.source}: has {len(clip.waveform)} samples at {clip.sample_rate} Hz and {waveform.size} at {rate} Hz; "
            "expected at least two."
        )
    note = f"resampled from {clip.sample_rate} to {rate} Hz ({method})"
    return replace(clip, waveform=waveform, sample_rate=rate, notes=(*clip.notes, note))


def write_audio(path: str | Path, waveform: FloatArray, sample_rate: int) -> Path:
    """Write a waveform as 16-bit WAV, FLAC or OGG (by the file's ending), atomically.

    Parameters
    ----------
    path : path
    waveform : ndarray, shape (samples,) or (channels, samples)
        Full scale is [-1, 1].
    sample_rate : int
        In Hz.

    Raises
    ------
    OutputError
        If a sample exceeds full scale (it would clip), or the file cannot be written.
    """
    import soundfile

    path = Path(path)
    data = np.asarray(waveform, dtype=np.float64).T  # soundfile takes the channels last
    peak = float(np.abs(data).max(initial=0.0))
    if not peak <= 1.0:
        raise OutputError(f"{path}: not written, the waveform's peak is {peak:.3g} and would clip; scale it to at most 1.")
    kind = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"{path}: cannot write the format {path.suffix!r}; expected {', '.join(FORMATS)}.")
    highest = VORBIS_RATE if kind == "OGG" else RATES[1]
    if not RATES[0] <= sample_rate <= highest:
        raise OutputError(f"{path}: cannot be written at {sample_rate} Hz; expected {RATES[0]} to {highest} Hz.")
    # Scaled by 32767 and rounded here, so that 1.0 does not wrap and reading back is exact.
    data = np.round(data * 32767).astype(np.int16)
    encoded = BytesIO()  # not the file itself: libsndfile does not say when the disk is full
    try:
        soundfile.write(encoded, data, sample_rate, format=kind, subtype="VORBIS" if kind == "OGG" else "PCM_16")
    except soundfile.LibsndfileError as error:
        raise OutputError(f"{path}: cannot be written as {kind} at {sample_rate} Hz ({error.error_string})") from None
    with replaced(path) as temporary:
        temporary.write_bytes(encoded.getvalue())
    return path

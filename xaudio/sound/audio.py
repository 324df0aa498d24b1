"""Read, check, resample and write recordings."""

from __future__ import annotations

import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, OutputError
from ..output.runs import replaced
from ..output.words import counted, counted_of
from ..registry.plain import whole
from ..types import Clip, FloatArray, Resampling
from .decoding import RATES, check_rate, decode_file

LARGEST = 2.0**32
"""Samples beyond this are no sound: their squares soon are no float32 any more."""

VORBIS_RATE = 200_000
"""Highest sample rate in Hz of an OGG file; libsndfile crashes beyond it."""

WRITTEN = 1 << 20
"""Samples of each channel that are encoded at once."""

LISTENED = 10.0
"""Seconds of a recording that are looked at for sound that a model cannot hear."""

FORMATS = (".wav", ".flac", ".ogg")
FULL_SCALE_INT16 = 32768.0


def read_audio(path: str | Path | bytes | BinaryIO, *, channels: str | int | None = None, **labels: Any) -> Clip:
    """Read a recording.

    Parameters
    ----------
    path : path, bytes or binary file
        WAV (also RF64), FLAC, OGG (Vorbis, Opus, FLAC), MP3, AIFF, AU, CAF, W64 or NIST, or a pipe; integer or float, any
        number of channels (mixed down to one, which is noted). Bytes are those of such a file; one that is open is read from
        where it stands, and need not be one that can be sought.
    channels : {"mean", "left", "right", "all"} or int, optional
        Of several channels: all mixed down (by default), the first, the second, all as they are, or that of an index.
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
    source = labels.pop("source", None) or (str(path) if isinstance(path, str | Path) else _name_of(path))
    file = BytesIO(path) if isinstance(path, bytes | bytearray | memoryview) else path
    samples, rate, notes = decode_file(Path(source), None if isinstance(file, str | Path) else file)
    noted = (*notes, *labels.pop("notes", ()))
    return make_clip(samples.T, rate, source=source, channels=channels, notes=noted, **labels)


def _name_of(content: Any) -> str:
    """How messages name what is given as bytes or as an open file."""
    name = getattr(content, "name", None)
    return (
        name if isinstance(name, str) and name else "bytes" if isinstance(content, bytes | bytearray | memoryview) else "stream"
    )


def chosen_channels(
    array: NDArray[Any], channels: str | int | None, source: str
) -> tuple[NDArray[Any], int | None, tuple[str, ...]]:
    """The chosen channels of an array (channels, samples), which one of several it is, and a note on what became of these.

    Parameters
    ----------
    array : ndarray, shape (channels, samples)
    channels : {"mean", "left", "right", "all"} or int, optional
    source : str

    Returns
    -------
    (ndarray, int or None, tuple of str)
        One channel is (samples,); all, and those that are to be mixed down, are (channels, samples).

    Raises
    ------
    AudioError
        If there is no such channel.
    """
    count = len(array)
    if count == 1 and channels in (None, "mean", "all"):
        return array[0], None, ()
    if channels == "all":
        return array, None, ()
    if channels is None or channels == "mean":
        return array, None, (f"mixed down from {counted(count, 'channel')}",) if count > 1 else ()
    index = {"left": 0, "right": 1}.get(str(channels), whole(int(channels) if str(channels).isdecimal() else channels))
    if index is None or not 0 <= index < count:
        told = f"there is no channel {channels!r} (mean, left, right, all, or from 0)"
        raise AudioError(f"{source}: has {counted(count, 'channel')}; {told}.")
    return (array[index], index, (f"channel {index} of {count} taken",)) if count > 1 else (array[0], None, ())


def as_rate(rate: Any, where: str) -> int:
    """A sample rate in Hz as an int, from a number of any library, or its digits.

    Raises
    ------
    AudioError
        If it is not a whole number, or one that no recording has.
    """
    value = rate.strip() if isinstance(rate, str) else rate
    number = whole(int(value) if isinstance(value, str) and value.isdecimal() else value)
    if number is None:
        raise AudioError(f"{where}: the sample rate is {rate!r}; expected a whole number of Hz, {RATES[0]} to {RATES[1]}.")
    check_rate(number, where)
    return number


def make_clip(samples: Any, sample_rate: int, *, source: str = "array", channels: str | int | None = None, **fields: Any) -> Clip:
    """A clip from an array or tensor.

    Parameters
    ----------
    samples : array_like, shape (samples,) or (channels, samples)
        Integers are scaled by their full scale; floats are taken as they are, full scale being [-1, 1].
    sample_rate : int
        In Hz.
    source : str
        How messages and results name it.
    channels : {"mean", "left", "right", "all"} or int, optional
        Of several channels: all mixed down (by default), the first, the second, all as they are, or that of an index.
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
    taken = None
    if array.ndim == 2:
        count, length = array.shape
        if count > length and length:
            raise AudioError(f"{source}: has shape {array.shape}; expected (channels, samples). Transpose it.")
        array, taken, chosen = chosen_channels(array, channels, source)
        notes += chosen
    elif array.ndim != 1:
        raise AudioError(f"{source}: has shape {array.shape}; expected (samples,) or (channels, samples).")
    scaled = _scaled(array, source)
    if scaled.ndim == 2 and channels != "all":
        scaled = scaled.mean(0, dtype=np.float64) if len(scaled) else scaled.reshape(-1)
    length = scaled.shape[-1]
    if length < 2:
        raise AudioError(f"{source}: has {length} sample{'s' * (length != 1)}; expected at least two.")
    peak = _peak(scaled)
    if not math.isfinite(peak):
        bad = np.flatnonzero(~np.isfinite(scaled))
        raise AudioError(
            f"{source}: {counted_of(bad.size, scaled.size, 'sample', 'is', 'are')} NaN or infinite, the first is sample "
            f"{bad[0] % length}. Repair the recording."
        )
    if peak > LARGEST:
        raise AudioError(f"{source}: has samples too large for a sound; expected values in [-1, 1].")
    waveform = np.ascontiguousarray(scaled, dtype=np.float32)
    beyond = _beyond_full_scale(array, peak if array is scaled else _peak(array))
    notes = tuple(dict.fromkeys((*notes, *beyond)))  # a clip may be checked more than once
    return Clip(waveform, sample_rate, source=source, notes=notes, **{"channel": taken, **fields})


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


def _peak(array: NDArray[Any]) -> float:
    """The largest magnitude; NaN if a sample is. Two passes without a copy, since each recording goes through here."""
    return max(float(array.max()), -float(array.min()))


def _beyond_full_scale(array: NDArray[Any], peak: float) -> tuple[str, ...]:
    """A note on floats beyond full scale, and on those that are whole numbers, as a recording of integers is."""
    if array.dtype.kind != "f" or peak <= 1:
        return ()
    whole_numbers = bool((array == np.round(array)).all())
    return (
        f"peaks at {peak:.6g} times full scale" + "; whole numbers stored as floats: divide by their full scale" * whole_numbers,
    )


def resample(waveform: FloatArray, rate: int, target: int, method: Resampling) -> FloatArray:
    """A waveform at another rate, float32, of ceil(samples * target / rate) samples, as in the paper's code.

    Parameters
    ----------
    waveform : ndarray, shape (samples,) or (channels, samples)
    rate, target : int
        In Hz.
    method : {"fft", "soxr"}
        ``fft`` is what the paper's code used (scipy.signal.resample: the spectrum is cut, so that edges ring);
        ``soxr`` is a long band-limited filter. They differ by tens of dB in single cells near the new Nyquist rate.
    """
    if rate == target:
        return waveform
    if waveform.ndim == 2:
        return np.stack([resample(channel, rate, target, method) for channel in waveform])
    length = -(-len(waveform) * target // rate)
    if method == "fft":
        return _resampled_by_spectrum(waveform.astype(np.float64), length).astype(np.float32)
    import soxr

    # soxr rounds the length; what follows the end is silence for it anyway, so silence there changes nothing else.
    silence = np.zeros(-(-rate // target) + 1, np.float32)
    return np.asarray(soxr.resample(np.concatenate([waveform, silence]), rate, target, quality="HQ")[:length], dtype=np.float32)


def _resampled_by_spectrum(waveform: FloatArray, length: int) -> FloatArray:
    """As scipy.signal.resample does it, to the bit, without its import, which takes longer than to explain a recording."""
    kept = min(length, len(waveform))
    spectrum = np.fft.rfft(waveform)[: kept // 2 + 1]
    if kept % 2 == 0 and length != len(waveform):
        spectrum[kept // 2] *= 2 if length < len(waveform) else 0.5  # this frequency is its own mirror image
    return np.asarray(np.fft.irfft(spectrum / (len(waveform) / length), n=length))


def power_above(clip: Clip, rate: int) -> float:
    """Share of a clip's power, 0 to 1, that a model of a lower sample rate in Hz cannot hear; 0 of silence.

    Parameters
    ----------
    clip : Clip
        Its first `LISTENED` seconds are looked at.
    rate : int
    """
    if clip.sample_rate <= rate:
        return 0.0
    sound = np.atleast_2d(clip.waveform)[:, : round(LISTENED * clip.sample_rate)].astype(np.float64)
    power = (np.abs(np.fft.rfft(sound)[:, 1:]) ** 2).sum(0)  # without the constant, which is no sound
    above = np.arange(1, len(power) + 1) * clip.sample_rate / sound.shape[-1] > rate / 2
    return float(power[above].sum() / (power.sum() or 1))


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
    if waveform.shape[-1] < 2:
        raise AudioError(
            f"{clip.source}: has {clip.samples} samples at {clip.sample_rate} Hz and {waveform.shape[-1]} at {rate} Hz; "
            "expected at least two."
        )
    note = f"resampled from {clip.sample_rate} to {rate} Hz ({method})"
    span = clip.span and (clip.span[0] * rate // clip.sample_rate, -(-clip.span[1] * rate // clip.sample_rate))
    return replace(clip, waveform=waveform, sample_rate=rate, notes=(*clip.notes, note), span=span)


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
    data = np.asarray(waveform).T  # soundfile takes the channels last
    peak = max(float(data.max(initial=0.0)), -float(data.min(initial=0.0)))
    if not peak <= 1.0:
        raise OutputError(f"{path}: not written, the waveform's peak is {peak:.3g} and would clip; scale it to at most 1.")
    kind = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"{path}: cannot write the format {path.suffix!r}; expected {', '.join(FORMATS)}.")
    highest = VORBIS_RATE if kind == "OGG" else RATES[1]
    if not RATES[0] <= sample_rate <= highest:
        raise OutputError(f"{path}: cannot be written at {sample_rate} Hz; expected {RATES[0]} to {highest} Hz.")
    encoded = BytesIO()  # not the file itself: libsndfile does not say when the disk is full
    channels, subtype = (1 if data.ndim == 1 else data.shape[1]), "VORBIS" if kind == "OGG" else "PCM_16"
    try:
        with soundfile.SoundFile(encoded, "w", sample_rate, channels, subtype, format=kind) as file:
            for start in range(0, len(data), WRITTEN):
                # Scaled by 32767 and rounded here, so that 1.0 does not wrap and reading back is exact.
                file.write(np.round(data[start : start + WRITTEN].astype(np.float64) * 32767).astype(np.int16))
    except soundfile.LibsndfileError as error:
        raise OutputError(f"{path}: cannot be written as {kind} at {sample_rate} Hz ({error.error_string})") from None
    with replaced(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
    return path

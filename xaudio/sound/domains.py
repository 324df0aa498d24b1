"""The domains a sound is seen in: time, frequency and time-frequency, and relevance brought to each by a closed form.

Each domain is a `xaudio.types.Representation` that no network reads, so that renderers and metrics treat it as any other.
Its ``from_waveform_relevance`` is layer-wise relevance propagation (epsilon 0) through the linear map from the domain back to
the samples, put in front of the network: the virtual inspection layer of Vielhaben, Lapuschkin, Montavon and Samek 2024
(Pattern Recognition 150, "Explainable AI for time series via virtual inspection layers"), without its dense matrices.

Everything is computed in float64, on the CPU where a device has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ModelError, PluginError
from ..types import Axis, Placement
from .channelwise import Channelwise
from .window import spectral_window

FLOOR_DB = -80.0
"""Lowest level that is shown, relative to the loudest cell."""

SMALLEST_SUM = 1e-3
"""Least sum of the windows over a sample, as a share of the largest: what lies below is divided by nearly nothing."""

CHUNK = 2**21
"""Numbers in the frames that are transformed at once: 16 MiB, so that long recordings need little memory."""


def exact(tensor: Tensor) -> Tensor:
    """The tensor, detached, in float64; on the CPU if its device has no float64.

    Parameters
    ----------
    tensor : Tensor
    """
    tensor = tensor.detach()
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor in the type and on the device of another; the type first, since some devices have no float64.

    Parameters
    ----------
    tensor : Tensor
    other : Tensor
    """
    return tensor.to(other.dtype).to(other.device)


def per_value(relevance: Tensor, values: Tensor) -> Tensor:
    """R / x of samples, or R / V of complex spectra, and 0 where that is exactly 0; all of one shape."""
    zero = values == 0
    return torch.where(zero, 0, relevance / torch.where(zero, 1, values))


def times_in_spectrum(length: int) -> Tensor:
    """How often each frequency of `torch.fft.rfft` is in the whole spectrum, (length // 2 + 1,).

    Once at 0 Hz and, for an even length, at the highest frequency; elsewhere twice, as itself and its mirror image.
    """
    times = torch.full((length // 2 + 1,), 2.0, dtype=torch.float64)
    times[0] = 1
    if length % 2 == 0:
        times[-1] = 1
    return times


def level(amplitude: Tensor) -> Tensor:
    """Level in dB relative to the loudest cell of each recording, in [-80, 0], as float32; silence is -80."""
    loudest = amplitude.flatten(1).amax(1).reshape(-1, *[1] * (amplitude.ndim - 1))
    share = (amplitude / torch.where(loudest > 0, loudest, 1)).float()
    return share.clamp_(min=10 ** (FLOOR_DB / 20)).log10_().mul_(20)  # in place: there may be many cells


def check_waveforms(representation: str, waveforms: Tensor, samples: int) -> None:
    """Refuse what a representation of a fixed length does not read.

    Parameters
    ----------
    representation : str
        Its name, for the message.
    waveforms : Tensor
    samples : int
        That each waveform must have.

    Raises
    ------
    ModelError
        If the waveforms are not (batch, samples).
    """
    if tuple(waveforms.shape[1:]) != (samples,):
        shape = tuple(waveforms.shape)
        raise ModelError(f"The {representation} representation got waveforms {shape}; expected (batch, {samples}).")


class Samples:
    """What a representation whose cells are the samples, (batch, 1, samples), says of them."""

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """|x|, (batch, 1, samples), in full scales."""
        return waveforms.abs()[:, None]

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Each sample times its mask (batch, 1, samples), as waveforms (batch, samples)."""
        return waveforms * mask[:, 0]

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance (batch, 1, samples) without its channel."""
        del waveforms
        return relevance[:, 0]


class Time(Samples):
    """The samples themselves.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    samples : int
        Length of the waveforms.
    """

    name = "time"
    unit = "full scale"
    placement: Placement = "start"

    def __init__(self, sample_rate: int, samples: int) -> None:
        self.sample_rate, self.samples = sample_rate, samples
        self.options: dict[str, Any] = {}
        self.axes: tuple[Axis, ...] = (Axis("time", "s", np.arange(samples) / sample_rate),)

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Amplitude (batch, 1, samples), signed."""
        return waveforms[:, None]

    def from_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance (batch, samples) with a channel, in float64."""
        del waveforms
        return exact(relevance)[:, None]


class Frequency:
    """The spectrum of the whole waveform: samples // 2 + 1 frequencies, one every 1 / duration Hz.

    See `Time` for the parameters.
    """

    name = "frequency"
    unit = "dB"
    placement: Placement = "start"

    def __init__(self, sample_rate: int, samples: int) -> None:
        self.sample_rate, self.samples = sample_rate, samples
        self.options: dict[str, Any] = {}
        self.axes: tuple[Axis, ...] = (Axis("frequency", "Hz", np.arange(samples // 2 + 1) * (sample_rate / samples)),)

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Level (batch, 1, frequencies) in dB relative to the loudest frequency."""
        return level(self.amplitude(waveforms))

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Amplitude of the sinusoid at each frequency, (batch, 1, frequencies), in full scales."""
        magnitudes: Tensor = torch.fft.rfft(waveforms).abs()
        return (magnitudes * like(times_in_spectrum(self.samples) / self.samples, magnitudes))[:, None]

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Sound (batch, samples) filtered with the mask (batch, 1, frequencies) as gains, without a shift of phase."""
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(waveforms) * mask[:, 0], n=self.samples)
        return filtered

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), x_n d/dx_n sum_k R_k ln|X_k(x)| with R_k held constant.

        The sums agree, by Euler's identity. It does not undo `from_waveform_relevance`: where in time a frequency was
        relevant is no longer known, and here follows from where the recording has it.
        """
        sound, cells = exact(waveforms), exact(relevance)[:, 0]
        spectra = torch.fft.rfft(sound)
        # d ln|X_k| / dx_n is the real part of exp(-2 pi i k n / N) / X_k: a sum over k, which is a transform again.
        gradient = torch.fft.fft(per_value(cells, spectra), n=self.samples).real
        return like(sound * gradient, relevance)

    def from_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance (batch, 1, frequencies) in float64, from that of the samples (batch, samples).

        R_k = f_k / N Re(X_k conj(G_k)), X and G the spectra of x and of g = R / x (0 where x is 0), and f_k how often the
        frequency is in the whole spectrum. By Parseval's theorem its sum is that of R over the samples that are not 0.
        """
        sound = exact(waveforms)
        gradient = per_value(exact(relevance), sound)
        products: Tensor = (torch.fft.rfft(sound) * torch.fft.rfft(gradient).conj()).real
        return (products * like(times_in_spectrum(self.samples) / self.samples, products))[:, None]


class TimeFrequency:
    """The short-time Fourier transform: length // 2 + 1 frequencies, and frames centred at sample 0, hop, 2 hop, ...

    The waveform has zeros around it, so that the first and the last sample are seen as completely as any other. With the
    defaults the grid is that of the spectrogram, before its crop.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    samples : int
        Length of the waveforms.
    window : str
        A window of `scipy.signal.get_window`, with its parameters as in "kaiser+8.6".
    length : int
        Of the window, in samples.
    hop : int
        Samples from one frame to the next.

    Raises
    ------
    PluginError
        If there is no such window, or the windows do not sum to something positive over every sample.
    """

    name = "time-frequency"
    unit = "dB"
    placement: Placement = "start"

    def __init__(self, sample_rate: int, samples: int, *, window: str, length: int, hop: int) -> None:
        if length < 1 or hop < 1:
            raise PluginError(f"A time-frequency view needs a window length and a hop of at least 1; got {length} and {hop}.")
        self.sample_rate, self.samples = sample_rate, samples
        self.length, self.hop = length, hop
        self.options: dict[str, Any] = {"window": window, "length": length, "hop": hop}
        self.window = torch.from_numpy(spectral_window(window, length))
        self.frames = 1 + -(-(samples + 2 * (length // 2) - length) // hop)
        frequencies = np.arange(length // 2 + 1) * (sample_rate / length)
        times = np.arange(self.frames) * (hop / sample_rate)
        self.axes: tuple[Axis, ...] = (Axis("frequency", "Hz", frequencies), Axis("time", "s", times))
        self._sums = self._overlapped(self.window)
        least = int(self._sums.argmin())
        if not self._sums[0, least] > SMALLEST_SUM * self.window.abs().sum() / hop:
            raise PluginError(
                f"Windows {window!r} of {length} samples every {hop} samples do not cover the sound: over sample {least} they "
                f"sum to {float(self._sums[0, least]):.3g}; choose a smaller hop, of at most half the length, or another window."
            )

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Level (batch, 1, frequencies, frames) in dB relative to the loudest cell."""
        return level(self.amplitude(waveforms))

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """|V| of the cells, (batch, 1, frequencies, frames), in full scales (divided by the window's sum)."""
        window = like(self.window / self.window.sum(), waveforms)
        return self._cells(waveforms, lambda frames: Tensor.abs(torch.fft.rfft(frames * window)), waveforms)

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """Sound (batch, samples) of the transform times the mask (batch, 1, frequencies, frames), with its own phases.

        A mask of ones gives the sound itself. Of masked cells that no sound has, it is the sound whose transform is nearest
        in the least-squares sense (Griffin and Lim 1984, equation 6).
        """
        sound, gains = exact(waveforms), mask[:, 0].transpose(1, 2)
        window, frames = self.window.to(sound), self._framed(sound)

        def masked(part: slice) -> Tensor:
            kept: Tensor = torch.fft.irfft(torch.fft.rfft(frames[:, part] * window) * exact(gains[:, part]), n=self.length)
            return kept * window

        return like(self._overlap_add(sound, masked) / self._overlapped(self.window**2).to(sound), waveforms)

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), x_n d/dx_n sum_mk R_mk ln|V_mk(x)| with R_mk held constant.

        The sums agree, by Euler's identity. As `Frequency.to_waveform_relevance`, it does not undo `from_waveform_relevance`.
        """
        sound, cells = exact(waveforms), exact(relevance)[:, 0].transpose(1, 2)
        window, frames = self.window.to(sound), self._framed(sound)

        def gradient(part: slice) -> Tensor:
            spectra = torch.fft.rfft(frames[:, part] * window)
            inside: Tensor = torch.fft.fft(per_value(cells[:, part], spectra), n=self.length).real
            return inside * window

        return like(sound * self._overlap_add(sound, gradient), relevance)

    def from_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance (batch, 1, frequencies, frames) in float64, from that of the samples (batch, samples).

        R_mk = f_k / L Re(V_mk conj(U_mk)), V the transform of x with the window w and U that of g / W without one, where
        g = R / x (0 where x is 0) and W_n = sum_m w(n - m hop). By Parseval's theorem each frame's sum over k is that of
        w(n - m hop) R_n / W_n over n, and the sum over the frames is that of R over the samples that are not 0.
        """
        sound = exact(waveforms)
        gradient = per_value(exact(relevance), sound) / self._sums.to(sound)
        window = self.window.to(sound)
        weights = (times_in_spectrum(self.length) / self.length).to(sound)

        def products(frames: Tensor, gradients: Tensor) -> Tensor:
            per_cell: Tensor = (torch.fft.rfft(frames * window) * torch.fft.rfft(gradients).conj()).real
            return per_cell * weights

        return self._cells(sound, products, sound, gradient)

    def _cells(self, model: Tensor, transform: Callable[..., Tensor], *signals: Tensor) -> Tensor:
        """Cells (batch, 1, frequencies, frames) that a transform makes of the frames (batch, some, length) of signals."""
        framed = [self._framed(signal) for signal in signals]
        cells = model.new_empty(len(model), 1, self.length // 2 + 1, self.frames)
        for part in self._parts(len(model)):
            cells[:, 0, :, part] = transform(*(frames[:, part] for frames in framed)).transpose(1, 2)
        return cells

    def _framed(self, signals: Tensor) -> Tensor:
        """Frames (batch, frames, length) of signals (batch, samples): a view, which takes no memory."""
        before = self.length // 2
        padded = functional.pad(signals, (before, self._padded - before - self.samples))
        return padded.unfold(1, self.length, self.hop)

    def _overlap_add(self, model: Tensor, frames_of: Callable[[slice], Tensor]) -> Tensor:
        """Sum (batch, samples) of overlapping frames (batch, some, length), which are asked for part by part."""
        total = model.new_zeros(len(model), self._padded)
        for part in self._parts(len(model)):
            frames = frames_of(part)
            size = (frames.shape[1] - 1) * self.hop + self.length
            added = functional.fold(frames.transpose(1, 2), (1, size), (1, self.length), stride=(1, self.hop))
            total[:, part.start * self.hop : part.start * self.hop + size] += added[:, 0, 0]
        before = self.length // 2
        return total[:, before : before + self.samples]

    def _overlapped(self, frame: Tensor) -> Tensor:
        """Sum (1, samples) of the same frame (length,) at every place."""
        return self._overlap_add(frame[None], lambda part: frame.expand(1, part.stop - part.start, self.length))

    def _parts(self, batch: int) -> Iterator[slice]:
        """Frames in parts of at most `CHUNK` numbers, or of a single frame."""
        step = max(1, CHUNK // (batch * self.length))
        return (slice(start, min(start + step, self.frames)) for start in range(0, self.frames, step))

    @property
    def _padded(self) -> int:
        """Length of the waveform with zeros around it, as the frames cover it."""
        return (self.frames - 1) * self.hop + self.length


Domain = Time | Frequency | TimeFrequency | Channelwise

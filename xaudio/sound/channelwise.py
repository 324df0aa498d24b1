"""Recordings of several channels, each of which is read by what reads one."""

from __future__ import annotations

from typing import Any, Self, TypeVar, cast

from torch import Tensor, nn

from ..errors import ModelError

Single = TypeVar("Single")


class Channelwise(nn.Module):
    """A representation or a view of recordings of several channels, each of which is read by itself.

    Parameters
    ----------
    single : Representation or Domain
        Waveforms (batch, samples) to cells (batch, 1, *axes), and back.
    channels : int
        2 or more.

    Attributes
    ----------
    sample_rate, samples, placement, unit, axes, length
        Those of ``single``, as all that it says besides.
    """

    def __init__(self, single: Any, channels: int) -> None:
        super().__init__()
        self.single, self.channels = single, channels

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "single" or name.startswith("_"):
                raise
            return getattr(self.single, name)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Cells (batch, channels, *axes) of waveforms (batch, channels, samples)."""
        return self._joined(self.single(self._apart(waveforms)))

    def at(self, samples: int) -> Self:
        """The same for waveforms of so many samples."""
        return type(self)(self.single.at(samples), self.channels)

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Magnitude of the sound in each cell, (batch, channels, *axes)."""
        return self._joined(self.single.amplitude(self._apart(waveforms)))

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """The sound (batch, channels, samples) that is left when each cell is weighted by a mask (batch, channels, *axes)."""
        left: Tensor = self.single.masked_waveform(self._apart(waveforms), self._cells(mask))
        return self._together(left)

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, channels, samples), from that of the cells (batch, channels, *axes)."""
        samples: Tensor = self.single.to_waveform_relevance(self._apart(waveforms), self._cells(relevance))
        return self._together(samples)

    def from_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of the cells of a view, (batch, channels, *axes), from that of the samples (batch, channels, samples)."""
        return self._joined(self.single.from_waveform_relevance(self._apart(waveforms), relevance.flatten(0, 1)))

    def _apart(self, waveforms: Tensor) -> Tensor:
        if waveforms.ndim != 3 or waveforms.shape[1] != self.channels:
            expected = f"(batch, {self.channels}, {self.single.samples})"
            raise ModelError(f"The representation got waveforms {tuple(waveforms.shape)}; expected {expected}.")
        return waveforms.flatten(0, 1)

    def _together(self, waveforms: Tensor) -> Tensor:
        return waveforms.reshape(-1, self.channels, waveforms.shape[-1])

    def _joined(self, cells: Tensor) -> Tensor:
        return cells.reshape(-1, self.channels * cells.shape[1], *cells.shape[2:])

    def _cells(self, joined: Tensor) -> Tensor:
        return joined.reshape(-1, joined.shape[1] // self.channels, *joined.shape[2:])


def channelwise(single: Single, channels: int) -> Single:
    """What reads one channel, for so many of them; itself for one.

    Parameters
    ----------
    single : Representation or Domain
    channels : int
        1 or more.
    """
    return single if channels == 1 else cast(Single, Channelwise(single, channels))

"""Parts of a recording: bands of frequency, slots of time, cells of both, or separated sources.

A part is itself a sound as long as the recording, with as many channels, and the parts add up to it (or, where bands leave
some frequencies out, to what they cover).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from xaudio.plugin import Baseline, PluginError, Separator, Sound, baseline_waveforms, seeded_generator
from xaudio_segments import partitions

TOLERANCE = 1e-4
"""Largest difference of the sum of the sources and the recording, as a share of its peak."""


class Cut(Protocol):
    """A way to cut recordings into parts."""

    @property
    def load(self) -> int:
        """About how many waveforms are in memory per recording while it is cut."""

    @property
    def alone(self) -> bool:
        """Whether each recording has parts of its own, so that it is computed for itself."""

    def parts(self, sound: Sound) -> Tensor:
        """The parts (batch, parts, samples) of recordings."""

    def stand_ins(self, sound: Sound, parts: Tensor, baseline: Baseline, seed: int) -> Tensor:
        """What stands in for each part (batch, parts, samples)."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Parts by frequency, by time, or by both: part ``band * slots + slot`` is the slot of the band.

    The band is a filter over the whole recording (its discrete Fourier transform times the gains), the slot a window on
    what the filter gives: where gains and windows each sum to 1, the parts sum to the recording.

    Parameters
    ----------
    gains : Tensor, shape (bands, samples // 2 + 1), or None
    windows : Tensor, shape (slots, samples), or None
    """

    gains: Tensor | None = None
    windows: Tensor | None = None
    alone: bool = False

    @property
    def load(self) -> int:
        """Number of parts."""
        return (1 if self.gains is None else len(self.gains)) * (1 if self.windows is None else len(self.windows))

    def _cut(self, waveforms: Tensor) -> Tensor:
        parts, each = waveforms[:, None], (slice(None), *(None,) * (waveforms.ndim - 2))  # alike in all channels
        if self.gains is not None:
            parts = torch.fft.irfft(torch.fft.rfft(parts) * self.gains.to(parts)[each], n=waveforms.shape[-1])
        if self.windows is not None:
            parts = (parts[:, :, None] * self.windows.to(parts)[each]).flatten(1, 2)
        return parts

    def parts(self, sound: Sound) -> Tensor:
        """The parts (batch, parts, samples) of recordings."""
        return self._cut(sound.waveforms)

    def stand_ins(self, sound: Sound, parts: Tensor, baseline: Baseline, seed: int) -> Tensor:
        """The same parts of the baseline (batch, parts, samples)."""
        del parts
        return self._cut(baseline_waveforms(baseline, sound, seed=seed))


@dataclass(frozen=True, eq=False)
class Sources:
    """The sources that a separator finds.

    Parameters
    ----------
    separator : Separator
    name : str
        For messages.
    """

    separator: Separator
    name: str
    alone: bool = False
    load: int = 16  # a separator works on spectra, which are several times larger than the waveform

    def parts(self, sound: Sound) -> Tensor:
        """The sources (batch, sources, samples) of recordings.

        Raises
        ------
        PluginError
            If the separator does not keep its contract.
        """
        waveforms = sound.waveforms.flatten(0, -2)  # each channel by itself
        sources = self.separator(waveforms, sound.representation.sample_rate)
        expected = f"({len(waveforms)}, sources, {waveforms.shape[1]})"
        if not isinstance(sources, Tensor) or sources.ndim != 3 or sources[:, 0].shape != waveforms.shape:
            shape = tuple(sources.shape) if isinstance(sources, Tensor) else type(sources).__name__
            raise PluginError(f"The separator {self.name!r} returned {shape}; expected sources of shape {expected}.")
        peak = waveforms.abs().amax(1, keepdim=True)
        # Written so that NaN is caught as well.
        if not bool(((sources.sum(1) - waveforms).abs() <= TOLERANCE * peak).all()):
            raise PluginError(f"The sources of the separator {self.name!r} do not sum to the recording; it needs to be fixed.")
        return sources.to(waveforms).reshape(*sound.waveforms.shape[:-1], *sources.shape[1:]).movedim(-2, 1)

    def stand_ins(self, sound: Sound, parts: Tensor, baseline: Baseline, seed: int) -> Tensor:
        """The baseline of each source (batch, sources, samples): its own noise floor, its own mean spectrum."""
        apart = replace(sound, waveforms=parts.flatten(0, 1))
        return baseline_waveforms(baseline, apart, seed=seed).view_as(parts)


@dataclass(frozen=True)
class Events:
    """Events of a recording, and what lies outside of them; a slot of time each, with a cross-fade to its neighbours.

    Parameters
    ----------
    explainer : str
        For messages.
    events : str
        See `xaudio_segments.Parts`.
    overlap : float
        See `windows`.
    """

    explainer: str
    events: str
    overlap: float
    alone: bool = True
    load: int = 16  # how many there are is known when the file is read

    def of_all(self, sound: Sound) -> Events:
        """The same, after the files of all recordings were read: what is wrong with one is said before any is computed."""
        partitions(self.events, sound, self.explainer)
        return self

    def parts(self, sound: Sound) -> Tensor:
        """The parts (1, parts, samples) of a recording."""
        return self._grid(sound).parts(sound)

    def stand_ins(self, sound: Sound, parts: Tensor, baseline: Baseline, seed: int) -> Tensor:
        """The same parts of the baseline (1, parts, samples)."""
        return self._grid(sound).stand_ins(sound, parts, baseline, seed)

    def _grid(self, sound: Sound) -> Grid:
        (cut,) = partitions(self.events, sound, self.explainer)
        places = torch.arange(sound.waveforms.shape[-1], dtype=torch.float64) + 0.5
        stretches = windows(torch.from_numpy(cut.edges).double(), places, self.overlap)
        owned = torch.zeros(len(cut.labels), len(places), dtype=torch.float64)
        return Grid(windows=owned.index_add_(0, torch.from_numpy(cut.owners), stretches))


def windows(edges: Tensor, places: Tensor, overlap: float) -> Tensor:
    """Windows (parts, places) between edges, which sum to 1 from the first edge to the last and are 0 outside.

    Parameters
    ----------
    edges : Tensor of float64, shape (parts + 1,)
        Ascending.
    places : Tensor of float64, shape (places,)
    overlap : float
        Width of the raised-cosine cross-fade at an inner edge, as a share of the narrower neighbour; at the outer
        edges the windows are cut.
    """
    steps = (places >= edges[:, None]).double()
    steps[-1] = (places > edges[-1]).double()  # the last place lies within
    widths = edges.diff()
    fades = overlap * torch.minimum(widths[:-1], widths[1:])[:, None]
    if overlap > 0:
        way = ((places - edges[1:-1, None]) / fades + 0.5).clamp(0, 1)
        steps[1:-1] = (1 - torch.cos(torch.pi * way)) / 2
    return steps[:-1] - steps[1:]


def slot_windows(explainer: str, samples: int, slots: int, overlap: float) -> Tensor:
    """Windows (slots, samples) of equally long slots of time.

    Raises
    ------
    PluginError
        If there are more slots than samples.
    """
    if slots > samples:
        raise PluginError(f"{explainer}: {slots} slots are more than the {samples} samples of a recording; give fewer slots.")
    edges = torch.linspace(0, samples, slots + 1, dtype=torch.float64)
    return windows(edges, torch.arange(samples, dtype=torch.float64) + 0.5, overlap)


def band_gains(explainer: str, sound: Sound, bands: int, spacing: str, low: float, high: float | None, overlap: float) -> Tensor:
    """Gains (bands, samples // 2 + 1) of bands between two frequencies in Hz.

    Raises
    ------
    PluginError
        If the limits lie outside of what the recordings hold, or a band is too narrow to hold a frequency of theirs.
    """
    rate, samples = sound.representation.sample_rate, sound.waveforms.shape[-1]
    highest = rate / 2
    high = highest if high is None else high
    if not 0 <= low < high <= highest:
        raise PluginError(
            f"{explainer}: bands from {low:g} to {high:g} Hz are impossible; a recording at {rate} Hz "
            f"holds 0 to {highest:g} Hz, and low must be below high."
        )
    edges = band_edges(bands, spacing, low, high)
    frequencies = torch.arange(samples // 2 + 1, dtype=torch.float64) * (rate / samples)
    gains = windows(edges, frequencies, overlap)
    if not bool((edges.diff() > 0).all() and (gains.sum(1) > 0).all()):
        raise PluginError(
            f"{explainer}: {bands} {spacing} bands from {low:g} to {high:g} Hz are too narrow for recordings of "
            f"{samples} samples, whose frequencies lie {rate / samples:.3g} Hz apart; give fewer bands."
        )
    return gains


def band_edges(bands: int, spacing: str, low: float, high: float) -> Tensor:
    """Edges (bands + 1,) of float64 in Hz.

    "mel" is the scale 2595 log10(1 + f / 700) of O'Shaughnessy (1987).
    """
    if spacing == "mel":
        first, last = (2595 * torch.log10(1 + torch.tensor([low, high], dtype=torch.float64) / 700)).tolist()
        edges = 700 * (10 ** (torch.linspace(first, last, bands + 1, dtype=torch.float64) / 2595) - 1)
    elif spacing == "octave":
        edges = high * 2.0 ** torch.arange(-bands, 1, dtype=torch.float64)
    else:
        edges = torch.linspace(low, high, bands + 1, dtype=torch.float64)
    edges[0], edges[-1] = low, high  # exactly
    return edges


def hats(cells: int, places: Tensor) -> Tensor:
    """Weight (cells, places) of each cell in the linear interpolation between the cells' centres; they sum to 1.

    Parameters
    ----------
    cells : int
        They divide [0, 1]; beyond the centres of the first and the last the interpolation is constant.
    places : Tensor of float64, shape (places,)
        In [0, 1].
    """
    position = (places * cells - 0.5).clamp(0, cells - 1)
    return (1 - (position - torch.arange(cells, dtype=torch.float64)[:, None]).abs()).clamp(min=0)


def drawn(count: int, parts: int, probability: float, seed: int) -> Tensor:
    """Random masks (count, parts) of 0 and 1, float32 on the CPU; 1 with the given probability."""
    generator = seeded_generator(seed)
    return (torch.rand(count, parts, generator=generator, dtype=torch.float32) < probability).float()

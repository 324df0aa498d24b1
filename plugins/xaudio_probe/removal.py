"""Bands of frequency and stretches of time removed from a sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import DataError, Frequency, PluginError, Time

from .test_set import Batch, Control, HeldOut, Imputation, Plan, beside


def raised_cosine(position: Tensor, start: Any, stop: Any, edge: Any) -> Tensor:
    """A mask that is 1 from start to stop and 0 elsewhere, with raised-cosine edges inside that are at most half as long."""
    edge = torch.minimum(torch.as_tensor(edge, dtype=position.dtype), torch.as_tensor((stop - start) / 2, dtype=position.dtype))
    depth = torch.minimum(position - start, stop - position)
    share = torch.where(edge > 0, depth / torch.where(edge > 0, edge, 1), torch.inf).clamp(0, 1)
    return torch.where(depth < 0, 0, (1 - torch.cos(torch.pi * share)) / 2)


def to_mel(frequency: Any) -> Any:
    """Hz to mel, 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    return 2595 * np.log10(1 + np.asarray(frequency) / 700)


def from_mel(mel: Any) -> Any:
    """Mel to Hz."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


@dataclass(frozen=True, kw_only=True)
class Band:
    """Remove a band of frequency; controls are bands of the same width elsewhere.

    Parameters
    ----------
    low, high : float
        Edges of the band, in Hz.
    imputation : {"zero", "noise_floor", "mean_spectrum"}
        What takes its place: nothing, noise as loud as the recording's quietest parts, or noise with its own spectrum.
    edge : float
        Width of the raised-cosine edges inside the band, in Hz; 0 Hz and the highest frequency need none.
    width : {"mel", "hz"}
        In what a random band is as wide as this one. In mel, higher bands are wider in Hz, so that the control removes more.
    """

    low: float
    high: float
    imputation: Imputation = "zero"
    edge: float = 10.0
    width: Literal["mel", "hz"] = "mel"

    def plan(self, held: HeldOut) -> Plan:
        """The plan for a test set.

        Raises
        ------
        DataError
            If the band does not lie in what the model hears, holds no frequency, or leaves no room next to it.
        """
        if not 0 <= self.low < self.high <= held.nyquist:
            raise DataError(
                f"The band of {self.low:g} to {self.high:g} Hz does not fit: expected 0 <= low < high <= {held.nyquist:g} Hz, "
                "half the model's sample rate."
            )
        if not 0 <= self.edge < np.inf:
            raise PluginError(f"The edge of a band is {self.edge:g} Hz; expected a number, 0 or more.")
        representation = held.model.representation
        domain = Frequency(representation.sample_rate, representation.samples)
        bands = [(self.low, self.high), *self.elsewhere(held)]
        masks = [self._mask(domain, low, high, held.nyquist) for low, high in bands]
        if not masks[0].any():
            raise DataError(
                f"The band of {self.low:g} to {self.high:g} Hz holds no frequency of the spectrum, which has one every "
                f"{representation.sample_rate / representation.samples:g} Hz; choose a wider one."
            )
        places = [{"low": low, "high": high} for low, high in bands[1:]]
        shown = "mel" if self.width == "mel" else "Hz"
        words = f"bands of the same width (in {shown}) at random places"

        def logits(batch: Batch) -> Tensor:
            versions = (batch.without(domain, mask.to(batch.waveforms), self.imputation) for mask in masks)
            return torch.stack([batch.logits(version) for version in versions], dim=1)

        return Plan(f"Removing {self.low:g} to {self.high:g} Hz", [Control("random", words, held.draws, places)], logits)

    def elsewhere(self, held: HeldOut) -> list[tuple[float, float]]:
        """The bands of the control, as many as there are draws; all places that do not overlap the band are equally likely.

        Raises
        ------
        DataError
            If there is no such place.
        """
        forth, back = (to_mel, from_mel) if self.width == "mel" else (np.asarray, np.asarray)
        low, high, top = (float(forth(value)) for value in (self.low, self.high, held.nyquist))
        if low < high - low and top - high < high - low:
            raise DataError(
                f"No band as wide as {self.low:g} to {self.high:g} Hz fits next to it below {held.nyquist:g} Hz, so it has no "
                "control: choose a narrower one, or width=hz."
            )
        shares = np.random.default_rng([held.seed, 0]).random(held.draws)
        starts = beside(low, high, top, shares).numpy()
        return [(float(back(start)), min(float(back(start + high - low)), held.nyquist)) for start in starts]

    def _mask(self, domain: Frequency, low: float, high: float, nyquist: float) -> Tensor:
        """1 in the band (1, 1, frequencies)."""
        frequencies = torch.from_numpy(domain.axes[0].centres)
        lowest, highest = (low if low > 0 else -2 * self.edge - 1), (high if high < nyquist else nyquist + 2 * self.edge + 1)
        return raised_cosine(frequencies, lowest, highest, min(self.edge, (high - low) / 2))[None, None]


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Remove a stretch of time of each recording; controls are stretches of the same length elsewhere in it.

    Parameters
    ----------
    start, stop : float
        Of the stretch, from the start of the recording, or of what is heard of it if it was cut to fit the model.
    unit : {"s", "share"}
        Of start and stop: seconds, or shares of the recording's length, for recordings of different lengths.
    imputation : {"zero", "noise_floor", "mean_spectrum"}
        What takes its place: nothing, noise as loud as the recording's quietest parts, or noise with its own spectrum.
    edge : float
        Length of the raised-cosine edges inside the stretch, in seconds.
    """

    start: float
    stop: float
    unit: Literal["s", "share"] = "s"
    imputation: Imputation = "zero"
    edge: float = 0.005

    def plan(self, held: HeldOut) -> Plan:
        """The plan for a test set.

        Raises
        ------
        DataError
            If the stretch does not lie in every recording, or fills them so that no other fits next to it.
        """
        self._check(held)
        start, stop = self._bounds(torch.from_numpy(held.durations))
        length = stop - start
        crowded = int(((start < length) & (torch.from_numpy(held.durations) - stop < length)).sum())
        if crowded == len(start):
            raise DataError(
                f"No stretch as long as {self._shown()} fits next to it in any recording, so it has no control: "
                "choose a shorter one."
            )
        notes = [
            f"in {crowded} of {len(start)} recordings no stretch of the same length fits next to {self._shown()}: "
            "there the control is the one that overlaps it least"
        ]
        domain = Time(held.model.representation.sample_rate, held.model.representation.samples)

        def logits(batch: Batch) -> Tensor:
            places = [self.place(batch), *(self.elsewhere(batch, draw) for draw in range(held.draws))]
            masks = (self._mask(batch, *place, domain.sample_rate) for place in places)
            versions = (batch.without(domain, mask, self.imputation) for mask in masks)
            return torch.stack([batch.logits(version) for version in versions], dim=1)

        control = Control("random", "stretches of the same length at random places of each recording", held.draws)
        return Plan(f"Removing {self._shown()} of each recording", [control], logits, notes if crowded else [])

    def place(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Start and stop (batch,) in seconds from each recording's start."""
        return self._bounds(self._durations(batch))

    def elsewhere(self, batch: Batch, draw: int) -> tuple[Tensor, Tensor]:
        """Start and stop (batch,) of a control's stretch."""
        start, stop = self.place(batch)
        begin = beside(start, stop, self._durations(batch), batch.uniform(draw)[:, 0])
        return begin, begin + stop - start

    def _durations(self, batch: Batch) -> Tensor:
        return batch.lengths.cpu().double() / batch.model.representation.sample_rate

    def _bounds(self, durations: Tensor) -> tuple[Tensor, Tensor]:
        scale = durations if self.unit == "share" else torch.ones_like(durations)
        return self.start * scale, self.stop * scale

    def _mask(self, batch: Batch, start: Tensor, stop: Tensor, rate: int) -> Tensor:
        """1 in the stretch (batch, 1, samples)."""
        seconds = batch.since_start.cpu().double() / rate
        return raised_cosine(seconds, start[:, None], stop[:, None], self.edge)[:, None].to(batch.waveforms)

    def _check(self, held: HeldOut) -> None:
        end, unit = (1.0, "of the recording") if self.unit == "share" else (float(held.durations.min()), "s")
        if not 0 <= self.edge < np.inf:
            raise PluginError(f"The edge of a stretch is {self.edge:g} s; expected a number, 0 or more.")
        if not 0 <= self.start < self.stop:
            raise DataError(f"The stretch of {self.start:g} to {self.stop:g} {unit} does not fit: expected 0 <= start < stop.")
        if self.stop > end and self.unit == "share":
            raise DataError(f"The stretch of {self.start:g} to {self.stop:g} of the recording ends after it: expected stop <= 1.")
        if self.stop > end:
            short = int((held.durations < self.stop).sum())
            raise DataError(
                f"The stretch of {self.start:g} to {self.stop:g} s lies outside {short} of {len(held.durations)} recordings, of "
                f"which the shortest lasts {end:.3f} s: choose an earlier one, or shares of each recording with unit=share."
            )

    def _shown(self) -> str:
        return f"{self.start:g} to {self.stop:g} s" if self.unit == "s" else f"{self.start:.0%} to {self.stop:.0%}"

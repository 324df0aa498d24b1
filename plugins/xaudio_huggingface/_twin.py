"""What all twins of feature extractors share, and the twin of extractors that give the waveform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from xaudio.plugin import Axis, Length, ModelError, Placement, Samples

from ._spectra import exact

CLOSE = 1e-3
"""Largest difference to the extractor, as a share of the range of what it gives."""

READ = ("input_values", "input_features")
"""Names under which models take features."""

ROUNDING = 16 * torch.finfo(torch.float32).eps
"""What an extractor's own rounding may be, as a share of what it rounds."""


class Twin(nn.Module):
    """What a feature extractor makes of recordings of one length, (batch, samples) to (batch, 1, *axes).

    Parameters
    ----------
    extractor : transformers.SequenceFeatureExtractor
        The user's own; its attributes are read, and what it computes is compared with this.
    samples : int, optional
        Of a recording; by default one second, or what comes nearest to it.
    least : int
        The fewest samples that the model takes.

    Attributes
    ----------
    sample_rate, samples, placement, unit, axes, length
        See `xaudio.types.Representation`.
    """

    of: ClassVar[str]
    quiet: ClassVar[float]
    """Range of features below which a difference means nothing."""

    placement: Placement = "start"
    unit: str
    axes: tuple[Axis, ...]

    def __init__(self, extractor: Any, samples: int | None = None, least: int = 1) -> None:
        super().__init__()
        self.extractor, self.least = extractor, least
        self.sample_rate = int(extractor.sampling_rate)
        own = self._length()
        self.length = own._replace(minimum=max(own.minimum, least))
        most = self.length.maximum or self.sample_rate
        self.samples = max(self.length.minimum, min(most, self.sample_rate)) if samples is None else samples

    def _length(self) -> Length:
        """How many samples it takes."""
        return Length(None, 1, None)

    def at(self, samples: int) -> Twin:
        """The same for recordings of another length."""
        return type(self)(self.extractor, samples, self.least)

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """What the extractor gives the model, by name, of features (batch, 1, *axes)."""
        raise NotImplementedError

    def frames(self, features: Tensor) -> tuple[int, int]:
        """How many frames the model is given of features, and how many of them are not masked."""
        return features.shape[-1], features.shape[-1]

    @property
    def window(self) -> int | None:
        """How many samples the extractor reads of every recording; None if all there are."""
        return None

    def said(self) -> tuple[str, ...]:
        """What of a recording is not heard, or is heard besides it."""
        window = self.window
        if window is None or window == self.samples:
            return ()
        seconds, share = window / self.sample_rate, 1 - self.samples / window
        if share < 0:
            return (f"the model reads the first {seconds:.2f} s only, as its feature extractor cuts the rest off",)
        return (f"{share:.0%} of the {seconds:.2f} s that the model reads is {self._filling}",)

    _filling = "padding"

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Magnitude of the sound in each cell, (batch, 1, *axes)."""
        raise NotImplementedError

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """The sound (batch, samples) that is left when each cell is weighted by a mask (batch, 1, *axes)."""
        raise NotImplementedError

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), from that of the cells (batch, 1, *axes)."""
        raise NotImplementedError

    def check(self, waveforms: Tensor) -> None:
        """Compare with the extractor on recordings (batch, samples).

        Raises
        ------
        ModelError
            If it computes something else.
        """
        with torch.no_grad():
            own, rounding = (self.arguments(part.cpu()) for part in (self(waveforms), self.rounding(waveforms)))
        for row, waveform in enumerate(waveforms.detach().cpu().float().numpy()):
            one = slice(row, row + 1)
            self._compare(
                self._extracted(waveform), *({name: part[one] for name, part in parts.items()} for parts in (own, rounding))
            )

    def rounding(self, waveforms: Tensor) -> Tensor:
        """How far the extractor's own rounding may move each feature of recordings, shaped like features.

        A recording, or a band of it, that hardly changes is divided by next to nothing, and so is what was rounded before.
        """
        raise NotImplementedError

    def _extracted(self, waveform: np.ndarray[Any, Any]) -> Mapping[str, Tensor]:
        """What the extractor makes of a recording, without a mask that masks nothing."""
        try:
            extracted = self.extractor(waveform, sampling_rate=self.sample_rate, return_tensors="pt")
        except Exception as error:  # it is anyone's code
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"The {self._name} fails on a recording of {len(waveform)} samples: {reason}.") from None
        parts = {name: torch.as_tensor(part) for name, part in extracted.items()}
        return {name: part for name, part in parts.items() if name != "attention_mask" or not bool(part.bool().all())}

    def _compare(self, extracted: Mapping[str, Tensor], own: Mapping[str, Tensor], rounding: Mapping[str, Tensor]) -> None:
        same = extracted.keys() == own.keys() and all(extracted[name].shape == own[name].shape for name in own)
        if same:
            differences = [
                float(((part.double() - own[name].double()).abs() - (rounding[name] if name in READ else 0)).max())
                / max(float(np.ptp(part.double().numpy())), self.quiet)
                for name, part in extracted.items()
            ]
            if max(differences) <= CLOSE:
                return
            what = f"differs by {max(differences):.2g} of the range"
        else:
            shapes = ({name: tuple(part.shape) for name, part in parts.items()} for parts in (extracted, own))
            what = "gives {}, expected {}".format(*shapes)
        raise ModelError(
            f"The {self._name} computes something else than a {self.of} with its attributes: it {what}. Give a representation "
            "that computes the same (see xaudio.plugin.Representation)."
        )

    @property
    def _name(self) -> str:
        return f"feature extractor {type(self.extractor).__name__}"


class NormalisedWaveform(Samples, Twin):
    """Of mean 0 and variance 1, recording by recording, where the extractor normalises; relevance is taken there."""

    of, quiet = "Wav2Vec2FeatureExtractor", 1e-4

    def __init__(self, extractor: Any, samples: int | None = None, least: int = 1) -> None:
        super().__init__(extractor, samples, least)
        self.normalises = bool(extractor.do_normalize)
        self.unit = "standard deviations" if self.normalises else "full scale"
        self.axes = (Axis("time", "s", np.arange(self.samples) / self.sample_rate),)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(x - mean) / sqrt(variance + 1e-7), as (batch, 1, samples)."""
        if not self.normalises:
            return waveforms[:, None]
        sound = waveforms.to(exact(waveforms))
        return ((sound - sound.mean(1, keepdim=True)) / _deviation(sound)).to(waveforms.dtype)[:, None]

    def rounding(self, waveforms: Tensor) -> Tensor:
        """That of the samples, over the deviation."""
        scale = _deviation(waveforms) if self.normalises else 1
        return (ROUNDING * waveforms.abs().amax(1, keepdim=True) / scale).expand_as(waveforms)[:, None]

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """The samples (batch, samples)."""
        return {"input_values": features[:, 0]}


def _deviation(sound: Tensor) -> Tensor:
    return (sound.var(1, correction=0, keepdim=True) + 1e-7).sqrt()

"""Random masks of frequency, of time, or of both."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xaudio.plugin import PluginError, Sound

from ._masking import Group, Masking
from ._parts import Grid, drawn, hats

DOMAINS = {"frequency": ("frequency",), "time": ("time",), "time_frequency": ("frequency", "time")}


@dataclass(frozen=True)
class FreqRise:
    """Random masking of the recording; see `xaudio_masking.freqrise`."""

    masking: Masking
    domain: str
    masks: int
    cells: int
    probability: float
    centred: bool

    joins_channels = True

    @property
    def internal_batch_size(self) -> int | None:
        """How many recordings are computed at once at most."""
        return self.masking.internal_batch_size

    @torch.no_grad()
    def __call__(self, model: nn.Module, features: Tensor, target: Tensor, *, sound: Sound) -> Tensor:
        """Relevance shaped like features (Brüsch et al. 2024, arXiv 2406.13584; Petsiuk et al. 2018, arXiv 1806.07421).

        S_c = sum_i f(x_i) m_ic / (masks * probability) over the masks i, for cell c of the masks. A mask between the
        centres of its cells is their linear interpolation, and so is S: where the features have the axes of the domain,
        the relevance is S at each of their cells, exactly the mean of score times mask. Else (a waveform has no
        frequencies) S_c is spread over the features by the magnitude of what the cell c lets pass.
        """
        relevance = []
        cut = self._grid(sound)
        masks = drawn(self.masks, cut.load, self.probability, self.masking.seed)
        for group in self.masking.groups(sound, target, cut):
            scores = self.masking.scores(model, group, masks)
            if self.centred:
                scores = scores - scores.mean(1, keepdim=True)
            importance = scores @ masks.to(scores) / (self.masks * self.probability)
            relevance.append(self._placed(group, importance))
        return torch.cat(relevance).to(features)

    def _grid(self, sound: Sound) -> Grid:
        samples = sound.waveforms.shape[-1]
        if self.cells > samples // 2 + 1:
            raise PluginError(f"freqrise: {self.cells} cells are too many for recordings of {samples} samples; give fewer.")
        names = DOMAINS[self.domain]
        frequencies = torch.arange(samples // 2 + 1, dtype=torch.float64) * 2 / samples
        times = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
        return Grid(
            hats(self.cells, frequencies) if "frequency" in names else None,
            hats(self.cells, times) if "time" in names else None,
        )

    def _placed(self, group: Group, importance: Tensor) -> Tensor:
        """Importance (recordings, cells of the mask) as relevance (recordings, channels, *axes)."""
        names, axes = DOMAINS[self.domain], group.sound.representation.axes
        order = [axis.name for axis in axes if axis.name in names]
        if sorted(order) != sorted(names):
            return group.spread(importance)
        rate, samples = group.sound.representation.sample_rate, group.sound.waveforms.shape[-1]
        extent = {"frequency": rate / 2, "time": samples / rate}
        values = importance.view(-1, *(self.cells,) * len(names))
        for name in names:  # each turn takes the first axis of cells and puts the features' axis last
            axis = next(axis for axis in axes if axis.name == name)
            places = torch.as_tensor(axis.centres, dtype=torch.float64) / extent[name]
            values = torch.tensordot(values, hats(self.cells, places.clamp(0, 1)).to(values), dims=([1], [0]))
        values = values.permute(0, *(1 + names.index(name) for name in order))
        shape = [len(axis.centres) if axis.name in names else 1 for axis in axes]
        return torch.where(group.magnitude > 0, values.reshape(len(values), 1, *shape), 0)

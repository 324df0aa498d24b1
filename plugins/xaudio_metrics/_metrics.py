"""Conservation, silence, sparseness and complexity of relevance R, one value per recording.

Relevance that is zero everywhere counts as spread evenly: every metric stays a number (JSON has no NaN).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaudio.plugin import Better, Explanation, FloatArray, Model, ModelError, check_explanations

BATCH = 64
"""Explanations stacked at a time: 26 MB of float64 for spectrograms of 227 x 227 cells."""


@dataclass(frozen=True)
class Conservation:
    """Sum of R over all cells, divided by the logit of the explained class.

    1 says that the explainer distributed the logit completely. It is far from 1 where the biases of the network
    absorb relevance, and has no meaning for explainers that do not conserve it, such as gradients: neither higher nor
    lower values are better.
    """

    better: ClassVar[Mapping[str, Better]] = {"conservation": "none"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            "conservation": (n,). 1 if both the sum and the logit are exactly 0.

        Raises
        ------
        ModelError
            If a logit is exactly 0 but the sum is not, or for what `xaudio.plugin.check_explanations` refuses.
        """
        del model
        sums = np.concatenate([_relevance(batch).sum(1) for batch in _batches(explanations)])
        logits = np.array([explanation.logits[explanation.target] for explanation in explanations], dtype=np.float64)
        undefined = np.flatnonzero((logits == 0) & (sums != 0))
        if undefined.size:
            raise ModelError(
                f"The logit explained for {explanations[undefined[0]].clip.source} is exactly 0, so conservation is not "
                "defined; leave the metric or the recording out."
            )
        return {"conservation": np.divide(sums, logits, out=np.ones_like(sums), where=logits != 0)}


@dataclass(frozen=True)
class Silence:
    """Sum of |R| over the cells where the recording's amplitude is exactly 0, divided by the sum over all cells."""

    better: ClassVar[Mapping[str, Better]] = {"silence": "lower"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            "silence": (n,), 0 to 1; 0 if there is no relevance at all.
        """
        import torch

        del model
        shares: list[FloatArray] = []
        for batch in _batches(explanations):
            magnitude = np.abs(_relevance(batch))
            waveforms = torch.from_numpy(np.stack([explanation.clip.waveform for explanation in batch]))
            with torch.no_grad():
                silent = (batch[0].representation.amplitude(waveforms) == 0).flatten(1).numpy()
            shares.append(_divided((magnitude * silent).sum(1), magnitude.sum(1), otherwise=0.0))
        return {"silence": np.concatenate(shares)}


@dataclass(frozen=True)
class Sparseness:
    """Gini coefficient of |R| (Chalasani et al. 2020; Hurley and Rickard 2009).

    With the n magnitudes v in ascending order, sum_i (2 i - n - 1) v_i / (n sum v).
    """

    better: ClassVar[Mapping[str, Better]] = {"sparseness": "higher"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            "sparseness": (n,), 0 (spread evenly, or zero everywhere) to 1 - 1 / cells (all in one cell).
        """
        del model
        values: list[FloatArray] = []
        for batch in _batches(explanations):
            ordered = np.sort(np.abs(_relevance(batch)), axis=1)
            cells = ordered.shape[1]
            ranks = 2 * np.arange(1, cells + 1) - cells - 1
            values.append(_divided(ordered @ ranks, cells * ordered.sum(1), otherwise=0.0))
        return {"sparseness": np.concatenate(values)}


@dataclass(frozen=True)
class Complexity:
    """Entropy of p = |R| / sum |R|, -sum p ln p, in nats (Bhatt et al. 2020)."""

    better: ClassVar[Mapping[str, Better]] = {"complexity": "lower"}

    def __call__(self, model: Model, explanations: Sequence[Explanation]) -> dict[str, FloatArray]:
        """Measure.

        Returns
        -------
        dict
            "complexity": (n,), 0 (all in one cell) to ln(cells) (spread evenly, or zero everywhere).
        """
        del model
        values: list[FloatArray] = []
        for batch in _batches(explanations):
            magnitude = np.abs(_relevance(batch))
            share = _divided(magnitude, magnitude.sum(1, keepdims=True), otherwise=1 / magnitude.shape[1])
            # 0 ln 0 = 0: the logarithm is taken where there is something, and 0 stands elsewhere.
            logarithms = np.log(share, out=np.zeros_like(share), where=share > 0)
            values.append(0.0 - (share * logarithms).sum(1))
        return {"complexity": np.concatenate(values)}


def _batches(explanations: Sequence[Explanation]) -> Iterator[Sequence[Explanation]]:
    """Explanations in batches, after they were checked."""
    check_explanations(explanations)
    return (explanations[start : start + BATCH] for start in range(0, len(explanations), BATCH))


def _relevance(batch: Sequence[Explanation]) -> FloatArray:
    """Relevance (batch, cells) in float64."""
    return np.stack([explanation.relevance for explanation in batch]).reshape(len(batch), -1).astype(np.float64)


def _divided(numerator: FloatArray, denominator: FloatArray, *, otherwise: float) -> FloatArray:
    """Numerator / denominator, and another value where the denominator is 0."""
    result = np.full_like(numerator, otherwise)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)

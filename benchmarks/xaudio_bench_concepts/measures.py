"""What is known of the sounds, held against what is said of the channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import xaudio
import xaudio.plugin
from xaudio.plugin import Dataset, Explanation, FloatArray, IntArray, Model
from xaudio_concepts import ConceptResults

HALF_WIDTH = 40
"""Hz on either side of a carrier that are taken out."""

BATCH = 32


@dataclass(frozen=True, eq=False)
class Tested:
    """The test recordings of a model.

    Parameters
    ----------
    model : Model
    dataset : Dataset
    indices : ndarray of int
    layer : str
    waveforms : Tensor, shape (recordings, samples)
    predicted, labels : ndarray of int, shape (recordings,)
    """

    model: Model
    dataset: Dataset
    indices: IntArray
    layer: str
    waveforms: Tensor
    predicted: IntArray
    labels: IntArray


def tested(model: Model, dataset: Dataset, indices: IntArray, layer: str) -> Tested:
    """The test recordings as the model hears them, and what it makes of them."""
    waveforms = torch.cat([batch for _, batch in xaudio.plugin.placed_waveforms(model, dataset, indices)])
    predicted = np.concatenate([_logits(model, part).argmax(1).numpy() for part in waveforms.split(BATCH)])  # type: ignore[no-untyped-call]
    labels = dataset.labels(model.task)[indices]
    return Tested(model, dataset, indices, layer, waveforms, predicted, labels)


def _logits(model: Model, waveforms: Tensor, layer: str = "", kept: Tensor | None = None) -> Tensor:
    """Logits on the CPU, with the channels that are not kept set to 0."""
    handles = []
    if kept is not None:
        module = model.network.get_submodule(layer)
        handles = [module.register_forward_hook(lambda *args: args[-1] * kept.reshape(-1, *[1] * (args[-1].ndim - 2)))]
    try:
        with torch.no_grad(), xaudio.plugin.evaluation_mode(model.network):
            return model.logits(model.features(waveforms)).cpu()
    finally:
        for handle in handles:
            handle.remove()


def activations(one: Tested, waveforms: Tensor) -> FloatArray:
    """Rectified activation of each channel, mean over positions, (recordings, channels)."""
    activations_of_batches: list[Tensor] = []
    module = one.model.network.get_submodule(one.layer)
    handle = module.register_forward_hook(lambda *args: activations_of_batches.append(args[-1].flatten(2).relu().mean(2).cpu()))
    try:
        with torch.no_grad(), xaudio.plugin.evaluation_mode(one.model.network):
            for part in waveforms.split(BATCH):  # type: ignore[no-untyped-call]
                one.model.logits(one.model.features(part))
    finally:
        handle.remove()
    return np.asarray(torch.cat(activations_of_batches).double().numpy())


def tuning(one: Tested, carriers: Mapping[str, float]) -> FloatArray:
    """By how much a carrier raises each channel's activation where it sounds, (channels, carriers).

    Parameters
    ----------
    one : Tested
    carriers : mapping of str to float
        Frequency in Hz by name.
    """
    names, before = classes_of(one), activations(one, one.waveforms)
    frequencies = torch.fft.rfftfreq(one.waveforms.shape[1], 1 / one.model.representation.sample_rate)
    effects = []
    for name, frequency in carriers.items():
        rows = np.flatnonzero([name in names[label] for label in one.labels])
        kept = ((frequencies - frequency).abs() > HALF_WIDTH).to(one.waveforms)
        without = torch.fft.irfft(torch.fft.rfft(one.waveforms[rows]) * kept, one.waveforms.shape[1])
        effects.append((before[rows] - activations(one, without)).mean(0))
    return np.stack(effects, 1)


def classes_of(one: Tested) -> list[str]:
    """Names of the classes; that of no carrier holds none of their letters."""
    return ["" if name == "none" else name for name in one.model.classes]


def carrying(one: Tested, results: ConceptResults, top: int) -> dict[int, list[int]]:
    """The channels with the largest mean share in recordings that are predicted as a class, by class."""
    shares = {name: {item.channel: item.classes.get(name, 0.0) for item in results.channels} for name in results.classes}
    predicted = set(one.predicted.tolist())
    return {
        label: sorted(shares[name], key=lambda channel: -shares[name][channel])[:top]
        for label, name in enumerate(results.classes)
        if label in predicted
    }


def masses(
    one: Tested, explainer: str, channels: Sequence[int | None], rows: IntArray, truths: Sequence[str], boxes: Sequence[slice]
) -> FloatArray:
    """Share of the positive relevance through each channel that lies in boxes, (channels, recordings, boxes).

    Parameters
    ----------
    one : Tested
    explainer : str
    channels : sequence of int or None
        None for the whole explanation.
    rows : ndarray of int
        Recordings, which are explained for their labels.
    truths : sequence of str
        Entry of the truth that each of ``boxes`` is taken from.
    boxes : sequence of slice
        Rows of these entries.
    """
    clips = [one.dataset[int(one.indices[row])] for row in rows]
    name, own_options = xaudio.plugin.parse_spec(explainer)
    masses_by_channel, masks = [], None
    with xaudio.plugin.progress("Measuring heat maps", len(channels)) as advance:
        for channel in channels:
            options: dict[str, Any] = {} if channel is None else {"layer": one.layer, "channels": (channel,)}
            options |= own_options
            explanations = xaudio.explain(
                one.model,
                clips,
                explainer=name,
                target=one.labels[rows].tolist(),
                device=str(one.model.device),
                resampling=one.model.rules.resampling,
                placement=one.model.representation.placement,
                **options,
            )
            seen = [_in_domain_of_truth(item) for item in explanations]
            masks = masks or [[_mask(item, *box) for box in zip(truths, boxes, strict=True)] for item in seen]
            masses_by_channel.append([[_share(item, mask) for mask in own] for item, own in zip(seen, masks, strict=True)])
            advance()
    return np.array(masses_by_channel)


def _in_domain_of_truth(explanation: Explanation) -> Explanation:
    domain = xaudio.plugin.truth_domain(explanation)
    return explanation if set(domain.split("-")) <= set(explanation.domain.split("-")) else explanation.view(domain)


def _mask(explanation: Explanation, truth: str, rows: slice) -> FloatArray:
    clip = explanation.clip
    part = replace(clip, truth={"part": clip.truth[truth][rows]})
    return np.asarray(xaudio.plugin.truth_mask(replace(explanation, clip=part), "part"))


def _share(explanation: Explanation, mask: FloatArray) -> float:
    positive = explanation.relevance.clip(min=0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total else np.nan


def cells_in(one: Tested, rows: IntArray, truth: str) -> float:
    """Share of the cells that lie in the boxes, mean over recordings."""
    clips = [one.dataset[int(one.indices[row])] for row in rows]
    explanations = xaudio.explain(
        one.model,
        clips,
        explainer="amplitude",
        resampling=one.model.rules.resampling,
        placement=one.model.representation.placement,
    )
    return float(np.mean([_mask(_in_domain_of_truth(item), truth, slice(None)).mean() for item in explanations]))


def switching(one: Tested, carriers: Mapping[int, Sequence[int]], channels: int, draws: int, seed: int) -> list[FloatArray]:
    """Change of the class's logit when its channels are switched off, and as many others, (1 + draws,) for each class."""
    rng = np.random.default_rng(seed)
    effects = []
    with xaudio.plugin.progress("Switching channels off", len(carriers)) as advance:
        for label, own in carriers.items():
            others = np.setdiff1d(np.arange(channels), own)
            waveforms = one.waveforms[np.flatnonzero(one.predicted == label)[:BATCH]]
            before = _logits(one.model, waveforms)[:, label]
            sets = [own, *(rng.choice(others, min(len(own), len(others)), replace=False) for _ in range(draws))]
            changes = []
            for off in sets:
                kept = torch.ones(channels, device=one.model.device)
                kept[list(off)] = 0
                changes.append(float((_logits(one.model, waveforms, one.layer, kept)[:, label] - before).mean()))
            effects.append(np.array(changes))
            advance()
    return effects

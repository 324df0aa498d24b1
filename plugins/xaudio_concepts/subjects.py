"""The recordings whose prediction the channels should carry: some of the reference data, or recordings that were given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from xaudio.plugin import (
    ConditionalExplainer,
    DataError,
    Dataset,
    Explanation,
    FloatArray,
    IntArray,
    Model,
    channels_of,
    evenly,
    placed_waveforms,
    progress,
    save_and_render,
)

from .channels import Measured, Through, measured, spec_through
from .references import Source, explained_clips
from .results import Explained

SWITCHED = 64
"""Recordings, evenly spread, on which channels are switched off."""


class Chosen(NamedTuple):
    """The recordings whose prediction the channels should carry.

    Parameters
    ----------
    shares : ndarray, shape (recordings, channels)
    reaching : ndarray, shape (recordings,)
        Relevance at the layer as a share of the logit.
    waveforms : Tensor, shape (some recordings, samples)
        Of those on which channels are switched off.
    targets : ndarray of int
        Their explained classes.
    """

    shares: FloatArray
    reaching: FloatArray
    waveforms: torch.Tensor
    targets: IntArray


def of_data(model: Model, dataset: Dataset, indices: IntArray, measured: Measured, wanted: int | None) -> Chosen:
    """The recordings of the reference data that are predicted as the class, or all of them."""
    predicted = measured.logits.argmax(1)
    rows = np.arange(len(predicted)) if wanted is None else np.flatnonzero(predicted == wanted)
    if not len(rows):
        classes = sorted({model.classes[one] for one in predicted})
        raise DataError(
            f"No recording of {dataset.title} is predicted as {model.classes[wanted or 0]!r} (predicted: "
            f"{', '.join(classes)}); take another class, or give recordings."
        )
    some = evenly(rows, SWITCHED)
    waveforms = torch.cat([batch for _, batch in placed_waveforms(model, dataset, indices[some])])
    logits = measured.logits[np.arange(len(predicted)), predicted]
    reaching = measured.relevance.sum(1) / np.where(logits == 0, np.inf, logits)
    return Chosen(measured.shares[rows], reaching[rows], waveforms, predicted[some])


def of_audio(model: Model, explainer: ConditionalExplainer, layer: str, wholes: Sequence[Explanation]) -> Chosen:
    """The recordings that were given."""
    waveforms = torch.from_numpy(np.stack([item.clip.waveform for item in wholes])).to(model.device)
    targets = np.array([item.target for item in wholes])
    wanted = torch.from_numpy(targets).to(model.device)
    channels = Measured(
        measured(model, explainer, layer, waveforms, wanted).numpy(), channels_of(model.network.get_submodule(layer))
    )
    logits = np.array([item.logits[item.target] for item in wholes])
    reaching = channels.relevance.sum(1) / np.where(logits == 0, np.inf, logits)
    return Chosen(channels.shares, reaching, waveforms, targets)


def parts_of_audio(
    source: Source,
    clips: Sequence[Any],
    wholes: Sequence[Explanation],
    shares: FloatArray,
    channels: Sequence[int],
    renderers: Sequence[str],
    out: Path | None,
) -> list[Explained]:
    """What each channel speaks for in the recordings that were given, as ordinary explanations."""
    folders = [{"whole": f"explanations/{number}/whole"} for number in range(1, len(wholes) + 1)]
    if out is not None and wholes:
        with progress("Explaining through channels", len(wholes) * len(channels)) as advance:
            for whole, folder in zip(wholes, folders, strict=True):
                save_and_render([whole], renderers, out / folder["whole"], for_page=True)
            for channel in channels:
                explainer, spec = (
                    Through(source.explainer, source.layer, [channel]),
                    spec_through(source.spec, source.layer, [channel]),
                )
                targets = [whole.target for whole in wholes]
                rules = source.model.rules_in(source.dataset)
                explanations = explained_clips(source.model, explainer, spec, clips, targets, source.batch_size, rules)
                for number, explanation in enumerate(explanations, 1):
                    folders[number - 1][str(channel)] = f"explanations/{number}/channel-{channel:04d}"
                    save_and_render([explanation], renderers, out / folders[number - 1][str(channel)], for_page=True)
                    advance()
    return [
        Explained(
            source=whole.clip.name,
            predicted=whole.classes[whole.predicted],
            explained=whole.classes[whole.target],
            label=None if whole.label is None else whole.classes[whole.label],
            shares={str(channel): float(row[channel]) for channel in channels},
            whole=None if out is None else folder["whole"],
            parts={} if out is None else {name: path for name, path in folder.items() if name != "whole"},
        )
        for whole, row, folder in zip(wholes, shares[: len(wholes)], folders, strict=True)
    ]

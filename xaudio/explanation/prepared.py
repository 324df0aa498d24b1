"""Explanations of recordings that are prepared: batch by batch, in one or more views."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import DataError
from ..model.attribution import attribute, expected_sums
from ..model.model import Model
from ..model.probability import PROBABLE
from ..output.runs import versions
from ..output.terminal import progress
from ..sound.labels import label_index
from ..sound.rules import PlacedClips, Rules
from ..types import Clip, Excerpt, Explainer, Placed, Representation
from .explanation import Explanation
from .seen import seen_in
from .table import Explanations
from .views import other_domain

TOGETHER = "this explainer takes parts away in all channels at once, so that its relevance does not tell the channels apart"
"""What is noted where relevance of channels means nothing of theirs alone."""

BATCH = 32
"""Recordings explained at once; on a CPU 16 to 32 cost least per recording."""


def provenance_of(model: Model, explainer: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """What an explanation says of its origin: model, representation, explainer, and the rules its recording was prepared by.

    Parameters
    ----------
    model : Model
    explainer : dict
        Name and options, as `as_explainer` gives them.
    rules : Rules
    """
    trained_on = str(model.facts.get("data", ""))
    # Runs of before this fact was kept are known by the title of their data.
    synthetic = model.facts.get("synthetic", "synthetic" in trained_on)
    return {
        "model": {**model.model_spec, "run": model.facts.get("run")},
        "representation": dict(model.representation_spec),
        "explainer": explainer,
        "trained_on": trained_on,
        **({"synthetic": True} if synthetic else {}),
        "seed": rules.seed,
        "fit": rules.fit,
        "resampling": rules.resampling,
    }


def explain_prepared(
    model: Model,
    explainer: Explainer,
    clips: Sequence[Clip],
    placed: PlacedClips,
    targets: Sequence[int] | None,
    provenance: dict[str, Any],
    *,
    batch_size: int = BATCH,
    views: Sequence[str | None] = (None,),
) -> Explanations:
    """Explanations of prepared recordings, batch by batch: of all in the first view, then of all in the second.

    Parameters
    ----------
    model : Model
    explainer : callable
    clips : sequence of Clip
        What the model heard, for names and labels.
    placed : PlacedClips
        The same as `Model.hear` gives them.
    targets : sequence of int or None
        The classes to explain; None for the predicted ones.
    provenance : dict
    batch_size : int
    views : sequence of str or None
        See `explain`.
    """
    domains = [other_domain(view, model.representation) for view in views]
    labels = [_label(clip, model) for clip in clips]
    facts = provenance | {"device": str(model.device), "versions": versions(), "placed_by": placed.rules.placement}
    # Renderers work on the CPU; a representation made by a plugin they make again.
    representation = None if model.representation_spec else _on_cpu(model.representation)
    by_domain = [Explanations() for _ in domains]
    title = f"Explaining with {provenance.get('explainer', {}).get('name', 'an explainer')}"
    with progress(title, len(clips), always=False) as advance:
        for start in range(0, len(clips), batch_size):
            chosen = slice(start, min(start + batch_size, len(clips)))
            waveforms = placed.batch(chosen)
            wanted = None if targets is None else torch.tensor(targets[chosen], device=model.device)
            attributed = features, relevance, logits, explained = attribute(
                model, explainer, waveforms, wanted, _excerpts(clips, placed, chosen)
            )
            sums = expected_sums(model, explainer, waveforms, attributed)
            batch = []
            for row, index in enumerate(range(chosen.start, chosen.stop)):
                clip = replace(
                    clips[index],
                    waveform=waveforms[row].cpu().numpy(),
                    sample_rate=model.representation.sample_rate,
                    labels={**clips[index].labels, **({} if labels[index] is None else {model.task: labels[index]})},
                    notes=(
                        *placed.prepared.notes[index],
                        *model.facts.get("notes", ()),
                        *_on_padding(model.representation, relevance[row]),
                        *([TOGETHER] if model.channels > 1 and getattr(explainer, "joins_channels", False) else []),
                    ),
                )
                batch.append(
                    Explanation(
                        clip=clip,
                        features=features[row].cpu().numpy(),
                        relevance=relevance[row].cpu().numpy(),
                        axes=model.representation.axes,
                        logits=logits[row].cpu().numpy(),
                        classes=model.classes,
                        target=int(explained[row]),
                        task=model.task,
                        provenance={
                            **facts,
                            **({"exclusive": True} if model.facts.get("exclusive") else {}),
                            "placement": _position(clips[index], placed, index)._asdict(),
                            "original_sample_rate": clips[index].sample_rate,
                            **({} if sums is None else {"completeness": sums.record(row)}),
                        },
                        kind=model.kind,
                        _representation=representation,
                    )
                )
            for seen, domain in zip(by_domain, domains, strict=True):
                seen += seen_in(domain, batch, model.representation, waveforms, relevance)
            advance(chosen.stop - chosen.start)
    return Explanations(explanation for seen in by_domain for explanation in seen)


def _on_padding(representation: Representation, relevance: Tensor) -> tuple[str, ...]:
    """How much of the relevance (channels, *axes) lies where the representation itself fills up, if it says where."""
    padding = getattr(representation, "padding", None)
    if padding is None:
        return ()
    sizes = relevance.abs()
    share = float(
        (sizes * torch.as_tensor(padding, device=sizes.device)).sum() / sizes.sum().clamp(min=torch.finfo(sizes.dtype).tiny)
    )
    return (f"{share:.0%} of the absolute relevance lies on padding",)


def _excerpts(clips: Sequence[Clip], placed: PlacedClips, chosen: slice) -> list[Excerpt]:
    """Which recordings some of the waveforms are."""
    rows = range(chosen.start, chosen.stop)
    return [Excerpt(clips[row].source, clips[row].whole[1], _position(clips[row], placed, row)) for row in rows]


def _position(clip: Clip, placed: PlacedClips, row: int) -> Placed:
    """Where the recording of a clip lies, of which the clip may be a window."""
    position = placed.position(row)
    return position._replace(start=position.start + clip.whole[0])


def _label(clip: Clip, model: Model) -> int | tuple[str, ...] | None:
    """Index of a clip's true class in the model's task, or the names of several that are true.

    None where it is unknown, or the outputs are no classes.
    """
    if model.kind not in PROBABLE:
        return None
    label, names = clip.labels.get(model.task), model.classes
    where = f"{clip.source}: its label of task {model.task!r}"
    if isinstance(label, tuple):
        return tuple(names[index] for one in label if (index := label_index(one, names, where)) is not None)
    if len(names) == 1 and not (label is None or isinstance(label, str)):
        raise DataError(f"{where} is {label!r}, which could mean that {names[0]!r} is there or not; give the name, or none.")
    return label_index(label, names, where)


def _on_cpu(representation: Representation) -> Representation:
    return deepcopy(representation).cpu() if isinstance(representation, nn.Module) else representation

"""What a network takes and what it returns, found by running it on a sound."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..registry.randomness import seeded_generator
from ..types import Kind
from .adapting import AS_IT_IS, Adapted, Shapes, asked_arguments, chosen_part, forms, layout_of, part_of, run_form, takes_one
from .lengths import length_of
from .model import Model
from .modes import offered_by
from .probability import ASSUMED
from .scored import OneLogit
from .squashing import LogOdds, Unsquashed, are_probabilities, are_unit_vectors, last_squash, squashing_noted
from .trial import example_sound, undisturbed


@dataclass
class Understood:
    """A network as it is worked with.

    Parameters
    ----------
    network : nn.Module
        Features ``(batch, channels, *axes)`` to scores (batch, *frames, outputs).
    features, scores : Tensor
        An example, and what it says of it.
    kind : str or None
        What its outputs are, as far as that is known.
    notes : list of str
        What was found out and is worth saying.
    """

    network: nn.Module
    features: Tensor
    scores: Tensor
    kind: Kind | None
    notes: list[str] = field(default_factory=list)


def understood(raw: Model, kind: Kind | None, names: tuple[str, ...], output: int | str | None) -> Understood:
    """The network behind what brings features to what it takes, and its output to scores; see `answering`."""
    examples = _examples(raw)
    failed: list[ModelError] = []  # first what ran, and whose output cannot be told
    candidates: list[Understood] = []
    with undisturbed(raw.network, examples[0]), torch.no_grad():
        ran = False
        for takes in forms(examples[0]):
            if takes_one(takes) and (ran or candidates):
                break
            try:
                candidates.append(_tried(raw, takes, examples, kind, len(names), output))
            except ModelError as error:
                ran = ran or error.__cause__ is None
                failed.insert(0 if error.__cause__ is None and failed and failed[0].__cause__ else len(failed), error)
            else:
                if _fits(candidates[-1], len(names)):
                    return candidates[-1]
    if not candidates:
        raise failed[0]
    return candidates[0]


def _fits(understanding: Understood, names: int) -> bool:
    """Whether there are as many outputs as names; of two classes there may be one logit."""
    outputs = understanding.scores.shape[-1]
    return names in (0, outputs) or (names, outputs) == (2, 1)


def _examples(raw: Model) -> list[Tensor]:
    """Features of a sound, and of a longer one where the representation takes other lengths."""
    read = raw.representation
    length, lengths = length_of(read), [read.samples]
    if length.fixed is None and (length.maximum is None or length.maximum >= 2 * read.samples):
        lengths.append(2 * read.samples)
    with torch.no_grad():
        return [raw.at(samples).features(example_sound(read, samples).to(raw.device)) for samples in lengths]


def _tried(raw: Model, takes: str, examples: list[Tensor], kind: Kind | None, names: int, output: int | str | None) -> Understood:
    network, one, notes = raw.network, examples[0], []
    adapted = Adapted(network, takes, asked_arguments(network), sample_rate=raw.representation.sample_rate)
    returned = run_form(adapted, one.clone())
    adapted.output = chosen_part(returned, output)
    masks = [name for name in adapted.asks if "mask" in name]
    if masks and not _depends_on_sound(adapted, one):
        adapted.flipped = True
        run_form(adapted, one.clone())
    single = tuple(part_of(returned, adapted.output).shape)
    pair = _shape(adapted, torch.cat([one, one.flip(-1) * 0.5])) if not takes_one(takes) else None
    adapted.alone = pair is None
    longer = _shape(adapted, examples[1]) if len(examples) > 1 else None
    adapted.layout = layout_of(Shapes(single, pair, longer), kind, names)
    scores = adapted(one.clone())
    if takes != AS_IT_IS:
        notes.append(f"the network takes features as {takes}")
    if adapted.asks:
        notes.append(f"the network is given {', '.join(adapted.asks)}: all of the recording, none of it padding")
    if adapted.output is not None:
        notes.append(f"what the network returns as {adapted.output!r} is its answer")
    if adapted.alone:
        notes.append("the network takes one recording at a time")
    return Understood(adapted if adapted.is_needed else network, one, scores, kind, notes)


def _shape(adapted: Adapted, features: Tensor) -> tuple[int, ...] | None:
    try:
        return tuple(part_of(run_form(adapted, features), adapted.output).shape)
    except ModelError:
        return None


def _depends_on_sound(adapted: Adapted, features: Tensor) -> bool:
    """Whether what the network says is finite and another for another sound, so that its mask lets the sound through."""
    said: list[Any] = [part_of(run_form(adapted, sound.clone()), adapted.output) for sound in (features, features.flip(-1) * 0.5)]
    return bool(said[0].isfinite().all()) and not torch.equal(*said)


def answering(
    raw: Model, names: tuple[str, ...], kind: Kind | None, output: int | str | None = None, squashed: bool = False
) -> Model:
    """A model of a network that is anyone's: what it takes and returns is found out, and said in its notes.

    Parameters
    ----------
    raw : Model
        The network with its representation.
    names : tuple of str
        Of the outputs; numbers serve as names where there are none.
    kind : str or None
        What the outputs are, if that is known.
    output : int or str, optional
        Which part of what the network returns is its answer.
    squashed : bool
        Whether a softmax or sigmoid at its end stays there.

    Raises
    ------
    ModelError
        If it takes features in no known form, or what it returns cannot be told.
    """
    understanding = understood(raw, kind, names, output)
    if kind not in ("values", "embedding") and not squashed:
        understanding = _unsquashed(understanding, kind)
    one_logit = len(names) == 2 and understanding.scores.shape[1:] == (1,) and kind in (None, "classes")
    if one_logit:
        note = f"the network's one logit speaks for {names[1]!r} where it is positive, and for {names[0]!r} where it is negative"
        understanding = Understood(
            OneLogit(understanding.network), understanding.features, understanding.scores, "labels", [*understanding.notes, note]
        )
    outputs = 2 if one_logit else understanding.scores.shape[-1]
    framed = understanding.scores.ndim == 3 and understanding.kind not in ("frames", "ctc")
    told: Kind = "frames" if framed else understanding.kind or "classes"
    assumed = understanding.kind is None and not framed and outputs > 1
    notes = [*raw.facts.get("notes", ()), *understanding.notes, *([ASSUMED] if assumed else [])]
    return replace(
        raw,
        network=understanding.network,
        classes=names or tuple(map(str, range(outputs))),
        kind=told,
        facts={**raw.facts, "notes": notes, **({"exclusive": True} if one_logit else {})},
    )


def _unsquashed(understanding: Understood, kind: Kind | None) -> Understood:
    """The network without the softmax or sigmoid that it ends with, if it does, or with log-odds instead of its probabilities."""
    features, network = understanding.features, understanding.network
    with undisturbed(network, features), torch.no_grad():
        ends = last_squash(network, features) if "gradient" in offered_by(network) else None
        if ends is not None:
            call, squash = ends
            logits = Unsquashed(network, call)
            told: Kind = "classes" if "softmax" in squash else "labels"
            return Understood(
                logits, features, logits(features.clone()), kind or told, [*understanding.notes, squashing_noted(squash)]
            )
        scores = torch.cat([network(example) for example in _extremes(features)])
        if kind is None and are_unit_vectors(scores):
            return replace(
                understanding, kind="embedding", notes=[*understanding.notes, "vectors of length 1 are taken for an embedding"]
            )
        if kind == "ctc" or not are_probabilities(scores):
            return understanding
        exclusive = scores.shape[-1] > 1 and kind != "labels" and bool(((scores.sum(-1) - 1).abs() < 1e-3).all())
        odds = LogOdds(network, exclusive)
        note = (
            "the network returns probabilities: their logarithms are explained"
            if exclusive
            else ("the network returns probabilities p: the log-odds ln(p / (1 - p)) are explained")
        )
        told = "classes" if exclusive else "labels"
        return Understood(odds, features, odds(features.clone()), kind or told, [*understanding.notes, note])


def _extremes(features: Tensor) -> list[Tensor]:
    """Features so far apart that what is no probability leaves the range from 0 to 1."""
    noise = torch.rand(features.shape, generator=seeded_generator(1)).to(features) - 0.5
    return [features, features.flip(-1), 1e3 * features, -1e3 * features, noise, 1e3 * noise]

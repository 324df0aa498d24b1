"""What is asked of a model, as a user says it: an index, a name, "dog@1.2-1.8", a score, a callable."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from ..output.words import counted
from ..registry.plain import whole
from ..types import Axis
from .answers import Answer, Contrast, Output, Score, Similarity, as_score, class_index, named
from .arguments import clip_for
from .ctc import Path, Steps, path_steps
from .model import Model
from .running import evaluation_mode
from .scored import above_mean

Question: TypeAlias = int | Score
"""An output of a model's network by its index, or a score of its answer."""

SPAN = re.compile(r"(?P<name>.*)@\s*(?P<start>[\d.]+)\s*-\s*(?P<end>[\d.]+)\s*s?\s*", re.DOTALL)
SIMILAR = "similar:"
FRAMED = ("frames", "ctc")


@dataclass(frozen=True)
class Clearest:
    """The output with the largest score in any frame: its mean over the frames where it is above its own mean."""

    names: tuple[str, ...] = ("the clearest output",)

    def __call__(self, answer: Answer) -> Tensor:
        """The score (batch, 1) of recordings that share their clearest output and its frames."""
        return clearest_steps(answer)(answer)


@dataclass(frozen=True)
class Summed:
    """All that a score tells of a recording as one number, its sum, which keeps its name."""

    score: Score
    names: tuple[str, ...]

    def __call__(self, answer: Answer) -> Tensor:
        """The sum (batch, 1)."""
        return self.score(answer).sum(1, keepdim=True)


def questions(target: Any, count: int, model: Model) -> list[Question] | None:
    """What is asked of each of so many recordings; None for what the model itself says is first.

    Parameters
    ----------
    target : index, name, Score or callable, or a list of these, one for each recording
        None for the default.
    count : int
    model : Model

    Raises
    ------
    ModelError
        If the model has no such output, or their number is not that of the recordings.
    """
    if target is None:
        defaults: dict[str, Question] = {"frames": Clearest(), "ctc": Path()}
        return [defaults[model.kind]] * count if model.kind in defaults else None
    target = target.tolist() if callable(getattr(target, "tolist", None)) else target  # of numpy, torch or a table
    wanted = list(target) if isinstance(target, list | tuple | range) else [target] * count
    if len(wanted) != count:
        targets, recordings = counted(len(wanted), "target is", "targets are"), counted(count, "recording")
        raise ModelError(f"{targets} given for {recordings}; give one for all, or one for each.")
    asked: dict[Any, Question] = {}  # the same question is asked once, so that recordings go together
    keys = [(type(item), item) if isinstance(item, str | int) else id(item) for item in wanted]
    for key, item in zip(keys, wanted, strict=True):
        if key not in asked:
            asked[key] = question(item, model)
    return [asked[key] for key in keys]


def question(target: Any, model: Model) -> Question:
    """What one target asks of a model.

    Raises
    ------
    ModelError
        If the model has no such output, or the target is none.
    """
    if isinstance(target, str):
        return _of_text(target, model)
    if isinstance(target, Output) and target.span is None and target.over == "mean":
        return _output(target.index, model)
    if callable(target) and whole(target) is None:
        return _checked(as_score(target), model)
    return _output(target, model)


def _of_text(text: str, model: Model) -> Question:
    if text in model.classes or text.strip() in model.classes:
        return _output(text, model)
    if text.strip().isdecimal():
        return _output(int(text), model)
    if text.startswith(SIMILAR):
        return _checked(Similarity(text.removeprefix(SIMILAR).strip()), model)
    if model.kind == "embedding":
        return _described(text, model)
    spanned = SPAN.fullmatch(text)
    if spanned is None:
        return _output(text, model)
    start, end = (_seconds(spanned[part], text) for part in ("start", "end"))
    index = spanned["name"].strip()
    index_or_name: int | str = int(index) if index.isdecimal() and index not in model.classes else index
    return _checked(Output(index_or_name, (start, end)), model)


def _described(text: str, model: Model) -> Score:
    """How well a text describes the sound."""
    embedding = model.embedding_of(text)
    if embedding is None:
        raise ModelError(
            f"The target is {text!r}, but the model gives an embedding and reads no text: ask how similar it is to a recording, "
            f"as in {SIMILAR}FILE. (CLAP reads texts with its processor, which holds the tokenizer.)"
        )
    return Similarity(embedding, name=text)


def _seconds(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"{where!r}: {text!r} is not a time; expected a name with its seconds, as in dog@1.2-1.8.") from None


def _output(wanted: Any, model: Model) -> Question:
    """An output by its index or name: of the network itself, or, of a model with frames, its mean over them."""
    index = class_index(wanted, model.classes)
    return Output(model.classes[index]) if model.kind in FRAMED else index


def _checked(score: Score, model: Model) -> Score:
    """The score with names of outputs and the embeddings of references, checked as far as it can be without a recording."""
    spans = [part.span for part in parts_of(score) if isinstance(part, Output) and part.span is not None]
    if spans and model.kind not in FRAMED:
        raise ModelError("The model answers once for the whole recording, without frames: ask for a class, not for a span of it.")
    if any(start >= end for start, end in spans):
        raise ModelError(f"The span {spans[0][0]:g} to {spans[0][1]:g} s is empty; expected its start before its end.")
    if any(isinstance(part, Path) for part in parts_of(score)) and model.kind not in FRAMED:
        raise ModelError(f"A path needs the symbols of frames (kind='ctc'); the model's outputs are of the kind {model.kind!r}.")
    return _embedded(named(score, model.classes), model)


def parts_of(score: Any) -> list[Any]:
    """The scores that a score is made of."""
    if isinstance(score, Summed):
        return parts_of(score.score)
    return [part for item in (score.a, score.b) for part in parts_of(item)] if isinstance(score, Contrast) else [score]


def is_of_recording(score: Score) -> bool:
    """Whether what is asked depends on what the model says of a recording, which then has to be asked alone."""
    return any(isinstance(part, Path | Clearest) for part in parts_of(score))


def settled(score: Score, model: Model, waveforms: Tensor, shift: float) -> tuple[Score, Axis | None]:
    """The score as it is asked of recordings: with what depends on them held fast, and when their frames are.

    Parameters
    ----------
    score : Score
    model : Model
        For their length.
    waveforms : Tensor, shape (batch, samples)
        Of one recording where the score depends on it.
    shift : float
        Seconds of the recordings at which their windows start.
    """
    if model.kind not in FRAMED:
        return score, None
    with torch.no_grad(), evaluation_mode(model.answers or model.network):
        answer = model.answer(model.features(waveforms[:1]))
    frames = None if answer.frames is None else replace(answer.frames, centres=answer.frames.centres + shift)
    return held_fast(score, answer._replace(frames=frames)), frames


def held_fast(score: Any, answer: Answer) -> Score:
    """The score in which what depends on what the model says of a recording is held fast, by the answer to that recording."""
    if isinstance(score, Contrast):
        return Contrast(held_fast(score.a, answer), held_fast(score.b, answer))
    if isinstance(score, Summed):
        return Summed(held_fast(score.score, answer), score.names)
    if isinstance(score, Path):
        return path_steps(score, answer)
    return clearest_steps(answer) if isinstance(score, Clearest) else as_score(score)


def _embedded(score: Any, model: Model) -> Score:
    """The score with embeddings instead of the recordings that it refers to."""
    if isinstance(score, Contrast):
        return Contrast(_embedded(score.a, model), _embedded(score.b, model))
    if not isinstance(score, Similarity) or score.is_embedding:
        return as_score(score)
    clip = clip_for(model, score.reference, score.sample_rate)
    waveforms = model.hear([clip], model.rules.of_own()).batch(slice(None))
    with torch.no_grad(), evaluation_mode(model.network):
        answer = model.answer(model.features(waveforms))
    return Similarity(answer.scores[0].detach(), score.by, name=score.name or score.names[0].removeprefix("similar to "))


def clearest_steps(answer: Answer) -> Steps:
    """The clearest output of one recording's answer, and the frames where it is above its own mean."""
    scores = answer.scores[:1].detach()
    count = scores.shape[1] if answer.valid is None else int(answer.valid[0])
    index = int(scores[0, :count].amax(0).argmax())
    inside = torch.ones(1, count, 1, dtype=torch.bool, device=scores.device)
    frames = torch.nonzero(above_mean(scores[:, :count, index : index + 1], inside)[0, :, 0])[:, 0].cpu().numpy()
    names = answer.classes or tuple(map(str, range(scores.shape[-1])))
    return Steps((f"{names[index]}, where it is above its mean",), [frames], [np.full(len(frames), index)], mean=True)

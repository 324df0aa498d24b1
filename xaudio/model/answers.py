"""What a network said, whatever it returned, and what of it is to be explained: one number per recording and target."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ModelError, listing, unknown
from ..registry.plain import plain, whole
from ..types import Axis, Kind

Over = Literal["mean", "sum", "max", "logsumexp"]
"""How the scores of several frames become one."""


class Answer(NamedTuple):
    """What a network said about a batch of recordings.

    Parameters
    ----------
    scores : Tensor, shape ``(batch, *frames, outputs)``
        Logits where the network has them.
    frames : Axis or None
        Where each frame lies, in seconds of the recording; None without frames.
    kind : str
        What the outputs are, one of `xaudio.plugin.Kind`.
    valid : Tensor of int64, shape (batch,), or None
        How many frames of each recording are not padding; None if all.
    classes : tuple of str
        Names of the outputs, where there are any.
    """

    scores: Tensor
    frames: Axis | None = None
    kind: Kind = "classes"
    valid: Tensor | None = None
    classes: tuple[str, ...] = ()


@runtime_checkable
class Score(Protocol):
    """What is to be explained: numbers of an answer, differentiable, with a name for each."""

    @property
    def names(self) -> tuple[str, ...]:
        """What titles, tables and pages call the targets."""

    def __call__(self, answer: Answer) -> Tensor:
        """Numbers (batch, targets) of an answer."""


@dataclass(frozen=True)
class Output:
    """The score of a class, a label or a value; where the answer has frames, over those of a span of time.

    Parameters
    ----------
    index : int or str
        Of the output, or its name.
    span : (float, float), optional
        Start and end in seconds of the recording: frames whose centres lie within it count; by default all.
    over : {"mean", "sum", "max", "logsumexp"}
        How their scores become one.
    """

    index: int | str
    span: tuple[float, float] | None = None
    over: Over = "mean"

    @property
    def names(self) -> tuple[str, ...]:
        """Such as "dog, 1.2 to 1.8 s"."""
        where = "" if self.span is None else f", {self.span[0]:g} to {self.span[1]:g} s"
        return (f"{self.index}{where}{'' if self.over == 'mean' else f' ({self.over})'}",)

    def __call__(self, answer: Answer) -> Tensor:
        """The score (batch, 1).

        Raises
        ------
        ModelError
            If there is no such output, a span but no frames, or no frame in the span.
        """
        scores = answer.scores[..., class_index(self.index, names_of(answer))]
        if scores.ndim == 1:
            if self.span is not None:
                raise ModelError(f"The model answers once for the whole recording, without frames: ask for {self.index!r} alone.")
            return scores[:, None]
        return pooled(scores, self._inside(answer), self.over)[:, None]

    def _inside(self, answer: Answer) -> Tensor:
        """Which frames count, (batch or 1, frames)."""
        inside = valid_frames(answer)
        if self.span is None:
            return inside
        if answer.frames is None:
            raise ModelError("The model does not say when its frames are: a span of seconds means nothing to it.")
        centres, (start, end) = answer.frames.centres, self.span
        chosen = (centres >= start - 1e-9) & (centres <= end + 1e-9)
        inside = inside & torch.from_numpy(chosen).to(inside.device)
        if not bool(inside.any(1).all()):
            raise ModelError(
                f"No frame lies from {start:g} to {end:g} s: the model's {len(centres)} frames lie from {centres[0]:.3f} to "
                f"{centres[-1]:.3f} s of the recording."
            )
        return inside


@dataclass(frozen=True, eq=False)
class Similarity:
    """How similar an embedding is to that of a reference.

    Parameters
    ----------
    reference : Tensor, Clip, path or array
        An embedding (dimensions,), or a recording, which the model brings to its embedding.
    by : {"cosine", "dot", "distance"}
        The cosine of their angle, their product, or their Euclidean distance, negative so that more is more similar.
    sample_rate : int, optional
        Of an array, in Hz.
    name : str, optional
        What the reference is called; by default its file.
    """

    reference: Any
    by: Literal["cosine", "dot", "distance"] = "cosine"
    sample_rate: int | None = None
    name: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Such as "similar to b.wav"."""
        return (f"similar to {self.name or _called(self.reference)}",)

    def __call__(self, answer: Answer) -> Tensor:
        """The similarity (batch, 1).

        Raises
        ------
        ModelError
            If the reference is a recording still, or of another size.
        """
        if not self.is_embedding:
            raise ModelError("The reference is a recording: only a model makes an embedding of it. Give it to xaudio.explain.")
        embeddings = answer.scores.flatten(1)
        reference: Tensor = self.reference.detach().flatten().to(embeddings)
        if reference.shape != embeddings.shape[1:]:
            raise ModelError(
                f"The reference embedding has {len(reference)} numbers; those of the model have {embeddings.shape[1]}."
            )
        if self.by == "distance":
            similarity: Tensor = -torch.linalg.vector_norm(embeddings - reference, dim=1)
        elif self.by == "dot":
            similarity = embeddings @ reference
        else:
            similarity = functional.cosine_similarity(embeddings, reference[None], dim=1)
        return similarity[:, None]

    @property
    def is_embedding(self) -> bool:
        """Whether the reference is an embedding already."""
        return isinstance(self.reference, Tensor) and self.sample_rate is None


@dataclass(frozen=True, eq=False)
class Contrast:
    """One score less another.

    Parameters
    ----------
    a, b : Score, index or name
    """

    a: Any
    b: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Such as "dog rather than cat"."""
        first, second = as_score(self.a).names, as_score(self.b).names
        return tuple(f"{name} rather than {second[row % len(second)]}" for row, name in enumerate(first))

    def __call__(self, answer: Answer) -> Tensor:
        """The difference (batch, targets)."""
        return as_score(self.a)(answer) - as_score(self.b)(answer)


@dataclass(frozen=True, eq=False)
class Called:
    """A callable of the user's own, Answer to (batch,), under its name."""

    function: Callable[[Answer], Tensor]
    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its name."""
        return (self.name,)

    def __call__(self, answer: Answer) -> Tensor:
        """What it gives, (batch, 1)."""
        scores = self.function(answer)
        batch = len(answer.scores)
        if not isinstance(scores, Tensor) or scores.shape not in {(batch,), (batch, 1)}:
            shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ModelError(f"The target {self.name!r} gives {shape}; expected one number per recording, ({batch},).")
        return scores.reshape(batch, 1)


def as_score(target: Any) -> Score:
    """A score of an index, a name, a score or a named callable.

    Raises
    ------
    ModelError
        If it is none of these, or a callable without a name.
    """
    if isinstance(target, Score):
        return target
    if isinstance(target, str) or whole(target) is not None:
        return Output(target)
    if not callable(target):
        raise ModelError(f"The target is a {type(target).__name__}; expected an index, a name, a score or a callable.")
    name = getattr(target, "__name__", "")
    if name in ("", "<lambda>"):
        raise ModelError("The target is a callable without a name, which titles need: define it by def, or set its __name__.")
    return Called(target, name)


def named(target: Any, classes: Sequence[str]) -> Score:
    """The score with names of outputs instead of indices, so that titles tell them."""
    score = as_score(target)
    if isinstance(score, Output) and classes:
        return replace(score, index=classes[class_index(score.index, classes)])
    if isinstance(score, Contrast):
        return Contrast(named(score.a, classes), named(score.b, classes))
    return score


def names_of(answer: Answer) -> tuple[str, ...]:
    """Names of an answer's outputs; numbers serve as names."""
    return answer.classes or tuple(map(str, range(answer.scores.shape[-1])))


def class_index(wanted: Any, classes: Sequence[str]) -> int:
    """Index of a class given by name or index.

    Parameters
    ----------
    wanted : str or int
    classes : sequence of str
        Names in the order of the model's outputs.

    Returns
    -------
    int
        From 0.

    Raises
    ------
    ModelError
        If there is no such class.
    """
    if isinstance(wanted, str):
        name = wanted if wanted in classes else wanted.strip()
        if name not in classes:
            raise ModelError(unknown("class", wanted, classes))
        return list(classes).index(name)
    index = whole(wanted)
    if index is None or not 0 <= index < len(classes):
        hint = f" The name {str(wanted)!r} is text." if str(plain(wanted)) in classes else ""
        shown = f"{len(classes)}, 0 to {len(classes) - 1}" if len(classes) > 1 else "one, 0"
        raise ModelError(f"There is no class {wanted!r}: the model has {shown} ({listing(classes)}).{hint}")
    return index


def valid_frames(answer: Answer) -> Tensor:
    """Which frames are not padding, (batch, frames), or (1, frames) where none is."""
    count = answer.scores.shape[1]
    if answer.valid is None:
        return torch.ones(1, count, dtype=torch.bool, device=answer.scores.device)
    return torch.arange(count, device=answer.scores.device) < answer.valid.to(answer.scores.device)[:, None]


def pooled(scores: Tensor, inside: Tensor, over: Over) -> Tensor:
    """One number (batch,) of scores (batch, frames), over the frames that are inside, (batch or 1, frames)."""
    if over == "max":
        return scores.masked_fill(~inside, -torch.inf).amax(1)
    if over == "logsumexp":
        return scores.masked_fill(~inside, -torch.inf).logsumexp(1)
    total = (scores * inside).sum(1)
    return total if over == "sum" else total / inside.sum(1)


def _called(reference: Any) -> str:
    if isinstance(reference, str | os.PathLike):
        return os.path.basename(os.fspath(reference))
    return getattr(reference, "name", None) or ("a recording" if isinstance(reference, np.ndarray) else "a reference")

"""What is asked of each window of a long recording: one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ..errors import DataError, ModelError
from ..model.answers import Answer, Output, Score
from ..model.ctc import Path, row_of
from ..model.model import Model
from ..model.probability import PROBABLE, default_target
from ..model.questions import FRAMED, Clearest, Question, Summed, held_fast, parts_of, question
from ..model.trial import example_sound
from ..types import Axis
from .windows import Scored


class Told(NamedTuple):
    """What a model says of a window: see `Scored`."""

    label: str
    score: float
    probability: float | None
    predicted: str


class WindowQuestion:
    """What is asked of each window: an output, by default the predicted one, a score, or a contrast of two.

    Parameters
    ----------
    model : Model
    target, contrast : index, name, score or callable, optional
        See `xaudio.explain`.

    Raises
    ------
    XaudioError
        If the model has no such output, nothing stands out by itself, or a span of seconds is asked for.
    """

    def __init__(self, model: Model, target: Any, contrast: Any) -> None:
        self.kind, self.classes = model.kind, model.classes
        self._measured: dict[int, Axis] = {}
        self.target = _default(model) if target is None else _one_number(target, model)
        self.contrast = None if contrast is None else _one_number(contrast, model)
        if contrast is not None and target is None:
            raise DataError("A contrast of windows needs a target: the predicted class may be the one it is contrasted with.")

    @property
    def probable(self) -> bool:
        """Whether what is asked has probabilities."""
        return self.kind in PROBABLE and self.contrast is None and not isinstance(self.target, Score)

    def targets(self, scores: Sequence[Scored]) -> dict[str, Any]:
        """The same for `xaudio.explain`, of windows whose scores are known."""
        predicted = self.target is None
        targets = [self.classes.index(scored.label) if predicted else self.target for scored in scores]
        return {"target": targets, "contrast": self.contrast}

    def answers(self, model: Model, features: Tensor, begins: Sequence[float]) -> list[Told]:
        """What the model says of windows.

        Parameters
        ----------
        model : Model
            At their length.
        features : Tensor, shape (windows, channels, *axes)
        begins : sequence of float
            Seconds of the recording at which each begins.
        """
        answer = self.timed(model).answer(features)
        return [self._told(model, _of_window(answer, row, begin)) for row, begin in enumerate(begins)]

    def timed(self, model: Model) -> Model:
        """The model that knows when its frames are, measured once for each length of the windows, whichever comes first.

        So the scores of a window and its explanation name the same times.
        """
        if model.kind not in FRAMED:
            return model
        samples = model.representation.samples
        if samples not in self._measured:
            self._measured[samples] = model.frame_axis(model.features(example_sound(model.representation).to(model.device)))
        return model.timed(self._measured)

    def _told(self, model: Model, answer: Answer) -> Told:
        predicted = int(answer.scores[0].argmax()) if self.kind in PROBABLE else None
        asked = cast("Question", predicted if self.target is None else self.target)
        label, score = _number(asked, answer)
        if self.contrast is not None:
            other, less = _number(self.contrast, answer)
            label, score = f"{label} rather than {other}", score - less
        probability = float(model.probabilities(answer.scores)[0, cast("int", asked)]) if self.probable else None
        return Told(label, score, probability, "" if predicted is None else self.classes[predicted])


def _default(model: Model) -> Question | None:
    """What is asked where nobody says it; None for the predicted class."""
    if model.kind == "ctc":
        return Summed(Path(), Path().names)
    if model.kind == "frames":
        return Clearest()
    chosen = default_target(model.kind, 1, torch.device("cpu"))
    return None if chosen is None else int(chosen[0])


def _one_number(target: Any, model: Model) -> Question:
    asked = question(target, model)
    if isinstance(asked, int):
        return asked
    if any(isinstance(part, Output) and part.span is not None for part in parts_of(asked)):
        raise DataError("Of windows no span of seconds is asked: ask for the output alone, and choose the windows of that span.")
    if any(isinstance(part, Path) for part in parts_of(asked)):
        return Summed(asked, asked.names)
    if len(asked.names) != 1:
        raise ModelError(f"The target has {len(asked.names)} parts; of each window one number is asked.")
    return asked


def _of_window(answer: Answer, row: int, begin: float) -> Answer:
    """The answer to one window, with the times of its frames in seconds of the recording."""
    frames = answer.frames and replace(answer.frames, centres=answer.frames.centres + begin)
    return row_of(answer, row)._replace(frames=frames)


def _number(asked: Question, answer: Answer) -> tuple[str, float]:
    """The name of what is asked and what the answer says of it."""
    if isinstance(asked, int):
        return answer.classes[asked], float(answer.scores[0, asked])
    score = held_fast(asked, answer) if answer.kind in FRAMED else asked
    return score.names[0], float(score(answer))

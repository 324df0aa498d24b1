"""Checks of explainers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..errors import XaudioError
from ..model.attribution import sound_for
from ..model.conditional import ConditionalExplainer
from ..model.model import Model
from ..model.statements import statement_of
from ..types import Sound
from .state import Left, watching
from .suite import Case, Unasked, close, need, refusal, unlike
from .toys import noise, sounds, toy_model, toy_model_2d, unlike_number

TARGETS = torch.tensor([0, 1, 2])


@dataclass
class Answer:
    """What an explainer made of a batch, or its refusal; what it left behind, and what became of its input."""

    relevance: Any = None
    refusal: XaudioError | None = None
    left: Left | None = None
    touched: str = ""


class ExplainerCase(Case):
    """An explainer, asked about three sounds for three classes by a toy model."""

    def ask(self, model: Model, waveforms: Tensor, target: Tensor, method: Any) -> Answer:
        """Relevance of a batch, and what happened on the way."""
        with torch.no_grad():
            features = model.features(waveforms)
        inputs = [features.clone(), target.clone(), waveforms.clone()]
        kept = [tensor.clone() for tensor in inputs]
        sound = Sound(inputs[2], model.representation, model.features)
        answer = Answer()
        with torch.enable_grad(), watching(model.network) as answer.left:
            try:
                answer.relevance = method(model.network, inputs[0], inputs[1], **sound_for(method, sound))
            except XaudioError as error:
                answer.refusal = error
        names = ("the features", "the targets", "the waveforms")
        pairs = zip(names, inputs, kept, strict=True)
        answer.touched = ", ".join(name for name, now, then in pairs if not torch.equal(now.detach(), then))
        return answer

    @cached_property
    def tried(self) -> tuple[Callable[[], Model], Answer]:
        """A toy model and what the explainer said of it: one of two dimensions where it refuses the other."""
        for toy in (toy_model, toy_model_2d):
            answer = self.ask(toy(), noise(3), TARGETS, self.plugin)
            if answer.refusal is None:
                break
        return toy, answer

    def toy(self) -> Model:
        """A toy model, made anew."""
        return self.tried[0]()

    @property
    def first(self) -> Answer:
        """The first answer; where there is none, no check of it is made."""
        answer = self.tried[1]
        if answer.refusal is not None:
            raise Unasked(f"it refuses: {answer.refusal}")
        return answer

    @cached_property
    def first_relevance(self) -> Tensor:
        """The first relevance, if it is any."""
        if _misshapen(self):
            raise Unasked("it returns no relevance of the features")
        relevance: Tensor = self.first.relevance.detach()
        return relevance

    def relevance(self, rows: list[int], target: list[int], method: Any = None) -> Tensor:
        """Relevance of some of the three sounds."""
        asked = self.ask(self.toy(), noise(3)[rows], torch.tensor(target), method or self.plugin)
        if asked.refusal is not None:
            raise asked.refusal
        relevance: Tensor = asked.relevance.detach()
        return relevance

    @cached_property
    def unlike(self) -> str:
        """Why a second call gives something else, or nothing."""
        first = self.first_relevance
        again = self.relevance([0, 1, 2], [0, 1, 2])
        anew = self.relevance([0, 1, 2], [0, 1, 2], self.make())
        return unlike(first, again, anew, "generators" in _left(self).changes)

    def need_repeatable(self) -> None:
        """Where a second call gives something else, or numbers are none, other comparisons mean nothing."""
        need(self, relevance_is_finite, the_same_call_gives_the_same_relevance)


def _left(case: ExplainerCase) -> Left:
    left = case.first.left
    assert left is not None  # noqa: S101 (every call is watched)
    return left


def it_explains_or_refuses_in_one_line(case: ExplainerCase) -> str:
    answer = case.tried[1]
    return refusal(answer.refusal) if answer.refusal else ""


def _misshapen(case: ExplainerCase) -> str:
    relevance, expected = case.first.relevance, case.toy().features(noise(3))
    if not isinstance(relevance, Tensor):
        return f"it returned a {type(relevance).__name__}; expected relevance shaped like the features, a tensor"
    facts = (tuple(relevance.shape), relevance.dtype, relevance.device.type)
    wanted = (tuple(expected.shape), expected.dtype, expected.device.type)
    return "" if facts == wanted else f"it returned {facts}; expected relevance shaped like the features, {wanted}"


def it_returns_relevance_shaped_like_the_features(case: ExplainerCase) -> str:
    return _misshapen(case)


def relevance_is_finite(case: ExplainerCase) -> str:
    if not torch.isfinite(case.first_relevance).all():
        return "NaN or infinite for noise"
    waveforms = sounds()
    answer = case.ask(case.toy(), waveforms, torch.zeros(len(waveforms), dtype=torch.int64), case.plugin)
    if answer.refusal is not None:
        return refusal(answer.refusal)
    return unlike_number(answer.relevance.detach())


def relevance_is_not_zero_everywhere(case: ExplainerCase) -> str:
    return "" if case.first_relevance.any() else "all relevance of noise is exactly 0, for each of three classes"


def the_same_call_gives_the_same_relevance(case: ExplainerCase) -> str:
    return case.unlike


def relevance_depends_on_the_target(case: ExplainerCase) -> str:
    if getattr(case.plugin, "control", False):
        raise Unasked("it is a control, which knows nothing of the model")
    case.need_repeatable()
    by_shift = [case.first_relevance] + [case.relevance([0, 1, 2], [(t + s) % 3 for t in range(3)]) for s in (1, 2)]
    for row in range(3):
        for first, second in ((0, 1), (0, 2), (1, 2)):
            one, other = by_shift[first][row], by_shift[second][row]
            if one.any() and close(one, other, 1e-6):
                return f"relevance for classes {(row + first) % 3} and {(row + second) % 3} is the same: the target is ignored"
    return ""


def each_recording_is_explained_for_its_own_target(case: ExplainerCase) -> str:
    need(case, relevance_does_not_depend_on_the_batch)
    for target in (1, 2):
        same = case.relevance([0, 1, 2], [target] * 3)
        if not close(same[target], case.first_relevance[target]):
            return "relevance for a class differs when the others of the batch are explained for other classes"
    return ""


def relevance_does_not_depend_on_the_batch(case: ExplainerCase) -> str:
    case.need_repeatable()
    together, alone, turned = (case.relevance(rows, [1] * len(rows)) for rows in ([0, 1, 2], [1], [2, 1]))
    if not close(alone[0], together[1]):
        return "relevance of a recording alone is not that in a batch of three"
    return "" if close(turned, together[[2, 1]]) else "relevance changes with the order and number of the recordings"


def its_input_is_not_changed_in_place(case: ExplainerCase) -> str:
    return f"it changed {case.first.touched}" if case.first.touched else ""


def modes_of_the_model_are_left_as_they_were(case: ExplainerCase) -> str:
    return _left(case).said("modes", "left in another mode (training or evaluation)")


def no_hooks_are_left_behind(case: ExplainerCase) -> str:
    return _left(case).said("hooks", "left behind or taken away")


def modules_are_left_as_they_were(case: ExplainerCase) -> str:
    left = _left(case)
    return left.said("modules", "replaced, added or taken away") or left.said("attributes", "attribute changed or left behind")


def requires_grad_is_left_as_it_was(case: ExplainerCase) -> str:
    return _left(case).said("requires_grad", "requires_grad was switched")


def weights_are_left_as_they_were(case: ExplainerCase) -> str:
    return _left(case).said("weights", "weights or buffers changed")


def no_gradients_are_left_on_the_weights(case: ExplainerCase) -> str:
    return _left(case).said("gradients", "a gradient was left or changed")


def global_generators_are_left_alone(case: ExplainerCase) -> str:
    if not _misshapen(case):
        need(case, the_same_call_gives_the_same_relevance)
    return _left(case).said("generators", "a seed was set or numbers were drawn; take an option seed and a generator of your own")


def settings_of_the_process_are_left_as_they_were(case: ExplainerCase) -> str:
    left = _left(case)
    return left.said("settings", "changed for everybody") or left.said("figures", "left open") or left.said("style", "changed")


def it_writes_no_files(case: ExplainerCase) -> str:
    files = _left(case).files
    return f"it wrote {', '.join(files[:3])}" if files else ""


def logits_it_gives_are_those_of_the_model(case: ExplainerCase) -> str:
    method = case.plugin
    if not hasattr(method, "with_logits"):
        raise Unasked("it gives no logits")
    case.need_repeatable()
    model = case.toy()
    with torch.no_grad():
        features = model.features(noise(3))
        expected = model.network(features)
    sound = Sound(noise(3), model.representation, model.features)
    with torch.enable_grad(), watching(model.network) as left:
        relevance, logits = method.with_logits(model.network, features.clone(), None, **sound_for(method.with_logits, sound))
    if left.changes or left.files:
        return f"with_logits leaves behind: {', '.join([*left.changes, *left.files])}"
    if not close(logits.detach(), expected):
        return "with_logits gives others than the network"
    wanted = case.relevance([0, 1, 2], expected.argmax(1).tolist())
    return "" if close(relevance.detach(), wanted) else "without a target, relevance is not that for the largest logit"


def parts_through_all_channels_are_the_explanation(case: ExplainerCase) -> str:
    method = case.plugin
    if not isinstance(method, ConditionalExplainer):
        raise Unasked("it does not tell channels apart")
    case.need_repeatable()
    model = case.toy()
    with torch.no_grad():
        features = model.features(noise(3))
    with torch.enable_grad(), watching(model.network) as left:
        at_layer = method.conditional(model.network, features.clone(), TARGETS, "0")
        whole = at_layer.through(torch.ones_like(at_layer.relevance)).detach()
    if left.changes or left.files:
        return f"conditional leaves behind: {', '.join([*left.changes, *left.files])}"
    return "" if close(whole, case.first_relevance) else "with weights of 1, conditional gives another relevance"


def the_sum_it_claims_is_a_number_for_each_recording(case: ExplainerCase) -> str:
    method = case.plugin
    if not hasattr(method, "expected_sum"):
        raise Unasked("it claims no sum")
    case.need_repeatable()
    model, waveforms = case.toy(), noise(3)
    with torch.no_grad():
        features = model.features(waveforms)
        logits = model.network(features)
    sound = Sound(waveforms, model.representation, model.features)
    with watching(model.network) as left:
        claimed = method.expected_sum(model.network, features.clone(), TARGETS, logits, **sound_for(method.expected_sum, sound))
    if left.changes or left.files:
        return f"expected_sum leaves behind: {', '.join([*left.changes, *left.files])}"
    if not isinstance(claimed, Tensor) or claimed.shape != (3,) or not torch.isfinite(claimed).all():
        return f"expected_sum gives {claimed!r}; expected a tensor (batch,) of numbers"
    return ""


def what_it_says_of_itself_is_in_words_that_there_are(case: ExplainerCase) -> str:
    statement_of(case.plugin, case.name)  # refuses others
    return ""

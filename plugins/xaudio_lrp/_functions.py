"""Layer-wise relevance propagation of any computation: what a model calls decides, not what its modules are."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xaudio.plugin import Law, LayerRelevance, ModelError, own_hooks, plain_copy

from . import (  # noqa: F401  (they register the rules)
    _functions_elementwise,
    _functions_normalisation,
    _functions_products,
    _functions_recurrent,
    _functions_weights,
)
from ._finite import check_finite
from ._functions_books import MISSED, Books
from ._functions_mode import Rules
from ._functions_watch import Watch
from ._ledger import check_sum
from ._plan import Method
from ._twins import twin_of


class Explained(NamedTuple):
    """Relevance of the features, what was explained, and what holds it together.

    Parameters
    ----------
    relevance : Tensor, shape (batch, channels, *axes)
    answers : Tensor, shape (batch, classes)
        What the relevance starts from: the model's logits, or what it makes its probabilities of.
    is_output : bool
        Whether these are what the model returns.
    constants : Tensor, shape ()
        What lies in biases, positions and other constants, of all recordings together.
    total : Tensor, shape (batch,)
        The explained answers.
    """

    relevance: Tensor
    answers: Tensor
    is_output: bool
    constants: Tensor
    total: Tensor

    @property
    def residual(self) -> Tensor:
        """What the answers are more than relevance and constants, of all recordings together."""
        return self.total.double().sum() - self.relevance.double().sum() - self.constants.double()


class _Forward(NamedTuple):
    """One forward pass with the rules in place."""

    mode: Rules
    features: Tensor
    answers: Tensor
    is_output: bool
    books: Books | None = None

    def back(self, target: Tensor, *, again: bool = False) -> Explained:
        """Relevance of the answers of a class per recording."""
        total = self.answers.gather(1, target[:, None])[:, 0]
        added, absorbed = self.mode.added or [], self.mode.absorbed
        absorbed.clear()
        self.mode.passes.last = not again
        gradient, constants, *shares = torch.autograd.grad(
            total.sum(), (self.features, self.mode.one, *added), retain_graph=again, allow_unused=True
        )
        if gradient is None:
            raise _cut(self.mode)
        relevance = self.features.detach() * gradient
        if self.mode.direct is not None:
            relevance, self.mode.direct = self.mode.direct.reshape(relevance.shape), None
        share = sum((part for part in (constants, *absorbed) if part is not None), _together(added, shares, relevance))
        return Explained(relevance.detach(), self.answers.detach(), self.is_output, share, total.detach())


def _together(constants: list[Tensor], gradients: Sequence[Tensor | None], like: Tensor) -> Tensor:
    """The sum of constants times their gradients."""
    pairs = [(one.detach().flatten(), two.flatten()) for one, two in zip(constants, gradients, strict=True) if two is not None]
    if not pairs:
        return like.new_zeros(())
    return torch.dot(*(torch.cat(parts) for parts in zip(*pairs, strict=True)))


def _cut(mode: Rules) -> ModelError:
    return ModelError(
        "lrp: nothing of the answer comes from the features but through steps that have no gradient or are held (a detach or "
        "no_grad, a sigmoid or softmax as the answer itself, weights that all weigh constants). Use feature_ablation, which "
        "needs no gradient."
    )


def _copy(model: nn.Module) -> nn.Module:
    with own_hooks():
        return plain_copy(model, fold=False)


def _forward(
    model: nn.Module,
    features: Tensor,
    method: Method,
    watch: Watch | None = None,
    layer: str = "",
    *,
    copies: bool = False,
    with_books: bool = False,
) -> _Forward:
    leaf = features.detach().clone().requires_grad_()
    one = torch.ones((), dtype=features.dtype, device=features.device, requires_grad=True)
    with contextlib.ExitStack() as stack:
        hooked = with_books or watch is not None
        twin = _copy(model) if hooked else stack.enter_context(twin_of(model, features))
        mode = Rules(method, (leaf, one), twin)
        mode.copies = copies
        books = Books(mode) if with_books else None
        if books is not None:
            books.open()
        if watch is not None:
            mode.watched = watch
            twin.get_submodule(layer).register_forward_hook(lambda module, inputs, output: mode.watch(output))
        with torch.enable_grad():
            entered = leaf.clone()  # it may begin in place
            with mode:
                output = twin(entered)
            answers = mode.before_squashing(output)
    if not isinstance(answers, Tensor) or not answers.requires_grad:
        raise _cut(mode)
    return _Forward(mode, leaf, answers, answers is output, books)


def _explained(
    model: nn.Module, features: Tensor, target: Tensor | None, method: Method, watch: Watch | None = None, layer: str = ""
) -> tuple[_Forward, Explained]:
    """A pass forward and back; once more with copies if the model overwrites what the way back needs."""
    for copies in (False, True):
        forward = _forward(model, features, method, watch, layer, copies=copies)
        try:
            classes = forward.answers.argmax(1) if target is None else target
            explained = forward.back(classes, again=watch is not None)
        except RuntimeError as error:
            if copies or "inplace operation" not in str(error):
                raise
        else:
            check_finite(model, features, explained.total)
            return forward, explained
    raise AssertionError


def explain_by_functions(model: nn.Module, features: Tensor, target: Tensor | None, method: Method) -> Explained:
    """Relevance shaped like features (batch, channels, *axes), of the largest answer if target is None.

    Raises
    ------
    ModelError
        If a function has no rule, no relevance arrives, it is off by orders of magnitude, or the answer is NaN or infinite.
    """
    _, explained = _explained(model, features, target, method)
    if method.strict:
        check_sum(explained.relevance, explained.constants, explained.total)
    return explained


def at_layer_by_functions(model: nn.Module, features: Tensor, target: Tensor, method: Method, layer: str) -> LayerRelevance:
    """Relevance at the output of a layer, and the way from there, each time from the answers again.

    Raises
    ------
    ModelError
        See `explain_by_functions`; or if the layer has no part in the answer.
    """
    watch = Watch()
    forward, explained = _explained(model, features, target, method, watch, layer)
    if method.strict:
        check_sum(explained.relevance, explained.constants, explained.total)
    if watch.relevance is None:
        raise ModelError(f"lrp: no relevance flows through the layer {layer!r}.")
    relevance, last = watch.relevance, isinstance(model.get_submodule(layer), nn.Linear) and watch.relevance.ndim > 2

    def weighed(weights: Tensor) -> Tensor:
        watch.weights = weights
        try:
            return forward.back(target, again=True).relevance
        finally:
            watch.weights = None

    beside = weighed(relevance.new_zeros(()))  # what goes around the layer, as through a shortcut

    def through(weights: Tensor) -> Tensor:
        weights = weights.to(relevance).expand(_first(relevance).shape if last else relevance.shape)
        return weighed(weights.movedim(1, -1) if last else weights) - beside

    return LayerRelevance(_first(relevance) if last else relevance, through)


def _first(values: Tensor) -> Tensor:
    """The channels of a linear layer behind the batch, before the positions."""
    return values.movedim(-1, 1)


def law_of(model: nn.Module, features: Tensor, target: Tensor, method: Method) -> Law:
    """What the answers are made of, and where that parts first if it misses them.

    Raises
    ------
    ModelError
        See `explain_by_functions`, but for what is off.
    """
    _, explained = _explained(model, features, target, method)
    total, relevance = float(explained.total.double().sum()), float(explained.relevance.double().sum())
    module = ""
    if abs(float(explained.residual)) > MISSED * float(explained.total.abs().sum()):
        forward = _forward(model, features, method, with_books=True)
        assert forward.books is not None  # noqa: S101
        module = forward.books.close(forward.answers, target)
    return Law(total, relevance, float(explained.constants), module)

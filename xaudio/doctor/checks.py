"""What can be told from one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from ..model.modes import in_training
from ..model.statements import Statement
from ..registry.defaults import WITHOUT_RULES
from . import operations as known
from .findings import Finding
from .recorder import Operation
from .tracing import Trace, changes_in_training, unique

Statements = Mapping[str, Statement]


def check(trace: Trace, stated: Statements) -> list[Finding]:
    """What a trace says about explainers.

    Parameters
    ----------
    trace : Trace
    stated : mapping of str to Statement
        What the explainers that are asked about say of themselves, by name.
    """
    concerned = {name: statement for name, statement in stated.items() if not statement.control}
    return [finding for look in _CHECKS for finding in look(trace, concerned) if finding.explainers]


def _with(stated: Statements, holds: Callable[[Statement], bool]) -> tuple[str, ...]:
    return tuple(name for name, statement in stated.items() if holds(statement))


def _by_rules(stated: Statements) -> tuple[str, ...]:
    return _with(stated, lambda statement: "rules" in statement.relies_on)


def _by_functions(stated: Statements) -> tuple[str, ...]:
    return _with(stated, lambda statement: "functions" in statement.relies_on)


def _by_hooks(stated: Statements) -> tuple[str, ...]:
    return _with(stated, lambda statement: "activation-modules" in statement.relies_on)


def _backward(stated: Statements) -> tuple[str, ...]:
    return _with(stated, lambda statement: statement.runs_backward)


def _not_finite(trace: Trace, stated: Statements) -> Iterator[Finding]:
    if trace.not_finite:
        yield Finding(
            "not-finite",
            "error",
            (trace.not_finite,),
            tuple(stated),
            "The output of this module is NaN or infinite, the first in the forward pass: every attribution is undefined.",
            "Look at its weights and its input: a diverged training, a division by 0, or the logarithm of 0.",
        )


def _module_reused(trace: Trace, stated: Statements) -> Iterator[Finding]:
    calls: dict[str, int] = {}
    kinds = {call.name: call.kind for call in trace.calls}
    for call in trace.calls:
        calls[call.name] = calls.get(call.name, 0) + 1
    reused = [name for name, times in calls.items() if times > 1]

    def places(matches: Callable[[type], bool]) -> tuple[str, ...]:
        return tuple(f"{name} ({kinds[name].__name__}), {calls[name]} calls" for name in reused if matches(kinds[name]))

    remedy = "Make a module for each call; two modules may share one weight (second.weight = first.weight)."
    if where := places(known.remembers_input):
        effect = "Only the input of its last call is remembered, and the relevance of all its calls is shared out by that one."
        yield Finding("module-reused", "error", where, _by_rules(stated), effect, remedy)
    if where := places(lambda kind: issubclass(kind, known.ACTIVATION_MODULES)):
        effect = "Hooks keep the values of one call of a module, so that the other calls get none of their own (captum refuses)."
        yield Finding("module-reused", "error", where, _by_hooks(stated), effect, remedy)


def _functional_activation(trace: Trace, stated: Statements) -> Iterator[Finding]:
    activations = [item for item in trace.operations if item.name in known.ACTIVATIONS]
    outside = [item for item in activations if not _in_rule(item) and not _squashes(trace, item)]
    for remedy, items in _by_remedy(trace, outside).items():
        if others := [item for item in items if item.name not in known.COPIES]:
            effect = "It has no rule, so that relevance is multiplied by its slope instead of passed on: part of it is lost."
            yield Finding("functional-activation", "error", _where(others), _by_rules(stated), effect, remedy)
        effect = "Hooks do not see it, so that the plain gradient is taken there."
        yield Finding("functional-activation", "error", _where(items), _by_hooks(stated), effect, remedy)


def _by_remedy(trace: Trace, activations: list[Operation]) -> dict[str, list[Operation]]:
    """Activations without a rule by what to do about them, which depends on whose code calls them."""
    operations = Counter(item.place.modules for item in trace.operations)
    remedies: dict[str, list[Operation]] = {}
    for item in activations:
        if item.place.types[-1].__module__.startswith("torch."):
            remedy = "Use a module that has a rule (nn.SiLU, nn.LeakyReLU), or an explainer that needs none"
            remedy += f", such as {WITHOUT_RULES[0]}."
        elif len(item.place.modules) > 1 and operations[item.place.modules] == 1:
            remedy = "Put torch's own module of this function (such as nn.LeakyReLU) in the place of yours: only that has a rule."
        else:
            remedy = "Make it a module (nn.LeakyReLU() instead of functional.leaky_relu), one for each call."
        remedies.setdefault(remedy, []).append(item)
    return remedies


def _no_rule(trace: Trace, stated: Statements) -> Iterator[Finding]:
    def is_harmless(item: Operation) -> bool:
        constant = item.name in known.SUMS and item.operands == 1
        harmless = item.name in known.COPIES | known.ACTIVATIONS or constant or _in_rule(item) or _squashes(trace, item)
        return harmless or _is_filter(trace, item)

    if unruled := [item for item in trace.operations if not is_harmless(item)]:
        effect = (
            "LRP has no rule for it and takes the plain gradient, which shares relevance wrongly (a sum counts it twice, a mean "
            "in equal parts, a product in proportion to nothing)."
        )
        remedy = (
            "Use modules that have a rule (nn.Linear, nn.Conv1d, nn.AdaptiveAvgPool1d; for a + b, zennit.layer.Sum applied to "
            f"torch.stack([a, b], -1)), or an explainer that needs none, such as {WITHOUT_RULES[1]}."
        )
        yield Finding("no-rule", "error", _where(unruled), _by_rules(stated), effect, remedy)


def _without_law(trace: Trace, stated: Statements) -> Iterator[Finding]:
    last = max((place for place, item in enumerate(trace.operations) if item.name in known.WEIGHTED), default=-1)
    logarithms = [
        item
        for place, item in enumerate(trace.operations)
        if item.name in known.LOGARITHMS and not (place > last and trace.squashing)
    ]
    if logarithms:
        effect = "No rule keeps the sum of the relevance there, as what it gives for 0 is not 0: LRP refuses it."
        remedy = (
            "Let the representation end there, as log-mel levels do, and the network begin; or take an explainer that "
            f"needs no rule, such as {WITHOUT_RULES[1]}."
        )
        yield Finding("no-rule", "error", _where(logarithms), _by_functions(stated), effect, remedy)


def _is_filter(trace: Trace, item: Operation) -> bool:
    """Whether an operation is the convolution of a module of one's own that does nothing else: LRP explains its filters."""
    name = item.place.modules[-1]
    if item.name != "convolution" or item.operands != 1 or not name:
        return False
    inside = [other.name for other in trace.operations if other.place.modules[-1] == name]
    alone = inside.count("convolution") == 1 and set(inside) <= {"convolution", *known.PLACED}
    return alone and not any(call.name.startswith(f"{name}.") for call in trace.calls)


def _ends_squashed(trace: Trace) -> bool:
    """Whether the last operation makes probabilities, so that what it reads can be explained instead."""
    last = next((item for item in reversed(trace.operations) if item.name not in {"log", "clone", "_to_copy"}), None)
    return any(last is item for item in trace.squashing)


def _squashes(trace: Trace, item: Operation) -> bool:
    """Whether an operation makes probabilities of the logits, which is a finding of its own."""
    return any(item is other for other in trace.squashing)


def _in_rule(item: Operation) -> bool:
    return any(known.has_rule(kind) for kind in item.place.types)


def _where(operations: Iterable[Operation]) -> tuple[str, ...]:
    """Places of operations; those in one module of torch's own are told together."""
    together: dict[str, list[str]] = {}
    for item in operations:
        together.setdefault(str(item.place), []).append(item.name.strip("_"))
    return tuple(f"{place}: {', '.join(unique(names))}" for place, names in together.items())


def _probabilities(trace: Trace, stated: Statements) -> Iterator[Finding]:
    if not trace.squashing and not trace.sums_to_one:
        return
    soft = [item for item in trace.squashing if "soft" in item.name or "exp" in item.name]
    kind = "softmax" if soft or not trace.squashing else "sigmoid"
    where = tuple(unique(item.place for item in trace.squashing)) or ("the output sums to 1",)
    rules = _by_rules(stated)
    spared = (*rules, *(_by_functions(stated) if _ends_squashed(trace) else ()))
    others = tuple(other for other in stated if other not in spared)
    remedy = "Let the model return logits, and apply the function where probabilities are needed (the loss, the display)."
    cancels = "What speaks for a class is counted against the others in equal measure: the relevance sums to 0, not to a logit."
    shrinks = "Relevance is multiplied by the slope of the sigmoid at the output."
    yield Finding(kind, "error", where, rules, shrinks if kind == "sigmoid" else cancels, remedy)
    effect = (
        "It explains a probability: close to nothing where the model is sure, and changed by what concerns other classes only."
    )
    saturates = "It explains a saturated value: close to nothing where the model is sure."
    yield Finding(kind, "error", where, others, saturates if kind == "sigmoid" else effect, remedy)


def _training_mode(trace: Trace, stated: Statements) -> Iterator[Finding]:
    if trace.batch_statistics:
        yield Finding(
            "training-mode",
            "error",
            tuple(unique(trace.batch_statistics)),
            tuple(stated),
            "It normalises by the batch even in evaluation mode: a recording's relevance depends on the others in the batch.",
            "Keep running statistics (track_running_stats=True), and give functional.batch_norm training=self.training.",
        )
    elif trace.depends_on_batch:
        yield Finding(
            "batch-dependence",
            "error",
            (),
            tuple(stated),
            "A recording's output changes with the recordings beside it in the batch: so does its relevance.",
            "Let nothing be taken over dimension 0: x.mean((1, 2), keepdim=True) instead of x.mean(0) or x.mean().",
        )


def _random(trace: Trace, stated: Statements) -> Iterator[Finding]:
    if trace.random:
        yield Finding(
            "non-deterministic",
            "error",
            tuple(unique(trace.random)),
            tuple(stated),
            "Random numbers are drawn even in evaluation mode: every forward pass and every attribution is another.",
            "Draw in training only: functional.dropout(x, training=self.training), or a module (nn.Dropout).",
        )
    elif not trace.deterministic and not trace.not_finite:
        yield Finding(
            "non-deterministic",
            "error",
            (),
            tuple(stated),
            "Two forward passes of the same recording in evaluation mode give different outputs: so does every attribution.",
            "Look for chance from outside torch, for a state that the model keeps between calls, or for operations in place.",
        )


def _in_place(trace: Trace, stated: Statements) -> Iterator[Finding]:
    if trace.features_changed:
        yield Finding(
            "in-place",
            "warning",
            ("the features",),
            tuple(stated),
            "The model overwrites its own input: a method that runs it twice reads changed features the second time, and "
            "explains another sound. xaudio.explain hands out copies; other tools may not.",
            "Compute out of place (x = x - mean, not x -= mean), or begin with x = x.clone().",
        )
    if trace.overwritten:
        yield Finding(
            "in-place",
            "error",
            tuple(unique(trace.overwritten)),
            _backward(stated),
            "An operation in place overwrites what the backward pass needs: it fails.",
            "Compute out of place (x = x + y, not x += y).",
        )


_CHECKS = (
    _not_finite,
    _module_reused,
    _functional_activation,
    _no_rule,
    _without_law,
    _probabilities,
    _training_mode,
    _random,
    _in_place,
)


def check_modules(network: nn.Module, stated: Statements) -> list[Finding]:
    """What can be told from the modules and the device they are on."""
    findings = []
    gradient = _backward(stated)
    bare = [name for name, module in network.named_modules() if _normalises_by_batch(module)]
    if bare and (rules := (*_by_rules(stated), *_by_functions(stated))):
        effect = "It has no running statistics, so that it is another map for each batch: LRP has no rule for it, and fails."
        remedy = "Make it with track_running_stats=True."
        findings.append(Finding("batch-norm", "error", tuple(bare), rules, effect, remedy))
    recurrent = [name for name, module in network.named_modules() if _needs_cudnn(module)]
    if recurrent and gradient:
        effect = "cuDNN refuses the backward pass of a recurrent layer in evaluation mode."
        remedy = "Explain on the CPU (device cpu), or within torch.backends.cudnn.flags(enabled=False)."
        findings.append(Finding("recurrent-cudnn", "error", tuple(recurrent), gradient, effect, remedy))
    return findings


def check_mode(network: nn.Module, features: Tensor, stated: Statements) -> list[Finding]:
    """Whether a network is in training mode, where that makes a difference."""
    where = tuple(
        f"{name} ({type(module).__name__})"
        for name, module in network.named_modules()
        if in_training(module) and isinstance(module, known.DIFFERENT_IN_TRAINING)
    )
    concerned = _with(stated, lambda statement: not statement.control)
    trained = any(in_training(module) for module in network.modules())
    if not concerned or not trained or not (where or changes_in_training(network, features)):
        return []
    effect = (
        "It is in training mode. xaudio evaluates for the while, and its results are right; an explainer that you call yourself "
        "draws another dropout, or normalises by the batch, each time."
    )
    return [Finding("training-mode", "warning", where, concerned, effect, "Call model.eval() first.")]


def _normalises_by_batch(module: nn.Module) -> bool:
    return isinstance(module, known.BATCH_NORMS) and module.running_mean is None


def _needs_cudnn(module: nn.Module) -> bool:
    on_gpu = any(weight.device.type == "cuda" for weight in module.parameters(recurse=False))
    return isinstance(module, nn.RNNBase) and on_gpu and torch.backends.cudnn.enabled

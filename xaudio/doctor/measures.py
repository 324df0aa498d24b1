"""What can be told from an explainer's relevance: whether it is finite, sums to what it should, and leaves silence alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..model.attribution import sound_for
from ..model.copies import plain_copy
from ..model.model import Model
from ..model.modes import in_this_thread
from ..model.running import evaluation_mode, run_network
from ..model.statements import Statement
from ..model.sums import Completeness, Law, completeness
from ..registry.defaults import SUMS_TO_DIFFERENCE
from ..sound.baselines import baseline_features
from ..types import Explainer, Sound
from .findings import Finding

GAP = 0.05
"""Share of the logit by which a sum may miss it; the difference from a baseline may be missed by `sums.TOLERANCE`."""

LAWFUL = 1e-3
"""The same of what an explainer keeps books of."""

GROSS = 0.5
"""The same where no rule that merely suits a model badly is likely to be the cause."""

SILENCE = 1e-3
"""Share of the absolute relevance that may lie on features of 0."""


class Method(NamedTuple):
    """An explainer to be run, with its effective options."""

    name: str
    explainer: Explainer
    statement: Statement
    options: dict[str, Any]


def measure(model: Model, method: Method, waveforms: Tensor) -> tuple[list[Finding], dict[str, float]]:
    """Findings on one explainer's relevance of a recording, and the numbers they rest on.

    Parameters
    ----------
    model : Model
    method : Method
    waveforms : Tensor, shape (1, samples)
        Placed, in [-1, 1], on the model's device.
    """
    with torch.no_grad():
        features = model.features(waveforms)
    sound = Sound(waveforms, model.representation, model.features, model.kind)
    with evaluation_mode(model.network):
        logits = _logits(model.network, features)
        try:
            return _measured(model.network, method, features, logits, sound)
        except Exception as error:  # whatever an explainer fails with, also when it is asked for its sum, is a finding
            return [_failure(method, error)], {}


def _measured(
    network: nn.Module, method: Method, features: Tensor, logits: Tensor, sound: Sound
) -> tuple[list[Finding], dict[str, float]]:
    target = logits.argmax(1)
    relevance = _relevance(method, network, features, target, sound)
    unfit = _unfit(network, method, features, target, relevance, sound)
    if unfit is not None:
        return [unfit], {}
    sums = _sums(network, method, features, logits, target, relevance, sound)
    law = None
    numbers: dict[str, float] = {}
    if sums is not None and bool(sums.expected):
        numbers["sum"] = float(sums.total / sums.expected)
    elif (law := _law(network, method, features, target)) is not None:
        numbers |= {"sum": (law.relevance + law.constants) / law.answer, "constants": law.constants / law.answer}
    elif (ratio := _sum(network, method, features, sound)) is not None:
        numbers["sum"] = ratio
    if (share := _on_silence(method, features, relevance)) is not None:
        numbers["padding"] = share
    findings = _judge(method, numbers, law)
    if sums is not None and not bool(sums.holds):
        findings.append(_missed(method, sums, _tried(method, network, features, logits, target, sound)))
    return findings, numbers


def _failure(method: Method, error: Exception) -> Finding:
    reason = " ".join(str(error).split()) or type(error).__name__
    remedy = "Fix what it names, or choose another explainer."
    return Finding("fails", "error", (), (method.name,), f"It fails: {reason.rstrip('.')}.", remedy)


def _unfit(
    network: nn.Module, method: Method, features: Tensor, target: Tensor, relevance: Tensor, sound: Sound
) -> Finding | None:
    """What is not finite, on the recording or on the baseline that a sum is compared with."""
    finite = bool(torch.isfinite(relevance).all())
    compared = not finite or hasattr(method.explainer, "expected_sum")
    on_baseline = _not_finite_on_baseline(network, method, features, sound) if compared else None
    return on_baseline if on_baseline is not None or finite else _not_finite(network, features, target, method)


def _judge(method: Method, measured: dict[str, float], law: Law | None) -> list[Finding]:
    findings = []
    severity: Literal["error", "warning"]
    if law is not None and not abs(measured["sum"] - 1) <= LAWFUL:
        effect = f"Relevance and constants sum to {measured['sum']:.3g} times the logit, of which nothing may be lost or made."
        remedy = "Something there has a gradient that no rule replaces (TorchScript, a backward of its own): write it in torch."
        severity = "warning" if abs(measured["sum"] - 1) < GAP else "error"
        findings.append(
            Finding("conservation-gap", severity, (law.module,) if law.module else (), (method.name,), effect, remedy)
        )
    elif (
        law is None and "sums-to-logit" in method.statement.promises and "sum" in measured and not abs(measured["sum"] - 1) <= GAP
    ):
        effect = (
            f"Relevance sums to {measured['sum']:.3g} times the logit, in a copy of the model without biases, where nothing may "
            "be lost or made."
        )
        remedy = "Look for layers without a rule among the other findings. "
        remedy += _advice(method, "conservation-gap", "Else the rules do not suit the layers.")
        severity = "warning" if abs(measured["sum"] - 1) < GROSS else "error"
        findings.append(Finding("conservation-gap", severity, (), (method.name,), effect, remedy))
    if measured.get("padding", 0) > SILENCE:
        effect = f"{measured['padding']:.1%} of the absolute relevance lies on features of 0, which cannot have contributed."
        remedy = _advice(method, "padding", "Let it start from features of 0, and let no shift stand before the first layer.")
        findings.append(Finding("padding", "warning", ("features of 0",), (method.name,), effect, remedy))
    return findings


def _law(network: nn.Module, method: Method, features: Tensor, target: Tensor) -> Law | None:
    """What the answer is made of by the explainer's own books; None where it keeps none, or the answer is 0."""
    books = getattr(method.explainer, "law", None)
    law: Law | None = books(network, features.clone(), target) if books else None
    return law if law is not None and law.answer else None


def _advice(method: Method, finding: str, otherwise: str) -> str:
    """What the explainer itself says to do about a finding."""
    advice: str = getattr(method.explainer, "remedies", {}).get(finding, otherwise)
    return advice


def _relevance(method: Method, network: nn.Module, features: Tensor, target: Tensor, sound: Sound) -> Tensor:
    return method.explainer(network, features.clone(), target, **sound_for(method.explainer, sound)).detach()


def _logits(network: nn.Module, features: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = run_network(network, features.clone())
    return logits


def _sums(
    network: nn.Module, method: Method, features: Tensor, logits: Tensor, target: Tensor, relevance: Tensor, sound: Sound
) -> Completeness | None:
    """The sum of the relevance beside what the explainer says it is; None where it says nothing, or that is 0."""
    claim = getattr(method.explainer, "expected_sum", None)
    if claim is None:
        return None
    expected = claim(network, features, target, logits, **sound_for(claim, sound)).detach()
    sums = completeness(relevance, expected, logits)
    return None if bool(sums.holds) and bool(sums.expected.abs() <= sums.rounding) else sums


def _tried(
    method: Method, network: nn.Module, features: Tensor, logits: Tensor, target: Tensor, sound: Sound
) -> dict[str, Completeness]:
    """What other options reach, until some miss nothing."""
    tried: dict[str, Completeness] = {}
    for options, explainer in getattr(method.explainer, "alternatives", dict)().items():
        other = method._replace(explainer=explainer)
        relevance = _relevance(other, network, features, target, sound)
        sums = _sums(network, other, features, logits, target, relevance, sound)
        if sums is not None:
            tried[options] = sums
        if sums is None or bool(sums.holds):
            break
    return tried


def _missed(method: Method, sums: Completeness, tried: Mapping[str, Completeness]) -> Finding:
    miss = float(sums.miss)
    effect = f"Relevance sums to {float(sums.total):.3g}, and the logits differ by {float(sums.expected):.3g}."
    if tried:
        best = min(tried, key=lambda options: float(tried[options].miss))
        remedy = f"Take {best}, which misses {float(tried[best].miss):.2g} of it here."
        if not bool(tried[best].holds):
            remedy = (
                f"Of what was tried, {best} misses least ({float(tried[best].miss):.2g} of it): the model jumps, or needs more."
            )
    else:
        remedy = f"Take {' or '.join(SUMS_TO_DIFFERENCE)}."
    severity: Literal["error", "warning"] = "warning" if miss < GROSS else "error"
    return Finding("conservation-gap", severity, (), (method.name,), effect, remedy)


def _sum(network: nn.Module, method: Method, features: Tensor, sound: Sound) -> float | None:
    """Sum of the relevance over the logit, None where that is not defined, or is close to 0 beside the parts.

    Biases take their share of the relevance, which says nothing about the rules: in a copy without them all must arrive.
    """
    if "sums-to-logit" not in method.statement.promises:
        return None
    network = without_biases(network)
    logits = _logits(network, features)
    target = logits.abs().argmax(1)
    whole = logits.gather(1, target[:, None])
    parts = _relevance(method, network, features, target, sound).double()
    return None if abs(float(whole)) <= 1e-3 * float(parts.abs().sum()) else float(parts.sum() / whole.double())


def check_answers(network: nn.Module, features: Tensor, methods: Sequence[Method]) -> list[Finding]:
    """What the answers to a recording say: that they do not change with its amplitude, or have no gradient at all."""
    findings = []
    direct = [method for method in methods if not {"rules", "functions"} & method.statement.relies_on]
    compared = [
        method.name
        for method in direct
        if "nothing-on-zeros" in method.statement.promises or hasattr(method.explainer, "expected_sum")
    ]
    backward = [method.name for method in direct if method.statement.runs_backward]
    with evaluation_mode(network):
        try:
            if compared and _is_scale_invariant(network, features):
                effect = (
                    "The answer is the same when the sound is half or twice as loud, since the network normalises it: the "
                    "gradient times the input sums to 0, and on the way from silence nearly all changes in the first percent."
                )
                remedy = (
                    "Take steps spaced geometrically or the baseline noise_floor, or let the representation normalise "
                    "(normalisation=standard), so that what is explained lies behind it."
                )
                findings.append(Finding("scale-invariant", "warning", (), tuple(compared), effect, remedy))
            if backward and _is_saturated(network, features):
                effect = (
                    "The gradient of the answer is exactly 0 everywhere: it is saturated, as a softmax of a model that is sure."
                )
                remedy = "Let the model return what the softmax or sigmoid reads; LRP explains that by itself."
                findings.append(Finding("saturated-output", "error", (), tuple(backward), effect, remedy))
        except (ModelError, RuntimeError):  # that it cannot be run backwards is another finding
            return findings
    return findings


def _is_scale_invariant(network: nn.Module, features: Tensor) -> bool:
    answers = [_logits(network, features * factor) for factor in (1.0, 0.5, 2.0)]
    spread = float((answers[0] - answers[0].mean()).abs().max()) or float(answers[0].abs().max())
    return all(float((other - answers[0]).abs().max()) <= 1e-3 * spread for other in answers[1:])


def _is_saturated(network: nn.Module, features: Tensor) -> bool:
    with torch.enable_grad():
        entered = features.detach().clone().requires_grad_()
        score = run_network(network, entered.clone()).max()
        return bool(score.requires_grad) and not bool(torch.autograd.grad(score, entered)[0].any())


def without_biases(network: nn.Module) -> nn.Module:
    """A copy of a network whose biases, and the means and shifts of whose batch normalisations, are 0."""
    copy = plain_copy(network)
    for name, tensor in (*copy.named_parameters(), *copy.named_buffers()):
        if name.rpartition(".")[2] in ("bias", "running_mean"):
            tensor.data = torch.zeros_like(tensor)  # in memory of its own
    return copy


def _on_silence(method: Method, features: Tensor, relevance: Tensor) -> float | None:
    """Share of the absolute relevance on features of exactly 0, None where there are none or some is due to them."""
    silent = features == 0
    if "nothing-on-zeros" not in method.statement.promises or silent.float().mean() < 0.01 or not relevance.any():
        return None
    magnitude = relevance.double().abs()
    return float(magnitude[silent].sum() / magnitude.sum())


def _not_finite_on_baseline(network: nn.Module, method: Method, features: Tensor, sound: Sound) -> Finding | None:
    """What is said if the model itself is NaN or infinite for what the explainer compares with."""
    name = method.options.get("baseline", "zero")
    baseline = baseline_features(name, features, sound, seed=method.options.get("seed", 0))
    if bool(torch.isfinite(_logits(network, baseline)).all()):
        return None
    effect = f"The model itself is NaN or infinite for the baseline {name!r}, with which it compares."
    remedy = (
        "Choose another baseline (noise_floor), or let the model divide by no less than a small number: "
        "x / x.abs().amax((1, 2), keepdim=True).clamp(min=1e-6)."
    )
    return Finding("not-finite", "error", (f"the baseline {name}",), (method.name,), effect, remedy)


def _not_finite(network: nn.Module, features: Tensor, target: Tensor, method: Method) -> Finding:
    seen: list[tuple[str, bool]] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(  # type: ignore[no-untyped-call]
                    lambda gradient: seen.append((name, bool(torch.isfinite(gradient).all())))
                )

        return hook

    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    handles = [module.register_forward_hook(in_this_thread(watch(name))) for name, module in leaves]
    try:
        with torch.enable_grad():
            entered = features.detach().clone().requires_grad_()
            score = run_network(network, entered.clone()).gather(1, target[:, None]).sum()
        gradient = torch.autograd.grad(score, entered)[0]
    finally:
        for handle in handles:
            handle.remove()
    where = next((name for name, finite in seen if not finite), None)
    if where is None and bool(torch.isfinite(gradient).all()):
        effect = "Its relevance is NaN or infinite, though the gradient of the model is finite everywhere."
        remedy = f"Something is divided by almost 0 in the explainer: {_advice(method, 'not-finite', 'look at its options')}."
        return Finding("not-finite", "error", (), (method.name,), effect, remedy)
    place = f"between the output of {where} and what reads it" if where else "before the first module"
    effect = "Its relevance is NaN or infinite, because the model's gradient is."
    remedy = "Keep what comes there away from where it has no slope: the root or logarithm of 0, a division by 0."
    return Finding("not-finite", "error", (place,), (method.name,), effect, remedy)

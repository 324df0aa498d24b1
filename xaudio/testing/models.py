"""Checks of models: untrained networks, as their factories make them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import XaudioError
from ..registry.options import REQUIRED, options_of, parse_spec
from ..sound.channels import channels_in
from ..types import Representation
from .state import Left, stirred, watching
from .suite import Case, Unasked, close, need, unlike
from .toys import sounds, unlike_number

ASKED = (3, 5)
"""Numbers of classes that are asked for, unless the model has a number of its own."""

SCALES = (1.0, 10.0, 1000.0)
"""Features are taken times these to see where the logits go: those of a linear layer grow."""


class ModelCase(Case):
    """A model: a network for so many classes, in evaluation mode, with what it reads."""

    def network(self, classes: int | None, seed: int = 0) -> nn.Module:
        """A network anew, its weights drawn from the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = self.make(**({} if classes is None else {"classes": classes}))
        return network.eval() if isinstance(network, nn.Module) else network

    @cached_property
    def numbers(self) -> tuple[int | None, ...]:
        """Numbers of classes to ask for: one if the model has a number of its own and says so, None if it takes none."""
        option = options_of(self.plugins.factory("model", self.name)).get("classes")
        if "classes" in self.options:
            return (int(self.options["classes"]),)
        if option is None:
            return (None,)
        try:
            network = self.network(ASKED[0])
        except XaudioError as error:
            return (self._fixed(error, option.default),)
        said = _said_classes(network)
        return (said,) if said not in (None, ASKED[0]) else ASKED

    def _fixed(self, error: XaudioError, default: Any) -> int:
        """The number that a refusal of another names, or the option's default."""
        named = [int(number) for number in re.findall(r"\d+", str(error))]
        for number in [*([] if default is REQUIRED or default is None else [int(default)]), *named]:
            try:
                self.network(number)
            except XaudioError:
                continue
            return number
        raise error

    @cached_property
    def plugin(self) -> Any:
        """The network for the first number of classes."""
        return self.network(self.numbers[0])

    @cached_property
    def reads(self) -> Representation:
        """The representation that it reads."""
        chosen = self.representation or getattr(self.plugin, "representation", None)
        if chosen is None:
            raise Unasked("it does not say what it reads")
        made: Representation = self.plugins.create("representation", *parse_spec(chosen)) if isinstance(chosen, str) else chosen
        return made

    @cached_property
    def features(self) -> Tensor:
        """Features of one sound of each sort."""
        with torch.no_grad():
            return self.reads(sounds(self.reads.samples, channels_in(self.reads)))

    def answer(self, features: Tensor, network: nn.Module | None = None) -> Any:
        """What a network gives, without a gradient."""
        with torch.no_grad(), stirred():
            return (network or self.plugin)(features.clone())

    @cached_property
    def first(self) -> tuple[Any, Left]:
        """The first answer, and what it left behind."""
        with watching(self.plugin) as left, torch.no_grad():
            logits = self.plugin(self.features.clone())
        return logits, left

    @property
    def logits(self) -> Tensor:
        """Logits (sounds, classes), if they are any."""
        if _misshapen(self):
            raise Unasked("it gives no logits (batch, classes)")
        logits: Tensor = self.first[0]
        return logits

    @cached_property
    def unlike(self) -> str:
        """Why a second call gives something else, or nothing."""
        first, again = self.logits, self.answer(self.features)
        if close(first, again, 1e-6):
            return ""
        if "generators" in self.first[1].changes:
            return "it is left to chance in evaluation mode, such as dropout that never ends"
        return unlike(first, again, self.answer(self.features, self.network(self.numbers[0])), drawn=False)


def _said_classes(network: Any) -> int | None:
    """The number of classes that a network says it has, by an attribute ``classes``: a number, or names."""
    said = getattr(network, "classes", None)
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    return len(said) if isinstance(said, list | tuple) else None


def _misshapen(case: ModelCase) -> str:
    logits = case.first[0]
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(case.features):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        return f"it gives {shape}; expected logits (batch, classes) of {len(case.features)} recordings"
    return "" if logits.is_floating_point() else f"its logits are {logits.dtype}; expected floating point"


def it_is_a_torch_module(case: ModelCase) -> str:
    network = case.plugin
    return "" if isinstance(network, nn.Module) else f"it is a {type(network).__name__}; expected a torch.nn.Module"


def it_says_what_it_reads(case: ModelCase) -> str:
    chosen = getattr(case.plugin, "representation", None)
    if chosen is None and case.representation is None:
        return "without an attribute representation; name one with --representation"
    return "" if callable(case.reads) else f"representation is {chosen!r}"


def forward_takes_features_alone(case: ModelCase) -> str:
    needed = [
        name
        for name, parameter in inspect.signature(case.plugin.forward).parameters.items()
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return "" if len(needed) <= 1 else f"it needs {', '.join(needed)}"


def it_gives_logits_batch_by_classes(case: ModelCase) -> str:
    return _misshapen(case)


def it_gives_as_many_classes_as_are_asked_for(case: ModelCase) -> str:
    for number in case.numbers:
        network = case.plugin if number == case.numbers[0] else case.network(number)
        outputs = case.logits.shape[1] if network is case.plugin else case.answer(case.features[:1], network).shape[1]
        expected = _said_classes(network) if number is None else number
        if outputs != expected and number is None:
            return "it takes no option classes; with a fixed number it says so by an attribute classes"
        if outputs != expected:
            return (
                f"{number} were asked for, it gives {outputs}; one with a fixed number refuses others, or has an attribute "
                "classes"
            )
    return ""


def logits_are_finite(case: ModelCase) -> str:
    return unlike_number(case.logits)


def logits_are_not_squashed(case: ModelCase) -> str:
    networks = [case.network(case.numbers[0], seed) for seed in range(3)]
    logits = [case.answer(case.features * scale, network).double() for network in networks for scale in SCALES]
    return _squashed(torch.cat(logits))


def _squashed(values: Tensor) -> str:
    """Why values (cases, classes) are no logits, or nothing."""
    values = values[torch.isfinite(values).all(1)]
    sums = values.sum(1)
    within = bool(((values >= 0) & (values <= 1)).all())
    if within and bool(((sums - 1).abs() < 1e-3).all()):
        return "they are probabilities that sum to 1 (softmax): a network gives logits, and leaves the softmax to xaudio"
    if bool((values <= 1e-6).all()) and bool(((values.exp().sum(1) - 1).abs() < 1e-3).all()):
        return "they are logarithms of probabilities (log-softmax): a network gives logits"
    if within:
        return "they are all between 0 and 1 (sigmoid): a network gives logits"
    if bool((values.abs() <= 1).all()) and bool((values.abs() > 0.999).any()):
        return "they saturate at -1 and 1 (tanh): a network gives logits"
    if bool((values >= 0).all()) and bool((values == 0).any()):
        return "they are never negative (a ReLU at the end): a network gives logits"
    return ""


def the_gradient_reaches_the_features(case: ModelCase) -> str:
    need(case, logits_are_finite)
    features = case.features.clone().requires_grad_()
    with torch.enable_grad():
        logits = case.plugin(features * 1)
        if not logits.requires_grad:
            return "the logits have no gradient (detach, or no_grad)"
        for index in range(min(3, logits.shape[1])):
            gradient = torch.autograd.grad(logits[:, index].sum(), features, retain_graph=True, allow_unused=True)[0]
            if gradient is None or not gradient.any():
                return f"the gradient of logit {index} is 0 everywhere (detach, or a step function)"
            if said := unlike_number(gradient):
                return f"the gradient is {said}"
    return ""


def the_same_call_gives_the_same_logits(case: ModelCase) -> str:
    return case.unlike


def logits_do_not_depend_on_the_batch(case: ModelCase) -> str:
    need(case, logits_are_finite, the_same_call_gives_the_same_logits)
    alone = [case.answer(case.features[[row]])[0] for row in (0, 3)]
    differ = [row for row, logits in zip((0, 3), alone, strict=True) if not close(logits, case.logits[row])]
    return "logits of a recording alone are not those in a batch (batch statistics?)" if differ else ""


def a_call_changes_nothing_of_the_model(case: ModelCase) -> str:
    left = case.first[1]
    ways = {
        "modes": "left in another mode (training or evaluation)",
        "hooks": "left behind",
        "modules": "replaced or added",
        "weights": "weights or buffers changed in evaluation mode",
        "requires_grad": "requires_grad was switched",
        "settings": "changed for everybody",
    }
    return "; ".join(filter(None, (left.said(aspect, how) for aspect, how in ways.items())))


def the_weights_are_all_that_it_learns(case: ModelCase) -> str:
    need(case, logits_are_finite, the_same_call_gives_the_same_logits)
    other = case.network(case.numbers[0], seed=7)
    other.load_state_dict(case.plugin.state_dict())
    same = close(case.answer(case.features, other), case.logits)
    return "" if same else "a second network with the same weights gives other logits: something random is not in its state_dict"


def weights_follow_the_global_generator(case: ModelCase) -> str:
    states = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            case.make(**({} if case.numbers[0] is None else {"classes": case.numbers[0]}))
            states.append((before, torch.get_rng_state()))
    same = torch.equal(states[0][1], states[1][1])
    return "the factory sets torch's global seed, so that a training's seed has no effect" if same else ""


def training_settings_are_a_mapping(case: ModelCase) -> str:
    settings = getattr(case.plugin, "training_settings", None)
    if settings is None:
        raise Unasked("it has none")
    return "" if isinstance(settings, Mapping) else f"training_settings is a {type(settings).__name__}"

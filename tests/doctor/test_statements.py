"""A third party's explainer is checked for what it says of itself, as ours are."""

from importlib.metadata import EntryPoint

import pytest
import torch
from torch import nn
from torch.nn import functional

import xaudio
import xaudio.doctor.findings
from xaudio.errors import PluginError
from xaudio.model.statements import Statement, statement_of
from xaudio.registry.loading import Registry

SAMPLES = 1000


class Functional(nn.Module):
    """A model with a functional activation that no rule is defined for, and nothing else that is wrong."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv1d(1, 4, 9, padding=4), nn.Linear(4 * SAMPLES, 3)

    def forward(self, features):
        return self.head(functional.gelu(self.conv(features)).flatten(1))


def explain(model, features, target):
    features = features.detach().clone().requires_grad_()
    score = model(features).gather(1, target[:, None]).sum()
    return (features * torch.autograd.grad(score, features)[0]).detach()


def explainer(**statements):
    def theirs(model, features, target):
        return explain(model, features, target)

    for name, value in statements.items():
        setattr(theirs, name, value)
    return theirs


def diagnosed(model, method):
    read = xaudio.create("representation", "waveform", sample_rate=8000, samples=SAMPLES, normalisation="none")
    return xaudio.diagnose(model, representation=read, explainer=method)


def names(model, method):
    return {finding.name for finding in diagnosed(model, method).findings}


@pytest.mark.slow
def test_what_a_third_party_states_is_looked_for():
    assert names(Functional(), explainer()) == set()
    assert names(Functional(), explainer(needs="gradient")) == set()
    by_rules = diagnosed(Functional(), explainer(needs="layers", relies_on={"rules"}))
    ours = diagnosed(Functional(), "lrp:engine=zennit")
    (theirs,) = (finding for finding in by_rules.findings if finding.name == "functional-activation")
    (same,) = (finding for finding in ours.findings if finding.name == "functional-activation")
    assert (theirs.where, theirs.effect, theirs.remedy) == (same.where, same.effect, same.remedy)
    assert theirs.explainers == ("theirs",)
    assert names(Functional(), explainer(relies_on=["activation-modules"])) == {"functional-activation"}


def test_what_a_third_party_promises_is_measured_and_its_own_remedy_said():
    half = explainer(promises={"sums-to-logit"}, remedies={"conservation-gap": "Set scale=2."})
    linear = nn.Sequential(nn.Conv1d(1, 2, 9, padding=4, bias=False), nn.Flatten(), nn.Linear(2 * SAMPLES, 3, bias=False))
    assert diagnosed(linear, half).measured["theirs"]["sum"] == pytest.approx(1, abs=1e-4)

    def doubled(model, features, target):
        return 2 * explain(model, features, target)

    doubled.promises, doubled.remedies = half.promises, half.remedies
    (finding,) = diagnosed(linear, doubled).findings
    assert finding.name == "conservation-gap"
    assert finding.remedy.endswith("Set scale=2.")
    assert diagnosed(linear, explainer()).measured == {"theirs": {}}


def test_one_that_says_nothing_gets_the_general_checks():
    class Confident(Functional):
        def forward(self, features):
            return super().forward(features).softmax(1)

    assert names(Confident(), explainer()) == {"softmax"}
    assert names(Confident(), explainer(control=True)) == set()


def test_a_factory_may_say_it_for_what_it_makes(monkeypatch):
    class Theirs:
        __slots__ = ()

        def __call__(self, model, features, target):
            return explain(model, features, target)

    def factory():
        return Theirs()

    factory.needs, factory.relies_on = "layers", {"rules"}
    plugins = Registry([EntryPoint("none", "xaudio_visual", "xaudio")])
    plugins._add(plugins.plugins[0], "explainer", {"theirs": factory})
    monkeypatch.setattr(xaudio.model.statements, "registry", lambda: plugins)
    assert statement_of(Theirs(), "theirs") == Statement("layers", frozenset({"rules"}))
    assert statement_of(Theirs(), "another") == Statement()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ({"needs": "gradients"}, "needs = 'gradients'; expected one of scores, gradient, layers"),
        ({"relies_on": "rules"}, "relies_on = 'rules'; expected a set of rules, functions, activation-modules"),
        ({"relies_on": {"hooks"}}, "'hooks'; expected one of rules, functions, activation-modules"),
        ({"promises": {"sum": 1}}, "'sum'; expected one of sums-to-logit, nothing-on-zeros"),
        ({"promises": None}, "promises = None; expected a set of"),
    ],
)
def test_words_that_there_are_not_are_refused(statements, words):
    with pytest.raises(PluginError, match=words):
        diagnosed(Functional(), explainer(**statements))


@pytest.mark.parametrize(
    ("spec", "statement"),
    [
        ("lrp", Statement("layers", frozenset({"functions"}), frozenset({"nothing-on-zeros", "sums-to-logit"}))),
        ("lrp:engine=zennit", Statement("layers", frozenset({"rules"}), frozenset({"nothing-on-zeros", "sums-to-logit"}))),
        ("lrp:composite=epsilon_alpha2_beta1", Statement("layers", frozenset({"functions"}), frozenset({"nothing-on-zeros"}))),
        ("gradient", Statement("gradient")),
        ("input_x_gradient", Statement("gradient", promises=frozenset({"nothing-on-zeros"}))),
        ("integrated_gradients", Statement("gradient", promises=frozenset({"nothing-on-zeros"}))),
        ("integrated_gradients:baseline=noise_floor", Statement("gradient")),
        ("gradient_shap", Statement("gradient", promises=frozenset({"nothing-on-zeros"}))),
        ("deep_lift", Statement("layers", promises=frozenset({"nothing-on-zeros"}))),
        ("smooth_grad", Statement("gradient")),
        ("guided_backprop", Statement("layers")),
        ("saliency", Statement("gradient")),
        ("grad_cam", Statement("layers")),
        ("occlusion", Statement()),
        ("random", Statement(control=True)),
        ("amplitude", Statement(control=True)),
    ],
)
def test_what_ours_say(spec, statement):
    from xaudio.registry.options import parse_spec

    name, options = parse_spec(spec)
    assert statement_of(xaudio.create("explainer", name, **options), name) == statement

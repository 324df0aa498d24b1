"""The conformance suite of `xaudio plugins check`: whether a plugin keeps the contract of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from .attribution import attribute
from .classifier import Classifier
from .domains import Time
from .errors import DataError, ModelError, XaudioError
from .explanation import Explanation
from .options import REQUIRED, options_of
from .pipeline import explain
from .randomness import seeded_generator
from .registry import registry
from .types import Better, Clip, Explainer

SAMPLES = 512
RATE = 8000


@dataclass(frozen=True)
class Result:
    """One checked property and, if it does not hold, why."""

    what: str
    problem: str = ""


def check(kind: str, name: str) -> list[Result]:
    """Check one plugin, with its default options.

    Parameters
    ----------
    kind, name : str

    Returns
    -------
    list of Result
        In the order of the checks; after the first that fails with an exception there are no more.
    """
    results: list[Result] = []
    try:
        for what, holds in _CHECKS[kind](name):
            results.append(Result(what, "" if holds else "does not hold"))
    except Exception as error:  # whatever a plugin does wrong is a result
        reason = str(error) if isinstance(error, XaudioError) else f"{type(error).__name__}: {error}"
        results.append(Result("works without an error", reason))
    return results


def _toy_classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv1d(1, 4, 9, padding=4), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(SAMPLES, 3)]
        return Classifier(nn.Sequential(*layers).eval(), Time(RATE, SAMPLES), ("a", "b", "c"), "toy")


def _toy_waveforms(count: int) -> Tensor:
    generator = seeded_generator(0)
    return torch.rand(count, SAMPLES, generator=generator, dtype=torch.float32) - 0.5


def _toy_explanation() -> Explanation:
    found = explain(_toy_classifier(), Clip(_toy_waveforms(1)[0].numpy(), RATE), explainer=_times_input)
    assert isinstance(found, Explanation)  # noqa: S101 (one recording gives one explanation)
    return found


def _times_input(model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
    features.requires_grad_()
    score = model(features).gather(1, target[:, None]).sum()
    return features.detach() * torch.autograd.grad(score, features)[0]


Checks = Iterator[tuple[str, bool]]


def _dataset(name: str) -> Checks:
    dataset = registry().create("dataset", name)
    yield "has recordings and a title", len(dataset) > 0 and bool(dataset.title)
    clip = dataset[0]
    yield "decodes to a mono float32 clip", clip.waveform.ndim == 1 and clip.waveform.dtype == np.float32
    yield "decodes the same twice", np.array_equal(clip.waveform, dataset[0].waveform)
    yield "names the speaker of every recording", len(dataset.speakers) == len(dataset)
    speakers = np.array(dataset.speakers)
    for task, classes in dataset.tasks.items():
        labels = dataset.labels(task)
        yield f"labels of task {task} are class indices or -1", labels.min() >= -1 and labels.max() < len(classes)
        for index, fold in enumerate(dataset.folds(task)):
            groups = [set(speakers[part]) for part in fold]
            shared = (groups[0] & groups[1]) | (groups[0] & groups[2]) | (groups[1] & groups[2])
            yield f"fold {index} of task {task} shares no speaker", not shared and all(groups)
    yield "has a fingerprint that stays", dataset.fingerprint() == registry().create("dataset", name).fingerprint()


def _representation(name: str) -> Checks:
    made = registry().create("representation", name)
    waveforms = torch.rand(2, made.samples, generator=seeded_generator(0), dtype=torch.float32) - 0.5
    features = made(waveforms)
    yield "features are (batch, channels, *axes)", features.shape[2:] == tuple(len(axis.centres) for axis in made.axes)
    yield "a recording's features do not depend on the batch", torch.allclose(made(waveforms[:1])[0], features[0], atol=1e-4)
    yield (
        "amplitude is shaped like the features and not negative",
        made.amplitude(waveforms).shape == features.shape and bool((made.amplitude(waveforms) >= 0).all()),
    )
    waveforms.requires_grad_()
    gradient = torch.autograd.grad(made(waveforms).sum(), waveforms)[0]
    yield "is differentiable", bool(torch.isfinite(gradient).all() and (gradient != 0).any())
    waveforms = waveforms.detach()
    sound = made.masked_waveform(waveforms, torch.ones_like(features))
    yield "a mask gives waveforms", sound.shape == waveforms.shape
    relevance = torch.rand(features.shape, generator=seeded_generator(1), dtype=torch.float32)
    back = made.to_waveform_relevance(waveforms, relevance)
    yield "relevance of samples sums to that of the cells", torch.allclose(back.sum(1), relevance.flatten(1).sum(1), rtol=1e-3)
    yield "silence gives finite features", bool(torch.isfinite(made(torch.zeros(1, made.samples))).all())


def _model(name: str) -> Checks:
    network = registry().create("model", name, {"classes": 3})
    yield "is a torch module", isinstance(network, nn.Module)
    yield "names its representation", isinstance(getattr(network, "representation", None), str)
    made = registry().create("representation", network.representation)
    network.eval()
    features = made(torch.rand(2, made.samples) - 0.5)
    with torch.no_grad():
        logits = network(features)
        yield "gives logits (batch, classes)", logits.shape == (2, 3)
        yield "a recording's logits do not depend on the batch", torch.allclose(network(features[:1])[0], logits[0], rtol=1e-3)


def _explainer(name: str) -> Checks:
    method = registry().create("explainer", name)
    classifier, waveforms = _toy_classifier(), _toy_waveforms(3)
    before = {key: value.clone() for key, value in classifier.network.state_dict().items()}
    features, relevance, _, target = attribute(classifier, method, waveforms)
    yield "relevance is shaped like the features and finite", relevance.shape == features.shape
    again = attribute(classifier, registry().create("explainer", name), waveforms)[1]
    yield "the same call gives the same relevance", torch.equal(relevance, again)
    after = classifier.network.state_dict()
    yield "weights are left as they were", all(torch.equal(before[key], after[key]) for key in before)
    hooks = [module for module in classifier.network.modules() if module._forward_hooks or module._backward_hooks]
    yield "no hooks are left behind", not hooks
    yield "no gradients are left on the weights", all(weight.grad is None for weight in classifier.network.parameters())
    alone = attribute(classifier, method, waveforms[:1], target[:1])[1]
    if hasattr(method, "with_logits"):
        logits = method.with_logits(classifier.network, features, target)[1]
        with torch.no_grad():
            expected = classifier.network(features)
        yield "the logits it gives are the model's", torch.allclose(logits, expected, rtol=1e-3, atol=1e-5)
    yield "relevance does not depend on the batch", torch.allclose(alone[0], relevance[0], rtol=1e-3, atol=1e-5)


def _separator(name: str) -> Checks:
    method = registry().create("separator", name)
    waveforms = _toy_waveforms(3)
    waveforms[2] = 0
    sources = method(waveforms, RATE)
    yield "sources are (batch, sources, samples)", sources.ndim == 3 and sources[:, 0].shape == waveforms.shape
    yield "sources sum to the recording", torch.allclose(sources.sum(1), waveforms, rtol=0, atol=1e-6)
    yield "the same call gives the same sources", torch.equal(sources, registry().create("separator", name)(waveforms, RATE))
    yield "sources do not depend on the batch", torch.allclose(method(waveforms[:1], RATE)[0], sources[0], atol=1e-5)


def _renderer(name: str) -> Checks:
    method = registry().create("renderer", name)
    with TemporaryDirectory() as folder:
        written = method(_toy_explanation(), Path(folder))
        yield "returns what it wrote", bool(written) and all(path.stat().st_size > 0 for path in written)
        yield "leaves nothing else behind", {path for path in Path(folder).rglob("*") if path.is_file()} == set(written)


def _metric(name: str) -> Checks:
    method = registry().create("metric", name)
    better = getattr(method, "better", None)
    yield (
        "says which values are better: higher, lower or none",
        isinstance(better, Mapping) and bool(better) and set(better.values()) <= set(get_args(Better)),
    )
    classifier, explanations = _measurable()
    before = {key: value.clone() for key, value in classifier.network.state_dict().items()}
    try:
        values = method(classifier, explanations)
    except (DataError, ModelError) as error:  # a metric need not apply to a toy
        yield "says in one line where it does not apply", bool(str(error)) and "\n" not in str(error)
        return
    yield "gives named values, one per explanation", bool(values) and all(np.shape(value) == (3,) for value in values.values())
    yield "values are finite", all(bool(np.isfinite(value).all()) for value in values.values())
    yield "says of every value that it gives which is better, and of no other", set(values) == set(better or {})
    again = registry().create("metric", name)(classifier, explanations)
    yield "the same call gives the same values", all(np.array_equal(values[key], again[key]) for key in values)
    alone = method(classifier, explanations[1:2])
    yield (
        "a value does not depend on the other explanations",
        all(np.allclose(alone[key], values[key][1:2], rtol=1e-3, atol=1e-5) for key in values),
    )
    after = classifier.network.state_dict()
    yield "weights are left as they were", all(torch.equal(before[key], after[key]) for key in before)


def _measurable() -> tuple[Classifier, list[Explanation]]:
    """A model and explanations of it, of sounds of which it is known where the evidence lies."""
    classifier = _toy_classifier()
    middle = np.array([[0.01, 0.03, 0, RATE / 2]])
    clips = [
        Clip(waveform.numpy(), RATE, labels={"toy": index % 3}, source=f"toy {index}", truth={"boxes.toy": middle})
        for index, waveform in enumerate(_toy_waveforms(3))
    ]
    # A plugin, where there is one: a metric may explain anew, which it cannot with a function.
    explainer: str | Explainer = "gradient" if "gradient" in registry().names("explainer") else _times_input
    found = explain(classifier, clips, explainer=explainer)
    return classifier, list(found) if isinstance(found, list) else [found]


def _benchmark(name: str) -> Checks:
    options = options_of(registry().factory("benchmark", name))
    yield "has defaults for all options", all(option.default is not REQUIRED for option in options.values())
    yield "can be called with a folder", callable(registry().create("benchmark", name))


_CHECKS: dict[str, Callable[[str], Checks]] = {
    "dataset": _dataset,
    "representation": _representation,
    "model": _model,
    "explainer": _explainer,
    "separator": _separator,
    "renderer": _renderer,
    "metric": _metric,
    "benchmark": _benchmark,
}

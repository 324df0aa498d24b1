"""Every first-party plugin keeps its contract, and the suite notices one that does not."""

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from sweeps import sweep

import xaudio.testing
from xaudio.plugin import SpeakerDataset, recording_digests
from xaudio.registry.loading import KINDS, Registry, registry
from xaudio.sound.channelwise import Channelwise
from xaudio.testing import check

FOLDERS = {"audiomnist": "audiomnist-en", "audiomnist-az": "audiomnist-az", "folder": "esc10", "fsdd": "fsdd"}
"""Real recordings of the data sets that need files."""

PLUGINS = [
    *((kind, name) for kind in KINDS if kind not in ("dataset", "engine") for name in registry().names(kind)),
    *(("dataset", name) for name in registry().names("dataset") if name not in FOLDERS),
]
LONG = {("model", "alexnet"), ("model", "audionet"), ("dataset", "synthetic"), ("dataset", "truth"), ("explainer", "freqrise")}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), sweep(PLUGINS, [plugin for plugin in PLUGINS if plugin not in LONG]))
def test_first_party_plugins_conform(kind, name):
    results = check(kind, name)
    assert results
    assert [f"{result.what}: {result.problem}" for result in results if result.problem] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("raw", {"channels": 2, "samples": 800, "sample_rate": 8000}),
        ("log_mel", {"channels": 3, "sample_rate": 8000, "n_fft": 256, "bands": 20}),
    ],
)
def test_representations_of_several_channels_are_checked_whole(name, options):
    assert [f"{one.what}: {one.problem}" for one in check("representation", name, options) if one.problem] == []
    assert [one.what for one in check("representation", name, options) if one.skipped] == [
        one.what for one in check("representation", name, {**options, "channels": 1}) if one.skipped
    ]


def test_channels_that_are_mixed_up_are_found(monkeypatch):
    monkeypatch.setattr(Channelwise, "_together", lambda self, waveforms: waveforms[:: self.channels])
    problems = [one.problem for one in check("representation", "raw", {"channels": 2, "samples": 800}) if one.problem]
    assert any("expected waveforms (1, 2, 800)" in problem for problem in problems)


@pytest.mark.parametrize("name", registry().names("engine"))
def test_first_party_engines_conform(processes, name):
    results = check("engine", name)
    assert results
    assert [f"{result.what}: {result.problem}" for result in results if result.problem] == []


@pytest.mark.parametrize(("name", "folder"), FOLDERS.items())
def test_first_party_data_sets_of_real_recordings_conform(real_data, name, folder):
    results = check("dataset", name, {"data": real_data(folder)})
    assert len(results) > 10
    assert [f"{result.what}: {result.problem}" for result in results if result.problem] == []


def test_a_data_set_in_a_format_of_its_own_is_checked_whole(tmp_path, monkeypatch):
    """That of the guide; libsndfile knows nothing of its files."""
    guide = (Path(__file__).parents[2] / "docs/guide/plugins.md").read_text()
    (block,) = (block for block in re.findall(r"^```python\n(.*?)^```", guide, re.M | re.S) if ".pcm" in block)
    (tmp_path / "format_of_its_own.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    for number, name in enumerate(f"{word}_{speaker}_{take}" for word in ("yes", "no") for speaker in "abc" for take in "01"):
        samples = np.random.default_rng(number).integers(-9000, 9000, 800)
        (tmp_path / f"{name}.pcm").write_bytes(samples.astype("<i2").tobytes())
    plugins = Registry([EntryPoint("format", "format_of_its_own", "xaudio")])
    monkeypatch.setattr(xaudio.testing, "registry", lambda: plugins)
    results = check("dataset", "pcm", {"data": tmp_path})
    assert [f"{result.what}: {result.problem or result.skipped}" for result in results if result.problem or result.skipped] == []
    digests = recording_digests(plugins.create("dataset", "pcm", {"data": tmp_path}))
    assert len(set(digests)) == len(digests) == 12
    monkeypatch.setattr(SpeakerDataset, "fingerprint", lambda self: "always the same")
    problems = [result.problem for result in check("dataset", "pcm", {"data": tmp_path}) if result.problem]
    assert any("the fingerprint is the same" in problem for problem in problems)


BROKEN = """
import torch
from xaudio.plugin import hookimpl

def wrong_shape(model, features, target):
    return features[:, :, :3]

def forgets_seed(model, features, target):
    return torch.rand_like(features)

def changes_weights(model, features, target):
    with torch.no_grad():
        next(model.parameters()).add_(1)
    return features

def leaves_gradients(model, features, target):
    model(features).sum().backward()
    return features

def leaves_hooks(model, features, target):
    model[0].register_forward_hook(lambda *_: None)
    return features

def mixes_batch(model, features, target):
    return features - features.mean(0, keepdim=True)

def raises(model, features, target):
    raise KeyError("x")

@hookimpl
def xaudio_explainers():
    found = [wrong_shape, forgets_seed, changes_weights, leaves_gradients, leaves_hooks, mixes_batch, raises]
    return {f.__name__: (lambda f=f: (lambda: f))() for f in found}
"""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("wrong_shape", "expected relevance shaped like the features"),
        ("forgets_seed", "the same call gives the same relevance"),
        ("changes_weights", "weights are left as they were"),
        ("leaves_gradients", "no gradients are left"),
        ("leaves_hooks", "no hooks are left"),
        ("mixes_batch", "does not depend on the batch"),
        ("raises", "KeyError"),
    ],
)
def test_a_plugin_that_breaks_its_contract_is_found(tmp_path, monkeypatch, name, problem):
    (tmp_path / "broken_explainers.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    broken = Registry([EntryPoint("broken", "broken_explainers", "xaudio")])
    assert broken.problems() == []
    monkeypatch.setattr(xaudio.testing, "registry", lambda: broken)
    problems = [f"{result.what}: {result.problem}" for result in check("explainer", name) if result.problem]
    assert any(problem in line for line in problems)


BROKEN_METRICS = """
import numpy as np
from xaudio.plugin import ModelError, hookimpl

def metric(value, better={"score": "higher"}):
    def measure(model, explanations):
        return {"score": value(model, explanations)}
    if better is not None:
        measure.better = better
    return lambda: measure

calls = []

def counts_calls(model, explanations):
    calls.append(1)
    return np.full(len(explanations), len(calls))

def changes_weights(model, explanations):
    next(model.network.parameters()).data.add_(1)
    return np.zeros(len(explanations))

def refuses(text):
    def measure(model, explanations):
        raise ModelError(text)
    return measure

one = lambda model, explanations: np.ones(len(explanations))

@hookimpl
def xaudio_metrics():
    return {
        "fine": metric(one),
        "fine_refusal": metric(refuses("does not apply to toys; leave it out.")),
        "refuses_in_lines": metric(refuses("two\\nlines")),
        "no_better": metric(one, None),
        "odd_better": metric(one, {"score": "up"}),
        "other_better": metric(one, {"other": "lower"}),
        "not_finite": metric(lambda model, explanations: np.full(len(explanations), np.nan)),
        "one_for_all": metric(lambda model, explanations: np.ones(1)),
        "counts_calls": metric(counts_calls),
        "mixes": metric(lambda model, explanations: np.full(len(explanations), len(explanations))),
        "changes_weights": metric(changes_weights),
    }
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("fine", ""),
        ("fine_refusal", ""),
        ("refuses_in_lines", "in one line"),
        ("no_better", "which values are better"),
        ("odd_better", "which values are better"),
        ("other_better", "says of every value"),
        ("not_finite", "values are finite"),
        ("one_for_all", "one per explanation"),
        ("counts_calls", "the same call gives the same"),
        ("mixes", "does not depend on the other"),
        ("changes_weights", "weights are left as they were"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_found(tmp_path, monkeypatch, name, problem):
    (tmp_path / "broken_metrics.py").write_text(BROKEN_METRICS)
    monkeypatch.syspath_prepend(tmp_path)
    broken = Registry([EntryPoint("broken", "broken_metrics", "xaudio")])
    assert broken.problems() == []
    monkeypatch.setattr(xaudio.testing, "registry", lambda: broken)
    problems = [f"{result.what}: {result.problem}" for result in check("metric", name) if result.problem]
    assert any(problem in line for line in problems) if problem else problems == []

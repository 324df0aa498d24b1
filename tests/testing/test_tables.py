# ruff: noqa: NPY002
"""Plugins that are wrong on purpose are found by the check that is meant for them; right but unusual ones pass."""

import dataclasses
import os
import random
import signal
import warnings
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from right_plugins import RIGHT
from typer.testing import CliRunner
from wrong_plugins import WRONG

import xaudio.cli.plugins
import xaudio.testing
from xaudio.cli.app import app
from xaudio.registry.loading import Registry
from xaudio.registry.options import parse_spec
from xaudio.testing import ContractError, check, checks_of
from xaudio.testing.datasets import files_are_those_of_the_recordings
from xaudio.testing.state import restored, watching
from xaudio.testing.suite import Unasked

OTHERS = Registry(
    [*entry_points(group="xaudio"), *(EntryPoint(name, name, "xaudio") for name in ("wrong_plugins", "right_plugins"))]
)


@pytest.fixture(autouse=True)
def others(tmp_path, monkeypatch):
    assert OTHERS.problems() == []
    monkeypatch.setattr(xaudio.testing, "registry", lambda: OTHERS)
    monkeypatch.setattr(xaudio.cli.plugins, "registry", lambda: OTHERS)
    monkeypatch.setenv("WRITES", str(tmp_path))


def problems_of(kind, name, options=None, **more):
    results = check(kind, name, options, **more)
    assert results
    return {result.what: result.problem for result in results if result.problem}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), WRONG, ids=[f"{kind}-{name}" for kind, name in WRONG])
def test_a_wrong_plugin_is_found_by_the_check_that_is_meant_for_it(kind, name, tmp_path):
    finding, words = WRONG[kind, name]
    options = {}
    if name == "fingerprint_of_names":
        for index in range(6):
            soundfile.write(tmp_path / f"{index}.wav", np.random.default_rng(index).uniform(-0.5, 0.5, 100), 8000)
        options = {"data": tmp_path}
    problems = problems_of(kind, name, options)
    assert list(problems) == [finding.replace("_", " ")]
    for word in words:
        assert word in problems[finding.replace("_", " ")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "spec"), [(kind, spec) for kind, specs in RIGHT.items() for spec in specs])
def test_a_right_but_unusual_plugin_passes(kind, spec):
    assert problems_of(kind, *parse_spec(spec)) == {}


def test_what_a_model_reads_may_be_named():
    assert problems_of("model", "reads_what_is_named", representation="waveform:samples=1000,sample_rate=4000") == {}
    assert "it says what it reads" in problems_of("model", "reads_what_is_named")


@pytest.mark.slow
def test_a_wrong_plugin_does_no_harm_to_the_process(monkeypatch):
    def state():
        settings = (torch.get_default_dtype(), torch.is_grad_enabled(), random.getstate())
        return *settings, torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()

    before = state()
    for name in ("default_dtype_changed", "grad_mode_changed", "seed_of_torch_set", "numbers_of_random_drawn"):
        check("explainer", name)
    assert state() == before


SETTINGS = {
    "default device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "anomaly mode": (torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: torch.set_autocast_enabled("cpu", True)),
    "benchmark": (lambda: torch.backends.cudnn.benchmark, lambda: setattr(torch.backends.cudnn, "benchmark", True)),
    "matrix products": (torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_a_plugin_changes_is_told_and_put_back(name):
    read, change = SETTINGS[name]
    before = read()
    try:
        with watching() as left:
            change()
            assert read() != before
        assert any(name in setting for setting in left.changes["settings"])
        assert read() == before
    finally:
        torch.set_default_device(None)
        torch.autograd.set_detect_anomaly(False)
        torch.set_autocast_enabled("cpu", False)
        torch.backends.cudnn.benchmark = False


def test_the_default_device_of_the_user_stays():
    torch.set_default_device("meta")
    try:
        with restored():
            torch.set_default_device("cpu")
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)


def test_checks_are_tests_of_an_author():
    checks = {check.__name__: check for check in checks_of("explainer", "pre_hook_left")}
    checks["relevance_is_finite"]()
    with pytest.raises(ContractError, match="'pre_hook_left': no hooks are left behind: forward pre hooks of 0"):
        checks["no_hooks_are_left_behind"]()


@pytest.mark.parametrize("check", checks_of("explainer", "gradient"))
def test_checks_of_a_first_party_plugin(check):
    check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["explainer/pre_hook_left"], 1, "FAIL  explainer pre_hook_left: no hooks are left behind: forward pre hooks of 0"),
        (["factory_exits"], 1, "it raised SystemExit: 3"),
        (["slow:seconds=0.01"], 0, "ok    explainer slow: relevance is finite"),
        (["slow:second=0.01"], 1, "Did you mean 'seconds'?"),
        (["refuses_the_toys"], 0, "not checked, since it refuses: explains transformers only"),
        (["lrp:composite=epsilon"], 0, "ok    explainer lrp: parts through all channels are the explanation"),
        (["audionet:samples=4000"], 0, "ok    model audionet: the gradient reaches the features"),
        (["reads_what_is_named", "--representation", "waveform:samples=1000"], 0, "ok    model reads_what_is_named"),
        (["fsdd"], 1, "xaudio plugins check fsdd:data=FOLDER"),
        (["needs_an_option:size=0"], 1, "AssertionError"),
    ],
)
def test_the_command(arguments, status, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(app, ["plugins", "check", *arguments])
    assert said in result.output
    assert (1 if result.exception else 0) == status


def test_an_interrupt_of_the_user_ends_the_check_and_one_of_a_plugin_does_not():
    check_of = checks_of("explainer", "interrupts")[0]
    assert "KeyboardInterrupt" in check_of.result().problem
    pressing = dataclasses.replace(check_of, function=lambda case: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        pressing.result()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_data_set_that_says_none_of_its_files_is_asked_no_more():
    with pytest.raises(Unasked):
        files_are_those_of_the_recordings(SimpleNamespace(plugin=SimpleNamespace(files=None)))

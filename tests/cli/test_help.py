"""What the help of commands shows, and what a shell completes."""

import shlex
from importlib.metadata import EntryPoint

import pytest
from program import EVERY, command_of
from typer.testing import CliRunner

from xaudio.cli import app as app_module, common
from xaudio.cli.app import app
from xaudio.registry.loading import Registry


@pytest.mark.parametrize("asked", ["--help", "loudness"])
def test_a_command_may_be_missing_since_its_plugin_could_not_be_loaded(asked, monkeypatch):
    broken = Registry([EntryPoint("loud", "no_such_module", "xaudio")])
    for module in (app_module, common):
        monkeypatch.setattr(module, "registry", lambda: broken)
    assert "The plugin loud (? ?) could not be loaded" in CliRunner().invoke(app, [asked]).output


@pytest.mark.parametrize("names", EVERY, ids=" ".join)
def test_examples_in_the_help_can_be_typed(names):
    command = command_of(*names)
    context = command.context_class(command, info_name="xaudio " + " ".join(names))
    shown = [line for line in command.get_help(context).splitlines() if line.startswith(f"    xaudio {' '.join(names)}")]
    assert shown
    for line in shown:
        words = shlex.split(line)[1 + len(names) :]
        command.make_context("example", words, resilient_parsing=True)
    assert "Examples" not in command.help


def test_examples_are_not_in_the_list_of_commands():
    program = command_of()
    assert "Examples" not in program.get_help(program.context_class(program, info_name="xaudio"))


@pytest.mark.parametrize(
    ("names", "option", "begun", "completed"),
    [
        (["explain"], "explainer", "integrated", ["integrated_gradients"]),
        (["explain"], "model", "dem", ["demo"]),
        (["explain"], "render", "visual,audi", ["visual,audible"]),
        (["train"], "model", "alex", ["alexnet"]),
        (["train"], "dataset", "fs", ["fsdd"]),
        (["evaluate"], "metrics", "deletion_auc,spars", ["deletion_auc,sparseness"]),
        (["data", "info"], "dataset", "synth", ["synthetic"]),
        (["bench", "explainers"], "explainers", "lr", ["lrp"]),
        (["bench", "audiomnist"], "explainer", "lr", ["lrp"]),
        (["bench", "gallery"], "methods", "lrp,ampl", ["lrp,amplitude"]),
        (["figure"], "explainer", "integrated", ["integrated_gradients"]),
        (["concepts"], "explainer", "lr", ["lrp"]),
        (["groups"], "explainer", "lr", ["lrp"]),
        (["cluster"], "explainer", "lr", ["lrp"]),
        (["concepts"], "dataset", "fs", ["fsdd"]),
        (["groups"], "dataset", "fs", ["fsdd"]),
        (["cluster"], "dataset", "fs", ["fsdd"]),
        (["probe"], "dataset", "fs", ["fsdd"]),
        (["explore"], "dataset", "fs", ["fsdd"]),
        (["study", "build"], "dataset", "fs", ["fsdd"]),
        (["study", "listen"], "explainer", "lr", ["lrp"]),
        (["probe"], "model", "dem", ["demo"]),
        (["explore"], "model", "dem", ["demo"]),
        (["explain"], "explainer", "no-such", []),
    ],
)
def test_a_shell_completes_the_names_of_plugins(names, option, begun, completed):
    command = command_of(*names)
    parameter = next(parameter for parameter in command.params if parameter.name == option)
    context = command.context_class(command, info_name=names[-1])
    assert [item.value for item in parameter.shell_complete(context, begun)] == completed


def test_completion_needs_no_torch(run_python):
    done = run_python(
        "import sys; from xaudio.cli.common import names_of; print(names_of('explainer')('lr'), 'torch' in sys.modules)"
    )
    assert done.stdout.split() == ["['lrp']", "False"]

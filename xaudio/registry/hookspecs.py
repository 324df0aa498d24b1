"""The hooks of xaudio, one per kind of plugin.

Each hook returns a mapping from a name to a factory. A factory's keyword-only parameters, with their types, defaults
and docstring, are its options. A module that implements hooks is named in its distribution's entry points::

    [project.entry-points.xaudio]
    my_plugin = "my_plugin"

Modules with hooks must not import torch or other heavy packages at the top: import them inside the factory.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pluggy

PROJECT = "xaudio"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Factories = Mapping[str, Callable[..., Any]]
Commands = Mapping[str, Any]
Reports = Mapping[str, Callable[[Path], Path]]


@hookspec
def xaudio_datasets() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.types.Dataset`; one that reads files takes ``data``, the folder, as an option."""


@hookspec
def xaudio_representations() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.types.Representation`, as torch modules."""


@hookspec
def xaudio_models() -> Factories:  # type: ignore[empty-body]
    """Factories of torch modules, features (batch, channels, *axes) to logits; each takes ``classes``, their number.

    The attribute ``representation`` of a module names the representation it reads unless another is chosen, with options
    where it needs them ("waveform:samples=16000"), and ``training_settings``, a mapping, the settings of
    `xaudio.model.settings.TrainingSettings` it was published with. A model with a number of classes of its own refuses
    others by a `xaudio.PluginError` that names its own, or says it by an attribute ``classes``, the number or the names.
    """


@hookspec
def xaudio_loaders() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.Model`: own models from where they are, as in ``--model NAME:path=FILE``.

    A factory raises a `xaudio.ModelError` of one line for a file that is missing, broken or something else.
    """


@hookspec(firstresult=True)
def xaudio_adapt(model: Any, feature_extractor: Any) -> Any:
    """A `xaudio.Model` of an object that is no run folder, such as one of another library; None for what is not known.

    It is asked about every module and every other object, in the order of the plugins' names, so it must be quick and import
    nothing for an object that is not its own. ``feature_extractor`` is what the user gave to `xaudio.explain` by this name.
    """


@hookspec
def xaudio_explainers() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.types.Explainer`."""


@hookspec
def xaudio_separators() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.types.Separator`."""


@hookspec
def xaudio_renderers() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.plugin.Renderer`."""


@hookspec
def xaudio_metrics() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.plugin.Metric`."""


@hookspec
def xaudio_benchmarks() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.types.Benchmark`."""


@hookspec
def xaudio_engines() -> Factories:  # type: ignore[empty-body]
    """Factories of `xaudio.plugin.Engine`: where the workers of many recordings run, as in ``--engine NAME:workers=4``."""


@hookspec
def xaudio_commands() -> Commands:  # type: ignore[empty-body]
    """Commands of ``xaudio``, by name: functions that typer reads, or ``typer.Typer`` groups.

    It is called when the command line needs to know, so it may import typer, but nothing heavy. The options that the commands
    share are in `xaudio.plugin`, such as ``DeviceOption``, ``SeedOption``, ``JsonOption``, ``DataOption`` and ``OutOption``;
    ``when_stopped`` says what a command leaves when it is stopped. Lines below a heading Examples in a docstring are shown
    as they are at the end of the help.
    """


@hookspec
def xaudio_reports() -> Reports:  # type: ignore[empty-body]
    """What writes the report of a result folder again, by what its ``results.json`` says under "result".

    A function takes the folder and returns the path of the report; ``xaudio report`` calls it.
    """


@hookspec
def xaudio_servers() -> Factories:  # type: ignore[empty-body]
    """What serves pages about a model to this computer's browser, as `xaudio.explore` does.

    A function takes a model as `xaudio.explain` does, and options; it returns at once, and what it returns has an ``address``.
    """

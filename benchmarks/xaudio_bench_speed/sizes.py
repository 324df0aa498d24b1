"""How much is measured: the presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xaudio.plugin import PluginError, unknown

PARTS = (
    *("explainers", "many", "flipping", "command", "latency", "files", "long"),
    *("functions", "preparation", "training", "precision"),
)
"""In the order in which they are measured."""


class Sizes(NamedTuple):
    """How much is measured.

    Parameters
    ----------
    models : tuple of str
    batch, rounds, recordings, flips : int
        As the options of the benchmark.
    minutes : tuple of float
        Lengths of the long recordings.
    few : int
        Recordings of the loop that is written without xaudio, in each round; half of what the runs without files take at most.
    networks : int
        Networks of the engine of functions.
    sounds : int
        Files that are read and prepared.
    steps : int
        Of a training, in each round.
    """

    models: tuple[str, ...]
    batch: int
    rounds: int
    recordings: int
    flips: int
    minutes: tuple[float, ...]
    few: int
    networks: int
    sounds: int
    steps: int


PRESETS = {
    "short": Sizes(("audionet",), 4, 3, 12, 2, (0.1,), 2, 1, 16, 2),
    "full": Sizes(("audionet", "audionet-conv1d", "alexnet"), 16, 6, 1000, 8, (1, 10), 12, 3, 200, 8),
}


def chosen_sizes(preset: str, given: Mapping[str, Any]) -> Sizes:
    """The sizes of a preset, but for those that are given.

    Parameters
    ----------
    preset : str
    given : mapping
        Sizes by name; None leaves one as it is in the preset.
    """
    return PRESETS[preset]._replace(**{name: value for name, value in given.items() if value is not None})


def chosen_parts(names: Sequence[str]) -> tuple[str, ...]:
    """The parts of these names, or all, in their order.

    Raises
    ------
    PluginError
        For another name.
    """
    for name in names:
        if name not in PARTS:
            raise PluginError(unknown("part of the benchmark", name, PARTS))
    return tuple(part for part in PARTS if part in names or not names)

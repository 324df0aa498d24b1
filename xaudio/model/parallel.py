"""Trainings side by side, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..output.digests import digest_text
from ..registry.defaults import ENGINE
from ..registry.loading import registry
from ..shards.gathering import carry_out
from ..shards.plan import Plan, Row, planned
from ..shards.records import outcomes_of, sizes_of

if TYPE_CHECKING:
    import torch

    from .experiment import Experiment
    from .results import TrainingResult

Planned = Sequence[tuple["Experiment", Path]]


def run_experiments(trainings: Planned, device: torch.device, jobs: int = 1) -> Iterator[TrainingResult]:
    """Run, continue or read several trainings; see `run_experiment`.

    One network on few recordings leaves most of a large machine idle: a GPU waits for the next kernel, and many cores
    wait for each other. Side by side they do not. The processes divide the cores among them, so that the number of jobs,
    like the number of threads, may change the last bits of the weights. A training whose process is killed is continued
    by another; several commands that train the same in the same folders share the work.

    Parameters
    ----------
    trainings : sequence of (Experiment, Path)
    device : torch.device
    jobs : int
        How many run at once.

    Yields
    ------
    TrainingResult
        In the order given.

    Raises
    ------
    XaudioError
        As `run_experiment`; trainings beside the failed one are finished.
    """
    import torch

    from .experiment import run_experiment

    if jobs > 1 and len(trainings) > 1:
        for experiment, _ in trainings:
            experiment.dataset.fingerprint()  # once, and not in each process
        plan = _plan(trainings)
        engine = registry().create("engine", ENGINE, {"workers": jobs})
        threads = max(1, torch.get_num_threads() // jobs)
        options = {"trainings": list(trainings), "device": device}
        carry_out(plan, Trainings, options, engine=engine, threads=threads, title="Training")
        _refuse_failed(plan)
    for experiment, folder in trainings:
        yield run_experiment(experiment, folder, device)


class Trainings:
    """Trainings as rows; implements `xaudio.plugin.Job`."""

    digest = "trainings"

    def __init__(self, trainings: Planned, device: torch.device) -> None:
        self.trainings, self.device = trainings, device

    def load(self, row: Row) -> tuple[Experiment, Path]:
        """A training and its folder."""
        return self.trainings[row.fields["number"]]

    def run(self, rows: Sequence[Row], loaded: Planned, folder: Path) -> list[Mapping[str, Any]]:
        """Train, or continue."""
        from .experiment import run_experiment

        for experiment, place in loaded:
            run_experiment(experiment, place, self.device)
        return [{"files": sizes_of([place / "results.json"], folder.parents[1])} for _, place in loaded]


def _plan(trainings: Planned) -> Plan:
    folders = [str(folder) for _, folder in trainings]
    place = Path(os.path.commonpath([Path(folder).parent for folder in folders])) / "work" / digest_text(*folders)[:8]
    fields = [{"source": Path(folder).name, "number": number} for number, folder in enumerate(folders)]
    return planned(place, {"model": Trainings.digest}, fields, lambda row: 1.0, batch=1)


def _refuse_failed(plan: Plan) -> None:
    for shard in range(plan.shards):
        for outcome in outcomes_of(plan, shard).values():
            if outcome.record is None:
                raise ModelError(outcome.error)

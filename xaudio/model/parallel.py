"""Trainings side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    import torch

    from .experiment import Experiment
    from .results import TrainingResult


def run_experiments(planned: Sequence[tuple[Experiment, Path]], device: torch.device, jobs: int = 1) -> Iterator[TrainingResult]:
    """Run, continue or read several trainings; see `run_experiment`.

    One network on few recordings leaves most of a large machine idle: a GPU waits for the next kernel, and many cores
    wait for each other. Side by side they do not. The processes divide the cores among them, so that the number of jobs,
    like the number of threads, may change the last bits of the weights.

    Parameters
    ----------
    planned : sequence of (Experiment, Path)
    device : torch.device
    jobs : int
        How many run at once.

    Yields
    ------
    TrainingResult
        In the order planned.

    Raises
    ------
    XaudioError
        As `run_experiment`; the trainings beside the failed one stop too and can be continued.
    """
    import torch

    from .experiment import run_experiment

    if jobs == 1 or len(planned) < 2:
        for experiment, folder in planned:
            yield run_experiment(experiment, folder, device)
        return
    for experiment, _ in planned:
        experiment.dataset.fingerprint()  # once, and not in each process
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    threads = max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(threads,)) as pool:
        futures = [pool.submit(run_experiment, experiment, folder, device) for experiment, folder in planned]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool:
            raise ModelError(
                "A training's process was killed, perhaps for lack of memory. Give the command again with fewer --jobs; "
                "what was done is kept."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if not all(future.done() for future in futures):  # these have their checkpoints
                for process in set(multiprocessing.active_children()) - set(others):
                    process.terminate()


def _start(threads: int) -> None:
    """Prepare a process: its share of the cores, plain progress lines, and an end when its parent ends."""
    import torch

    from ..output import terminal
    from .allocator import keep_large_buffers

    torch.set_num_threads(threads)
    keep_large_buffers()
    terminal.plain = True
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

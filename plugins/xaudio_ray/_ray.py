"""Actors that take steps of an assignment, one shard at a time."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xaudio.plugin import Assignment, Counts, DeviceError, PluginError, XaudioError, keep_large_buffers, prepare_process

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads it when it is imported: nothing is reported to anybody
STARTS = 120
"""How often in a row actors may be asked to begin in vain: one that Ray starts anew is not there for some seconds."""
PAUSE = 0.5
"""Seconds until one is asked again."""


class Worker:
    """What runs in an actor."""

    def __init__(self, work: Assignment, place: str) -> None:
        if Path(place).is_dir():
            os.chdir(place)  # where the command was given, so that paths mean the same
        self._work = work

    def start(self) -> None:
        """Make the job."""
        prepare_process()
        keep_large_buffers()
        self._steps = self._work.start()

    def step(self) -> Counts | None:
        """Work on a shard; None if none is left."""
        return next(self._steps, None)


class Actors:
    """See `xaudio_ray.ray`; implements `xaudio.plugin.Engine`."""

    def __init__(self, workers: int, address: str, gpus: bool) -> None:
        try:
            import ray
        except ImportError:
            raise PluginError("The engine 'ray' needs Ray: pip install 'xaudio[ray]'.") from None
        self.ray: Any = ray
        self.workers, self.address, self.gpus = workers, address, gpus

    def __call__(self, work: Assignment) -> Iterator[Counts]:
        """What the actors did, as it comes.

        Raises
        ------
        XaudioError
            As a worker raised it, or if there is no such cluster, or actors die before they have begun.
        """
        own = not self.ray.is_initialized()
        if own:
            self._connect()
        try:
            yield from self._steps(work)
        finally:
            if own:
                self.ray.shutdown()

    def _connect(self) -> None:
        settings: dict[str, Any] = {"address": self.address} if self.address else {"num_cpus": self.workers}
        settings |= {} if self.address else {"include_dashboard": False}
        try:
            self.ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DeviceError(f"Ray could not be reached at {self.address or 'this machine'!r} ({reason}).") from None

    def _steps(self, work: Assignment) -> Iterator[Counts]:
        """Ask each actor for its next shard until none is left; an actor that died is started anew by Ray, and asked again."""
        gone = self.ray.exceptions.RayActorError
        actor = self.ray.remote(**self._resources())(Worker)
        actors = [actor.remote(work, str(Path.cwd())) for _ in range(min(self.workers, len(work.shards)))]
        asked = {one.start.remote(): (one, True) for one in actors}
        dead = 0
        try:
            while asked:
                (ready, *_), _ = self.ray.wait(list(asked))
                one, starting = asked.pop(ready)
                try:
                    said = self.ray.get(ready)
                except XaudioError as error:
                    raise type(error)(str(error.args[-1] if error.args else error)) from None
                except gone:
                    dead += starting
                    if dead >= STARTS:
                        raise DeviceError("Ray's actors ended before they could begin. Ray's logs say why.") from None
                    time.sleep(PAUSE)
                    asked[one.start.remote()] = one, True
                    continue
                dead = 0 if starting else dead
                if starting or said is not None:
                    asked[one.step.remote()] = one, False
                if said is not None:
                    yield said
        finally:
            for one in actors:
                self.ray.kill(one, no_restart=True)

    def _resources(self) -> dict[str, Any]:
        """What an actor needs, and that it may die any number of times; what it was at is not given to it again as it was."""
        wanted = 1 if self.gpus and self.ray.cluster_resources().get("GPU", 0) else 0
        return {"num_cpus": 1, "num_gpus": wanted, "max_restarts": -1, "max_task_retries": 0}

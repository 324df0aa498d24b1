"""Runs the trials, and counts them from the files that they leave."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import xaudio.plugin
from xaudio.plugin import DataError, PluginError, unknown

from .mutations import whole_files
from .report import Count, Results, count_trials, write_report
from .rows import Trials

COUNTS = {
    "audio": (5000, 120),
    "artefacts": (1000, 50),
    "archives": (100, 16),
    "pickles": (70, 7),
    "plugins": (20, 10),
    "disk": (3, 1),
    "memory": (1, 1),
    "places": (3, 1),
    "manifests": (3, 1),
    "clock": (1, 0),
    "together": (1, 0),
    "training": (1, 0),
    "corpus": (1, 1),
    "cluster": (1, 0),
    "study": (1, 0),
}
"""Trials of each part, in the full preset and in the quick one."""
SMALL = ("audio", "artefacts", "archives", "pickles", "plugins")
"""Parts whose trials take milliseconds, and go together."""


class Reliability:
    """See `xaudio_bench_reliability.reliability`.

    Raises
    ------
    PluginError
        If there is no such part.
    """

    def __init__(self, preset: str, parts: tuple[str, ...], seed: int) -> None:
        for part in parts:
            if part not in COUNTS:
                raise PluginError(unknown("part", part, COUNTS))
        self.preset, self.parts, self.seed = preset, list(parts or COUNTS), seed

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in a folder.

        Raises
        ------
        DataError
            If anything does not hold; ``results.json`` says what.
        XaudioError
            If the folder cannot be used.
        """
        settings = {"preset": self.preset, "parts": self.parts, "seed": self.seed}
        xaudio.plugin.refuse_other_settings(folder, settings)
        xaudio.plugin.write_run(folder, settings=settings)
        start, path = time.monotonic(), folder / "results.json"
        before = xaudio.plugin.read_results(path, Results).seconds if path.exists() else 0.0
        if not (folder / "files/plan/results.jsonl").exists():
            whole_files(folder / "files")
        for name, batch in (("small", 50), ("large", 1)):
            self._carry_out(folder, name, batch)
        counts = count_trials(folder)
        results = Results(preset=self.preset, counts=counts, seconds=round(before + time.monotonic() - start, 1))
        xaudio.plugin.write_json(path, results.model_dump())
        self.report(folder)
        for count in counts:
            print(f"{'ok ' if count.holds else 'NO '} {count}")
        failed: list[Count] = [count for count in counts if not count.holds]
        if failed:
            raise DataError(f"{path}: the proof does not hold: {failed[0]}.")

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` again from what the folder holds."""
        return write_report(folder)

    def _carry_out(self, folder: Path, name: str, batch: int) -> None:
        full = self.preset == "full"
        fields = [
            {"source": f"{part} {number}", "part": part, "number": number}
            for part in self.parts
            if (part in SMALL) == (name == "small")
            for number in range(COUNTS[part][0 if full else 1])
        ]
        if not fields:
            return
        plan = xaudio.plugin.planned(folder / name, {"model": Trials.digest, "seed": self.seed}, fields, _seconds, batch=batch)
        options: dict[str, Any] = {"files": str((folder / "files").absolute()), "full": full, "seed": self.seed}
        engine = xaudio.create("engine", "local", workers=1)  # in a process of its own, whose crash is counted
        xaudio.plugin.carry_out(plan, Trials, options, engine=engine, title=f"Trials that are {name}")
        xaudio.plugin.gather(plan, plan.folder)


def _seconds(fields: Any) -> float:
    return 1.0

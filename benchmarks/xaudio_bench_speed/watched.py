"""Runs `xaudio` in this process and writes what its steps took: ``python -m xaudio_bench_speed.watched FILE BEGAN explain ...``.

BEGAN is when the parent started it, in seconds since 1970. Of steps within others each counts its own time.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import xaudio
from xaudio.plugin import registry

STEPS = {"visual": "picture", "audible": "sounds", "html": "page"}
"""What renderers make."""


class Steps:
    """Seconds by step."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.seconds: dict[str, float] = {}
        self.within: list[float] = [0.0]

    def of(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose calls count as a step, less the steps in them."""

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            self.seconds.setdefault("start", time.time() - self.began)
            start = time.perf_counter()
            self.within.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                whole = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + whole - self.within.pop()
                self.within[-1] += whole

        return call


def watch(steps: Steps) -> None:
    """Let the steps know of models that are loaded, explanations, and renderers.

    Parameters
    ----------
    steps : Steps
    """
    explaining: Any = sys.modules[xaudio.explain.__module__]
    explaining.load_model = steps.of("model", explaining.load_model)
    explaining.explain = steps.of("explanation", explaining.explain)
    plugins: Any = registry()
    create = plugins.create

    def created(kind: str, name: str, options: Any = None) -> Any:
        made = create(kind, name, options)
        if kind == "renderer" and name in STEPS and not hasattr(type(made), "watched"):
            type(made).__call__ = steps.of(STEPS[name], type(made).__call__)
            type(made).watched = True
        return made

    plugins.create = created


def peak_bytes() -> float:
    """Most memory that this process has held; of what it was forked from nothing, where the system tells them apart."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024.0 * int(line.split()[1])
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # macOS counts bytes


def main(file: str, began: str, *arguments: str) -> None:
    """Run the command, and write ``file`` at its end."""
    steps = Steps(float(began))
    watch(steps)
    sys.argv = ["xaudio", *arguments]
    try:
        runpy.run_module("xaudio", run_name="__main__")
    finally:
        total = time.time() - steps.began
        rest = total - sum(steps.seconds.values())
        content = {"steps": {**steps.seconds, "rest": rest}, "peak_bytes": peak_bytes()}
        Path(file).write_text(json.dumps(content))


if __name__ == "__main__":
    main(*sys.argv[1:])

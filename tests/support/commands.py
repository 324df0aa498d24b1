"""The command line in a process of its own that does not import torch again: a server that has done so forks one for each."""

import gc
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkContext, ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

LOADED = (
    *("scipy.signal", "scipy.stats", "xaudio.explanation.explaining", "xaudio.cli.app"),
    *("xaudio_lrp._zennit", "xaudio_visual._visual"),
    *("torch._dynamo", "pytest"),  # the first is imported by each of torch's optimisers, the second by this module
)


def start() -> ForkServerContext:
    """A context whose processes have these modules; they take the environment and the folder of the one that asks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context


def begin(
    context: ForkServerContext | ForkContext, arguments: list[str], folder: Path, patches: Mapping[str, Any] = {}
) -> BaseProcess:
    """Start ``xaudio ARGUMENTS``, which writes ``stdout`` and ``stderr`` in a folder; patches are values of dotted names."""
    process = context.Process(target=_command, args=(arguments, dict(os.environ), str(Path.cwd()), folder, dict(patches)))
    process.start()
    return process


def run(context: ForkServerContext, arguments: list[str], timeout: float = 300) -> CompletedProcess[str]:
    """Run ``xaudio ARGUMENTS`` to its end, as `subprocess.run` does."""
    with tempfile.TemporaryDirectory() as name:
        process = begin(context, arguments, Path(name))
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"xaudio {arguments} takes longer than {timeout} s")
        stdout, stderr = (Path(name, stream).read_text(encoding="utf-8") for stream in ("stdout", "stderr"))
    return CompletedProcess(["xaudio", *arguments], process.exitcode, stdout, stderr)


def _command(arguments: list[str], environment: dict[str, str], here: str, folder: Path, patches: dict[str, Any]) -> None:
    gc.freeze()  # else the first collection copies all that the server has imported
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(here)
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # a copy of a test has pytest's own
    for name, value in patches.items():
        pytest.MonkeyPatch().setattr(name, value)
    import torch  # not by pytest's process that hands out the tests

    if "OMP_NUM_THREADS" in environment:  # which a process reads when it begins, and the server has long begun
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    sys.argv = ["xaudio", *arguments]
    from xaudio.cli.app import main

    main()

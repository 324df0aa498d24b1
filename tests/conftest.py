"""What all tests share: marks, a cache of their own, processes, and no time limit per generated example on a busy machine."""

import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import commands
import pytest
import trained
from hypothesis import settings

settings.register_profile("xaudio", deadline=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("xaudio"), max_examples=30)

FOLDERS = {"browser": "browser", "benchmarks": "bench"}
FIXTURES = {
    "run_command": "process",
    "run_python": "process",
    "processes": "process",
    "run_folder": "trains",
    "spectrogram_run_folder": "trains",
    "training": "trains",
    "real_data": "data",
}
LARGE = 2 * 2**30
"""Bytes of a worker's memory."""
MARKS = {*FOLDERS.values(), *FIXTURES.values(), "slow", "sweep"}
COMMAND = "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"


def pytest_configure(config: pytest.Config) -> None:
    """Heed Ctrl-C, which some tests press: a shell lets what it starts in the background ignore it.

    Of random examples the quick loop takes 30 and `pytest` 100, as with the mark `sweep`, where a test says nothing else.
    Small matrices and networks are slower with two threads than with one, and far slower on a machine that is busy, as each
    waits for the other; libraries read how many there are when they are imported, and processes that tests start do so, too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = "1"
    settings.load_profile("quick" if config.option.markexpr == "quick" else "xaudio")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder and by what it asks for; one without any mark is quick."""
    for item in items:
        marks = {FIXTURES.get(name) for name in getattr(item, "fixturenames", ())} | {FOLDERS.get(item.path.parent.name)}
        for mark in filter(None, marks):
            item.add_marker(mark)
        if MARKS.isdisjoint(mark.name for mark in item.iter_markers()):
            item.add_marker("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays: there is no garbage to look for."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What all tests have in common lives as long as they do: no collection of garbage looks through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Whatever was imported before; see `pytest_configure`."""
    import torch  # not by the process that hands out the tests

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def nothing_outlives_a_power_failure() -> Iterator[None]:
    """To wait for the disk with each file takes longer than many a test; processes that tests start do wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def commands_made_once() -> Iterator[None]:
    """typer's runner makes the whole command line anew for each call."""
    import typer.testing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))
        yield


@pytest.fixture(scope="module", autouse=True)
def returned_memory() -> Iterator[None]:
    """What a command keeps for reuse (`keep_large_buffers`) goes back to the system, which has other workers to serve.

    What is left of a file's tests, such as the modules that they imported, is not looked through again (`freeze`), until so much
    is left that some of it is likely to be garbage by now.
    """
    yield
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if give_back is not None:
        if int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > LARGE:
            gc.unfreeze()
        gc.collect()
        gc.freeze()
        give_back(0)


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Caches go to a temporary folder, also in the processes that tests start, so that the user's is left alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAUDIO_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def run_python(session_cache: Path) -> Callable[..., subprocess.CompletedProcess[Any]]:
    """Runs code in a process of its own, to its end: ``run_python(code, *arguments, status=0, **settings of subprocess.run)``."""

    def run(code: str, *arguments: Any, status: int = 0, **settings: Any) -> subprocess.CompletedProcess[Any]:
        words = [sys.executable, "-c", code, *(word if isinstance(word, bytes) else str(word) for word in arguments)]
        done = subprocess.run(words, **{"capture_output": True, "text": True, "timeout": 300} | settings)
        assert done.returncode == status, f"{done.stderr}{done.stdout}"
        return done

    return run


@pytest.fixture(scope="session")
def run_command(run_python: Callable[..., Any]) -> Callable[..., subprocess.CompletedProcess[Any]]:
    """Runs the command line as a person does: ``run_command("explain", recording, status=0)``; nobody sees a traceback.

    With settings of `subprocess.run`, such as an environment, it starts Python anew; else the process is one that has torch
    already.
    """
    context = commands.start()

    def run(*arguments: Any, status: int = 0, **settings: Any) -> subprocess.CompletedProcess[Any]:
        if settings:
            done = run_python(COMMAND, *arguments, status=status, **settings)
        else:
            done = commands.run(context, [str(word) for word in arguments])
            assert done.returncode == status, f"{done.stderr}{done.stdout}"
        assert "Traceback" not in os.fsdecode(done.stderr)
        return done

    return run


@pytest.fixture(scope="session")
def processes() -> None:
    """Asked for by tests that start and end processes themselves."""


@pytest.fixture(scope="session")
def training() -> None:
    """Asked for by tests that train a network themselves."""


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """The folder of a data set of real recordings, ``real_data("fsdd")``; skips where there is none."""

    def folder(name: str) -> Path:
        if "XAUDIO_TEST_DATA" not in os.environ:
            pytest.skip("XAUDIO_TEST_DATA names no folder of real recordings")
        return Path(os.environ["XAUDIO_TEST_DATA"]) / name

    return folder


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """A run folder of AudioNet on digits, trained for one step: everything is real but the accuracy."""
    return trained.run(tmp_path_factory.mktemp("runs") / "audionet", "audionet")


@pytest.fixture(scope="session")
def spectrogram_run_folder(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """The same of AlexNet."""
    return trained.run(tmp_path_factory.mktemp("runs") / "alexnet", "alexnet")


@pytest.fixture(scope="session")
def published() -> Callable[[str], Any]:
    """The networks of the paper for three classes, with random weights: ``published("alexnet")``, made once and only read."""
    import torch

    import xaudio

    @cache
    def network(name: str) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return xaudio.create("model", name, classes=3).eval()

    return network


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of half a second at 44.1 kHz in stereo."""
    import numpy as np
    import soundfile

    time = np.arange(22050) / 44100
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) * np.hanning(len(time))
    path = tmp_path / "recording.wav"
    soundfile.write(path, np.stack([tone, 0.5 * tone], axis=1), 44100)
    return path


@pytest.fixture(scope="session")
def make_study(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a small study of made-up explanations: ``make_study(folder, right=3, wrong=2, seconds=0.2, **settings)``.

    Of three ``classes``, by default "zero", "one" and "two". A study of the same settings is drawn once and copied, its
    secret too; with ``anew`` it is drawn again.
    """
    drawn: dict[str, Path] = {}

    def make(folder: Path, *, anew: bool = False, **settings: Any) -> Path:
        if anew:
            return _draw_study(folder, **settings)
        key = repr(settings)
        if key not in drawn:
            drawn[key] = _draw_study(tmp_path_factory.mktemp("drawn") / "study", **settings)
        return Path(shutil.copytree(drawn[key], folder))

    return make


def _draw_study(
    folder: Path,
    *,
    right: int = 3,
    wrong: int = 2,
    seconds: float = 0.2,
    sign: float = 0,
    classes: tuple[str, ...] = ("zero", "one", "two"),
    **settings: Any,
) -> Path:
    import numpy as np

    from xaudio import Clip, Explanation
    from xaudio.types import Axis
    from xaudio_study.building.build import write_study
    from xaudio_study.building.settings import settings_from

    samples = round(8000 * seconds)

    def explained(place: int, explainer: str) -> Explanation:
        relevance = np.random.default_rng([place, len(explainer)]).normal(size=(1, samples))
        waveform = (0.3 * np.hanning(samples) * np.random.default_rng(place).uniform(-1, 1, samples)).astype(np.float32)
        truth = place % 3
        predicted = truth if place >= wrong else (truth + 1) % 3
        return Explanation(
            clip=Clip(waveform, 8000, labels={"digit": truth}, speaker=f"speaker{place}", source=f"/data/recording{place}.wav"),
            features=waveform[None],
            relevance=(sign * np.abs(relevance) if sign else relevance).astype(np.float32),
            axes=(Axis("time", "s", np.arange(samples) / 8000),),
            logits=4 * np.eye(3, dtype=np.float32)[predicted],
            classes=classes,
            target=predicted,
            task="digit",
            provenance={
                "explainer": {"name": explainer, "given": {}},
                "representation": {"name": "waveform", "options": {"samples": samples, "normalisation": "none"}},
            },
        )

    chosen = settings_from({"contact": "Ada", **settings}, "test")
    explainers = chosen.explanations.explainers
    write_study(folder, chosen, {spec: [explained(place, spec) for place in range(wrong + right)] for spec in explainers})
    return folder

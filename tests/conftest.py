"""What all tests share: marks, a cache of their own, processes, and no time limit per generated example on a busy machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

settings.register_profile("xaudio", deadline=None, print_blob=True)
settings.load_profile("xaudio")
# Small networks are slower with two threads than with one, and far slower on a machine that is busy.
torch.set_num_threads(1)

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
COMMAND = "import sys; sys.argv[0] = 'xaudio'; from xaudio.cli.app import main; main()"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder and by what it asks for."""
    for item in items:
        marks = {FIXTURES.get(name) for name in getattr(item, "fixturenames", ())} | {FOLDERS.get(item.path.parent.name)}
        for mark in filter(None, marks):
            item.add_marker(mark)


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
    """Runs the command line as a person does: ``run_command("explain", recording, status=0)``; nobody sees a traceback."""

    def run(*arguments: Any, **settings: Any) -> subprocess.CompletedProcess[Any]:
        done = run_python(COMMAND, *arguments, **settings)
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
    return _train(tmp_path_factory.mktemp("runs") / "audionet", "audionet")


@pytest.fixture(scope="session")
def spectrogram_run_folder(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """The same of AlexNet."""
    return _train(tmp_path_factory.mktemp("runs") / "alexnet", "alexnet")


def _train(folder: Path, model: str) -> Path:
    import torch

    import xaudio

    speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
    training = {"steps": 1, "batch_size": 4, "initialisation": "he"}
    xaudio.run_experiment(xaudio.Experiment(speech, "digit", 0, model, training=training), folder, torch.device("cpu"))
    return folder


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
def make_study() -> Callable[..., Path]:
    """Writes a small study of made-up explanations: ``make_study(folder, right=3, wrong=2, seconds=0.2, **settings)``.

    Of three ``classes``, by default "zero", "one" and "two".
    """
    import numpy as np

    from xaudio import Clip, Explanation
    from xaudio.types import Axis
    from xaudio_study.building.build import write_study
    from xaudio_study.building.settings import settings_from

    def explained(place: int, explainer: str, right: bool, samples: int, sign: float, classes: tuple[str, ...]) -> Explanation:
        relevance = np.random.default_rng([place, len(explainer)]).normal(size=(1, samples))
        waveform = (0.3 * np.hanning(samples) * np.random.default_rng(place).uniform(-1, 1, samples)).astype(np.float32)
        truth = place % 3
        return Explanation(
            clip=Clip(waveform, 8000, labels={"digit": truth}, speaker=f"speaker{place}", source=f"/data/recording{place}.wav"),
            features=waveform[None],
            relevance=(sign * np.abs(relevance) if sign else relevance).astype(np.float32),
            axes=(Axis("time", "s", np.arange(samples) / 8000),),
            logits=4 * np.eye(3, dtype=np.float32)[truth if right else (truth + 1) % 3],
            classes=classes,
            target=truth if right else (truth + 1) % 3,
            task="digit",
            provenance={
                "explainer": {"name": explainer, "given": {}},
                "representation": {"name": "waveform", "options": {"samples": samples, "normalisation": "none"}},
            },
        )

    def make(
        folder: Path,
        *,
        right: int = 3,
        wrong: int = 2,
        seconds: float = 0.2,
        sign: float = 0,
        classes: tuple[str, ...] = ("zero", "one", "two"),
        **settings: Any,
    ) -> Path:
        chosen = settings_from({"contact": "Ada", **settings}, "test")
        samples = round(8000 * seconds)
        write_study(
            folder,
            chosen,
            {
                spec: [explained(place, spec, place >= wrong, samples, sign, classes) for place in range(wrong + right)]
                for spec in chosen.explanations.explainers
            },
        )
        return folder

    return make

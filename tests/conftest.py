"""What all tests share: a cache of their own, and no time limit per generated example on a busy machine."""

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


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Caches go to a temporary folder, also in the processes that tests start, so that the user's is left alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAUDIO_CACHE", str(folder))
        yield folder


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

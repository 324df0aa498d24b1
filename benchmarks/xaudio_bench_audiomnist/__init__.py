"""The paper's benchmark: AudioNet and AlexNet on spoken digits and the speaker's sex, explained and made audible."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Count, Seed, hookimpl


def audiomnist(
    *,
    preset: Literal["quick", "small", "paper"] = "quick",
    dataset: str | None = None,
    data: Path | None = None,
    tasks: tuple[str, ...] | None = None,
    models: tuple[str, ...] = ("alexnet", "audionet"),
    representations: tuple[str, ...] = (),
    folds: tuple[int, ...] | None = None,
    explainer: str = "lrp:composite=epsilon_plus",
    examples: Annotated[int, Ge(0)] = 2,
    limit: Count | Literal["all"] | None = None,
    draws: Count | None = None,
    set: tuple[str, ...] = (),  # noqa: A002 (it is the option's name)
    jobs: Count = 1,
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Train, test and explain the models of "AudioMNIST: Exploring Explainable AI for Audio Analysis" (arXiv 1807.03418).

    Parameters
    ----------
    preset : {"quick", "small", "paper"}
        "quick" trains briefly on one fold (minutes on a CPU), "small" on all folds with a short schedule, "paper" is the
        full protocol.
    dataset : str or None
        Data set, with options as in synthetic:speakers=40; by default the embedded synthetic speech for "quick" and
        audiomnist for the others.
    data : path or None
        Folder of the data set; audiomnist is otherwise looked for in the cache.
    tasks : names or None
        Tasks, separated by commas; by default those of digit and sex that the data set has.
    models : names
        Models, separated by commas, with options as in alexnet,audionet:pool1=paper.
    representations : names
        Options of the representations the models read, as in spectrogram:crop=paper,waveform:placement=step.
    folds : numbers or None
        Folds, separated by commas; by default the first for "quick" and all for the others.
    explainer : str
        Explainer of the figures and sounds, with options as in lrp:composite=epsilon_alpha2_beta1.
    examples : int
        Recordings per model and task that are explained with picture, sound and page.
    limit : int, "all" or None
        Test recordings of each fold that are manipulated and explained; by default 48 for "quick", 200 for "small" and all
        for "paper".
    draws : int or None
        Random orders in which samples are taken away; by default 1 for "quick" and 3 for the others.
    set : settings
        A training setting for all models, as in steps=500, or for one, as in alexnet.steps=500; may be repeated.
    jobs : int
        Trainings side by side, each in a process of its own with its share of the cores.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Seed of everything that is random.

    Examples
    --------
    xaudio bench audiomnist --preset quick
    xaudio bench audiomnist --dataset fsdd --data fsdd --out runs/fsdd
    """
    from .benchmark import AudioMnistBenchmark, Choices

    choices = Choices(
        preset=preset,
        dataset=dataset,
        data=data,
        tasks=tasks,
        models=models,
        representations=representations,
        folds=folds,
        explainer=explainer,
        examples=examples,
        limit=limit,
        draws=draws,
        set=set,
        jobs=jobs,
        device=device,
        seed=seed,
    )
    return AudioMnistBenchmark(choices)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the benchmark."""
    return {"audiomnist": audiomnist}

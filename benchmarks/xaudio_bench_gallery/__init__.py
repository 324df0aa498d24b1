"""A gallery: the same recordings explained by every method, to see and to hear side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import Count, Seed, hookimpl, split_specs


def gallery(
    *,
    models: tuple[str, ...] = (),
    dataset: str | None = None,
    data: Path | None = None,
    recordings: Count = 10,
    methods: tuple[str, ...] = (),
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Explain recordings that the models never heard by all methods, on one page, and say which methods agree.

    Parameters
    ----------
    models : paths
        Run folders of models, or loaders with their options, as in torchscript:path=model.pt, separated by commas.
    dataset : str or None
        Data set, with options as in synthetic:speakers=40; by default the one the first model was trained on.
    data : path or None
        Folder of the data set.
    recordings : int
        How many, evenly spread over the test recordings that the models have in common.
    methods : names
        Explainers, separated by commas, with options as in lrp:composite=epsilon_gamma,amplitude; by default all that are
        installed, with their defaults, and the composites of lrp that take any input.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Of the placement of short recordings and of what methods draw; 0 for those of each model's training and their own.

    Examples
    --------
    xaudio bench gallery --models runs/alexnet,runs/audionet --recordings 5 --out runs/gallery
    """
    models = split_specs(",".join(models))  # an option of a loader stands behind a comma, too
    from .benchmark import Gallery

    return Gallery(models, dataset, data, recordings, methods, device, seed)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the gallery."""
    return {"gallery": gallery}

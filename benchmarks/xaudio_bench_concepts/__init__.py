"""Concepts held against the truth, where it is known what a channel can answer to."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import Count, Seed, hookimpl, split_specs


def concepts(
    *,
    models: tuple[str, ...] = (),
    explainers: tuple[str, ...] = ("lrp",),
    layer: str | None = None,
    dataset: str | None = None,
    recordings: Count = 48,
    top: Count = 8,
    references: Count = 6,
    draws: Count = 20,
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Check channels, their references and their heat maps on the tasks carriers and slot of the data set ``truth``.

    Parameters
    ----------
    models : paths
        Run folders of models trained on one of these tasks, or loaders with their options, separated by commas.
    explainers : names
        Explainers that can tell what flows through a channel, separated by commas.
    layer : str or None
        By default the last convolution.
    dataset : str or None
        Data set, with options; by default the one of the training.
    recordings : int
        Correctly predicted test recordings whose heat maps are measured; references are taken from all of the test.
    top : int
        Channels of each class that count as carrying its prediction.
    references : int
        Of each channel.
    draws : int
        Sets of other channels that are switched off.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Of these draws.

    Examples
    --------
    xaudio bench concepts --models runs/carriers,runs/slot --out runs/concepts
    """
    models = split_specs(",".join(models))  # an option of a loader stands behind a comma, too
    from .benchmark import ConceptTruth

    return ConceptTruth(models, explainers, layer, dataset, recordings, top, references, draws, device, seed)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the check."""
    return {"concepts": concepts}

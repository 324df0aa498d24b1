"""A leaderboard: which explainer does best by which metric, on which model, and where that cannot be said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from xaudio.plugin import Count, Seed, Share, hookimpl


def explainers(
    *,
    models: tuple[str, ...] = (),
    datasets: str = "",
    data: tuple[Path, ...] = (),
    explainers: str = "",
    metrics: str = "",
    recordings: Count = 32,
    examples: Annotated[int, Ge(0)] = 2,
    min_accuracy: Share | None = None,
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Measure explainers by metrics on recordings that the models never heard: a table with intervals and ranks.

    Parameters
    ----------
    models : paths
        Run folders of trained models, separated by commas.
    datasets : names
        Data sets, with options as in synthetic:speakers=40, separated by commas: one for all models or one for each; by
        default those that the models were trained on.
    data : paths
        Folders of the data sets, separated by commas: one for all models or one for each.
    explainers : names
        Explainers, with options as in lrp:composite=epsilon,gradient, separated by commas; by default all that are
        installed, with their defaults, and the composites of lrp that take any input. random and amplitude are always
        among them.
    metrics : names
        Metrics, with options, separated by commas; by default all that are installed, with their defaults.
    recordings : int
        How many are explained for each model, 8 or more, evenly spread over those it never heard.
    examples : int
        How many of them are shown with picture and player.
    min_accuracy : float or None
        Accuracy on these recordings, 0 to 1, below which explanations are not compared with the truth; by default the
        model must predict significantly better than by guessing.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Of the data sets, the choice of recordings and the intervals.
    """
    from .benchmark import Choices, Leaderboard

    return Leaderboard(Choices(models, datasets, data, explainers, metrics, recordings, examples, min_accuracy, device, seed))


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the leaderboard."""
    return {"explainers": explainers}

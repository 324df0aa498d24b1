"""A leaderboard: which explainer does best by which metric, on which model, and where that cannot be said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Count, Seed, Share, hookimpl, split_specs


def explainers(
    *,
    preset: Literal["rules"] | None = None,
    models: tuple[str, ...] = (),
    datasets: str = "",
    data: tuple[Path, ...] = (),
    tasks: tuple[str, ...] = (),
    networks: str = "",
    steps: Count = 600,
    explainers: str = "",
    metrics: str = "",
    recordings: Count = 32,
    examples: Annotated[int, Ge(0)] = 2,
    min_accuracy: Share | None = None,
    device: str = "auto",
    seed: Seed = 0,
    workers: Count | None = None,
    engine: str | None = None,
    shard: str | None = None,
) -> Any:
    """Measure explainers by metrics on recordings that the models never heard: a table with intervals and ranks.

    Parameters
    ----------
    preset : {"rules"} or None
        "rules" compares rules of lrp beside other explainers, on a residual network and two transformers that it trains, or on
        the models that are named.
    models : paths
        Run folders of models, or loaders with their options, as in torchscript:path=model.pt, separated by commas.
    datasets : names
        Data sets, with options as in synthetic:speakers=40, separated by commas: one for all models or one for each; by
        default those that the models were trained on.
    data : paths
        Folders of the data sets, separated by commas: one for all models or one for each. With a preset each data set is trained
        on, by default the tasks with ground truth.
    tasks : names
        Tasks that a preset trains on, separated by commas; by default all that the data have.
    networks : names
        Models that a preset trains, with options as in log-mel-cnn:width=8, separated by commas; by default its own.
    steps : int
        Of each training of a preset.
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
    workers : int or None
        Processes that share the explainers; by default this one does all.
    engine : str or None
        Where workers run, with options as in ray:workers=8; by default as processes of this machine.
    shard : str or None
        Do the explainers of the Kth of N parts in this process, as in 1/4. Each part predicts all recordings; the process that
        finds all done writes the table.

    Examples
    --------
    xaudio bench explainers --models runs/alexnet,runs/audionet --explainers lrp,gradient --out runs/explainers
    xaudio bench explainers --preset rules --networks transformer --steps 200 --out runs/rules
    """
    models = split_specs(",".join(models))  # an option of a loader stands behind a comma, too
    from .benchmark import Choices, Leaderboard, Rules

    choices = Choices(
        models, datasets, data, explainers, metrics, recordings, examples, min_accuracy, device, seed, workers, engine, shard
    )
    return Leaderboard(choices) if preset is None else Rules(choices, tasks, split_specs(networks), steps)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the leaderboard."""
    return {"explainers": explainers}

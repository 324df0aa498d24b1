"""How good audible explanations are: what they keep of the evidence, what they add, and whether the model still knows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from xaudio.plugin import Count, Seed, hookimpl, split_specs

EXPLAINERS = "lrp:composite=epsilon,lrp:composite=epsilon_plus,integrated_gradients,gradient,occlusion"


def audible(
    *,
    models: tuple[str, ...] = (),
    datasets: str = "",
    data: tuple[Path, ...] = (),
    explainers: str = EXPLAINERS,
    renderers: str = "",
    recordings: Count = 24,
    examples: Annotated[int, Ge(0)] = 1,
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Measure settings of the renderer audible by explainer and model: one table with intervals, and players.

    Parameters
    ----------
    models : paths
        Run folders of models, or loaders with their options, as in torchscript:path=model.pt, separated by commas.
    datasets : names
        Data sets, with options as in truth:recordings=160, separated by commas: one for all models or one for each; by
        default those that the models were trained on. One that knows the sound of the evidence, such as truth, is
        needed for the measures of it.
    data : paths
        Folders of the data sets, separated by commas: one for all models or one for each.
    explainers : names
        Explainers, with options, separated by commas. random and amplitude are always among them.
    renderers : names
        Settings, separated by commas, as in audible:domain=waveform,audible:normalisation=top,top=0.2; by default every
        combination of domain, normalisation and smoothing.
    recordings : int
        How many are explained for each model, 8 or more, evenly spread over those it never heard.
    examples : int
        How many of them the report plays, for each model and setting.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Of the data sets, the choice of recordings and the intervals.

    Examples
    --------
    xaudio bench audible --models runs/carriers --recordings 16 --out runs/audible
    """
    models = split_specs(",".join(models))  # an option of a loader stands behind a comma, too
    from .benchmark import AudibleBenchmark, Choices

    return AudibleBenchmark(Choices(models, datasets, data, explainers, renderers, recordings, examples, device, seed))


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the benchmark."""
    return {"audible": audible}

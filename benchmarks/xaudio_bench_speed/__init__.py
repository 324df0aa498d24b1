"""How fast explanations are: xaudio against zennit, captum and Quantus, on the same networks and data, in one process."""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from xaudio.plugin import Count, Seed, hookimpl


def speed(
    *,
    models: tuple[str, ...] = ("audionet", "audionet-conv1d", "alexnet"),
    batch: Count = 100,
    rounds: Count = 5,
    recordings: Annotated[int, Ge(0)] = 1000,
    flips: Annotated[int, Ge(0)] = 24,
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Time xaudio's explainers against zennit's and captum's, and its pixel flipping against Quantus's.

    Parameters
    ----------
    models : names
        Models, separated by commas, with untrained weights drawn from the seed; their speed is that of trained ones.
        "audionet-conv1d" is AudioNet as one writes it from the paper, where xaudio's own is arranged for speed.
    batch : int
        Recordings that each side explains at once.
    rounds : int
        How often each side is timed, in turns.
    recordings : int
        Of the long run through `xaudio.explain`, against a loop written with zennit; 0 leaves it out.
    flips : int
        Recordings of pixel flipping, at most; 0 leaves it out.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Of the weights and the recordings.
    """
    from .benchmark import SpeedBenchmark

    return SpeedBenchmark(models, batch, rounds, recordings, flips, device, seed)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the benchmark."""
    return {"speed": speed}

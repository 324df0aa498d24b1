"""How fast xaudio is: explanations, flipping, commands, files, reading and training, beside other libraries."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge

from xaudio.plugin import Count, Seed, hookimpl


def speed(
    *,
    preset: Literal["short", "full"] = "full",
    parts: tuple[str, ...] = (),
    models: tuple[str, ...] | None = None,
    batch: Count | None = None,
    rounds: Count | None = None,
    recordings: Annotated[int, Ge(0)] | None = None,
    flips: Annotated[int, Ge(0)] | None = None,
    minutes: tuple[float, ...] | None = None,
    device: str = "auto",
    seed: Seed = 0,
) -> Any:
    """Time xaudio beside zennit, captum, Quantus, librosa, matplotlib and plain torch, in one run and in turns.

    Ratios are medians over rounds, with intervals from six rounds on. Two pieces of work that are always the same say whether
    other work ran on the machine.

    Parameters
    ----------
    preset : {"short", "full"}
        How much is measured where nothing else is said: a minute or two, or up to 20 minutes on two cores.
    parts : names
        What is measured, separated by commas: explainers, many, flipping, command, latency, files, long, functions, preparation,
        training, precision; by default all.
    models : names
        Models of the first three parts, separated by commas, with untrained weights drawn from the seed; their speed is that of
        trained ones. "audionet-conv1d" is AudioNet as one writes it from the paper, where xaudio's own is arranged for speed.
    batch : int
        Recordings that each side explains at once.
    rounds : int
        How often each side is timed, in turns.
    recordings : int
        That get files, all rounds together; the runs without files take as many at most. 0 leaves both out.
    flips : int
        Recordings of pixel flipping, at most; 0 leaves it out.
    minutes : numbers
        Lengths of the long recordings, separated by commas.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    seed : int
        Of the weights and the recordings.

    Examples
    --------
    xaudio bench speed --models audionet --rounds 3 --recordings 100
    """
    from .benchmark import SpeedBenchmark
    from .sizes import chosen_parts, chosen_sizes

    given = {"models": models, "batch": batch, "rounds": rounds, "recordings": recordings, "flips": flips, "minutes": minutes}
    return SpeedBenchmark(preset, chosen_parts(parts), chosen_sizes(preset, given), device, seed)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the benchmark."""
    return {"speed": speed}

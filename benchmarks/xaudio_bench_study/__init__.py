"""Proof that the server of a listening study loses nothing: crashes, forged requests, a full disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from xaudio.plugin import Count, Seed, hookimpl


def study(
    *,
    model: Path | None = None,
    dataset: str | None = None,
    data: Path | None = None,
    participants: Annotated[int, Ge(2)] = 40,
    right: Count = 10,
    wrong: Count = 10,
    kills: Annotated[int, Ge(0)] = 4,
    requests: Count = 1000,
    seed: Seed = 0,
) -> Any:
    """Let simulated participants take part in a study on a real server that is killed, lied to, and out of space.

    Parameters
    ----------
    model : path or None
        Run folder of a trained model; by default one is trained for a few steps on synthetic speech, which is enough here.
    dataset : str or None
        Data set, with options as in synthetic:speakers=40; by default that of the model's training.
    data : path or None
        Folder of the data set.
    participants : int
        Simulated participants, at the same time.
    right, wrong : int
        Correctly and wrongly predicted recordings; each is asked about in four modes.
    kills : int
        How often the server is killed with SIGKILL and started again.
    requests : int
        Forged requests, at least.
    seed : int
        Of what the participants answer, when the server is killed, and what is forged.

    Examples
    --------
    xaudio bench study --participants 8 --kills 1 --requests 100
    """
    from .benchmark import StudyProof

    return StudyProof(
        model=model,
        dataset=dataset,
        data=data,
        participants=participants,
        right=right,
        wrong=wrong,
        kills=kills,
        requests=requests,
        seed=seed,
    )


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the proof."""
    return {"study": study}

"""Workers as processes of this machine, each started anew when it dies."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import Count, Engine, hookimpl


def local(*, workers: Count = 1) -> Engine:
    """Processes of this machine; where there are several GPUs, each process sees one of them.

    Parameters
    ----------
    workers : int
        How many processes. On a CPU, as many as cores are fastest: each computes with one thread, so that results are the same
        for any number of them.
    """
    from ._local import Processes

    return Processes(workers)


@hookimpl
def xaudio_engines() -> Mapping[str, Any]:
    """Offer the engine."""
    return {"local": local}

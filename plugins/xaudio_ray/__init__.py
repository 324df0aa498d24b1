"""Workers as actors of Ray, on a cluster that is there or on this machine."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import Count, Engine, hookimpl


def ray(*, workers: Count = 1, address: str = "", gpus: bool = True) -> Engine:
    """Actors of Ray Core, of a cluster by its address or of this machine alone; nothing but paths and counts goes through Ray.

    Parameters
    ----------
    workers : int
        How many actors, each on one core, and on one GPU where the cluster has some.
    address : str
        Of a cluster, such as "auto" or "10.0.0.1:6379"; by default Ray is started on this machine and stopped at the end.
    gpus : bool
        Whether each actor takes a GPU where the cluster has some.

    Raises
    ------
    PluginError
        If ray is not installed.
    """
    from ._ray import Actors

    return Actors(workers, address, gpus)


@hookimpl
def xaudio_engines() -> Mapping[str, Any]:
    """Offer the engine."""
    return {"ray": ray}

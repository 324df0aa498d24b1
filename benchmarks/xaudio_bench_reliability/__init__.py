"""Proof that what goes wrong outside of xaudio is told in one line, and changes no result."""

from collections.abc import Mapping
from typing import Any, Literal

from xaudio.plugin import Seed, hookimpl


def reliability(*, preset: Literal["quick", "full"] = "full", parts: tuple[str, ...] = (), seed: Seed = 0) -> Any:
    """Kill processes, change bytes of files, fill disks, take folders away, and count what became of it.

    Only this machine is used, and of its network the loopback alone. The full preset takes 15 to 20 minutes on two cores.

    Parameters
    ----------
    preset : str
        "full", or "quick" with a fortieth of the files and few kills.
    parts : tuple of str
        Those to run, as in "audio,archives"; by default all.
    seed : int
        Of what is changed, and when processes are killed.

    Raises
    ------
    PluginError
        If there is no such part.

    Examples
    --------
    xaudio bench reliability --preset quick --parts audio,archives
    """
    from .benchmark import Reliability

    return Reliability(preset, parts, seed)


@hookimpl
def xaudio_benchmarks() -> Mapping[str, Any]:
    """Offer the proof."""
    return {"reliability": reliability}

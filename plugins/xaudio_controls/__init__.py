"""Explainers that know nothing of the model: what any explainer must beat."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import Explainer, hookimpl


def random(*, seed: int = 0) -> Explainer:
    """Random relevance, uniform in [-1, 1), the same whenever the recording and the seed are the same.

    The same means the same in every bit: a copy in another format, rounded otherwise, draws other relevance. That is meant, as a
    control must not seem robust to a change that is too small to hear.

    Parameters
    ----------
    seed : int
        Another seed gives other relevance.
    """
    from ._controls import Random

    return Random(seed)


def amplitude() -> Any:
    """Magnitude of the sound as relevance: what is loud is relevant."""
    from ._controls import amplitude

    return amplitude


@hookimpl
def xaudio_explainers() -> Mapping[str, Any]:
    """Offer the controls."""
    return {"random": random, "amplitude": amplitude}

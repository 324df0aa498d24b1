"""Properties of relevance maps that need no further run of the model."""

from collections.abc import Mapping
from typing import Any

from xaudio.plugin import hookimpl


def conservation() -> Any:
    """Sum of the relevance divided by the logit of the explained class: 1 where nothing leaked."""
    from ._metrics import Conservation

    return Conservation()


def silence() -> Any:
    """Share of |R| that lies where the recording is exactly silent: 0 where an explainer is honest about padding."""
    from ._metrics import Silence

    return Silence()


def sparseness() -> Any:
    """Gini coefficient of |R|: 0 if it is spread evenly, near 1 if few cells have it all."""
    from ._metrics import Sparseness

    return Sparseness()


def complexity() -> Any:
    """Entropy of |R| / sum |R| in nats: 0 if one cell has it all, ln(cells) if it is spread evenly."""
    from ._metrics import Complexity

    return Complexity()


@hookimpl
def xaudio_metrics() -> Mapping[str, Any]:
    """Offer the metrics."""
    return {"conservation": conservation, "silence": silence, "sparseness": sparseness, "complexity": complexity}

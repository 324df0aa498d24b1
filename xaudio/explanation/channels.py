"""Explanations of recordings of several channels, channel by channel: what shows and hears one shows and hears each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import ModelError, unknown
from ..registry.plain import whole
from .record import Record

if TYPE_CHECKING:
    from ..model.model import Model

Recorded = TypeVar("Recorded", bound=Record)


def channel_of(explanation: Recorded, channel: str | int) -> Recorded:
    """The explanation of one channel alone; see `Explanation.channel`."""
    names = explanation.channels
    index = names.index(channel) if isinstance(channel, str) and channel in names else whole(channel)
    if index is None or not 0 <= index < len(names):
        if not names:
            raise ModelError(f"{explanation.clip.source}: the explanation is of a single channel, so that none can be chosen.")
        raise ModelError(unknown("channel", str(channel), names))
    single = getattr(explanation.representation, "single", None)
    if single is None:
        kind = type(explanation.representation).__name__
        raise ModelError(f"The representation {kind} reads all channels at once: none can be seen or heard alone.")
    spec = dict(explanation.provenance.get("representation") or {})
    options = {name: value for name, value in spec.get("options", {}).items() if name != "channels"}
    one = slice(index, index + 1)
    return replace(
        explanation,
        clip=replace(explanation.clip, waveform=explanation.clip.waveform[index], channel=index),
        features=explanation.features[one],
        relevance=explanation.relevance[one],
        provenance={
            **explanation.provenance,
            **({"representation": {**spec, "options": options}} if spec else {}),
            "channel": {"name": names[index], "share": _share(explanation, index)},
        },
        _representation=single,
    )


def is_apart(explanation: Record) -> bool:
    """Whether each row of the relevance is that of a channel, as far as is known of the representation."""
    try:
        return getattr(explanation.representation, "single", None) is not None
    except ModelError:  # an object of the caller's own, and the explanation is from a file
        return False


def refuse_joined_channels(model: Model, renderers: Iterable[Any], viewed: bool, methods: Sequence[str] = ()) -> None:
    """Raise `ModelError`, before anything takes time, if a renderer shows each channel and a representation reads all at once.

    Parameters
    ----------
    model : Model
    renderers : iterable of callable
    viewed : bool
        Whether they are given explanations in a view, which are of each channel.
    methods : sequence of str
        Of renderers, which are given explanations as they are.
    """
    if model.channels == 1 or getattr(model.representation, "single", None) is not None:
        return
    for renderer in renderers:
        of_each = not viewed and getattr(renderer, "shows_channels", False) is not True
        if of_each or any(hasattr(renderer, method) for method in methods):
            raise ModelError(
                f"The representation {type(model.representation).__name__} reads all channels at once, and a renderer shows each "
                "alone. Give --render '', which writes the explanations themselves."
            )


def _share(explanation: Record, index: int) -> float:
    sizes = np.abs(explanation.relevance.astype(np.float64))
    return float(sizes[index].sum() / sizes.sum()) if sizes.any() else 0.0


def by_channel(explanations: Iterable[Recorded]) -> list[Recorded]:
    """Explanations of single channels: each of a recording with several, in order; others as they are.

    Parameters
    ----------
    explanations : iterable of Explanation

    Returns
    -------
    list of Explanation

    Raises
    ------
    ModelError
        If a representation reads all channels at once.
    """
    return [
        part
        for explanation in explanations
        for part in ([channel_of(explanation, name) for name in explanation.channels] or [explanation])
    ]

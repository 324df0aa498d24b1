"""Representations that are anyone's: what they must have, and one line for what they have not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from torch import Tensor

from ..errors import ModelError, XaudioError
from ..output.memory import out_of_memory
from ..types import Placement, Representation

NEEDED = ("sample_rate", "samples", "placement", "unit", "axes")
WAYS = {
    "amplitude": "which cells hold sound",
    "masked_waveform": "how a part of the sound is heard",
    "to_waveform_relevance": "how relevance is seen in another domain and heard",
}
"""Methods that only some explainers, views and renderers need, and what they say."""

EXPECTED = {
    "sample_rate": "a whole number of Hz",
    "samples": "the number of samples that it takes",
    "placement": f"one of {', '.join(get_args(Placement))}",
    "axes": "a tuple of xaudio.plugin.Axis, one for each dimension after the channel",
}


def completed(representation: Any) -> Representation:
    """The representation, or, if it lacks a method of `WAYS`, a copy whose method says so when it is called.

    Raises
    ------
    ModelError
        If it lacks what everything needs, naming it.
    """
    _check(representation)
    missing = [way for way in WAYS if not callable(getattr(representation, way, None))]
    full = copy.copy(representation) if missing else representation
    for way in missing:
        object.__setattr__(full, way, partial(_refuse, type(representation).__name__, way))
    return full  # type: ignore[no-any-return]


def _check(representation: Any) -> None:
    """Raise `ModelError` for what no representation is without."""
    kind = type(representation).__name__
    lacking = [attribute for attribute in NEEDED if not hasattr(representation, attribute)]
    lacking += [] if callable(representation) else ["a call with waveforms"]
    if lacking:
        raise ModelError(
            f"{kind} is not a representation: it lacks {', '.join(lacking)}. Give a plugin's name, or an object with these."
        )
    axes, parts = representation.axes, ("name", "unit", "centres")
    proper = isinstance(axes, list | tuple) and all(hasattr(axis, part) for axis in axes for part in parts)
    wrong = [
        *(name for name in ("sample_rate", "samples") if not hasattr(getattr(representation, name), "__index__")),
        *(["placement"] if representation.placement not in get_args(Placement) else []),
        *([] if proper else ["axes"]),
    ]
    if wrong:
        raise ModelError(
            f"The representation {kind} has {wrong[0]} {getattr(representation, wrong[0])!r}; expected {EXPECTED[wrong[0]]}."
        )


def _refuse(name: str, way: str, *_: Any, **__: Any) -> None:
    raise ModelError(f"The representation {name} has no method {way}(), which says {WAYS[way]}: see xaudio.types.Representation.")


def checked_features(representation: Callable[[Tensor], Any], waveforms: Tensor) -> Tensor:
    """Features ``(batch, channels, *axes)`` of waveforms (batch, samples).

    Raises
    ------
    ModelError
        If the representation fails, or its features do not have the shape that its axes say.
    """
    name = type(representation).__name__
    try:
        features = representation(waveforms)
    except Exception as error:
        if isinstance(error, XaudioError) or out_of_memory(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"The representation {name} fails on waveforms of shape {tuple(waveforms.shape)}: {reason}.") from error
    cells = tuple(len(axis.centres) for axis in representation.axes)  # type: ignore[attr-defined]
    if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(waveforms) or features.shape[2:] != cells:
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        expected = f"({', '.join(map(str, (len(waveforms), 'channels', *cells)))})"
        raise ModelError(f"The representation {name} gives features of shape {shape}; its axes say {expected}.")
    return features

"""From a sound to its explanation: the one orchestrating function, and what it is made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeAlias, cast, overload

import numpy as np
from torch import Tensor

from ..errors import AudioError, DataError, PluginError
from ..model.arguments import as_explainer, as_model, as_recordings, batch_of, clip_for, seeded
from ..model.devices import resolve_device
from ..model.loading import read_model
from ..model.model import Model
from ..model.modes import plain_torch
from ..model.questions import questions
from ..model.statements import check_offers
from ..output.memory import naming_memory
from ..registry.defaults import EXPLAINER
from ..registry.loading import registry
from ..registry.options import convert
from ..types import Clip, Explainer, Fit, Kind, Placement, Representation, Resampling
from .asking import Asker, check_threshold, contrasted
from .explanation import Explanation
from .prepared import BATCH
from .table import Explanations
from .views import parse_view

Explained: TypeAlias = Any
"""A run folder, a loader with options, any module, a model, or an object that a plugin knows."""

One: TypeAlias = str | os.PathLike[str] | np.ndarray[Any, Any] | Tensor | Clip
"""A recording."""

Many: TypeAlias = list[Any] | tuple[Any, ...]
"""Recordings."""

P = ParamSpec("P")


class Either(Protocol[P]):
    """A function of which only its documentation says when it gives which."""

    def __call__(self, model: Explained, audio: Any, *args: P.args, **kwargs: P.kwargs) -> Explanation | Explanations:
        """The one or the other."""


class OneOrMany(Protocol[P]):
    """A function that gives an explanation of a recording, and a list of them of a list."""

    @overload
    def __call__(self, model: Explained, audio: One, *args: P.args, **kwargs: P.kwargs) -> Explanation: ...
    @overload
    def __call__(self, model: Explained, audio: Many, *args: P.args, **kwargs: P.kwargs) -> Explanations: ...


def one_or_many(function: Either[P]) -> OneOrMany[P]:
    """The function as it is, of which type checkers now know what it gives for which audio."""
    return cast(OneOrMany[P], function)


def create(kind: str, name: str, **options: Any) -> Any:
    """Make a plugin's object by name.

    Parameters
    ----------
    kind : str
        "dataset", "representation", "model", "explainer", "separator", "renderer", "metric" or "benchmark".
    name : str
    **options
        Of the plugin, as ``xaudio plugins show NAME`` lists them.

    Raises
    ------
    PluginError
        For an unknown name or option, or a value that does not fit.
    """
    return registry().create(kind, name, options)


def names(kind: str) -> list[str]:
    """Names of all installed plugins of a kind; see `create`.

    Parameters
    ----------
    kind : str
        As for `create`.
    """
    return registry().names(kind)


def load_model(place: str | Path, device: str = "auto") -> Model:
    """The model of a run folder, or of a loader, on a device.

    Parameters
    ----------
    place : path or str
        A run folder of ``xaudio train`` or of `save_model`, or the name of a loader with its options, as in
        "torchscript:path=model.pt,representation=waveform"; ``xaudio plugins show NAME`` lists them.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    ModelError
        If it is neither, or is damaged.
    PluginError
        If an option of the loader is missing or does not fit.
    DeviceError
        If the device is not there.
    """
    return read_model(place).to(resolve_device(device))


@one_or_many
@naming_memory("Give a smaller batch_size or shorter recordings, or choose another device.")
@plain_torch()
def explain(
    model: Explained,
    audio: Any,
    *,
    sample_rate: int | None = None,
    representation: str | Representation | None = None,
    explainer: str | Explainer = EXPLAINER,
    target: Any = None,
    device: str = "auto",
    classes: Iterable[Any] | None = None,
    fit: Fit | None = None,
    resampling: Resampling | None = None,
    placement: Placement | None = None,
    seed: int | None = None,
    batch_size: int = BATCH,
    view: str | Sequence[str] | None = None,
    contrast: Any = None,
    kind: Kind | None = None,
    feature_extractor: Any = None,
    channels: str | int | list[int] | tuple[int, ...] | None = None,
    output: int | str | None = None,
    threshold: float | None = None,
    **options: Any,
) -> Explanation | Explanations:
    """Explain why a model classifies sounds as it does.

    Parameters
    ----------
    model : path, str, nn.Module or Model
        A run folder, a loader with options as in "torchscript:path=FILE" (see `load_model`), any module together with
        ``representation``, or an object that a plugin knows.
    audio : path, array, tensor, Clip, bytes, binary file, mapping, or a list of these
        An array needs ``sample_rate``. It is one recording (samples,) or (1, samples), several (recordings, samples) or
        (recordings, channels, samples), or, where ``channels`` is given, one (channels, samples). In a list, each is one. Bytes
        and files are those of a recording; a mapping holds "array" and "sampling_rate".
    sample_rate : int, optional
        Of arrays and tensors, in Hz.
    representation : str or Representation, optional
        Name of a plugin, with options as in "waveform:samples=16000", or an object; a run folder knows its own.
    explainer : str or callable
        Name of a plugin, with options as in "lime:samples=100,seed=1", or a callable (model, features, target) -> relevance.
    target : index, name, score or callable, or one per recording, optional
        What to explain: an output by its index or name; of a model with frames a span of seconds of it, "dog@1.2-1.8"; a score,
        as `Output`, `Similarity`, `Path` or `Contrast`; "similar:b.wav" for the similarity to a recording; or a function of
        `xaudio.plugin.Answer` to (batch,), whose name titles bear. By default the predicted class, the likeliest label, the
        first value, the clearest output of frames where it is above its mean, or the best path of a CTC answer, one explanation
        for each of its characters.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    classes : iterable or mapping, optional
        Class names in the order of the outputs, or a mapping such as ``id2label`` or ``label2id``, for a module that does not
        bring its own; by default "0", "1", ...
    fit : {"error", "trim", "loudest"}, optional
        What to do with a recording that is too long; by default what the model was trained with, else "error".
    resampling : {"soxr", "fft"}, optional
        By default what the model was trained with, else "soxr".
    placement : {"centre", "start", "file", "step"}, optional
        Where recordings shorter than the model's window lie within the zeros. By default in the middle, where training drew a
        position ("file" or "step") and no seed is given, else as in training.
    seed : int, optional
        Of all that is drawn: the position of short recordings, drawn as in training (by default they are centred, and where
        ``placement`` asks for a draw, it is that of the model's training, else of 0), and what the explainer draws, if it
        has an option of this name that ``explainer`` does not give (by default its own).
    batch_size : int
    view : str, optional
        Domain to bring the relevance to: "time", "frequency" or "time-frequency", the last with options as in
        "time-frequency:window=hann,length=455,hop=35"; by default that of the representation. See `Explanation.view`. A
        list of recordings may have a list of views: the explanations of all in the first view come first, then those in the
        second, from relevance that is computed once.
    contrast : index, name, score or callable, or one per recording, optional
        Explain why ``target`` rather than this: see `Explanation.contrast`.
    kind : {"classes", "labels"}, optional
        What the outputs of a module are: classes that exclude each other (softmax), or labels, of which several may be true
        (a sigmoid each). A single output is always a label. By default classes, and the explanation notes that nobody said so.
    feature_extractor : object, optional
        What makes the features, for a model of a library that a plugin knows, such as one of Hugging Face.
    channels : {"mean", "left", "right", "all"} or int, optional
        Of recordings with several channels: all mixed down (by default), the first, the second, that of an index, or all, for a
        model whose representation reads several, as "raw:channels=2" (which is then the default). It says that the rows of an
        array are channels of one recording: two rows are refused without it, since they could be two recordings. Several indices
        are those of a layer, an option of the explainer.
    output : int or str, optional
        Which part of what a module returns is its answer, by key, field or index, where it returns several tensors and none
        is called ``logits``.
    threshold : float, optional
        Of labels: explain each whose probability is above this, the likeliest first, instead of a target.
    **options
        Of the explainer.

    Returns
    -------
    Explanation or Explanations
        A list, which a notebook shows as a table, if ``audio`` is one, or an array of several recordings, or if there is a
        threshold or a target of several parts.

    Raises
    ------
    XaudioError
        If any input does not fit: one line that says which, and what to do.
    """
    at_once = batch_of(batch_size)
    if isinstance(seed, bool) or not (seed is None or isinstance(seed, int | np.integer)):
        raise DataError(f"The seed is {seed!r}; expected a whole number, 0 or more.")
    if isinstance(channels, list | tuple):
        options, channels = {**options, "channels": channels}, None
    audio = as_recordings(audio, channels)
    single = not isinstance(audio, list | tuple)
    views = _views(view, single)
    fit = convert("fit", Fit | None, fit)
    resampling = convert("resampling", Resampling | None, resampling)
    placement = convert("placement", Placement | None, placement)
    if not single and not audio:
        raise AudioError("There is nothing to explain: the list of recordings is empty.")
    loaded = as_model(model, representation, classes, kind, feature_extractor, output).to(resolve_device(device))
    clips = [clip_for(loaded, item, sample_rate, channels) for item in ([audio] if single else audio)]
    method, spec = as_explainer(seeded(explainer, seed), options)
    check_offers(loaded, method, spec["name"])
    targets = questions(target, len(clips), loaded)
    check_threshold(threshold, target, contrast, loaded)
    others = None if contrast is None else questions(contrast, len(clips), loaded)
    rules = loaded.rules.of_own(fit, resampling, placement, None if seed is None else int(seed))
    ask = Asker(loaded, method, spec, clips, rules, at_once, views)
    if threshold is not None:
        return ask.labels_above(threshold)
    explanations = ask(targets)
    if others is not None:
        explanations = contrasted(explanations, ask(others))
    return explanations[0] if single and len(explanations) == 1 else explanations


def _views(view: str | Sequence[str] | None, single: bool) -> list[str | None]:
    """The views that are asked for, checked before anything takes time; None for what the model reads."""
    views: list[str | None] = list(view) if isinstance(view, list | tuple) else [view]  # type: ignore[list-item]
    if isinstance(view, list | tuple) and (single or not views):
        raise PluginError(f"The views are {view!r}; expected one, or a list of some for a list of recordings.")
    for one in views:
        if one is not None:
            parse_view(one)
    return views


def explainer_of(explanation: Explanation) -> Explainer:
    """The explainer that made an explanation, made again with the same options.

    Parameters
    ----------
    explanation : Explanation

    Raises
    ------
    PluginError
        If it was a callable of the caller's own, of which only the name is known.
    """
    spec = explanation.provenance.get("explainer", {})
    name = spec.get("name", "?")
    if name not in registry().names("explainer"):
        raise PluginError(
            f"The explainer {name!r} of {explanation.clip.source} is not a plugin, so it cannot be made again: register it."
        )
    made: Explainer = registry().create("explainer", name, spec.get("given", {}))
    return made

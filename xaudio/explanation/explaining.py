"""From a sound to its explanation: the one orchestrating function, and what it is made of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeAlias, cast, overload

import numpy as np
import torch
from torch import Tensor, nn

from ..doctor.warning import warn_about
from ..errors import AudioError, DataError, PluginError
from ..model.arguments import as_clip, as_explainer, as_model, seeded, target_indices
from ..model.attribution import attribute, expected_sums
from ..model.devices import resolve_device
from ..model.model import Model
from ..model.modes import plain_torch
from ..output.memory import naming_memory
from ..output.runs import versions
from ..output.terminal import progress
from ..registry.defaults import EXPLAINER
from ..registry.loading import registry
from ..registry.options import convert
from ..registry.plain import whole
from ..sound.labels import label_index
from ..sound.rules import PlacedClips, Rules
from ..types import Clip, Explainer, Fit, Kind, Placement, Representation, Resampling
from .explanation import Explanation
from .seen import seen_in
from .table import Explanations
from .views import other_domain, parse_view

BATCH = 32
"""Recordings explained at once; on a CPU 16 to 32 cost least per recording."""

Explained: TypeAlias = str | Path | nn.Module | Model
"""A run folder, any module, or a model."""

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


def load_model(folder: str | Path, device: str = "auto") -> Model:
    """The model of a run folder, on a device.

    Parameters
    ----------
    folder : path
        Of ``xaudio train``.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    ModelError
        If it is not a run folder or is damaged.
    DeviceError
        If the device is not there.
    """
    return Model.load(Path(folder)).to(resolve_device(device))


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
    target: int | str | Sequence[int | str] | None = None,
    device: str = "auto",
    classes: Iterable[Any] | None = None,
    fit: Fit | None = None,
    resampling: Resampling | None = None,
    placement: Placement | None = None,
    seed: int | None = None,
    batch_size: int = BATCH,
    view: str | Sequence[str] | None = None,
    contrast: int | str | Sequence[int | str] | None = None,
    kind: Kind | None = None,
    **options: Any,
) -> Explanation | Explanations:
    """Explain why a model classifies sounds as it does.

    Parameters
    ----------
    model : path, nn.Module or Model
        A run folder of ``xaudio train``, or any module together with ``representation``.
    audio : path, array, tensor, Clip, or a list of these
        An array has the shape (samples,) or (channels, samples) and needs ``sample_rate``.
    sample_rate : int, optional
        Of arrays and tensors, in Hz.
    representation : str or Representation, optional
        Name of a plugin, with options as in "waveform:samples=16000", or an object; a run folder knows its own.
    explainer : str or callable
        Name of a plugin, with options as in "lime:samples=100,seed=1", or a callable (model, features, target) -> relevance.
    target : class name or index, or one per recording, optional
        The class to explain; by default the predicted one.
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
    contrast : class name or index, or one per recording, optional
        Explain why ``target`` rather than this class: see `Explanation.contrast`.
    kind : {"classes", "labels"}, optional
        What the outputs of a module are: classes that exclude each other (softmax), or labels, of which several may be true
        (a sigmoid each). A single output is always a label. By default classes, and the explanation notes that nobody said so.
    **options
        Of the explainer.

    Returns
    -------
    Explanation or Explanations
        A list, which a notebook shows as a table, if ``audio`` is one.

    Raises
    ------
    XaudioError
        If any input does not fit: one line that says which, and what to do.
    """
    at_once = whole(batch_size)
    if at_once is None or at_once < 1:
        raise AudioError(f"batch_size is {batch_size!r}; expected a whole number, 1 or more.")
    if isinstance(seed, bool) or not (seed is None or isinstance(seed, int | np.integer)):
        raise DataError(f"The seed is {seed!r}; expected a whole number, 0 or more.")
    single = not isinstance(audio, list | tuple)
    views = _views(view, single)
    fit = convert("fit", Fit | None, fit)
    resampling = convert("resampling", Resampling | None, resampling)
    placement = convert("placement", Placement | None, placement)
    clips = [as_clip(item, sample_rate) for item in ([audio] if single else audio)]
    if not clips:
        raise AudioError("There is nothing to explain: the list of recordings is empty.")
    loaded = as_model(model, representation, classes, kind).to(resolve_device(device))
    method, spec = as_explainer(seeded(explainer, seed), options)
    rules = loaded.rules.of_own(fit, resampling, placement, None if seed is None else int(seed))
    placed = loaded.hear(clips, rules)
    provenance = provenance_of(loaded, spec, rules)
    targets = target_indices(target, len(clips), loaded.classes)
    others = target_indices(contrast, len(clips), loaded.classes)
    if findings := warn_about(loaded, spec["name"], method):
        provenance["findings"] = findings

    def explained(wanted: Sequence[int] | None) -> Explanations:
        return explain_prepared(loaded, method, clips, placed, wanted, provenance, batch_size=at_once, views=views)

    explanations = explained(targets)
    if others is not None:
        explanations = Explanations(one.contrast(other) for one, other in zip(explanations, explained(others), strict=True))
    return explanations[0] if single else explanations


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


def provenance_of(model: Model, explainer: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """What an explanation says of its origin: model, representation, explainer, and the rules its recording was prepared by.

    Parameters
    ----------
    model : Model
    explainer : dict
        Name and options, as `as_explainer` gives them.
    rules : Rules
    """
    trained_on = str(model.facts.get("data", ""))
    # Runs of before this fact was kept are known by the title of their data.
    synthetic = model.facts.get("synthetic", "synthetic" in trained_on)
    return {
        "model": {**model.model_spec, "run": model.facts.get("run")},
        "representation": dict(model.representation_spec),
        "explainer": explainer,
        "trained_on": trained_on,
        **({"synthetic": True} if synthetic else {}),
        "seed": rules.seed,
        "fit": rules.fit,
        "resampling": rules.resampling,
    }


def explain_prepared(
    model: Model,
    explainer: Explainer,
    clips: Sequence[Clip],
    placed: PlacedClips,
    targets: Sequence[int] | None,
    provenance: dict[str, Any],
    *,
    batch_size: int = BATCH,
    views: Sequence[str | None] = (None,),
) -> Explanations:
    """Explanations of prepared recordings, batch by batch: of all in the first view, then of all in the second.

    Parameters
    ----------
    model : Model
    explainer : callable
    clips : sequence of Clip
        What the model heard, for names and labels.
    placed : PlacedClips
        The same as `Model.hear` gives them.
    targets : sequence of int or None
        The classes to explain; None for the predicted ones.
    provenance : dict
    batch_size : int
    views : sequence of str or None
        See `explain`.
    """
    domains = [other_domain(view, model.representation) for view in views]
    labels = [_label(clip, model) for clip in clips]
    facts = provenance | {"device": str(model.device), "versions": versions(), "placed_by": placed.rules.placement}
    # Renderers work on the CPU; a representation made by a plugin they make again.
    representation = None if model.representation_spec else _on_cpu(model.representation)
    by_domain = [Explanations() for _ in domains]
    title = f"Explaining with {provenance.get('explainer', {}).get('name', 'an explainer')}"
    with progress(title, len(clips), always=False) as advance:
        for start in range(0, len(clips), batch_size):
            chosen = slice(start, min(start + batch_size, len(clips)))
            waveforms = placed.batch(chosen)
            wanted = None if targets is None else torch.tensor(targets[chosen], device=model.device)
            attributed = features, relevance, logits, explained = attribute(model, explainer, waveforms, wanted)
            sums = expected_sums(model, explainer, waveforms, attributed)
            batch = []
            for row, index in enumerate(range(chosen.start, chosen.stop)):
                clip = replace(
                    clips[index],
                    waveform=waveforms[row].cpu().numpy(),
                    sample_rate=model.representation.sample_rate,
                    labels={**clips[index].labels, **({} if labels[index] is None else {model.task: labels[index]})},
                    notes=(*placed.prepared.notes[index], *model.facts.get("notes", ())),
                )
                batch.append(
                    Explanation(
                        clip=clip,
                        features=features[row].cpu().numpy(),
                        relevance=relevance[row].cpu().numpy(),
                        axes=model.representation.axes,
                        logits=logits[row].cpu().numpy(),
                        classes=model.classes,
                        target=int(explained[row]),
                        task=model.task,
                        provenance={
                            **facts,
                            "placement": placed.position(index)._asdict(),
                            "original_sample_rate": clips[index].sample_rate,
                            **({} if sums is None else {"completeness": sums.record(row)}),
                        },
                        kind=model.kind,
                        _representation=representation,
                    )
                )
            for seen, domain in zip(by_domain, domains, strict=True):
                seen += seen_in(domain, batch, model.representation, waveforms, relevance)
            advance(chosen.stop - chosen.start)
    return Explanations(explanation for seen in by_domain for explanation in seen)


def _label(clip: Clip, model: Model) -> int | None:
    """Index of a clip's true class in the model's task, None where it is unknown."""
    label, names = clip.labels.get(model.task), model.classes
    where = f"{clip.source}: its label of task {model.task!r}"
    if len(names) == 1 and not (label is None or isinstance(label, str)):
        raise DataError(f"{where} is {label!r}, which could mean that {names[0]!r} is there or not; give the name, or none.")
    return label_index(label, names, where)


def _on_cpu(representation: Representation) -> Representation:
    return deepcopy(representation).cpu() if isinstance(representation, nn.Module) else representation

"""From a sound to its explanation: the one orchestrating function, and what it is made of."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .audio import make_clip, read_audio
from .classifier import Classifier, evaluation_mode, run_network
from .devices import resolve_device
from .doctor.probe import warn_about
from .errors import AudioError, ModelError, PluginError, unknown
from .explanation import Explanation
from .options import check_options, convert, options_of
from .preparation import Prepared, place, prepare_clips
from .registry import registry
from .runs import versions
from .types import Clip, Explainer, Fit, Representation, Resampling, Sound
from .views import other_domain, parse_view, seen_in

BATCH = 16
"""Recordings explained at once; on a CPU 16 to 32 cost least per recording."""


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
    """Names of all installed plugins of a kind; see `create`."""
    return registry().names(kind)


def load_model(folder: str | Path, device: str = "auto") -> Classifier:
    """The classifier of a run folder, on a device.

    Raises
    ------
    ModelError
        If it is not a run folder or is damaged.
    DeviceError
        If the device is not there.
    """
    return Classifier.load(Path(folder)).to(resolve_device(device))


def explain(
    model: str | Path | nn.Module | Classifier,
    audio: Any,
    *,
    sample_rate: int | None = None,
    representation: str | Representation | None = None,
    explainer: str | Explainer = "lrp",
    target: int | str | Sequence[int | str] | None = None,
    device: str = "auto",
    classes: Sequence[str] | None = None,
    fit: Fit | None = None,
    resampling: Resampling = "soxr",
    seed: int | None = None,
    batch_size: int = BATCH,
    view: str | None = None,
    **options: Any,
) -> Explanation | list[Explanation]:
    """Explain why a model classifies sounds as it does.

    Parameters
    ----------
    model : path, nn.Module or Classifier
        A run folder of ``xaudio train``, or any module together with ``representation``.
    audio : path, array, tensor, Clip, or a list of these
        An array has the shape (samples,) or (channels, samples) and needs ``sample_rate``.
    sample_rate : int, optional
        Of arrays and tensors, in Hz.
    representation : str or Representation, optional
        Name of a plugin or an object; a run folder knows its own.
    explainer : str or callable
        Name of a plugin, or a callable (model, features, target) -> relevance.
    target : class name or index, or one per recording, optional
        The class to explain; by default the predicted one.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    classes : sequence of str, optional
        Class names, for a module that does not bring its own; by default "0", "1", ...
    fit : {"error", "trim", "loudest"}, optional
        What to do with a recording that is too long; by default what the model was trained with, else "error".
    resampling : {"soxr", "fft"}
    seed : int, optional
        Of the placement of short recordings; by default that of the model's training, else 0.
    batch_size : int
    view : str, optional
        Domain to bring the relevance to: "time", "frequency" or "time-frequency", the last with options as in
        "time-frequency:window=hann,length=455,hop=35"; by default that of the representation. See `Explanation.view`.
    **options
        Of the explainer.

    Returns
    -------
    Explanation or list of Explanation
        A list if ``audio`` is one.

    Raises
    ------
    XaudioError
        If any input does not fit: one line that says which, and what to do.
    """
    if batch_size < 1:
        raise AudioError(f"batch_size is {batch_size}; expected 1 or more.")
    if view is not None:
        parse_view(view)  # before anything takes time
    fit = convert("fit", Fit | None, fit)
    resampling = convert("resampling", Resampling, resampling)
    single = not isinstance(audio, list | tuple)
    clips = [as_clip(item, sample_rate) for item in ([audio] if single else audio)]
    if not clips:
        raise AudioError("There is nothing to explain: the list of recordings is empty.")
    classifier = as_classifier(model, representation, classes).to(resolve_device(device))
    method, spec = as_explainer(explainer, options)
    read = classifier.representation
    fit = fit or classifier.facts.get("fit", "error")
    seed = classifier.facts.get("seed", 0) if seed is None else seed
    prepared = prepare_clips(clips, read.sample_rate, read.samples, fit, resampling)
    provenance = {
        "model": {**classifier.model_spec, "run": classifier.facts.get("run")},
        "representation": dict(classifier.representation_spec),
        "explainer": spec,
        "trained_on": classifier.facts.get("data", ""),
        "seed": seed,
        "fit": fit,
        "resampling": resampling,
    }
    targets = target_indices(target, len(clips), classifier.classes)
    warn_about(classifier, spec["name"], method)
    found = explain_prepared(
        classifier, method, clips, prepared, targets, provenance, seed=seed, batch_size=batch_size, view=view
    )
    return found[0] if single else found


def explain_prepared(
    classifier: Classifier,
    explainer: Explainer,
    clips: Sequence[Clip],
    prepared: Prepared,
    targets: Sequence[int] | None,
    provenance: dict[str, Any],
    *,
    seed: int = 0,
    batch_size: int = BATCH,
    view: str | None = None,
) -> list[Explanation]:
    """Explanations of prepared recordings, batch by batch.

    Parameters
    ----------
    classifier : Classifier
    explainer : callable
    clips : sequence of Clip
        What was prepared, for names and labels.
    prepared : Prepared
    targets : sequence of int or None
        The classes to explain; None for the predicted ones.
    provenance : dict
    seed : int
        Of the placement.
    batch_size : int
    view : str, optional
        See `explain`.
    """
    domain = other_domain(view, classifier.representation)
    offsets = prepared.offsets(classifier.representation.placement, seed)
    facts = provenance | {"device": str(classifier.device), "versions": versions()}
    # Renderers work on the CPU; a representation made by a plugin they make anew.
    own = None if classifier.representation_spec else _on_cpu(classifier.representation)
    found = []
    for start in range(0, len(clips), batch_size):
        chosen = slice(start, min(start + batch_size, len(clips)))
        waveforms = place(
            torch.from_numpy(np.array(prepared.waveforms[chosen])).to(classifier.device),
            torch.from_numpy(prepared.lengths[chosen]).to(classifier.device),
            torch.from_numpy(offsets[chosen]).to(classifier.device),
        )
        wanted = None if targets is None else torch.tensor(targets[chosen], device=classifier.device)
        features, relevance, logits, explained = attribute(classifier, explainer, waveforms, wanted)
        for row, index in enumerate(range(chosen.start, chosen.stop)):
            clip = replace(
                clips[index],
                waveform=waveforms[row].cpu().numpy(),
                sample_rate=classifier.representation.sample_rate,
                notes=tuple(prepared.notes[index]),
            )
            placed = {"offset": int(offsets[index]), "samples": int(prepared.lengths[index])}
            found.append(
                Explanation(
                    clip=clip,
                    features=features[row].cpu().numpy(),
                    relevance=relevance[row].cpu().numpy(),
                    axes=classifier.representation.axes,
                    logits=logits[row].cpu().numpy(),
                    classes=classifier.classes,
                    target=int(explained[row]),
                    task=classifier.task,
                    provenance={**facts, "placement": placed, "original_sample_rate": clips[index].sample_rate},
                    _representation=own,
                )
            )
        found[chosen] = seen_in(domain, found[chosen], classifier.representation, waveforms, relevance)
    return found


def _on_cpu(representation: Representation) -> Representation:
    return deepcopy(representation).cpu() if isinstance(representation, nn.Module) else representation


def attribute(
    classifier: Classifier, explainer: Explainer, waveforms: Tensor, target: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Relevance of a batch.

    Parameters
    ----------
    classifier : Classifier
    explainer : callable
    waveforms : Tensor, shape (batch, samples)
        Placed, in [-1, 1], on the classifier's device.
    target : Tensor of int64, shape (batch,), optional
        By default the predicted classes.

    Returns
    -------
    features, relevance : Tensor, shape (batch, channels, *axes)
    logits : Tensor, shape (batch, classes)
    target : Tensor, shape (batch,)

    Raises
    ------
    ModelError
        If the network does not fit.
    PluginError
        If what the explainer returns is not relevance: of another shape, or not finite.
    """
    with evaluation_mode(classifier.network):
        with torch.no_grad():
            features = classifier.features(waveforms)
            logits = classifier.logits(features.clone())  # a network may begin with an operation in place
        chosen = logits.argmax(1) if target is None else target
        extras: dict[str, Any] = {}
        if "sound" in inspect.signature(explainer).parameters:
            extras["sound"] = Sound(waveforms, classifier.representation, classifier.features)
        with torch.enable_grad():
            relevance = explainer(classifier.network, features.clone(), chosen, **extras)
    name = getattr(explainer, "__name__", type(explainer).__name__)
    if not isinstance(relevance, Tensor) or relevance.shape != features.shape:
        shape = tuple(relevance.shape) if isinstance(relevance, Tensor) else type(relevance).__name__
        raise PluginError(
            f"The explainer {name!r} returned {shape}; expected relevance shaped like the features, {tuple(features.shape)}."
        )
    if not torch.isfinite(relevance).all():
        raise PluginError(
            f"The explainer {name!r} returned relevance that is NaN or infinite; try other options, such as a larger epsilon."
        )
    return features, relevance.detach(), logits, chosen


def as_clip(item: Any, sample_rate: int | None = None) -> Clip:
    """A clip of a path, array, tensor or Clip.

    Raises
    ------
    AudioError
        If it is none of these, cannot be read, or an array comes without a sample rate.
    """
    if isinstance(item, Clip):
        checked = make_clip(item.waveform, item.sample_rate, source=item.source, notes=item.notes)  # it may be anyone's
        return replace(item, waveform=checked.waveform, notes=checked.notes)
    if isinstance(item, str | Path):
        return read_audio(item)
    if not isinstance(item, np.ndarray | Tensor):
        raise AudioError(f"Cannot explain a {type(item).__name__}; expected a path, an array, a tensor or a Clip.")
    if sample_rate is None:
        raise AudioError("An array has no sample rate of its own: give sample_rate in Hz.")
    return make_clip(item, convert("sample_rate", int, sample_rate))


def as_classifier(
    model: str | Path | nn.Module | Classifier, representation: str | Representation | None, classes: Sequence[str] | None
) -> Classifier:
    """A classifier of a run folder, or of a module with a representation.

    Raises
    ------
    ModelError
        If a run folder cannot be used, or a module comes without a representation it fits.
    """
    if isinstance(model, str | Path):
        model = Classifier.load(Path(model))
    if isinstance(model, Classifier):
        if representation is not None or classes is not None:
            raise ModelError("A trained model knows its representation and classes: leave these arguments out.")
        return model
    if not isinstance(model, nn.Module):
        raise ModelError(f"The model is a {type(model).__name__}; expected a run folder or a torch module.")
    chosen = representation or getattr(model, "representation", None)
    if chosen is None:
        known = ", ".join(registry().names("representation"))
        raise ModelError(f"A module needs a representation, the features it reads: give its name ({known}) or an object.")
    spec = {"name": chosen, "options": {}} if isinstance(chosen, str) else {}
    made: Representation = create("representation", chosen) if isinstance(chosen, str) else chosen
    if classes is None:
        with torch.no_grad():
            waveform = torch.zeros(1, made.samples)
            output = _output_shape(model, made, waveform)
        classes = [str(index) for index in range(output[-1])]
    return Classifier(model, made, tuple(classes), representation_spec=spec)


def _output_shape(network: nn.Module, representation: Representation, waveform: Tensor) -> tuple[int, ...]:
    parameter = next(network.parameters(), waveform)
    features = representation(waveform).to(parameter.device, parameter.dtype)
    with evaluation_mode(network):
        output = run_network(network, features)
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 1:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(f"The network's output is {found}; expected logits of shape (batch, classes).")
    return tuple(output.shape)


def as_explainer(explainer: str | Explainer, options: dict[str, Any]) -> tuple[Explainer, dict[str, Any]]:
    """An explainer by name or as a callable, and its name and effective options for the provenance.

    Raises
    ------
    PluginError
        If the name or an option is unknown, or options are given to a callable.
    """
    if isinstance(explainer, str):
        explainer = registry().spelt("explainer", explainer)
        factory = registry().factory("explainer", explainer)
        given = check_options(f"explainer {explainer!r}", factory, options)
        defaults = {name: option.default for name, option in options_of(factory).items()}
        method: Explainer = factory(**given)
        return method, {"name": explainer, "options": _jsonable({**defaults, **given}), "given": _jsonable(given)}
    if not callable(explainer):
        raise PluginError(
            f"The explainer is a {type(explainer).__name__}; expected a name or a callable (model, features, target)."
        )
    if options:
        raise PluginError(
            f"Options ({', '.join(options)}) are for explainers chosen by name; bind them to your callable instead."
        )
    return explainer, {"name": getattr(explainer, "__name__", type(explainer).__name__), "options": {}, "given": {}}


def _jsonable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON values; tuples as `parse_spec` reads them."""
    simple = str | int | float | bool | None
    joined = {name: "+".join(map(str, value)) if isinstance(value, tuple) else value for name, value in options.items()}
    return {name: value if isinstance(value, simple) else str(value) for name, value in joined.items()}


def target_indices(target: Any, count: int, classes: Sequence[str]) -> list[int] | None:
    """Class indices of the given names or indices, one per recording; None for the predicted classes.

    Raises
    ------
    ModelError
        If a class does not exist (naming the nearest), or their number is not that of the recordings.
    """
    if target is None:
        return None
    wanted = list(target) if isinstance(target, list | tuple | np.ndarray) else [target] * count
    if len(wanted) != count:
        raise ModelError(f"{len(wanted)} targets are given for {count} recordings; give one for all, or one for each.")
    return [class_index(item, classes) for item in wanted]


def class_index(wanted: Any, classes: Sequence[str]) -> int:
    """Index of a class given by name or index."""
    if isinstance(wanted, str):
        if wanted not in classes:
            raise ModelError(unknown("class", wanted, classes))
        return classes.index(wanted)
    if not isinstance(wanted, int | np.integer) or not 0 <= wanted < len(classes):
        raise ModelError(f"There is no class {wanted}: the model has {len(classes)} ({', '.join(classes)}).")
    return int(wanted)

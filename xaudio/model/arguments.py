"""What a caller gives, as the objects that are worked with: clips, models, explainers, classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import AudioError, ModelError, PluginError, listing, unknown
from ..output.words import counted
from ..registry.loading import SPEC, registry
from ..registry.options import check_options, jsonable, options_of, parse_spec
from ..registry.plain import plain, whole
from ..sound.audio import make_clip, read_audio
from ..sound.labels import class_names
from ..types import Clip, Explainer, Kind, Representation
from .model import Model, described, evaluation_mode, run_network, unwrapped
from .probability import ASSUMED


def as_clip(item: Any, sample_rate: int | None = None) -> Clip:
    """A clip of a path, array, tensor or Clip.

    Parameters
    ----------
    item : path, ndarray, Tensor or Clip
        An array has the shape (samples,) or (channels, samples).
    sample_rate : int, optional
        Of an array, in Hz.

    Returns
    -------
    Clip
        Mono, checked.

    Raises
    ------
    AudioError
        If it is none of these, cannot be read, or an array comes without a sample rate.
    """
    if isinstance(item, Clip):
        checked = make_clip(item.waveform, item.sample_rate, source=item.source, notes=item.notes)  # it may be anyone's
        return replace(item, waveform=checked.waveform, sample_rate=checked.sample_rate, notes=checked.notes)
    if isinstance(item, str | os.PathLike):
        return read_audio(os.fspath(item))
    if not isinstance(item, np.ndarray | Tensor):
        raise AudioError(f"Cannot explain a {type(item).__name__}; expected a path, an array, a tensor or a Clip.")
    if sample_rate is None:
        raise AudioError("An array has no sample rate of its own: give sample_rate in Hz.")
    return make_clip(item, sample_rate)


def as_model(
    model: str | os.PathLike[str] | nn.Module | Model,
    representation: str | Representation | None,
    classes: Iterable[Any] | None,
    kind: Kind | None = None,
) -> Model:
    """A model of a run folder, or of a module with a representation.

    Raises
    ------
    ModelError
        If a run folder cannot be used, or a module comes without a representation it fits.
    """
    if isinstance(model, str | os.PathLike):
        model = Model.load(Path(model))
    if isinstance(model, Model):
        not_asked = {"representation": representation, "classes": classes, "kind": kind}
        if any(value is not None for value in not_asked.values()):
            raise ModelError("A trained model knows its representation, classes and kind: leave these arguments out.")
        return model
    if not isinstance(model, nn.Module):
        raise ModelError(f"The model is a {_type_of(model)}; expected a run folder or a torch module.")
    chosen = representation if representation is not None else getattr(model, "representation", None)
    if chosen is None:
        known = ", ".join(registry().names("representation"))
        raise ModelError(f"A module needs a representation, the features it reads: give its name ({known}) or an object.")
    reads, spec = as_representation(chosen)
    names = class_names(classes) if classes is not None else ()
    asked = Model(model, reads, names or ("",), representation_spec=spec)
    if not names:
        names = tuple(str(index) for index in range(_outputs(asked)))
    notes = [*asked.facts.get("notes", ()), *([ASSUMED] if kind is None and len(names) > 1 else [])]
    return replace(asked, classes=names, kind="classes" if kind is None else kind, facts={"notes": notes})


def _type_of(model: Any) -> str:
    """The type of what is no module, with the way to a module where there is one."""
    exported = callable(getattr(model, "module", None)) and hasattr(model, "graph_module")
    return type(model).__name__ + (" (its module is model.module())" if exported else "")


def as_representation(chosen: str | Representation) -> tuple[Representation, dict[str, Any]]:
    """A representation by name, with options as in "waveform:samples=16000", or an object; and its name and options if known.

    Raises
    ------
    ModelError
        If it is neither.
    PluginError
        If the name or an option is unknown.
    """
    if isinstance(chosen, str):
        return as_representation(registry().create("representation", *parse_spec(chosen)))
    if isinstance(chosen, type):
        raise ModelError(f"The representation is the class {chosen.__name__}; expected a name or an object of it.")
    return chosen, dict(getattr(chosen, SPEC, {}))


def _outputs(model: Model) -> int:
    """How many outputs a network has, found by asking it about silence."""
    with torch.no_grad(), evaluation_mode(model.network):
        features = model.features(torch.zeros(1, model.representation.samples, device=model.device))
        output = run_network(model.network, features)
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 1:
        raise ModelError(
            f"The network's output is {described(output)}; expected logits of shape (batch, classes).{unwrapped(output)}"
        )
    return output.shape[1]


def as_explainer(explainer: str | Explainer, options: dict[str, Any]) -> tuple[Explainer, dict[str, Any]]:
    """An explainer by name, with options as in "lime:seed=1", or as a callable; its name and effective options.

    Parameters
    ----------
    explainer : str or callable
    options : dict
        Further ones, of a name.

    Returns
    -------
    (callable, dict)
        The dict has the keys ``name``, ``options`` (all that are effective) and ``given``.

    Raises
    ------
    PluginError
        If the name or an option is unknown, or options are given to a callable.
    """
    if isinstance(explainer, str):
        name, given_there = parse_spec(explainer)
        explainer, options = registry().spelt("explainer", name), {**given_there, **options}
        factory = registry().factory("explainer", explainer)
        given = check_options(f"explainer {explainer!r}", factory, options)
        defaults = {name: option.default for name, option in options_of(factory).items()}
        method: Explainer = factory(**given)
        return method, {"name": explainer, "options": jsonable({**defaults, **given}), "given": jsonable(given)}
    if not callable(explainer):
        raise PluginError(
            f"The explainer is a {type(explainer).__name__}; expected a name or a callable (model, features, target)."
        )
    if options:
        raise PluginError(
            f"Options ({', '.join(options)}) are for explainers chosen by name; bind them to your callable instead."
        )
    return explainer, {"name": getattr(explainer, "__name__", type(explainer).__name__), "options": {}, "given": {}}


def seeded(explainer: Any, seed: int | None) -> Any:
    """The name of an explainer with a seed among its options, if it draws and has none of its own; anything else as it is.

    Parameters
    ----------
    explainer : str or callable
    seed : int or None
        None leaves everything as it is.
    """
    if seed is None or not isinstance(explainer, str):
        return explainer
    name, spec_options = parse_spec(explainer)
    if "seed" in spec_options or "seed" not in options_of(registry().factory("explainer", name)):
        return explainer
    return f"{explainer}{',' if spec_options else ':'}seed={seed}"


def target_indices(target: Any, count: int, classes: Sequence[str]) -> list[int] | None:
    """Class indices of the given names or indices, one per recording; None for the predicted classes.

    Raises
    ------
    ModelError
        If a class does not exist (naming the nearest), or their number is not that of the recordings.
    """
    if target is None:
        return None
    target = target.tolist() if callable(getattr(target, "tolist", None)) else target  # of numpy, torch or a table
    wanted = list(target) if isinstance(target, list | tuple | range) else [target] * count
    if len(wanted) != count:
        targets, recordings = counted(len(wanted), "target is", "targets are"), counted(count, "recording")
        raise ModelError(f"{targets} given for {recordings}; give one for all, or one for each.")
    return [class_index(item, classes) for item in wanted]


def class_index(wanted: Any, classes: Sequence[str]) -> int:
    """Index of a class given by name or index.

    Parameters
    ----------
    wanted : str or int
    classes : sequence of str
        Names in the order of the model's outputs.

    Returns
    -------
    int
        From 0.

    Raises
    ------
    ModelError
        If there is no such class.
    """
    if isinstance(wanted, str):
        name = wanted if wanted in classes else wanted.strip()
        if name not in classes:
            raise ModelError(unknown("class", wanted, classes))
        return classes.index(name)
    index = whole(wanted)
    if index is None or not 0 <= index < len(classes):
        hint = f" The name {str(wanted)!r} is text." if str(plain(wanted)) in classes else ""
        shown = f"{len(classes)}, 0 to {len(classes) - 1}" if len(classes) > 1 else "one, 0"
        raise ModelError(f"There is no class {wanted!r}: the model has {shown} ({listing(classes)}).{hint}")
    return index

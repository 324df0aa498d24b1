"""What a caller gives, as the objects that are worked with: clips, classifiers, explainers, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .audio import make_clip, read_audio
from .classifier import Classifier, evaluation_mode, run_network
from .errors import AudioError, ModelError, PluginError, unknown
from .options import check_options, convert, options_of, parse_spec
from .registry import registry
from .types import Clip, Explainer, Representation

if TYPE_CHECKING:
    from .explanation import Explanation


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
    made: Representation = registry().create("representation", chosen, {}) if isinstance(chosen, str) else chosen
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
    """An explainer by name, with options as in "lime:seed=1", or as a callable; its name and effective options.

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


def seeded(explainer: Any, seed: int | None) -> Any:
    """The name of an explainer with a seed among its options, if it draws and has none of its own; anything else as it is."""
    if seed is None or not isinstance(explainer, str):
        return explainer
    name, given = parse_spec(explainer)
    if "seed" in given or "seed" not in options_of(registry().factory("explainer", name)):
        return explainer
    return f"{explainer}{',' if given else ':'}seed={seed}"


def explainer_of(explanation: Explanation) -> Explainer:
    """The explainer that made an explanation, made anew with the same options.

    Raises
    ------
    PluginError
        If it was a callable of the caller's own, of which only the name is known.
    """
    spec = explanation.provenance.get("explainer", {})
    name = spec.get("name", "?")
    if name not in registry().names("explainer"):
        raise PluginError(
            f"The explainer {name!r} of {explanation.clip.source} is no plugin, so it cannot explain anew; register it as one."
        )
    made: Explainer = registry().create("explainer", name, spec.get("given", {}))
    return made


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
    target = target.tolist() if isinstance(target, Tensor | np.ndarray) else target
    wanted = list(target) if isinstance(target, list | tuple) else [target] * count
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

"""What a caller gives, as the objects that are worked with: clips, classifiers, explainers, classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .audio import make_clip, read_audio
from .classifier import Classifier, described, evaluation_mode, run_network, unwrapped
from .errors import AudioError, DataError, ModelError, PluginError, listing, unknown
from .options import check_options, jsonable, options_of, parse_spec
from .plain import missing, plain, whole
from .probability import ASSUMED, Kind
from .registry import SPEC, registry
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
        return replace(item, waveform=checked.waveform, sample_rate=checked.sample_rate, notes=checked.notes)
    if isinstance(item, str | os.PathLike):
        return read_audio(os.fspath(item))
    if not isinstance(item, np.ndarray | Tensor):
        raise AudioError(f"Cannot explain a {type(item).__name__}; expected a path, an array, a tensor or a Clip.")
    if sample_rate is None:
        raise AudioError("An array has no sample rate of its own: give sample_rate in Hz.")
    return make_clip(item, sample_rate)


def as_classifier(
    model: str | os.PathLike[str] | nn.Module | Classifier,
    representation: str | Representation | None,
    classes: Iterable[Any] | None,
    kind: Kind | None = None,
) -> Classifier:
    """A classifier of a run folder, or of a module with a representation.

    Raises
    ------
    ModelError
        If a run folder cannot be used, or a module comes without a representation it fits.
    """
    if isinstance(model, str | os.PathLike):
        model = Classifier.load(Path(model))
    if isinstance(model, Classifier):
        given = {"representation": representation, "classes": classes, "kind": kind}
        if any(value is not None for value in given.values()):
            raise ModelError("A trained model knows its representation, classes and kind: leave these arguments out.")
        return model
    if not isinstance(model, nn.Module):
        raise ModelError(f"The model is a {_type_of(model)}; expected a run folder or a torch module.")
    chosen = representation if representation is not None else getattr(model, "representation", None)
    if chosen is None:
        known = ", ".join(registry().names("representation"))
        raise ModelError(f"A module needs a representation, the features it reads: give its name ({known}) or an object.")
    made, spec = as_representation(chosen)
    names = class_names(classes) if classes is not None else ()
    asked = Classifier(model, made, names or ("",), representation_spec=spec)
    if not names:
        names = tuple(str(index) for index in range(_outputs(asked)))
    facts = {"notes": [ASSUMED]} if kind is None and len(names) > 1 else {}
    return replace(asked, classes=names, kind="classes" if kind is None else kind, facts=facts)


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


def _outputs(classifier: Classifier) -> int:
    """How many outputs a network has, found by asking it about silence."""
    with torch.no_grad(), evaluation_mode(classifier.network):
        features = classifier.features(torch.zeros(1, classifier.representation.samples, device=classifier.device))
        output = run_network(classifier.network, features)
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 1:
        raise ModelError(
            f"The network's output is {described(output)}; expected logits of shape (batch, classes).{unwrapped(output)}"
        )
    return output.shape[1]


def class_names(classes: Any) -> tuple[str, ...]:
    """Names of the classes in the order of the outputs.

    Parameters
    ----------
    classes : iterable, or mapping
        Names, or numbers which serve as names, such as ``LabelEncoder.classes_``; or a mapping from indices to names or from
        names to indices, such as ``id2label`` and ``label2id``.

    Raises
    ------
    ModelError
        If they are none of these, or not one name for each output.
    """
    if isinstance(classes, Mapping):
        classes = _ordered(classes)
    if isinstance(classes, str | bytes | Set) or not isinstance(classes, Iterable):
        raise ModelError(
            f"The classes are {classes!r}; expected a list of names in the order of the outputs, or a mapping as id2label."
        )
    names = tuple(_class_name(item) for item in classes)
    if not names:
        raise ModelError("The list of classes is empty; give a name for each output.")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ModelError(f"The class {repeated[0]!r} is named twice; every output needs a name of its own.")
    return names


def _class_name(item: Any) -> str:
    item = plain(item)
    if missing(item) or not isinstance(item, str | int | float):
        raise ModelError(f"A class is named {item!r}; expected text or a number.")
    return str(item)


def _ordered(classes: Mapping[Any, Any]) -> list[Any]:
    """The names in a mapping from indices to names, or from names to indices, in the order of the indices."""
    turned = {value: key for key, value in classes.items() if isinstance(value, Hashable)}
    orders = [names for names in (_by_index(classes), _by_index(turned)) if names is not None]
    if not orders or len(turned) < len(classes) or orders[0] != orders[-1]:
        which = "both ways" if len(orders) == 2 else "indices 0, 1, ... on neither side"
        raise ModelError(
            f"The mapping of classes can be read {which}; expected {{0: 'first', 1: 'second', ...}}, or a list of names."
        )
    return orders[0]


def _by_index(names: Mapping[Any, Any]) -> list[Any] | None:
    """The names in the order of their keys, if these are 0, 1, ..., as numbers or, as JSON has them, as digits."""
    keys = {whole(int(key) if isinstance(key, str) and key.isdecimal() else key): name for key, name in names.items()}
    if set(keys) != set(range(len(names))):
        return None
    return [keys[index] for index in range(len(names))]


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
        raise ModelError(f"{len(wanted)} targets are given for {count} recordings; give one for all, or one for each.")
    return [class_index(item, classes) for item in wanted]


def class_index(wanted: Any, classes: Sequence[str]) -> int:
    """Index of a class given by name or index."""
    if isinstance(wanted, str):
        name = wanted if wanted in classes else wanted.strip()
        if name not in classes:
            raise ModelError(unknown("class", wanted, classes))
        return classes.index(name)
    index = whole(wanted)
    if index is None or not 0 <= index < len(classes):
        shown = f"{len(classes)}, 0 to {len(classes) - 1}" if len(classes) > 1 else "one, 0"
        raise ModelError(f"There is no class {wanted!r}: the model has {shown} ({listing(classes)}).")
    return index


def known_label(clip: Clip, classifier: Classifier) -> int | None:
    """Index of a clip's true class in the classifier's task, None where it is unknown.

    Raises
    ------
    DataError
        If the classifier has no such class.
    """
    label = clip.labels.get(classifier.task)
    names, where = classifier.classes, f"{clip.source}: its label of task {classifier.task!r}"
    if label is None:
        return None
    if isinstance(label, str):
        if label not in names:
            raise DataError(f"{where} is none of the classes. {unknown('class', label, names)}")
        return names.index(label)
    index = int(label) if isinstance(label, bool) and len(names) == 2 else whole(label)
    if len(names) == 1:
        raise DataError(
            f"{where} is {label}, which could mean that {names[0]!r} is there or not; give the name, or leave it out."
        )
    if index is None or not 0 <= index < len(names):
        raise DataError(f"{where} is {label!r}; expected a class, 0 to {len(names) - 1} or by name ({listing(names)}).")
    return index

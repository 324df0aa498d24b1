"""What a caller gives, as the objects that are worked with: clips, models, explainers, classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..errors import AudioError, ModelError, PluginError
from ..registry.defaults import RAW
from ..registry.loading import SPEC, registry
from ..registry.options import check_options, jsonable, options_of, parse_spec
from ..registry.plain import plain, whole
from ..sound.audio import make_clip, read_audio
from ..sound.labels import class_names
from ..types import Clip, Explainer, Kind, Representation
from .loading import read_model
from .model import Model
from .probability import checked_kind
from .understanding import answering


def as_recordings(audio: Any, channels: str | int | None = None) -> Any:
    """An array of several recordings as a list of them; anything else as it is.

    Parameters
    ----------
    audio : object
        As `xaudio.explain` takes it.
    channels : {"mean", "left", "right", "all"} or int, optional
        Says that the rows of an array (channels, samples) are channels of one recording.

    Raises
    ------
    AudioError
        If an array has two rows and nobody says whether they are two recordings or two channels of one.
    """
    if not isinstance(audio, np.ndarray | Tensor) or audio.ndim < 2:
        return audio
    if audio.ndim == 3:
        return list(audio)
    rows, samples = audio.shape[:2]
    if audio.ndim > 3 or channels is not None or rows < 2 or samples <= rows:  # what is no recording is refused later
        return audio
    if rows == 2:
        raise AudioError(
            f"The array has shape {tuple(audio.shape)}: two recordings, or two channels of one? Give a list of two, or say "
            'channels="mean" (or "left", an index, or "all" of a model that reads two).'
        )
    return list(audio)


def batch_of(size: Any) -> int:
    """How many recordings are computed at once.

    Raises
    ------
    AudioError
        If it is no whole number of 1 or more.
    """
    number = whole(size)
    if number is None or number < 1:
        raise AudioError(f"batch_size is {size!r}; expected a whole number, 1 or more.")
    return number


def as_clip(item: Any, sample_rate: int | None = None, channels: str | int | None = None) -> Clip:
    """A clip of a path, of the bytes of a file, of an array, a tensor or a Clip.

    Parameters
    ----------
    item : path, bytes, binary file, mapping, ndarray, Tensor or Clip
        An array has the shape (samples,) or (channels, samples). A mapping holds "array" and "sampling_rate", or the "bytes"
        or the "path" of a file, as a column of sounds in ``datasets`` does.
    sample_rate : int, optional
        Of an array, in Hz.
    channels : {"mean", "left", "right", "all"} or int, optional
        Of several channels: all mixed down (by default), the first, the second, all as they are, or that of an index.

    Returns
    -------
    Clip
        Checked.

    Raises
    ------
    AudioError
        If it is none of these, cannot be read, or an array comes without a sample rate.
    """
    if isinstance(item, Clip):
        told: dict[str, Any] = {"source": item.source, "notes": item.notes, "channels": channels}
        checked = make_clip(item.waveform, item.sample_rate, **told)  # it may be anyone's
        channel = item.channel if checked.channel is None else checked.channel
        return replace(item, waveform=checked.waveform, sample_rate=checked.sample_rate, notes=checked.notes, channel=channel)
    if isinstance(item, str | os.PathLike):
        return read_audio(os.fspath(item), channels=channels)
    if isinstance(item, bytes | bytearray | memoryview) or callable(getattr(item, "read", None)):
        return read_audio(item, channels=channels)
    if isinstance(item, Mapping):
        return _clip_of(item, sample_rate, channels)
    if not isinstance(item, np.ndarray | Tensor):
        raise AudioError(
            f"Cannot explain a {type(item).__name__}; expected a path, an array, a tensor, a Clip, bytes, a file that is open, "
            "or a mapping with 'array' and 'sampling_rate'."
        )
    if sample_rate is None:
        raise AudioError("An array has no sample rate of its own: give sample_rate in Hz.")
    return make_clip(item, sample_rate, channels=channels)


def clip_for(model: Model, item: Any, sample_rate: int | None = None, channels: str | int | None = None) -> Clip:
    """A clip as `as_clip` gives it, of all channels where a model reads several and nothing else is asked for."""
    return as_clip(item, sample_rate, "all" if channels is None and model.channels > 1 else channels)


def _clip_of(item: Mapping[str, Any], sample_rate: int | None, channels: str | int | None) -> Clip:
    """A clip of a mapping as ``datasets`` gives it: samples with their rate, or the bytes or the path of a file."""
    source = str(item.get("path") or "array")
    if item.get("array") is not None:
        rate = item.get("sampling_rate", item.get("sample_rate"))
        if rate is None:
            raise AudioError(f"{source}: the mapping has no 'sampling_rate' beside its 'array'.")
        if sample_rate is not None and whole(plain(rate)) != whole(plain(sample_rate)):
            raise AudioError(f"{source}: the mapping says {rate!r} Hz, sample_rate {sample_rate!r}. Leave out sample_rate.")
        array = item["array"]
        return make_clip(array, rate, source=source, channels=channels)
    if item.get("bytes") is not None:
        return read_audio(item["bytes"], source=source if item.get("path") else "bytes", channels=channels)
    if item.get("path"):
        return read_audio(os.fspath(item["path"]), channels=channels)
    raise AudioError(f"The mapping holds {', '.join(map(repr, item)) or 'nothing'}; expected 'array' and 'sampling_rate'.")


def as_model(
    model: Any,
    representation: str | Representation | None,
    classes: Iterable[Any] | None,
    kind: Kind | None = None,
    feature_extractor: Any = None,
    output: int | str | None = None,
    squashed: bool = False,
) -> Model:
    """A model of a run folder, of a loader's spec, of a module with a representation, or of what a plugin adapts.

    Parameters
    ----------
    model : path, str, nn.Module, Model or object
    representation, classes, kind, feature_extractor, output : optional
        As for `explain`.
    squashed : bool
        Whether a softmax or sigmoid at the end of a module stays there, for who looks for what is wrong with it. What a
        plugin adapts is as the plugin makes it.

    Raises
    ------
    ModelError
        If a run folder or file cannot be used, a module comes without a representation it fits, or nobody knows the object.
    """
    loaded = read_model(model) if isinstance(model, str | os.PathLike) else model
    if isinstance(loaded, Model):
        not_asked = (representation, classes, kind, feature_extractor, output)
        if any(value is not None for value in not_asked):
            raise ModelError("A trained model knows its representation, classes and kind: leave these arguments out.")
        return loaded
    adapted = registry().adapted(model, feature_extractor) if representation is None else None
    if adapted is not None:
        if output is not None:
            raise ModelError(f"A plugin reads the answer of a {type(model).__name__} by itself: leave out output={output!r}.")
        renamed: Model = adapted.renamed(None if classes is None else class_names(classes), kind)
        return renamed
    if feature_extractor is not None:
        raise ModelError(
            f"No installed plugin knows a {type(model).__name__} with a feature extractor {type(feature_extractor).__name__}: "
            "install the plugin of its library, or give a representation."
        )
    if not isinstance(model, nn.Module):
        raise ModelError(f"The model is a {_type_of(model)}; expected a run folder or a torch module.")
    chosen = representation if representation is not None else getattr(model, "representation", None)
    if chosen is None:
        names = ", ".join(registry().names("representation"))
        raise ModelError(
            f"A module needs a representation, the features it reads: give its name ({names}; '{RAW}:sample_rate=16000' for the "
            "sound itself) or an object."
        )
    return model_of(model, chosen, classes, kind, output, squashed)


def model_of(
    network: nn.Module,
    representation: str | Representation,
    classes: Iterable[Any] | None = None,
    kind: Kind | None = None,
    output: int | str | None = None,
    squashed: bool = False,
) -> Model:
    """A model of a module and what it reads; classes without names are numbered.

    Parameters
    ----------
    network : nn.Module
    representation, classes, kind, output : optional
        As for `explain`.
    squashed : bool
        As for `as_model`.

    Raises
    ------
    ModelError
        If they do not fit together.
    """
    reads, spec = as_representation(representation)
    names = class_names(classes) if classes is not None else ()
    told = None if kind is None else checked_kind(kind)
    remark = getattr(reads, "remark", "")
    raw = Model(network, reads, names or ("",), representation_spec=spec, facts={"notes": [remark] if remark else []})
    return answering(raw, names, told, output, squashed)


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

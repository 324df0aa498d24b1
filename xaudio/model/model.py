"""A network together with all that is needed to use it: representation, training mean, class names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy as shallow_copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import AudioError, DataError, ModelError
from ..output.digests import digest_bytes
from ..registry.options import format_spec
from ..sound.channels import channels_in
from ..sound.preparation import Prepared, prepare_dataset
from ..sound.rules import PlacedClips, Rules
from ..types import Axis, Clip, Dataset, IntArray, Kind, Needs, Representation
from .answers import Answer, Score
from .folders import WEIGHTS, bytes_of, holds_weights, read_parts, write_model
from .frames import frame_axis
from .lengths import OneLength, at_length, length_of, prepared_by_length
from .modes import HALF, half_precision, offered_by, plain_torch, weights_dtype, workable
from .precision import float32_products
from .probability import ASSUMED, checked_kind, kind_of, probabilities
from .representations import checked_features, completed
from .running import described, evaluation_mode, network_name, run_network, unwrapped, valid_frames_of
from .scored import AboveMean, Scored


@dataclass(eq=False)
class Model:
    """A model that can be asked about sounds.

    Parameters
    ----------
    network : nn.Module
        Features ``(batch, channels, *axes)`` to logits (batch, classes). Of a compiled one the module is taken; of one in
        half precision, or made in inference mode, a copy in float32 that gradients can be taken of.
    representation : Representation
        A torch module.
    classes : tuple of str
    task : str
    mean : Tensor or None
        Mean feature of the training set, shape ``(channels, *axes)``, subtracted before the network.
    model_spec, representation_spec : mapping
        ``name`` and ``options`` of the plugins they came from; empty for objects of the caller's own, which can be
        used but not saved.
    facts : mapping
        Where it comes from: data, fold, seed, the rules used to prepare the recordings, ``notes`` that every explanation
        repeats. JSON values only.
    kind : str
        What the outputs are, one of `xaudio.plugin.Kind`: one class is true (a softmax), labels may be true each for itself (a
        sigmoid each, as of audio taggers; a single class is always a label), scores of "frames" or of the symbols of a "ctc"
        in each frame, an "embedding", or "values".
    answers : nn.Module or None
        The network whose answer has frames, where ``network`` gives scores of it: features to (batch, frames, outputs). Of a
        model of "frames" or "ctc" it is the network that was given.

    Raises
    ------
    ModelError
        If the kind is none of these.
    """

    network: nn.Module
    representation: Representation
    classes: tuple[str, ...]
    task: str = ""
    mean: Tensor | None = None
    model_spec: Mapping[str, Any] = field(default_factory=dict)
    representation_spec: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = "classes"
    answers: nn.Module | None = None
    _measured: Mapping[int, Axis] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.kind = kind_of(checked_kind(self.kind), len(self.classes))
        self.representation = completed(self.representation)
        if half := half_precision(self.network):
            note = f"computed in float32, while the model's weights are {str(half).removeprefix('torch.')}"
            self.facts = {**self.facts, "notes": [*self.facts.get("notes", ()), note]}
        self.network = workable(self.network)
        if self.kind in ("frames", "ctc"):
            self.answers = self.answers or self.network
            self.network = Scored(self.answers, AboveMean(self.classes), self.kind, self.classes, None)

    @property
    def offers(self) -> frozenset[Needs]:
        """What explainers may take of the model: its scores, their gradient, its layers; a network may say so itself."""
        return offered_by(self.network)

    @property
    def channels(self) -> int:
        """How many channels of a recording it reads."""
        return channels_in(self.representation)

    @property
    def source(self) -> str:
        """Where the model comes from, in words: how it was loaded, its run folder, or the type of its network."""
        loader = self.facts.get("loader") or ({} if "run" in self.facts else self.model_spec.get("loader"))
        spelt = format_spec(loader["name"], loader["options"]) if loader else self.facts.get("run")
        return str(spelt or self.model_spec.get("name") or network_name(self.network))

    @property
    def rules(self) -> Rules:
        """How the model wants its sound: as in its training.

        Raises
        ------
        PluginError
            If its facts tell what is no rule.
        """
        return Rules.read(self.facts, self.representation.placement)

    def rules_in(self, dataset: Dataset) -> Rules:
        """The same; where the model does not say how recordings are fitted or resampled, it is as the data set does it."""
        own = {"fit": dataset.fit, "resampling": dataset.resampling}
        return Rules.read({**own, **self.facts}, self.representation.placement)

    def hear(self, clips: Sequence[Clip], rules: Rules | None = None) -> PlacedClips:
        """Clips as the model takes them: at its sample rate, as long as its window, in their places.

        Parameters
        ----------
        clips : sequence of Clip
        rules : Rules, optional
            By default the model's own.

        Raises
        ------
        AudioError
            If a clip is too long and the rules do not make it fit, or the model takes any length and they differ in theirs.
        """
        groups = self.hear_each(clips, rules)
        if len(groups) > 1:
            raise AudioError(f"{clips[0].source} and others differ in length: a model of any length takes equal ones together.")
        return groups[0][1]

    def hear_each(self, clips: Sequence[Clip], rules: Rules | None = None) -> list[tuple[IntArray, PlacedClips]]:
        """The same, those of one length together, where the model takes any length: their indices, and the sounds."""
        rules = rules or self.rules
        groups = prepared_by_length(clips, self.representation, rules)
        return [(indices, self._placed(prepared, rules)) for indices, prepared in groups]

    def hear_all(self, dataset: Dataset) -> PlacedClips:
        """All recordings of a data set as `hear` gives them, decoded once and then read from the disk; see `rules_in`."""
        rules = self.rules_in(dataset)
        return self._placed(prepare_dataset(dataset, self.representation, rules.fit, rules.resampling), rules)

    def _placed(self, prepared: Prepared, rules: Rules) -> PlacedClips:
        return PlacedClips(prepared, rules, prepared.offsets(rules.placement, rules.seed), self.device)

    def check_one_class(self, dataset: Dataset) -> None:
        """Raise `DataError` if several classes of one recording may be true, of the model or in a data set."""
        self.check_kind(dataset)
        if self.kind == "labels" and not self.facts.get("exclusive"):
            raise DataError(f"Several labels of a recording of {dataset.title} may be true; this needs one class of each.")

    def check_one_channel(self) -> None:
        """Raise `DataError` if it reads several channels of a recording."""
        if self.channels > 1:
            raise DataError(
                f"The model reads {self.channels} channels of a recording, and this takes models of one: sounds are changed, cut "
                "and played here as mono recordings. Explanations and metrics of them take several channels."
            )

    def check_kind(self, dataset: Dataset) -> None:
        """Raise `DataError` if the model gives one class where several labels of a recording may be true, or anything else."""
        several = self.task in getattr(dataset, "several", ())
        if self.kind not in ("classes", "labels"):
            raise DataError(
                f"The model gives {self.kind}, but this needs a class, or labels, of each recording of {dataset.title}."
            )
        if self.kind == "labels" and not several and not self.facts.get("exclusive"):
            raise DataError(
                f"The model gives labels, several of which may be true, but the recordings of {dataset.title} have one class "
                "each: accuracy would mean nothing."
            )
        if self.kind == "classes" and several:
            raise DataError(
                f"The model gives one class for each recording, but several labels of one of {dataset.title} may be true: "
                "accuracy would mean nothing."
            )

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the classes, shaped like the logits (..., classes); see ``kind``."""
        return probabilities(logits, self.kind)

    def to(self, device: torch.device) -> Model:
        """Move everything to a device, in place."""
        self.network.to(device)
        if isinstance(self.representation, nn.Module):
            self.representation.to(device)
        self.mean = None if self.mean is None else self.mean.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next((tensor.device for tensor in self.network.parameters()), torch.device("cpu"))

    def digest(self) -> str:
        """A hash of what the model has learnt, so that kept numbers can name the model they came from."""
        mean = {} if self.mean is None else {"mean": self.mean}
        named = {**(self.answers or self.network).state_dict(), **mean}.items()
        file = [str(self.facts["content"]).encode()] if "content" in self.facts else []
        return digest_bytes([*file, *(part for name, value in named for part in (name.encode(), *bytes_of(value)))])

    def features(self, waveforms: Tensor) -> Tensor:
        """What the network reads of placed waveforms (batch, samples): the representation less the training mean.

        Where it reads several channels, these are (batch, channels, samples).
        """
        with plain_torch():
            features = checked_features(self.fitting(waveforms).representation, waveforms)
        features = features if self.mean is None else features - self.mean
        weight = next((weight for weight in self.network.parameters() if weight.is_floating_point()), features)
        return features.to(weight.dtype)

    def at(self, samples: int) -> Model:
        """The same model for recordings of so many samples at its rate: same network, its representation for that length.

        Raises
        ------
        ModelError
            If it does not take that length.
        """
        representation, spec = at_length(self.representation, self.representation_spec, samples)
        return self if representation is self.representation else self._copy(representation, spec)

    def only(self, samples: int) -> Model:
        """The same model as one that takes no other length: shorter recordings lie within zeros, longer ones are fitted."""
        model = self.at(samples)
        return model._copy(OneLength(model.representation), model.representation_spec)  # type: ignore[arg-type]

    def fitting(self, waveforms: Tensor) -> Model:
        """The model for waveforms (batch, samples) of this length, if it takes other lengths than its own."""
        return self.for_samples(waveforms.shape[-1])

    def for_samples(self, samples: int) -> Model:
        """The same for that length in samples."""
        return self if length_of(self.representation).fixed is not None else self.at(samples)

    def answer(self, features: Tensor) -> Answer:
        """What the network says of features ``(batch, channels, *axes)``.

        Parameters
        ----------
        features : Tensor

        Raises
        ------
        ModelError
            As `logits`.
        """
        network = self.answers or self.network
        with plain_torch(weights_dtype(network)), float32_products():
            scores = run_network(network, features)
        if scores.ndim < 3:
            return Answer(self.checked_logits(scores, len(features)), None, self.kind, None, self.classes)
        frames = self._measured.get(self.representation.samples)
        axis = frames if frames is not None else self.frame_axis(features)
        return Answer(scores, axis, self.kind, valid_frames_of(network, features), self.classes)

    def frame_axis(self, features: Tensor) -> Axis:
        """When the frames of the answer are, in seconds of the window, of example features ``(1, channels, *axes)``."""
        read, network = self.representation, self.answers or self.network
        with evaluation_mode(network):
            return frame_axis(network, features[:1], read.axes, read.samples / read.sample_rate)

    def timed(self, measured: Mapping[int, Axis]) -> Model:
        """The same model, which need not measure when its frames are at these lengths of the window in samples."""
        copy = shallow_copy(self)
        copy._measured = measured
        return copy

    def embedding_of(self, text: str) -> Tensor | None:
        """The embedding (dimensions,) of a text, for a model of sounds and texts; None of one that reads no text."""
        del text
        return None

    def renamed(self, classes: tuple[str, ...] | None, kind: Kind | None) -> Model:
        """The same model with other names of its outputs, or another kind of them; None leaves what it says itself."""
        told = {"classes": classes, "kind": kind}
        return replace(self, **{name: value for name, value in told.items() if value is not None})  # type: ignore[arg-type]

    def asked(self, score: Score, frames: Axis | None = None) -> Model:
        """The model whose outputs are a score of its answer, one for each of the score's names.

        Parameters
        ----------
        score : Score
        frames : Axis, optional
            When the frames are, in seconds of the recording.
        """
        network = self.answers or self.network
        copy = shallow_copy(self)
        copy.network = Scored(network, score, self.kind, self.classes, frames)
        copy.classes, copy.kind, copy.answers = score.names, "values", None
        copy.facts = {**self.facts, "notes": [note for note in self.facts.get("notes", ()) if note != ASSUMED]}
        return copy

    def _copy(self, representation: Representation, spec: Mapping[str, Any]) -> Model:
        """The same model with another representation."""
        copy = shallow_copy(self)
        copy.representation, copy.representation_spec = completed(representation), spec
        return copy

    def logits(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of features.

        Raises
        ------
        ModelError
            If the network does not take the features, or its output does not fit the classes.
        """
        with plain_torch(weights_dtype(self.network)), float32_products():
            return self.checked_logits(run_network(self.network, features), len(features))

    def checked_logits(self, logits: Any, count: int) -> Tensor:
        """The same logits of so many recordings.

        Raises
        ------
        ModelError
            If they do not fit the classes, or are not finite.
        """
        expected = (count, len(self.classes))
        if not isinstance(logits, Tensor) or logits.shape != expected:
            other = isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == count
            why = f" {len(self.classes)} classes are named for {logits.shape[1]} outputs." if other else unwrapped(logits)
            raise ModelError(
                f"The network's output is {described(logits)}; expected logits of shape {expected} (batch, classes).{why}"
            )
        if not logits.is_floating_point():
            raise ModelError(f"The network's output holds {logits.dtype}; expected logits, which are floating-point numbers.")
        if not bool(torch.isfinite(logits).all()):
            raise ModelError("The network's output is NaN or infinite: its weights are damaged, or its training diverged.")
        return logits.float() if logits.dtype in HALF else logits

    def save(self, folder: Path, name: str = WEIGHTS) -> Path:
        """Write ``model.safetensors``, atomically: weights, mean, and all the rest as JSON metadata.

        Parameters
        ----------
        folder : Path
        name : str
            Of the file.

        Raises
        ------
        ModelError
            If nothing says how the network or the representation is made again; see `save_model`.
        """
        return write_model(self, folder / name)

    @classmethod
    @plain_torch()
    def load(cls, folder: Path, name: str = WEIGHTS) -> Model:
        """Read a run folder that `save` wrote.

        Parameters
        ----------
        folder : Path
        name : str
            Of the file.

        Raises
        ------
        ModelError
            If it is not a run folder, its weights are damaged, or they are of another format.
        """
        return cls(**read_parts(folder / name))


def weights_digest(model: Model) -> str:
    """A hash of a model, so that results can name the one they came from.

    It is that of the file of its run folder while the model has the weights of that file, else of the weights it has.

    Parameters
    ----------
    model : Model

    Returns
    -------
    str
        Hexadecimal.
    """
    path = Path(model.facts["run"]) / WEIGHTS if "run" in model.facts else None
    network = model.answers or model.network
    own = network.network if isinstance(network, Scored) else network
    if path is None or not path.exists() or not holds_weights(path, own, model.mean):
        return model.digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]

"""A network together with all that is needed to use it: representation, training mean, class names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import DataError, ModelError, PluginError, XaudioError
from ..output.digests import digest_bytes
from ..output.memory import out_of_memory
from ..output.tensors import read_tensors, write_tensors
from ..registry.loading import registry
from ..registry.options import parse_spec
from ..sound.preparation import Prepared, prepare_clips, prepare_dataset
from ..sound.rules import PlacedClips, Rules
from ..types import Clip, Dataset, Kind, Representation
from .modes import HALF, evaluated, half_precision, plain_torch, weights_dtype, workable
from .precision import float32_products
from .probability import checked_kind, kind_of, probabilities
from .representations import checked_features, completed

FORMAT = 1
WEIGHTS = "model.safetensors"


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and full float32 for a while, whatever mode of torch is on; afterwards all is as it was.

    Several threads may evaluate one network at once: it is put back when the last of them is done.

    Parameters
    ----------
    network : nn.Module
    """
    with plain_torch(weights_dtype(network)), evaluated(network), float32_products():
        yield


def run_network(network: nn.Module, features: Tensor) -> Any:
    """What a network makes of features.

    Raises
    ------
    ModelError
        If it does not take them. That memory ran out is not its fault and passes through.
    """
    try:
        return network(features)
    except Exception as error:  # a network is anyone's code
        if isinstance(error, XaudioError) or out_of_memory(error):
            raise
        shape, reason = tuple(features.shape), _reason(error)
        if isinstance(error, TypeError) and "argument" in reason:
            advice = "It is called with the features alone: wrap it in a module that gives it the rest."
        elif "dtype" in reason or "same type" in reason or "scalar type" in reason:
            advice = "Its parts compute in different number formats: call model.float(), and let its forward convert nothing."
        else:
            advice = "Choose the representation it was made for."
        raise ModelError(
            f"The network does not take features of shape {shape} (batch, channels, *axes): {reason}. {advice}"
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    told = lines[0].rstrip(".") if lines else ""
    return told if isinstance(error, RuntimeError | ValueError | TypeError) and told else f"{type(error).__name__} {told}".strip()


def described(output: Any) -> str:
    """What a network returned, in words: a shape, or what a tuple or mapping holds."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    name = type(output).__name__
    if isinstance(output, Mapping):
        return f"a {name} of {', '.join(f'{key} {described(value)}' for key, value in output.items()) or 'nothing'}"
    if isinstance(output, tuple | list):
        return f"a {name} of {', '.join(map(described, output)) or 'nothing'}"
    return name


def unwrapped(output: Any) -> str:
    """What to do about an output that is no tensor; nothing if it is one."""
    return "" if isinstance(output, Tensor) else " Wrap the network in a module that returns the logits alone."


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
    kind : {"classes", "labels"}
        Whether one of the classes is true (their probabilities are a softmax), or each may be for itself (a sigmoid each,
        as of audio taggers). A single output is always a label.

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

    def __post_init__(self) -> None:
        self.kind = kind_of(checked_kind(self.kind), len(self.classes))
        self.representation = completed(self.representation)
        if half := half_precision(self.network):
            note = f"computed in float32, while the model's weights are {str(half).removeprefix('torch.')}"
            self.facts = {**self.facts, "notes": [*self.facts.get("notes", ()), note]}
        self.network = workable(self.network)

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
            If a clip is too long and the rules do not make it fit.
        """
        read, rules = self.representation, rules or self.rules
        return self._placed(prepare_clips(clips, read.sample_rate, read.samples, rules.fit, rules.resampling), rules)

    def hear_all(self, dataset: Dataset) -> PlacedClips:
        """All recordings of a data set as `hear` gives them, decoded once and then read from the disk; see `rules_in`."""
        rules = self.rules_in(dataset)
        return self._placed(prepare_dataset(dataset, self.representation, rules.fit, rules.resampling), rules)

    def _placed(self, prepared: Prepared, rules: Rules) -> PlacedClips:
        return PlacedClips(prepared, rules, prepared.offsets(rules.placement, rules.seed), self.device)

    def check_one_class(self, dataset: Dataset) -> None:
        """Raise `DataError` if several classes of one recording may be true, where a data set has one for each."""
        if self.kind == "labels":
            raise DataError(
                f"The model gives labels, several of which may be true, but the recordings of {dataset.title} have one class "
                "each: accuracy would mean nothing."
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
        named = {**self.network.state_dict(), **mean}.items()
        return digest_bytes(part for name, tensor in named for part in (name.encode(), _bytes_of(tensor)))

    def features(self, waveforms: Tensor) -> Tensor:
        """What the network reads of placed waveforms (batch, samples): the representation less the training mean."""
        with plain_torch():
            features = checked_features(self.representation, waveforms)
        features = features if self.mean is None else features - self.mean
        weight = next((weight for weight in self.network.parameters() if weight.is_floating_point()), features)
        return features.to(weight.dtype)

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

    def save(self, folder: Path) -> Path:
        """Write ``model.safetensors``, atomically: weights, mean, and all the rest as JSON metadata.

        Raises
        ------
        ModelError
            If the network or the representation did not come from a plugin.
        """
        if not self.model_spec or not self.representation_spec:
            raise ModelError("Only a model and a representation made by plugins can be saved; register yours as a plugin.")
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        if self.mean is not None:
            tensors["mean"] = self.mean
        metadata = {
            "format": FORMAT,
            "model": self.model_spec,
            "representation": self.representation_spec,
            "classes": self.classes,
            "task": self.task,
            "facts": self.facts,
            "kind": self.kind,
        }
        return write_tensors(folder / WEIGHTS, tensors, "xaudio.model", metadata)

    @classmethod
    @plain_torch()
    def load(cls, folder: Path) -> Model:
        """Read a run folder that `save` wrote.

        Raises
        ------
        ModelError
            If it is not a run folder, its weights are damaged, or they are of another format.
        """
        path = folder / WEIGHTS
        if not path.exists():
            raise ModelError(f"{folder}: is not the run folder of a model: there is no {WEIGHTS} in it. Run xaudio train first.")
        metadata, tensors = read_tensors(path, "xaudio.model", "Train again, or copy the file again.")
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            kept_format = metadata.get("format") if isinstance(metadata, dict) else None
            raise ModelError(f"{path}: has format {kept_format}; this version of xaudio reads format {FORMAT}.")
        try:
            return cls._decode(metadata, tensors, folder)
        except PluginError as error:
            raise ModelError(f"{path}: needs a plugin that is not there. {error}") from None
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelError(f"{path}: its description is damaged ({type(error).__name__}: {error}). Copy it again.") from None

    @classmethod
    def _decode(cls, metadata: Mapping[str, Any], tensors: dict[str, Tensor], folder: Path) -> Model:
        """The model that a file's metadata and tensors describe."""
        mean = tensors.pop("mean", None)
        model, representation = metadata["model"], metadata["representation"]
        network = registry().create("model", model["name"], {**model["options"], "classes": len(metadata["classes"])})
        try:
            network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise ModelError(f"the weights do not fit the model {model['name']!r}: {' '.join(str(error).split())}") from None
        reads = registry().create("representation", representation["name"], representation["options"])
        cells = tuple(len(axis.centres) for axis in reads.axes)
        if mean is not None and tuple(mean.shape[1:]) != cells:
            raise ModelError(f"the training mean has shape {tuple(mean.shape)}; expected (channels, *{cells}).")
        facts = {**metadata["facts"], "run": str(folder)}
        Rules.read(facts, reads.placement)  # refused now rather than when it is first used
        return cls(
            network=network.eval(),
            representation=reads,
            classes=tuple(metadata["classes"]),
            task=metadata["task"],
            mean=mean,
            model_spec=model,
            representation_spec=representation,
            facts=facts,
            kind=metadata.get("kind", "classes"),
        )


def _bytes_of(tensor: Tensor) -> bytes:
    content: bytes = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return content


def weights_digest(folder: Path) -> str:
    """A hash of the weights of a run folder, so that results can name the model they came from.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    str
        Hexadecimal.
    """
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


@plain_torch()
def new_model(
    model: str,
    classes: tuple[str, ...],
    *,
    task: str = "",
    model_options: Mapping[str, Any] | None = None,
    representation: str | None = None,
    representation_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
) -> Model:
    """An untrained model from plugins, its weights drawn from the seed.

    Parameters
    ----------
    model, representation : str
        Plugin names; the model's own representation unless another is named.
    classes : tuple of str
    task : str
    model_options, representation_options : mapping
    seed : int
    facts : mapping

    Raises
    ------
    ModelError, PluginError
        If a plugin is unknown, an option does not fit, or the two do not fit together.
    """
    options = dict(model_options or {})
    if "classes" in options:
        raise PluginError(f"The number of classes of {model!r} follows from the task; leave out the option 'classes'.")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = registry().create("model", model, {**options, "classes": len(classes)})
    chosen = representation or getattr(network, "representation", None)
    if chosen is None:
        raise ModelError(f"The model {model!r} does not say what it reads. Name a representation.")
    chosen, reading_options = parse_spec(chosen)
    reading_options = {**reading_options, **(representation_options or {})}
    reads = registry().create("representation", chosen, reading_options)
    untrained = Model(
        network,
        reads,
        classes,
        task,
        model_spec={"name": model, "options": options},
        representation_spec={"name": chosen, "options": reading_options},
        facts=facts or {},
    )
    with torch.no_grad():
        network.eval()
        untrained.logits(untrained.features(torch.zeros(1, reads.samples)))
    return untrained

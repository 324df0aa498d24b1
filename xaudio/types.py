"""The types that plugins and the core exchange.

Records (`Clip`, `Axis`, `Fold`, `Explanation`) hold numpy arrays, so that reading, saving and drawing them needs no
torch. Computation (`Representation`, models, `Explainer`) works on torch tensors whose first dimension is the batch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .registry.plain import missing, plain

if TYPE_CHECKING:
    from torch import Tensor, nn

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

Fit = Literal["error", "trim", "loudest"]
"""What happens to a recording longer than the representation takes.

``error`` refuses it, ``trim`` removes silence at both ends (and refuses it if that is not enough), ``loudest`` keeps
the window with the most energy: of those that begin on a grid of 10 ms (or 1 % of the window, if that is less) or end with the
recording, the first whose energy is within 0.1 % of the largest.
"""

Resampling = Literal["fft", "soxr"]
"""``fft`` is scipy.signal.resample, as the paper used; ``soxr`` is a band-limited resampler without its ringing."""

Placement = Literal["file", "step", "centre", "start"]
"""Where a recording shorter than the representation's window is placed within the zeros.

``file`` is a position drawn once per recording from the seed and the recording's content, ``step`` draws again at each
training step (and is ``file`` outside training), ``centre`` and ``start`` are fixed.
"""


NO_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and what stands for the bytes of file names that are not UTF-8."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A mono recording.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
        float32, full scale is [-1, 1].
    sample_rate : int
        In Hz.
    labels : mapping of str to int, str or None
        Class per task, by index or name; None, NaN or -1 where it is unknown.
    speaker : str or None
        Who speaks; folds never share a speaker.
    source : str
        A path or a description, shown in messages and results.
    notes : tuple of str
        What was done to the recording on the way (mixed down, trimmed, ...), shown to the user.
    truth : mapping of str to ndarray
        What is known about the sound by construction, such as its fundamental frequency.
    """

    waveform: FloatArray
    sample_rate: int
    labels: Mapping[str, int | str | None] = field(default_factory=dict)
    speaker: str | None = None
    source: str = "array"
    notes: tuple[str, ...] = ()
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels, notes = self.labels or {}, self.notes or ()
        if not isinstance(labels, Mapping):
            raise DataError(f"{self.source}: its labels are {labels!r}; expected a mapping from tasks to classes.")
        values = {str(task): plain(label) for task, label in labels.items()}
        plainly = {
            "sample_rate": plain(self.sample_rate),
            "labels": {task: None if missing(label) or label == -1 else label for task, label in values.items()},
            "speaker": None if missing(plain(self.speaker)) else str(self.speaker),
            "source": "array" if self.source is None else _text(self.source),
            "notes": (notes,) if isinstance(notes, str) else tuple(notes),
            "truth": self.truth or {},
        }
        for name, value in plainly.items():
            object.__setattr__(self, name, value)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.waveform) / self.sample_rate

    @property
    def name(self) -> str:
        """The file's name, or what else is known of where it comes from; what no text can hold is shown as U+FFFD."""
        return NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", Path(self.source).name or self.source)


def _text(source: Any) -> str:
    return os.fsdecode(source) if isinstance(source, bytes | os.PathLike) else str(source)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of the features.

    Parameters
    ----------
    name : str
        "time" or "frequency".
    unit : str
        "s" or "Hz".
    centres : ndarray, shape (n,)
        The centre of each cell, in the unit.
    """

    name: str
    unit: str
    centres: FloatArray

    @property
    def edges(self) -> FloatArray:
        """Edges (n + 1,) of the cells: halfway between the centres, and as far out beyond the first and the last."""
        if len(self.centres) < 2:
            return np.array([self.centres[0] - 0.5, self.centres[0] + 0.5])
        inner = (self.centres[1:] + self.centres[:-1]) / 2
        return np.concatenate([[2 * self.centres[0] - inner[0]], inner, [2 * self.centres[-1] - inner[-1]]])


class Placed(NamedTuple):
    """Where what is heard of a recording lies, in samples at the model's rate.

    Parameters
    ----------
    offset : int
        Of its first sample within the zeros of the model's window.
    start : int
        What was cut off the recording before that sample.
    samples : int
        How many are heard.
    """

    offset: int
    start: int
    samples: int


class Fold(NamedTuple):
    """Indices into a data set; no speaker is in two of them.

    Parameters
    ----------
    train, validation, test : ndarray of int, shape (recordings,)
    """

    train: IntArray
    validation: IntArray
    test: IntArray


@runtime_checkable
class Dataset(Protocol):
    """Labelled recordings of speakers. `xaudio.plugin.SpeakerDataset` implements it for lists of recordings.

    One whose sounds are generated may say so by an attribute ``synthetic = True``.

    Attributes
    ----------
    name : str
        The plugin's name.
    title : str
        How tables and figures name the data.
    tasks : mapping of str to tuple of str
        Class names of each task.
    speakers : sequence of str, one per recording
    fit, resampling : str
        The rules that suit this data set, used unless the user says otherwise.
    notes : tuple of str
        What a reader of the results must know (folds that are not the published ones, missing recordings, ...).

    A data set that makes its sounds may have a method ``contents`` that says what is heard in each recording, in a text for
    each, so that recordings are compared without making them; see `xaudio.plugin.SpeakerDataset`.
    """

    name: str
    title: str
    tasks: Mapping[str, tuple[str, ...]]
    speakers: Sequence[str]
    fit: Fit
    resampling: Resampling
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of recordings."""

    def __getitem__(self, index: int) -> Clip:
        """Decode one recording."""

    def labels(self, task: str) -> IntArray:
        """Class index of every recording, -1 where there is none; decodes nothing."""

    def folds(self, task: str) -> tuple[Fold, ...]:
        """Speaker-disjoint folds; the validation set of fold i is the test set of fold i-1."""

    def fingerprint(self) -> str:
        """A hash of the content, so that a result can name the data it came from."""


class Representation(Protocol):
    """What a model reads of a sound: a differentiable map from waveforms to features, and the way back.

    Attributes
    ----------
    sample_rate : int
        In Hz.
    samples : int
        Length of the waveforms it takes.
    placement : str
        See `Placement`.
    unit : str
        Unit of the features, such as "dB".
    axes : tuple of Axis
        One per feature dimension after the channel.
    """

    sample_rate: int
    samples: int
    placement: Placement
    unit: str
    axes: tuple[Axis, ...]

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Features ``(batch, channels, *axes)`` of waveforms (batch, samples) in [-1, 1]."""

    def amplitude(self, waveforms: Tensor) -> Tensor:
        """Magnitude of the sound in each cell, ``(batch, channels, *axes)``, linear and not negative."""

    def masked_waveform(self, waveforms: Tensor, mask: Tensor) -> Tensor:
        """The sound (batch, samples) that is left when each cell is weighted by a mask shaped like the features."""

    def to_waveform_relevance(self, waveforms: Tensor, relevance: Tensor) -> Tensor:
        """Relevance of each sample (batch, samples), with the same sum as the relevance of the cells."""


Kind = Literal["classes", "labels"]
"""What a model's outputs are: ``classes``, of which one is true (softmax), or ``labels``, several of which may be true
(a sigmoid each). A single output is always a label: there is nothing that it could exclude."""

Baseline = Literal["zero", "silence", "noise_floor", "mean_spectrum"]
"""What stands in for what is taken away; see `xaudio.plugin.baseline_features`."""


@dataclass(frozen=True)
class Sound:
    """The recordings behind a batch of features, for explainers that must hear them.

    An explainer receives it by declaring a keyword-only parameter named ``sound``.

    Parameters
    ----------
    waveforms : Tensor, shape (batch, samples)
        At the representation's rate, in [-1, 1].
    representation : Representation
    features : callable
        Waveforms (batch, samples) to what the model reads.
    kind : {"classes", "labels"}
        What the model's logits are; `xaudio.probabilities` asks for it.
    """

    waveforms: Tensor
    representation: Representation
    features: Callable[[Tensor], Tensor]
    kind: Kind = "classes"


Needs = Literal["scores", "gradient", "layers"]
"""What an explainer takes of a model: its answers only, the gradient of its answers, or its layers and their gradient."""

Reliance = Literal["rules", "activation-modules"]
"""What must hold of a model's modules for an explainer.

``rules``: every operation has a rule by which relevance is handed down from the target's logit, or passes it on unchanged.
``activation-modules``: every activation is a module that is called once, since it is given another derivative by a hook.
"""

Promise = Literal["sums-to-logit", "nothing-on-zeros"]
"""What holds of an explainer's relevance in every model: its sum is the target's logit, biases aside; features of 0 get none."""


class Explainer(Protocol):
    """Relevance of each feature for one class per recording.

    What `xaudio.diagnose` and every explanation check a model for, an explainer says by attributes of its own or of its
    factory: ``needs``, one of `Needs` ("scores" where nothing is said); ``relies_on``, a set of `Reliance`; and
    ``promises``, a set of `Promise` that is measured. Without them only what spoils every explainer is looked for.
    ``remedies`` may be a mapping from the name of a finding on its relevance ("conservation-gap", "padding",
    "not-finite") to what its options can do about it.

    It may also declare a keyword-only parameter ``sound`` (see `Sound`). One that computes the logits on its way may
    save a forward pass by a method ``with_logits(model, features, target)`` that returns relevance and the model's
    logits (batch, classes), where a target of None means the class with the largest logit. One that can tell what flows
    through each channel of a layer may say so by a method ``conditional`` (see `ConditionalExplainer`). One that knows
    nothing of the model or the target, to compare others with, says so by an attribute ``control = True``.

    One whose relevance sums to something says to what by a method ``expected_sum(model, features, target, logits)`` that
    returns a tensor (batch,) and may declare ``sound`` as well: every explanation then tells what it misses, and
    `xaudio.diagnose` measures it. A method ``alternatives()`` may return other explainers, by the options that make them,
    which `xaudio.diagnose` tries where the sum is missed.
    """

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features.

        Parameters
        ----------
        model : nn.Module
            In evaluation mode; (batch, channels, *axes) to logits (batch, classes). Must be left as it was.
        features : Tensor, shape (batch, channels, *axes)
        target : Tensor of int64, shape (batch,)
            The class to explain.
        """


class LayerRelevance(NamedTuple):
    """Relevance at a layer, and the way from there to the features.

    Parameters
    ----------
    relevance : Tensor, shape ``(batch, channels, *positions)``
        Of the layer's output; a linear layer has no positions.
    through : callable
        Takes weights that broadcast to the shape of ``relevance`` and gives the relevance of the features,
        ``(batch, channels, *axes)``, that is due to the relevance at the layer times these weights: linear in them, and for
        weights of 1 the explanation itself.
    """

    relevance: Tensor
    through: Callable[[Tensor], Tensor]


@runtime_checkable
class ConditionalExplainer(Protocol):
    """An `Explainer` that can tell which part of the relevance flows through a channel (Achtibat et al. 2023).

    `xaudio.concepts` asks for it. Options ``layer`` and ``channels`` beside it make the explanations repeatable by name, as in
    "lrp:layer=layers.3,channels=17".
    """

    def __call__(self, model: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """Relevance shaped like features; see `Explainer`."""

    def conditional(self, model: nn.Module, features: Tensor, target: Tensor, layer: str) -> LayerRelevance:
        """Relevance at a layer for one class per recording.

        Parameters
        ----------
        model : nn.Module
            In evaluation mode. Must be left as it was.
        features : Tensor, shape ``(batch, channels, *axes)``
        target : Tensor of int64, shape (batch,)
        layer : str
            Of ``model.named_modules()``; what is no convolution or linear layer raises `xaudio.ModelError` (see
            `xaudio.find_layer`).
        """


class Separator(Protocol):
    """Takes recordings apart into sources, such as voice and accompaniment."""

    def __call__(self, waveforms: Tensor, sample_rate: int) -> Tensor:
        """Sources (batch, sources, samples) that sum to the waveforms, each row for itself.

        What belongs to no source must be shared among them or be a source of its own, so that nothing is lost.

        Parameters
        ----------
        waveforms : Tensor, shape (batch, samples)
            In [-1, 1].
        sample_rate : int
            In Hz.
        """


class Benchmark(Protocol):
    """Composes the other plugins by name and writes a run folder. Its factory's options are those of its command.

    Its ``results.json`` names it under "benchmark", so that `xaudio report` finds it.
    """

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in this folder."""

    def report(self, folder: Path) -> Path:
        """Write the report again from what the folder holds."""

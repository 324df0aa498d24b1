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

from .choices import Baseline as Baseline, Fit as Fit, Kind as Kind, Placement as Placement, Resampling as Resampling
from .errors import DataError
from .registry.plain import missing, plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    FloatArray = NDArray[np.floating[Any]]
    IntArray = NDArray[np.integer[Any]]

else:

    def __getattr__(name: str) -> Any:
        """`FloatArray` and `IntArray`, when they are asked for: the command line starts without numpy."""
        if name not in ("FloatArray", "IntArray"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import numpy as np
        from numpy.typing import NDArray

        return NDArray[np.floating[Any]] if name == "FloatArray" else NDArray[np.integer[Any]]


NO_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and what stands for the bytes of file names that are not UTF-8."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording.

    Parameters
    ----------
    waveform : ndarray, shape (samples,), or (channels, samples) of several channels
        float32, full scale is [-1, 1].
    sample_rate : int
        In Hz.
    labels : mapping of str to int, str, tuple of str or None
        Class per task, by index or name; None, NaN or -1 where it is unknown. Of tasks of several labels, the names of those that
        are true.
    speaker : str or None
        Who speaks, or what else holds recordings together (a source, a site); folds never share a speaker.
    source : str
        A path or a description, shown in messages and results.
    notes : tuple of str
        What was done to the recording on the way (mixed down, trimmed, ...), shown to the user.
    truth : mapping of str to ndarray
        What is known about the sound by construction, such as its fundamental frequency.
    span : (int, int), optional
        Of a window of a longer recording: its first sample there, and how many that has, at the rate of the window.
    grouped_by : str
        What ``speaker`` names: "speaker", or such as "source" or "site".
    channel : int or None
        Which of several channels of its recording it is, from 0; None where there is one, or all are mixed down or kept.
    """

    waveform: FloatArray
    sample_rate: int
    labels: Mapping[str, int | str | tuple[str, ...] | None] = field(default_factory=dict)
    speaker: str | None = None
    source: str = "array"
    notes: tuple[str, ...] = ()
    truth: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    span: tuple[int, int] | None = None
    grouped_by: str = "speaker"
    channel: int | None = None

    def __post_init__(self) -> None:
        labels, notes, source = self.labels or {}, self.notes or (), "array" if self.source is None else self.source
        if not isinstance(labels, Mapping):
            raise DataError(f"{self.source}: its labels are {labels!r}; expected a mapping from tasks to classes.")
        values = {str(task): plain(label) for task, label in labels.items()}
        plainly = {
            "sample_rate": plain(self.sample_rate),
            "labels": {
                task: None if missing(label) or label == -1 else tuple(label) if isinstance(label, list) else label
                for task, label in values.items()
            },
            "speaker": None if missing(plain(self.speaker)) else str(self.speaker),
            "source": os.fsdecode(source) if isinstance(source, bytes | os.PathLike) else str(source),
            "notes": (notes,) if isinstance(notes, str) else tuple(notes),
            "truth": self.truth or {},
        }
        for name, value in plainly.items():
            object.__setattr__(self, name, value)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate

    @property
    def samples(self) -> int:
        """Length in samples."""
        import numpy as np

        return int(np.shape(self.waveform)[-1])

    @property
    def channels(self) -> int:
        """How many channels it has."""
        import numpy as np

        return len(self.waveform) if np.ndim(self.waveform) == 2 else 1

    @property
    def group(self) -> str:
        """What holds it together with others, in words, such as "speaker 12" or "source 5"; "" if that is not known."""
        name, kind = self.speaker or "", self.grouped_by
        return name if not name or name.startswith(f"{kind} ") else f"{kind} {name}"

    @property
    def whole(self) -> tuple[int, float]:
        """Where it begins in the recording that it is a window of, in samples, and the length of that in seconds."""
        start, samples = self.span or (0, self.samples)
        return start, samples / self.sample_rate

    @property
    def name(self) -> str:
        """The file's name, or what else is known of where it comes from; what no text can hold is shown as U+FFFD."""
        return NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", Path(self.source).name or self.source)


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
        import numpy as np

        if len(self.centres) < 2:
            return np.array([self.centres[0] - 0.5, self.centres[0] + 0.5])
        inner = (self.centres[1:] + self.centres[:-1]) / 2
        return np.concatenate([[2 * self.centres[0] - inner[0]], inner, [2 * self.centres[-1] - inner[-1]]])


class Placed(NamedTuple):
    """Where what is heard of a recording lies, in samples at the model's rate.

    Parameters
    ----------
    offset, start, samples : int
        Of the first sample within the zeros of the model's window; what was cut off the recording before it; how many are heard.
    """

    offset: int
    start: int
    samples: int


class Excerpt(NamedTuple):
    """What is heard of a recording.

    Parameters
    ----------
    source, duration, placed : str, float, Placed
        Its source as in `Clip`, the length of all of it in seconds, and where it lies.
    """

    source: str
    duration: float
    placed: Placed


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
    files : sequence of str, one per recording, or None; optional
        The path of the file that holds a recording and nothing else; "" of one without (an excerpt, what lies in an archive, a
        sound that is made). By these a recording that is explained finds what the data say of it, as with
        ``xaudio explain --data``, and messages of ``xaudio data info`` name the file.

    A data set that makes its sounds may have a method ``contents`` that says what is heard in each recording, in a text for
    each, so that recordings are compared without making them; see `xaudio.plugin.SpeakerDataset`. One that knows how its files
    were published may have a method ``check()`` that gives a `xaudio.plugin.Checked`. One of recordings without speakers says by
    an attribute ``grouped_by`` what ``speakers`` names instead ("recording" where each stands for itself), and one with tasks of
    several labels by a set ``several`` which they are: their labels are (recordings, classes) of 0 and 1, or -1 where they are
    unknown.
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

    One that reads several channels of a recording says how many by an attribute ``channels``: waveforms are then (batch,
    channels, samples). See `xaudio.plugin.channelwise`. One that takes other lengths says which by an attribute ``length`` (a
    `xaudio.plugin.Length`) and has a method ``at(samples)``, which gives the same representation for that length. Without them
    it takes ``samples`` alone. One whose relevance cannot be seen in every view says by an attribute ``views`` in which it can,
    such as ``("time",)``. One that fills up short recordings itself may say by an attribute ``padding``, a boolean array that
    broadcasts to the cells, which of them hold nothing of the recording: explanations tell how much relevance lies there.
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


@dataclass(frozen=True)
class Sound:
    """The recordings behind a batch of features, for explainers that must hear them.

    An explainer receives it by declaring a keyword-only parameter named ``sound``.

    Parameters
    ----------
    waveforms : Tensor, shape (batch, samples), or (batch, channels, samples) where the representation reads several channels
        At the representation's rate, in [-1, 1].
    representation : Representation
    features : callable
        Waveforms to what the model reads.
    kind : {"classes", "labels"}
        What the model's logits are; `xaudio.probabilities` asks for it.
    excerpts : sequence of Excerpt
        Which recordings they are, and where these lie in the waveforms; empty where nobody knows.
    """

    waveforms: Tensor
    representation: Representation
    features: Callable[[Tensor], Tensor]
    kind: Kind = "classes"
    excerpts: Sequence[Excerpt] = ()


Needs = Literal["scores", "gradient", "layers"]
"""What an explainer takes of a model: its answers only, the gradient of its answers, or its layers and their gradient."""

Reliance = Literal["rules", "functions", "activation-modules"]
"""What must hold of a model's modules for an explainer.

``rules``: every operation has a rule by which relevance is handed down from the target's logit, or passes it on unchanged.
``functions``: the same by the functions of torch that the model calls, of which nearly all have one, whatever module calls them.
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
    nothing of the model or the target, to compare others with, says so by an attribute ``control = True``; one that takes parts
    away in all channels at once, and so does not tell these apart, by ``joins_channels = True``.

    One whose relevance sums to something says to what by a method ``expected_sum(model, features, target, logits)`` that
    returns a tensor (batch,) and may declare ``sound`` as well: every explanation then tells what it misses, and
    `xaudio.diagnose` measures it. One that keeps books of everything it hands down may have a method ``law(model, features,
    target)`` that returns a `Law`, or None where it keeps none for this model. A method ``alternatives()`` may
    return other explainers, by the options that make them, which `xaudio.diagnose` tries where the sum is missed.
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

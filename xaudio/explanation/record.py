"""The fields of an explanation, and what follows from them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import ModelError
from ..model.probability import PROBABLE, predicted_outputs, probabilities
from ..output.words import percentages
from ..registry.loading import registry
from ..registry.options import format_spec
from ..sound.channels import channel_names
from ..types import Axis, Clip, FloatArray, Kind, Placed
from .views import domain_name, make_domain

MOST = 0.5
"""Share of the logit from which on it is said that it lies in constants."""

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..types import Representation


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """The fields of an explanation and what follows from them alone; see `Explanation`."""

    clip: Clip
    features: FloatArray
    relevance: FloatArray
    axes: tuple[Axis, ...]
    logits: FloatArray
    classes: tuple[str, ...]
    target: int
    task: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = "classes"
    _representation: Any = field(default=None, repr=False)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of the recording, such as "left" and "right"; none where there is a single one."""
        return channel_names(self.clip.channels)

    @property
    def fingerprint(self) -> str:
        """A hash of the sound and the relevance, by which a renderer knows what it has rendered already."""
        content = (np.ascontiguousarray(array).tobytes() for array in (self.clip.waveform, self.relevance))
        return blake2b(b"".join(content), digest_size=16).hexdigest()

    @property
    def predicted(self) -> int:
        """Index of the class with the highest logit."""
        return int(np.argmax(self.logits))

    @property
    def probabilities(self) -> FloatArray | None:
        """Of each class, shape (classes,): a softmax of the logits, or a sigmoid each where the classes are labels.

        None where the outputs have no probabilities: values, similarities, scores of frames.
        """
        return probabilities(self.logits, self.kind) if self.kind in PROBABLE else None

    @property
    def score(self) -> float:
        """The target's logit or value."""
        return float(self.logits[self.target])

    @property
    def explained_score(self) -> float:
        """The number that is explained: the `score`, of a contrast less that of the other target."""
        return self.score - float(self.provenance.get("contrast_score", 0.0))

    @property
    def predictions(self) -> tuple[str, ...]:
        """Names of what is predicted: the class with the highest logit, or all labels above 1/2, which may be none."""
        return tuple(self.classes[index] for index in self._predicted_outputs)

    @property
    def _predicted_outputs(self) -> list[int]:
        """Indices of what is predicted; one of labels that exclude each other."""
        return [self.predicted] if self.provenance.get("exclusive") else predicted_outputs(self.logits, self.kind)

    @property
    def correct(self) -> bool | None:
        """Whether the true class is predicted; None if it is not known."""
        return None if self.label is None else self.classes[self.label] in self.predictions

    @property
    def prediction(self) -> str:
        """What is predicted, with its probability: "predicted 'siren' (95%)", or "'siren' not predicted (12%)".

        Of what has no probability the number that is explained: "score 3.21", of a contrast the difference.
        """
        shares = self.probabilities
        if shares is None:
            return f"score {self.explained_score:.4g}"
        chosen = self._predicted_outputs
        named = [f"{self.classes[index]!r} ({shares[index]:.0%})" for index in chosen or [self.predicted]]
        if chosen:
            return f"predicted {', '.join(named[:3])}" + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        if len(self.classes) == 1:
            return f"{self.classes[0]!r} not predicted ({shares[0]:.0%})"
        return f"no label predicted, the highest {named[0]}"

    @property
    def contrast_class(self) -> str | None:
        """The class that the explained one is contrasted with, if `contrast` made this explanation."""
        return self.provenance.get("contrast")

    @property
    def question(self) -> str:
        """What is explained: the class, as in "9", or that it was this class and not another, as in "9 rather than 3"."""
        target = self.classes[self.target]
        return f"{target} rather than {self.contrast_class}" if self.contrast_class is not None else target

    @property
    def label(self) -> int | None:
        """Index of the true class, if it is known; of several that are true, the explained one if it is among them."""
        label = self.clip.labels.get(self.task)
        if self.kind not in PROBABLE:
            return None
        if isinstance(label, tuple):
            true = [self.classes.index(name) for name in label if name in self.classes]
            return self.target if self.target in true else next(iter(true), None)
        return label if isinstance(label, int) else None

    @property
    def explainer(self) -> str:
        """The explainer with the options it was given, as a person would write them."""
        spec = self.provenance.get("explainer", {})
        return format_spec(spec.get("name", "?"), spec.get("given", {}))

    @property
    def representation(self) -> Representation:
        """The representation that made the features, as a torch module on the CPU; in a view, the view's domain.

        Raises
        ------
        ModelError
            If it was an object of the caller's own and the explanation was loaded from a file.
        """
        if self._representation is not None:
            return self._representation  # type: ignore[no-any-return]
        created: Representation
        if view := self.provenance.get("view"):
            created = make_domain(view["name"], view["options"], self.clip.sample_rate, self.clip.samples, self.clip.channels)
            object.__setattr__(self, "_representation", created)
            return created
        spec = self.provenance.get("representation")
        if not spec:
            raise ModelError("The explanation does not say which representation made it, so it cannot be brought back to sound.")
        created = registry().create("representation", spec["name"], spec["options"])
        object.__setattr__(self, "_representation", created)
        return created

    @property
    def shortfall(self) -> str:
        """What the relevance misses of what it should sum to, in words; "" if nothing, or if the method claims no sum.

        The numbers are in ``provenance["completeness"]``.
        """
        sums = self.provenance.get("completeness")
        if sums is None or sums["holds"]:
            return ""
        return f"relevance sums to {sums['sum']:.3g} where it should sum to {sums['expected']:.3g}"

    @property
    def placed(self) -> Placed:
        """Where what is heard of the recording lies; all of the waveform where nothing else is known."""
        placement = {"offset": 0, "start": 0, "samples": self.clip.samples, **self.provenance.get("placement", {})}
        return Placed(**placement)

    @property
    def window_start(self) -> float:
        """Where in the recording the model's window begins, in seconds; below 0 where zeros come before the recording."""
        offset, start, _ = self.placed
        return (start - offset) / self.clip.sample_rate

    @property
    def recording_span(self) -> tuple[float, float]:
        """Start and end, in seconds of the recording, of what the model heard of it."""
        _, start, samples = self.placed
        return start / self.clip.sample_rate, (start + samples) / self.clip.sample_rate

    @property
    def padding(self) -> tuple[tuple[float, float], ...]:
        """Where the model's window holds zeros and not the recording: pairs of start and end in seconds of the recording."""
        first, (start, stop) = self.window_start, self.recording_span
        ends = ((first, start), (stop, first + self.clip.duration))
        return tuple((low, high) for low, high in ends if high - low > 0.5 / self.clip.sample_rate)

    @property
    def recording_axes(self) -> tuple[Axis, ...]:
        """The axes with times in seconds of the recording; those of ``axes`` are seconds of the model's window."""
        shift = self.window_start
        return tuple(replace(axis, centres=axis.centres + shift) if axis.name == "time" else axis for axis in self.axes)

    def levels(self) -> FloatArray:
        """What a picture shows under the relevance: the features ``(*axes)`` of the first channel.

        As the representation gives them: the training mean, which ``features`` are less, is not subtracted.

        Raises
        ------
        ModelError
            As `representation`.
        """
        import torch

        with torch.no_grad():
            features = self.representation(torch.from_numpy(self.clip.waveform)[None])
        return np.asarray(features[0, 0].numpy())

    @property
    def positive_share(self) -> float:
        """Share of the magnitude of all relevance that speaks for the class, 0 to 1; 0 if there is none."""
        magnitude = np.abs(self.relevance.astype(np.float64))
        total = float(magnitude.sum())
        return float(magnitude[self.relevance > 0].sum() / total) if total else 0.0

    @property
    def percentages(self) -> tuple[int, int]:
        """Shares of the relevance for and against the class in whole percent, which add up to 100; both 0 if there is none."""
        relevance = self.relevance.astype(np.float64)
        pro, contra = percentages([relevance.clip(min=0).sum(), -relevance.clip(max=0).sum()])
        return pro, contra

    @property
    def strongest(self) -> tuple[float, ...] | None:
        """Where in the recording the relevance of a channel is largest in magnitude, in the axes' units; None if nowhere."""
        magnitude = np.abs(self.relevance.astype(np.float64))
        if not magnitude.any():
            return None
        _, *place = np.unravel_index(int(magnitude.argmax()), magnitude.shape)
        return tuple(float(axis.centres[cell]) for axis, cell in zip(self.recording_axes, place, strict=True))

    @property
    def strongest_place(self) -> str:
        """`strongest` in words, such as "2690 Hz, 57.610 s"; "nowhere" if there is no relevance."""
        if self.strongest is None:
            return "nowhere"
        return ", ".join(_quantity(where, axis.unit) for axis, where in zip(self.axes, self.strongest, strict=True))

    @property
    def domain(self) -> str:
        """Where the relevance lies: "time", "frequency" or "time-frequency", or "" if the axes are others."""
        return domain_name(self.axes)

    def contrast(self, other: Self) -> Self:
        """Why this class rather than another: the relevance of this explanation less that of the other.

        Where an explainer conserves, its sum is the difference of the two logits.

        Parameters
        ----------
        other : Explanation
            Of the same recording, model, explainer and view, for another class.

        Raises
        ------
        ModelError
            If the two differ in more than the class, or do not differ in it.
        """
        kept = ("model", "representation", "explainer", "contrast")
        differing = [key for key in kept if self.provenance.get(key) != other.provenance.get(key)]
        if _domain_spec(self) != _domain_spec(other):
            differing.append("view")
        if not np.array_equal(self.clip.waveform, other.clip.waveform):
            differing.insert(0, "recording")
        if differing:
            raise ModelError(
                f"The explanations of {self.clip.source} and {other.clip.source} differ in their {differing[0]}; "
                "a contrast needs two that differ in the explained class alone."
            )
        if self.classes[self.target] == other.classes[other.target]:
            raise ModelError(
                f"{self.clip.source}: {self.classes[self.target]!r} cannot be contrasted with itself; choose another class."
            )
        provenance = {**self.provenance, "contrast": other.classes[other.target], "contrast_score": other.score}
        if "completeness" in provenance:
            provenance["completeness"] = _difference(provenance["completeness"], other.provenance["completeness"])
        return replace(self, relevance=self.relevance - other.relevance, provenance=provenance)

    def title(self) -> str:
        """One line that names the explained and the predicted class, the explainer, the view and the recording."""
        task = f"{self.task} " if self.task else ""
        predicted = self.prediction
        if self.label is not None:
            predicted += f", truth {self.classes[self.label]!r}"
        method = f"{self.explainer}, {self.domain} view" if "view" in self.provenance else self.explainer
        explained = repr(self.classes[self.target])
        if self.contrast_class is not None:
            explained += f" rather than {self.contrast_class!r}"
        missed = f"; {self.shortfall}" if self.shortfall else ""
        channel = f"; {self.channel_alone}" if self.channel_alone else ""
        constants = f"; {self.in_constants}" if self.in_constants else ""
        return f"{task}{explained} explained; {predicted}; {method}{missed}{constants}{channel}; {self.clip.name}"

    @property
    def in_constants(self) -> str:
        """What lies in constants where an explainer keeps books of them and it is most of the logit, in words; else ""."""
        sums, options = self.provenance.get("completeness"), (self.provenance.get("explainer") or {}).get("options") or {}
        logit = float(self.logits[self.target])
        if not (sums and options.get("constants") and logit and self.contrast_class is None):
            return ""
        share = 1 - sums["expected"] / logit
        return f"{share:.0%} of the logit lies in constants" if share > MOST else ""

    @property
    def channel_alone(self) -> str:
        """Of one of several channels, which it is, as in "left channel, 73% of the relevance"; else ""."""
        channel = self.provenance.get("channel")
        return f"{channel['name']} channel, {channel['share']:.0%} of the relevance" if channel else ""

    @property
    def outcome(self) -> str:
        """What was predicted, what is true, who speaks or where it comes from, which channel it is: as far as it is known."""
        truth = "" if self.label is None else f", truth {self.classes[self.label]!r}"
        group = f", {self.clip.group}" if self.clip.group else ""
        channel = f", {self.channel_alone}" if self.channel_alone else ""
        return f"{self.prediction}{truth}{group}{channel}"

    def with_relevance(self, relevance: ArrayLike) -> Self:
        """The same explanation with other relevance: an array, a tensor or nested lists of the features' shape, finite.

        Raises
        ------
        ModelError
            If it is none of these.
        """
        values = relevance.detach().cpu() if hasattr(relevance, "detach") else relevance
        try:
            array = np.asarray(values)
        except (TypeError, ValueError):
            raise ModelError(
                f"The relevance is not an array; expected the shape of the features, {self.features.shape}."
            ) from None
        if array.shape != self.features.shape:
            raise ModelError(f"The relevance has shape {array.shape}; expected that of the features, {self.features.shape}.")
        if array.dtype.kind not in "fiub":
            raise ModelError(f"The relevance holds {array.dtype}; expected numbers.")
        if not np.isfinite(array).all():
            raise ModelError("The relevance holds NaN or infinity.")
        return replace(self, relevance=array if array.dtype.kind == "f" else array.astype(np.float64))


def _difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What the difference of two explanations sums to beside what it should; right where both are."""
    sums = {key: first[key] - second[key] for key in ("sum", "expected")}
    miss = abs(sums["sum"] - sums["expected"])
    return {
        **sums,
        "miss": miss / abs(sums["expected"]) if sums["expected"] else 0.0,
        "holds": first["holds"] and second["holds"],
    }


def _quantity(value: float, unit: str) -> str:
    """A place on an axis with its unit: times to the millisecond."""
    return f"{value:.3f} s" if unit == "s" else f"{value:.4g} {unit}" if abs(value) < 1000 else f"{value:.0f} {unit}"


def _domain_spec(explanation: Record) -> tuple[Any, ...]:
    """The view without what it lost, which depends on the relevance."""
    view = explanation.provenance.get("view") or {}
    return view.get("name"), view.get("options")

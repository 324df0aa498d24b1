"""A model and the recordings of one visit: what it predicts, why, and what it would predict of a part of the sound."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import xaudio
from xaudio.plugin import (
    Clip,
    DataError,
    Dataset,
    Explanation,
    FloatArray,
    Model,
    PluginError,
    XaudioError,
    as_model,
    diagnose,
    format_spec,
    held_out,
    in_classes_of,
    length_of,
    load_model,
    names,
    reported_to,
    resolve_device,
)

from .brushing import Region, brushed
from .clips import Store
from .forms import explainer_forms
from .testset import predictions

DEMO = "demo"
"""The loader of the ready model."""
SPEECH = "synthetic:speakers=8,repetitions=1,difficulty=0"
"""Examples for models of spoken digits that come without data."""
EXAMPLES = 12
QUICKEST = "amplitude"
"""The explainer that costs no more than the prediction."""
CLIPS, CLIP_BYTES = 100, 200_000_000
EXPLANATIONS, EXPLANATION_BYTES = 64, 400_000_000
LONGEST = 600.0
"""Seconds of a recording; longer ones are for ``xaudio explain --window``."""


class Nothing(BaseModel):
    """A request that says all by its address."""

    model_config = ConfigDict(extra="forbid")


class Ask(BaseModel):
    """A recording, or the part of it between two seconds.

    Parameters
    ----------
    clip : str
    cut : (float, float), optional
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    clip: str = Field(max_length=40)
    cut: tuple[float, float] | None = None


class Why(Ask):
    """What is explained, and how; see `xaudio.explain`."""

    explainer: str = Field(max_length=100)
    options: dict[str, str] = Field(default_factory=dict, max_length=40)
    target: str | None = Field(default=None, max_length=200)
    contrast: str | None = Field(default=None, max_length=200)
    view: str | None = Field(default=None, max_length=200)

    def spec(self) -> str:
        """The explainer with its options, as the command line takes it."""
        return format_spec(self.explainer, self.options)

    def asked(self) -> dict[str, Any]:
        """The arguments of `xaudio.explain`."""
        return {"explainer": self.spec(), "target": self.target, "contrast": self.contrast, "view": self.view or None}


class Brush(Ask):
    """Regions to take away, or to keep alone."""

    regions: list[Region] = Field(max_length=20)
    keep: bool = False


def given_model(model: Any = None, device: str = "auto", **options: Any) -> Model:
    """The model that a page is about; by default the ready one.

    Raises
    ------
    PluginError
        If none is named and the ready one is not installed.
    XaudioError
        As `xaudio.plugin.as_model`.
    """
    if model is None and DEMO not in names("loader"):
        raise PluginError(
            "No model is named, and the ready model is not installed: give a run folder, or a loader with its options."
        )
    if model is None or (isinstance(model, str) and not options):
        return load_model(model or DEMO, device)
    given = {name: options.pop(name, None) for name in ("representation", "classes", "kind", "feature_extractor", "output")}
    if options:
        raise PluginError(
            f"There is no option {next(iter(options))!r}; expected one of {', '.join(given)}, data, device or port."
        )
    return as_model(model, *given.values()).to(resolve_device(device))


class Explorer:
    """A model, the recordings that were brought, and the explanations that were made.

    Parameters
    ----------
    model : Model
    dataset : Dataset, optional
        Recordings to choose from.
    place : str
        How a command line names the model; "" for the ready one, or where there is no such name.
    """

    def __init__(self, model: Model, dataset: Dataset | None = None, place: str = "") -> None:
        self.model, self.place = model, place or model.source
        self.clips: Store[Clip] = Store("recording", CLIPS, CLIP_BYTES, lambda clip: clip.waveform.nbytes)
        self.explanations: Store[Explanation] = Store(
            "explanation", EXPLANATIONS, EXPLANATION_BYTES, lambda one: one.relevance.nbytes + one.features.nbytes
        )
        self.dataset = None if dataset is None else in_classes_of(model, dataset)
        self._examples = self.dataset if self.dataset is not None else _examples_for(model)
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._page = xaudio.create("renderer", "html")

    # What there is.

    def facts(self) -> dict[str, Any]:
        """What a page shows before anything was recorded."""
        model, read = self.model, self.model.representation
        length = length_of(read)
        most = length.fixed or length.maximum
        return {
            "model": self.place,
            "task": model.task,
            "classes": list(model.classes),
            "kind": model.kind,
            "rate": read.sample_rate,
            "window": most / read.sample_rate if most else None,
            "explainers": explainer_forms(),
            "views": ["", "time", "frequency", "time-frequency"],
            "examples": self.examples(),
            "data": None if self.dataset is None else {"title": self.dataset.title, "recordings": len(self.dataset)},
            "longest": LONGEST,
        }

    def examples(self) -> list[dict[str, str]]:
        """Recordings to begin with: one of each class in turn."""
        if self._examples is None:
            return []
        task = self.model.task if self.model.task in self._examples.tasks else next(iter(self._examples.tasks))
        labels = self._examples.labels(task)
        classes = self._examples.tasks[task]
        true = labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(len(classes))
        chosen = [(int(true[:, index].argmax()), str(name)) for index, name in enumerate(classes) if true[:, index].any()]
        return [{"clip": f"d{index}", "name": name} for index, name in chosen[:EXAMPLES]]

    def clip(self, name: str, cut: tuple[float, float] | None = None) -> Clip:
        """A recording that was brought, or one of the data set ("d" and its index), or a part of it.

        Raises
        ------
        DataError
            If it is not there, or the part is empty.
        """
        clip = self._from_data(name) if name[:1] == "d" else self.clips[name]
        if cut is None:
            return clip
        first = max(0, round(cut[0] * clip.sample_rate))
        part = clip.waveform[first : first + max(0, int((cut[1] - cut[0]) * clip.sample_rate + 1e-3))]
        if len(part) < 2:
            raise DataError(f"{clip.name}: there is no sound between {cut[0]:.3f} and {cut[1]:.3f} s.")
        return replace(clip, waveform=np.ascontiguousarray(part), source=f"{clip.name} {cut[0]:.2f}-{cut[1]:.2f} s", span=None)

    def _from_data(self, name: str) -> Clip:
        index = int(name[1:]) if name[1:].isdecimal() else -1
        if self._examples is None or not 0 <= index < len(self._examples):
            raise DataError(f"There is no recording {name!r}.")
        return self._examples[index]

    def add(self, content: bytes, name: str) -> dict[str, Any]:
        """Keep a recording that a page sent.

        Parameters
        ----------
        content : bytes
            An audio file.
        name : str

        Raises
        ------
        AudioError
            If it is none that can be read.
        DataError
            If it is longer than `LONGEST`.
        """
        clip = xaudio.read_audio(content, source=name or "recording.wav")
        if clip.duration > LONGEST:
            raise DataError(f"{clip.name}: is {clip.duration:.0f} s long; expected {LONGEST:.0f} s at most. Cut it first.")
        return {"clip": self.clips.add(clip), **_about(clip)}

    def about(self, name: str) -> dict[str, Any]:
        """Name, length and rate of a recording."""
        return {"clip": name, **_about(self.clip(name))}

    def wave(self, name: str, cut: tuple[float, float] | None = None) -> bytes:
        """A recording as a WAV file of 32-bit floats."""
        clip = self.clip(name, cut)
        return wav_of(clip.waveform, clip.sample_rate)

    # What the model says.

    def predict(self, ask: Ask) -> dict[str, Any]:
        """Probability, or value, of each output for a recording."""
        return self._predicted(self.clip(ask.clip, ask.cut))

    def _predicted(self, clip: Clip) -> dict[str, Any]:
        explanation = self._explained(clip, explainer=QUICKEST)
        shares = explanation.probabilities
        return {
            "classes": list(explanation.classes),
            "probabilities": None if shares is None else [float(share) for share in shares],
            "scores": [float(score) for score in explanation.logits],
            "predicted": list(explanation.predictions) if shares is not None else [],
            "truth": None if explanation.label is None else explanation.classes[explanation.label],
            "words": explanation.prediction,
        }

    def _explained(self, clip: Clip, **asked: Any) -> Explanation:
        """One explanation: of an answer of several parts the first."""
        explained = xaudio.explain(self.model, clip, device=str(self.model.device), **asked)
        return explained if isinstance(explained, Explanation) else explained[0]

    def brush(self, brush: Brush) -> dict[str, Any]:
        """Take regions of a recording away, and say what the model makes of what is left, which is a recording of its own."""
        left = brushed(self.model, self.clip(brush.clip, brush.cut), brush.regions, brush.keep)
        return {"clip": self.clips.add(left), **_about(left), "prediction": self._predicted(left)}

    def explain(self, why: Why) -> dict[str, Any]:
        """An explanation, and the part of a page in which it is seen and heard."""
        begun = time.perf_counter()
        explanation = self._explained(self.clip(why.clip, why.cut), **why.asked())
        took = time.perf_counter() - begun
        return {
            "explanation": self.explanations.add(explanation),
            "markup": self._page.component(explanation, level=3),
            "question": explanation.question,
            "explainer": explanation.explainer,
            "warnings": list(explanation.warnings),
            "seconds": took,
        }

    def estimate(self, why: Why) -> dict[str, Any]:
        """About how many seconds an explanation takes: by its first pass, of which the others are as many as they are."""
        begun = time.perf_counter()

        def tell(text: str, share: float) -> None:
            if 0 < share < 1:
                raise _Enough((time.perf_counter() - begun) / share)

        try:
            with reported_to(tell):
                self._explained(self.clip(why.clip, why.cut), **why.asked())
        except _Enough as enough:
            return {"seconds": enough.seconds}
        return {"seconds": time.perf_counter() - begun}

    def verdict(self, why: Why) -> dict[str, Any]:
        """What the doctor says of the model and an explainer: a light, and a sentence."""
        spec = why.spec()
        if spec not in self._verdicts:
            self._verdicts[spec] = _verdict(self.model, spec, why.explainer)
        return self._verdicts[spec]

    def through(self, _: Nothing) -> dict[str, Any]:
        """What is predicted for the recordings of the data set.

        Raises
        ------
        DataError
            If there is none.
        """
        if self.dataset is None:
            raise DataError("There is no test set: start with --data FOLDER, or --dataset NAME.")
        return predictions(self.model, self.dataset)

    def warm_up(self) -> None:
        """Explain soft noise once, so that the first recording does not wait for what is loaded late."""
        samples = self.model.representation.samples
        noise = 1e-2 * np.random.default_rng(0).standard_normal(samples).astype(np.float32)
        why = Why(clip="", explainer=explainer_forms()[0]["name"])
        try:
            explanation = self._explained(Clip(noise, self.model.representation.sample_rate), **why.asked())
            self._page.component(explanation)
        except XaudioError:
            return  # the first recording will tell why


class _Enough(BaseException):
    """Ends a piece of work of which enough is known."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


def wav_of(waveform: FloatArray, rate: int) -> bytes:
    """A WAV file of 32-bit floats, so that nothing clips.

    Parameters
    ----------
    waveform : ndarray, shape (samples,)
    rate : int
        In Hz.
    """
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, waveform, rate, format="WAV", subtype="FLOAT")
    return content.getvalue()


def _about(clip: Clip) -> dict[str, Any]:
    return {"name": clip.name, "seconds": clip.duration, "rate": clip.sample_rate}


def _examples_for(model: Model) -> Dataset | None:
    """Generated sounds that a model knows: those of its training, or speech; None where there are none."""
    try:
        if model.facts.get("synthetic"):
            return held_out(model)[0]
        return in_classes_of(model, xaudio.open_dataset(SPEECH))
    except XaudioError:
        return None


def _verdict(model: Model, spec: str, name: str) -> dict[str, Any]:
    try:
        diagnosis = diagnose(model, explainer=spec, device=str(model.device))
    except XaudioError as error:
        return {"light": "red", "sentence": str(error)}
    if not diagnosis.findings:
        measured = next(iter(diagnosis.measured.values()), {})
        sums = f" Its relevance sums to {measured['sum']:.3f} of what it explains." if "sum" in measured else ""
        return {"light": "green", "sentence": f"The doctor finds nothing that would make {name} wrong on this model.{sums}"}
    first = diagnosis.findings[0]
    more = len(diagnosis.findings) - 1
    told = f"{first.name}: {first.effect} {first.remedy}" + (f" ({more} more: xaudio doctor)" if more else "")
    return {"light": "red" if first.severity == "error" else "amber", "sentence": told}

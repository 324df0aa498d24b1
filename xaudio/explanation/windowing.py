"""Long recordings in two passes: the scores of all windows, then explanations of those that are chosen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import AudioError, DataError, ModelError
from ..model.arguments import as_model, batch_of, clip_for
from ..model.devices import resolve_device
from ..model.lengths import length_of
from ..model.model import Model
from ..model.running import evaluation_mode
from ..output.terminal import progress
from ..registry.options import convert
from ..sound.rules import Rules
from ..sound.streaming import Stream, Window
from ..types import Clip, Fit, Kind, Representation, Resampling
from .explaining import Explained, explain
from .explanation import Explanation
from .window_question import WindowQuestion
from .windows import LongExplanation, Scored, Weights, parse_choice

AT_ONCE = 1 << 21
"""Samples of the windows that are computed at once."""


def explain_windows(
    model: Explained,
    recording: str | Path | Clip | np.ndarray[Any, Any] | torch.Tensor,
    *,
    window: float,
    hop: float | None = None,
    choose: str = "top:5",
    weights: Weights = "mean",
    target: Any = None,
    contrast: Any = None,
    batch_size: int = 32,
    seed: int | None = None,
    fit: Fit = "error",
    resampling: Resampling | None = None,
    sample_rate: int | None = None,
    channels: str | int | list[int] | tuple[int, ...] | None = None,
    device: str = "auto",
    representation: str | Representation | None = None,
    classes: Iterable[Any] | None = None,
    kind: Kind | None = None,
    **options: Any,
) -> LongExplanation:
    """Explain windows of a long recording, in memory that grows with the number of explained windows alone.

    Parameters
    ----------
    model : path, nn.Module or Model
        See `xaudio.explain`.
    recording : path, array, tensor or Clip
        A file is read block by block, and twice; see `xaudio.explain` for the others.
    window, hop : float
        Length of a window and the way to the next one in seconds, kept as samples at the model's rate; by default windows
        follow each other. If an end is left over, one more window ends with the recording.
    choose : str
        Which windows are explained: "top:5" (the most probable, or of the largest scores where there are no probabilities),
        "threshold:0.5" (of that probability, or score, or more), "all", or seconds and spans as in "12.5,80-95".
    weights : {"mean", "sum"}
        What explained windows weigh in the score of the whole.
    target, contrast : index, name, score or callable, optional
        What is asked of each window, one number: see `xaudio.explain`. By default the predicted class of each, the first value,
        the clearest output of its frames, or all of its best path; a contrast needs a target.
    batch_size : int
        Windows computed at once, at most.
    seed : int, optional
        See `xaudio.explain`.
    fit : {"error", "trim", "loudest"}
        What is done to windows that are longer than the model takes: "loudest" hears that part of each window.
    resampling : {"soxr", "fft"}, optional
        By default what the model was trained with. "fft" needs all of a sound, so it resamples each window by itself, as if that
        were the recording; the explanations say so.
    sample_rate : int, optional
        Of an array or tensor, in Hz.
    channels : {"mean", "left", "right", "all"} or int, optional
        Of several channels: all mixed down (by default), the first, the second, that of an index, or all, for a model that reads
        several (which is then the default). It says that the rows of an array are channels. Several indices are those of an
        explainer of layers.
    device : str
        See `xaudio.explain`, as for all that follows.
    representation, classes, kind
        Of a module that is not wrapped.
    **options
        Such as ``explainer`` and its options.

    Returns
    -------
    LongExplanation

    Raises
    ------
    XaudioError
        If any input does not fit: one line.
    """
    weights, batch_size = convert("weights of windows", Weights, weights), batch_of(batch_size)
    loaded = as_model(model, representation, classes, kind).to(resolve_device(device))
    if isinstance(channels, list | tuple):
        options, channels = {**options, "channels": channels}, None
    read = _recording(loaded, recording, sample_rate, channels)
    question = WindowQuestion(loaded, target, contrast)
    chooser = parse_choice(choose, question.probable)
    work = LongWork(loaded, read, window, hop, question, batch_size, seed, fit, resampling, channels)
    scores = list(work.scores())
    chosen = chooser(scores)
    explanations = list(work.explanations(scores, chosen, options))
    return work.result(scores, explanations, weights)


def _recording(model: Model, given: Any, sample_rate: int | None, channels: str | int | None) -> str | Path | Clip:
    """A path, which is left to be read block by block, or a clip.

    Raises
    ------
    AudioError
        If it is no single recording.
    """
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    if channels is None and isinstance(given, np.ndarray | torch.Tensor) and given.ndim == 2 and 1 < len(given) < given.shape[1]:
        raise AudioError(
            f"The array has shape {tuple(given.shape)}, and one long recording is explained at a time: give one row, or, if the "
            'rows are its channels, channels="mean" (or "left", an index, or "all" of a model that reads several).'
        )
    return clip_for(model, given, sample_rate, channels)


class LongWork:
    """The two passes over a long recording; see `explain_windows` for the parameters.

    Raises
    ------
    DataError
        If window, hop, fit or resampling are none, or the model does not take such windows.
    """

    def __init__(
        self,
        model: Model,
        recording: str | Path | Clip,
        window: float,
        hop: float | None,
        question: WindowQuestion,
        batch_size: int,
        seed: int | None,
        fit: Fit,
        resampling: Resampling | None,
        channels: str | int | None = None,
    ) -> None:
        fit = convert("fit", Fit, fit)
        self.rules: Rules = model.rules.of_own(fit, convert("resampling", Resampling | None, resampling), None, seed)
        rate = model.representation.sample_rate
        self.window = in_samples("window", window, rate)
        self.hop = self.window if hop is None else in_samples("hop", hop, rate)
        self.model, self.notes = for_windows(model, self.window, fit)
        self.question = question
        several = "all" if channels is None and model.channels > 1 else channels
        self.stream = Stream(recording, rate, self.rules.resampling, several)
        self.at_once = max(1, min(batch_size, AT_ONCE // (self.window * model.channels)))
        self.given = {"seed": seed, "fit": fit, "resampling": self.rules.resampling, "device": str(model.device)}

    def scores(self, known: Mapping[int, Scored] | None = None) -> Iterator[Scored]:
        """What the model says of each window, in order; those that are known are not asked again."""
        known = known or {}
        expected = max(0, self.stream.expected_samples() - self.window) // self.hop + 1
        with progress(f"Scoring windows of {self.stream.source}", max(1, expected), always=False) as advance:
            for batch in _batches(self.stream.windows(self.window, self.hop), self.at_once):
                asked = [one for one in batch if one.number not in known]
                answers = {scored.window: scored for scored in self._scored(asked)} if asked else {}
                yield from (answers.get(one.number) or known[one.number] for one in batch)
                advance(len(batch))
        self.outline = self.stream.outline.pieces, self.stream.outline_step

    def explanations(self, scores: Sequence[Scored], chosen: Sequence[int], options: Mapping[str, Any]) -> Iterator[Explanation]:
        """Explanations of the windows of these numbers, in order of time."""
        wanted = {number: scores[number] for number in chosen}
        windows = (one for one in self.stream.windows(self.window, self.hop) if one.number in wanted)
        with progress(f"Explaining windows of {self.stream.source}", max(1, len(wanted)), always=False) as advance:
            for batch in _batches(windows, self.at_once):
                asked = self.question.targets([wanted[one.number] for one in batch])
                arguments = {**self.given, "batch_size": self.at_once, **options, **asked}
                explained = explain(self.question.timed(self._for(batch[0])), self._clips(batch), **arguments)
                for one, explanation in zip(batch, explained, strict=True):
                    yield self._of_window(one, explanation)
                advance(len(batch))

    def result(self, scores: Sequence[Scored], explanations: Sequence[Explanation], weights: Weights) -> LongExplanation:
        """All that is known of the recording now."""
        count = len(explanations)
        each = 1.0 if weights == "sum" or not count else 1 / count
        return LongExplanation(
            self.stream.source,
            self.stream.rate,
            self.stream.samples,
            self.window,
            self.hop,
            scores,
            explanations,
            np.full(count, each),
            *self.outline,
            (*self.stream.notes, *self._other_resampling(), *self.notes),
        )

    def _other_resampling(self) -> tuple[str, ...]:
        """A note where the model was trained on sounds that were resampled in another way."""
        differs = self.model.rules.resampling != self.rules.resampling and self.stream.own_rate != self.stream.rate
        return (f"the model was trained on sounds resampled by {self.model.rules.resampling}",) if differs else ()

    def _for(self, window: Window) -> Model:
        """The model for a window; a recording shorter than the window is as long as it is, where the model takes that."""
        samples = window.waveform.shape[-1]
        if samples >= self.window or length_of(self.model.representation).fixed is not None:
            return self.model
        return self.model.at(samples)

    def _clips(self, batch: Sequence[Window]) -> list[Clip]:
        source, rate, channel = self.stream.source, self.stream.rate, self.stream.channel
        samples = self.stream.samples or 0
        spans = [(one.start, max(samples, one.start + one.waveform.shape[-1])) for one in batch]
        return [
            Clip(one.waveform, rate, source=source, span=span, channel=channel) for one, span in zip(batch, spans, strict=True)
        ]

    def _scored(self, batch: Sequence[Window]) -> Iterator[Scored]:
        model = self._for(batch[0])
        placed = model.hear(self._clips(batch), self.rules)
        rate = self.stream.rate
        places = [placed.position(row) for row in range(len(batch))]
        begins = [(one.start + place.start - place.offset) / rate for one, place in zip(batch, places, strict=True)]
        with torch.no_grad(), evaluation_mode(model.answers or model.network):
            answers = self.question.answers(model, model.features(placed.batch(slice(0, len(batch)))), begins)
        for one, told in zip(batch, answers, strict=True):
            samples = one.waveform.shape[-1]
            times = one.start / rate, (one.start + samples) / rate
            yield Scored(one.number, one.start, samples, *times, told.label, told.score, told.probability, told.predicted)

    def _of_window(self, window: Window, explanation: Explanation) -> Explanation:
        """The explanation with what is known of the recording that the window belongs to."""
        facts: dict[str, Any] = {"number": window.number, "start": window.start, "window": self.window, "hop": self.hop}
        if self.stream.alone:
            facts["resampled"] = "by itself"
        notes = (*self.stream.notes, *explanation.clip.notes)
        provenance = {
            **explanation.provenance,
            "window": facts,
            "original_sample_rate": self.stream.own_rate,
            "recording_seconds": self.stream.samples / self.stream.rate,
        }
        return replace(explanation, clip=replace(explanation.clip, notes=notes), provenance=provenance)


def in_samples(name: str, seconds: float, rate: int) -> int:
    """A length in seconds as samples.

    Raises
    ------
    DataError
        If it is no length of two samples or more.
    """
    if not (isinstance(seconds, int | float) and math.isfinite(seconds) and round(seconds * rate) >= 2):
        raise DataError(f"The {name} is {seconds!r}; expected seconds, at least two samples at the model's {rate} Hz.")
    return round(seconds * rate)


def for_windows(model: Model, window: int, fit: Fit) -> tuple[Model, tuple[str, ...]]:
    """The model for windows of a length, of which it may hear a part, and what is to be noted.

    Raises
    ------
    DataError
        If it does not take windows as long as that.
    """
    length, rate = length_of(model.representation), model.representation.sample_rate
    longest = length.maximum if length.fixed is None else length.fixed
    notes: tuple[str, ...] = ()
    if longest is not None and window > longest:
        if fit == "error":
            raise DataError(
                f"A window of {window / rate:g} s is longer than the {longest / rate:g} s that the model takes; give "
                f"{longest / rate:g} s or less, or fit 'loudest', which hears that part of each window."
            )
        notes = (f"of each window {longest / rate:g} s are heard at most, by the rule {fit!r}",)
    if length.fixed is not None:
        return model, notes
    try:
        fitting = model.at(min(window, longest or window))
    except ModelError as error:
        raise DataError(f"The model does not take windows of {window / rate:g} s. {error}") from None
    return fitting, (
        *notes,
        "the model takes any length, and may answer differently for a window than for the whole recording, which is explained "
        "without a window",
    )


def _batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    batch: list[Window] = []
    for window in windows:
        batch.append(window)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

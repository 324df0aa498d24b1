"""Reference recordings of channels: those that a channel answers to most, cut to what it can hear of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xaudio.plugin import (
    Clip,
    ConditionalExplainer,
    Dataset,
    Explanation,
    FloatArray,
    IntArray,
    Model,
    Rules,
    explain_prepared,
    provenance_of,
    write_audio,
)

from .channels import Measured, Through, spec_through
from .excerpts import audible, excerpt_of, in_a_row, spans_of
from .fields import ReceptiveFields
from .figures import picture_of
from .results import By, Reference


@dataclass(frozen=True)
class Source:
    """What references are taken from, and all that is needed to show them.

    Parameters
    ----------
    model : Model
    explainer : ConditionalExplainer
    spec : dict
        Name and options of the explainer.
    layer : str
    dataset : Dataset
    indices : ndarray of int
        Recordings that were measured.
    measured : Measured
    fields : ReceptiveFields
    by : {"relevance", "activation"}
    batch_size : int
    """

    model: Model
    explainer: ConditionalExplainer
    spec: dict[str, Any]
    layer: str
    dataset: Dataset
    indices: IntArray
    measured: Measured
    fields: ReceptiveFields
    by: By
    batch_size: int

    @property
    def values(self) -> FloatArray:
        """By what recordings are references, (recordings, channels)."""
        return self.measured.shares if self.by == "relevance" else self.measured.activation

    def rows(self, channel: int, count: int) -> IntArray:
        """The recordings of which a channel has most, largest first, none where it has nothing."""
        order = np.argsort(-self.values[:, channel], kind="stable")[:count]
        return np.asarray(order[self.values[order, channel] > 0])

    def position(self, row: int, channel: int) -> list[int]:
        """The position of the layer where the channel's relevance or activation is largest."""
        place = int(self.measured.places(self.by)[row, channel])
        return [int(one) for one in np.unravel_index(place, self.fields.positions)] if self.fields.positions else []


def explained_clips(
    model: Model,
    explainer: Any,
    spec: dict[str, Any],
    clips: Sequence[Clip],
    targets: Sequence[int] | None,
    batch_size: int,
    rules: Rules,
) -> list[Explanation]:
    """Explanations of clips that are prepared by rules, and placed as those of the model's training."""
    placed = model.hear(clips, rules)
    provenance = provenance_of(model, spec, placed.rules)
    return list(explain_prepared(model, explainer, clips, placed, targets, provenance, batch_size=batch_size))


def references_of(
    source: Source, channel: int, count: int, folder: Path | None, advance: Callable[[], None]
) -> tuple[list[Reference], str | None]:
    """The references of a channel, with pictures and sounds if there is a folder, and the file of all excerpts in a row."""
    rows = source.rows(channel, count)
    if not len(rows):
        return [], None
    clips = [source.dataset[int(source.indices[row])] for row in rows]
    targets = source.measured.logits[rows].argmax(1).tolist()
    explainer = Through(source.explainer, source.layer, [channel])
    spec = spec_through(source.spec, source.layer, [channel])
    rules = source.model.rules_in(source.dataset)
    explanations = explained_clips(source.model, explainer, spec, clips, targets, source.batch_size, rules)
    references, sounds = [], []
    for number, (row, explanation) in enumerate(zip(rows, explanations, strict=True), 1):
        name = f"channel-{channel:04d}/{number}"
        reference, sound = _reference(source, int(row), channel, explanation, folder, name)
        references.append(reference)
        sounds += [] if sound is None else [sound]
        advance()
    if folder is None or not sounds:
        return references, None
    path = f"audio/channel-{channel:04d}/together.flac"
    rate = source.model.representation.sample_rate
    write_audio(_parent(folder / path), in_a_row(sounds, rate), rate)
    return references, path


def _reference(
    source: Source, row: int, channel: int, explanation: Explanation, folder: Path | None, name: str
) -> tuple[Reference, FloatArray | None]:
    """A reference and its excerpt as it sounds."""
    clip, recording = explanation.clip, int(source.indices[row])
    position = source.position(row, channel)
    field = source.fields.at(position)
    excerpt = excerpt_of(explanation, field)
    level = partial(audible, recording=clip.waveform, rate=clip.sample_rate)
    levelled = {kind: level(sound) for kind, sound in excerpt.sounds.items()}
    sound, gain = levelled["excerpt"]
    files: dict[str, str] = {}
    picture = None
    if folder is not None:
        for kind, (samples, _) in levelled.items():
            if samples is not None:
                files[kind] = f"audio/{name}-{kind}.flac"
                write_audio(_parent(folder / files[kind]), samples, clip.sample_rate)
        picture = f"figures/{name}.png"
        picture_of(explanation, field, _parent(folder / picture))
    reference = Reference(
        recording=recording,
        source=clip.name,
        speaker=clip.speaker,
        label=None if explanation.label is None else explanation.classes[explanation.label],
        predicted=explanation.classes[explanation.predicted],
        value=float(source.values[row, channel]),
        position=position,
        field=spans_of(explanation, field),
        start_s=excerpt.start / clip.sample_rate + explanation.window_start,
        stop_s=excerpt.stop / clip.sample_rate + explanation.window_start,
        gain_db=gain,
        picture=picture,
        sounds=files,
    )
    return reference, sound


def _parent(path: Path) -> Path:
    """The path, after making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

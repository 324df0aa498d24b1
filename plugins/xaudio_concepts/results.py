"""What ``results.json`` of the concepts of a layer holds: its schema, with which it is written and read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaudio.plugin import ResultPart

By = Literal["relevance", "activation"]
"""What a channel's reference recordings have most of."""


class Span(ResultPart):
    """Where a receptive field lies along one axis of what the model reads."""

    axis: str
    unit: str
    first: int = Field(description="Its first cell.")
    last: int = Field(description="Its last cell.")
    low: float = Field(description="Centre of the first cell, in the unit; times in seconds of the recording.")
    high: float = Field(description="Centre of the last cell.")


class Reference(ResultPart):
    """A recording that a channel answers to, and the place in it that it answers to most."""

    recording: int = Field(description="Index into the data set.")
    source: str
    speaker: str | None
    label: str | None
    predicted: str = Field(description="Also the class for which it is explained.")
    value: float = Field(
        description="By relevance, the channel's share of the relevance at the layer; by activation, its largest activation."
    )
    position: list[int] = Field(description="Of the layer, where relevance or activation is largest; empty without positions.")
    field: list[Span] = Field(description="What that position can depend on: its receptive field.")
    start_s: float = Field(description="Start of the excerpt, in seconds of the recording.")
    stop_s: float
    gain_db: float | None = Field(description="By which the excerpt was made louder or softer; None if it is silent.")
    picture: str | None = Field(description="File with the excerpt and what flows through the channel; None if none was written.")
    sounds: dict[str, str] = Field(
        description="Files: 'excerpt', 'part' (what speaks for the class through the channel) and 'context'; not those that are "
        "silent."
    )


class Channel(ResultPart):
    """A channel that carries the prediction."""

    channel: int
    share: float = Field(description="Mean over the explained recordings of its share of the relevance at the layer.")
    effect: float = Field(description="Mean change of the explained class's logit when this channel alone is switched off.")
    classes: dict[str, float] = Field(description="Mean share in the reference data, by predicted class, largest first.")
    references: list[Reference]
    together: str | None = Field(description="File with all its excerpts in a row.")


class Switched(ResultPart):
    """What switching off the channels that carry a prediction does to it, beside other channels drawn at random."""

    channels: list[int]
    recordings: int
    change: float = Field(description="Mean change of the explained class's logit when the channels are set to 0.")
    draws: list[float] = Field(description="The same for sets of as many other channels, drawn at random.")
    as_large: int = Field(description="Draws that lower the logit as much, or more.")
    statement: str


class Explained(ResultPart):
    """A recording that was given to be explained."""

    source: str
    predicted: str
    explained: str
    label: str | None
    shares: dict[str, float] = Field(description="Share of each of the top channels.")
    whole: str | None = Field(description="Folder of the whole explanation; None if none was written.")
    parts: dict[str, str] = Field(description="Folder of the part of each of the top channels.")


class ConceptResults(ResultPart):
    """What `xaudio_concepts.concepts` found, and the content of ``results.json``.

    A channel's share of the relevance at the layer is its relevance, summed over positions, divided by the sum of the magnitudes
    of all channels: positive speaks for the class, and the magnitudes add up to 1.
    """

    # Raised whenever a reader of the old format would misunderstand the new one.
    format: Literal[1] = 1
    result: Literal["concepts"] = "concepts"
    model: str
    task: str
    classes: list[str]
    data: str
    explainer: str
    layer: str
    kind: str = Field(description="Of the layer, such as Conv2d.")
    default_layer: bool = Field(description="Whether the layer was chosen as the last convolution, since none was named.")
    by: By
    explained_class: str | None = Field(description="None for the predicted class of each recording.")
    recordings: int = Field(description="In the reference data.")
    explained_recordings: int = Field(description="Whose mean shares rank the channels.")
    seed: int
    reaching: float = Field(description="Relevance at the layer as a share of the logit, median over the explained recordings.")
    shares: list[float] = Field(description="Mean share of every channel of the layer.")
    channels: list[Channel] = Field(description="Those that carry most, in this order.")
    switched: Switched | None = Field(description="None if the layer has no other channels to compare with.")
    explained: list[Explained]
    notes: list[str]

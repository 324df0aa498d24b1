"""What ``results.json`` of the check of concepts holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xaudio.plugin import ResultPart


class Tuning(ResultPart):
    """Of carriers: what channels answer to, found without any explainer by taking a carrier out of the sound."""

    channels: int = Field(description="Channels that answer to anything.")
    selective: int = Field(description="Channels of which one carrier causes more than half of the change.")
    of_class: float = Field(
        description="Of the channels that carry a class, the share tuned to one of its carriers, or to the absence of another."
    )
    of_class_by_chance: float = Field(description="The same for any channel and class.")


class Shares(ResultPart):
    """A share for channels that carry a prediction, and for what it is compared with."""

    relevance: float = Field(description="References of the largest relevance.")
    activation: float = Field(description="References of the largest activation.")
    chance: float = Field(description="Recordings (carriers) or positions (slot) drawn at random.")


class HeatMaps(ResultPart):
    """Positive relevance that flows through a channel, where it lies."""

    tuned: float = Field(
        description="Carriers: through channels tuned to a carrier, its share of what lies on the carriers that are there. Slot: "
        "through channels that carry the prediction, the share that lies on the burst."
    )
    others: float = Field(description="Carriers: the same carrier through channels tuned to others. Slot: through any channel.")
    whole: float | None = Field(description="Slot: the same share in the whole explanation; None for carriers.")
    chance: float = Field(description="Carriers: one of those that are there. Slot: the burst's share of the cells.")


class Switching(ResultPart):
    """Mean change of the logit of the class whose channels are switched off."""

    top: float
    random: float
    classes: int
    beats_all: int = Field(description="Classes whose channels lower the logit more than every draw of others does.")


class Row(ResultPart):
    """A model with an explainer."""

    model: str
    task: str
    explainer: str
    layer: str
    channels: int
    accuracy: float = Field(description="Of the test recordings.")
    tuning: Tuning | None
    references: Shares = Field(
        description="Carriers: share of references that have the carrier the channel is tuned to (or lack it, where it "
        "answers to its absence). Slot: share of excerpts with at least half of the burst in them."
    )
    maps: HeatMaps
    switching: Switching


class Results(ResultPart):
    """What the page shows."""

    format: Literal[1] = 1
    benchmark: Literal["concepts"] = "concepts"
    data: str
    top: int
    references: int
    draws: int
    rows: list[Row]

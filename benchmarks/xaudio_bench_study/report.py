"""Results of the proof: their schema, as figures that hold or do not, and as a page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

import xaudio.plugin
from xaudio.plugin import ResultPart


class Crashes(ResultPart):
    """Many participants at once, on a server that is killed again and again."""

    participants: int
    items: int = Field(description="Per participant.")
    kills: int = Field(description="SIGKILL, at random moments.")
    acknowledged: int = Field(description="Answers that the participants were told are stored.")
    stored: int = Field(description="Answers in the database.")
    lost: int = Field(description="Acknowledged answers that the database does not hold or holds otherwise, or asked for again.")
    twice: int = Field(description="Answers beyond one per participant and item.")
    unasked: int = Field(description="Answers in the database that nobody was told of.")
    finished: int = Field(description="Participants who came to the end.")
    broken_connections: int
    repeats: int = Field(description="Answers that were sent once more after they were acknowledged.")
    repeats_alike: int = Field(description="Those of them that got the same acknowledgement.")
    seconds: float
    seconds_down: list[float] = Field(description="From each kill until the server answered again.")
    printed: list[str] = Field(description="What the server that ran last printed, beside its address and that it was stopped.")


class Forgery(ResultPart):
    """Requests that must change nothing."""

    requests: int
    kinds: dict[str, int]
    surprises: list[str] = Field(description="Requests that were not refused with the status that they should be.")
    unchanged: bool = Field(description="Whether the database held the same before and after.")
    replays: int = Field(description="Acknowledged answers sent again as they were.")
    replays_alike: int = Field(description="Those of them that got the same acknowledgement.")


class Separation(ResultPart):
    """What participants were sent of each other."""

    responses: int
    data_of_others: int


class FullDisk(ResultPart):
    """A server whose files may not grow beyond a limit, and the same study with room afterwards."""

    acknowledged: int
    stored: int
    lost: int = Field(description="Acknowledged answers that the database does not hold.")
    refused: int = Field(description="Requests that were answered with status 507.")
    message: str
    served_on: bool = Field(description="Whether the server still answered.")
    participants: int
    finished_with_room: int
    stored_in_the_end: int
    expected_in_the_end: int


class Results(ResultPart):
    """What the proof found."""

    format: Literal[1] = 1
    benchmark: Literal["study"] = "study"
    simulated: str
    crashes: Crashes
    forgery: Forgery
    separation: Separation
    full_disk: FullDisk
    seconds: float


def figures_of(results: Results) -> list[tuple[str, str, bool]]:
    """Name and value of each figure, and whether it is what it must be."""
    crashes, forgery, full = results.crashes, results.forgery, results.full_disk
    expected = crashes.participants * crashes.items
    return [
        (
            f"answers of {crashes.participants} simulated participants to {crashes.items} items, {crashes.kills} times SIGKILL",
            f"{crashes.stored} stored, {crashes.acknowledged} acknowledged, {expected} expected",
            crashes.stored == crashes.acknowledged == expected and crashes.finished == crashes.participants,
        ),
        ("acknowledged answers that were lost", str(crashes.lost), crashes.lost == 0),
        ("answers that were stored twice", str(crashes.twice), crashes.twice == 0),
        ("answers that nobody was told of", str(crashes.unasked), crashes.unasked == 0),
        (
            "answers sent again after they were acknowledged",
            f"{crashes.repeats_alike} of {crashes.repeats} acknowledged alike",
            crashes.repeats == crashes.repeats_alike,
        ),
        (
            "connections that the kills broke",
            str(crashes.broken_connections),
            crashes.kills == 0 or crashes.broken_connections > 0,
        ),
        ("lines that the server logged", str(len(crashes.printed)), not crashes.printed),
        (
            f"malformed, forged and out-of-order requests of {len(forgery.kinds)} kinds",
            f"{forgery.requests} sent, {len(forgery.surprises)} not refused as they should be",
            not forgery.surprises,
        ),
        ("database before and after them", "the same" if forgery.unchanged else "CHANGED", forgery.unchanged),
        (
            "replayed answers",
            f"{forgery.replays_alike} of {forgery.replays} acknowledged alike, nothing changed",
            forgery.replays == forgery.replays_alike and forgery.unchanged,
        ),
        (
            "names or links of others that a participant was sent",
            f"{results.separation.data_of_others} in {results.separation.responses} responses",
            results.separation.data_of_others == 0,
        ),
        (
            "answers while the disk filled up",
            f"{full.acknowledged} acknowledged, {full.stored} stored, {full.lost} lost, {full.refused} refused with 507",
            full.lost == 0 and full.acknowledged == full.stored and full.refused > 0 and full.served_on,
        ),
        (
            "answers when there was room again",
            f"{full.stored_in_the_end} of {full.expected_in_the_end}",
            full.stored_in_the_end == full.expected_in_the_end and full.finished_with_room == full.participants,
        ),
    ]


write_report = xaudio.plugin.report_writer(Results, __package__, lambda results: {"figures": figures_of(results)})
"""Writes ``report.html`` from what a folder holds."""

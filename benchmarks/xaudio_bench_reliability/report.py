"""Results of the proof: counted from the lines of all trials, as figures and as a page."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

import xaudio.plugin
from xaudio.plugin import ResultPart

from .trials import BAD

PLACE = re.compile(r"(?<![\w.])/(?:[\w.-]+/)*([\w.-]+)")
"""A path of a machine, of which the last name is shown."""
NAMED = 20
"""Bad outcomes of a part that are shown."""


class Count(ResultPart):
    """How the trials of a part went."""

    part: str
    trials: int
    outcomes: dict[str, int] = Field(
        description="How many were read, refused in one line, survived, skipped; or silent, traceback, crash, lost."
    )
    kinds: dict[str, int] = Field(description="How many of each kind.")
    bad: list[str] = Field(description="The first of those that should not be.")
    examples: list[str] = Field(description="What was said, of a few.")

    @property
    def holds(self) -> bool:
        """Whether nothing happened that must not."""
        return not any(self.outcomes.get(name) for name in BAD)

    def __str__(self) -> str:
        return f"{self.part}: {self.trials} trials, " + ", ".join(
            f"{number} {name}" for name, number in sorted(self.outcomes.items())
        )


class Results(ResultPart):
    """What the proof found."""

    format: Literal[1] = 1
    benchmark: Literal["reliability"] = "reliability"
    preset: str
    counts: list[Count]
    seconds: float = Field(description="Of all commands that came to their end in the folder.")


def count_trials(folder: Path) -> list[Count]:
    """The counts of each part, from ``results.jsonl`` and ``errors.jsonl`` of all trials."""
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in _lines(folder):
        parts[line["part"]].append(line)
    return [_count(part, lines) for part, lines in parts.items()]


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for name in ("small", "large"):
        for kind in ("results", "errors"):
            path = folder / name / f"{kind}.jsonl"
            if path.exists():
                yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _count(part: str, lines: list[dict[str, Any]]) -> Count:
    for line in lines:  # what ended its process, or could not even be tried
        if "error" in line:
            line |= {"what": part, "outcome": "crash" if line["kind"] == "poison" else "traceback", "said": line["error"]}
    for line in lines:
        line |= {name: PLACE.sub(r"\1", line[name]) for name in ("what", "said")}
    told = [f"{line['what']}: {line['said']}" for line in lines if line["said"]]
    bad = [f"{line['outcome']}: {line['what']}: {line['said']}" for line in lines if line["outcome"] in BAD]
    kinds = Counter(line["what"] for line in lines)
    outcomes = Counter(line["outcome"] for line in lines)
    return Count(
        part=part,
        trials=len(lines),
        outcomes=dict(outcomes),
        kinds=dict(sorted(kinds.items())),
        bad=bad[:NAMED],
        examples=sorted(set(told))[:5],
    )


write_report = xaudio.plugin.report_writer(Results, __package__)
"""Writes ``report.html`` from what a folder holds."""

"""Concepts as a page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from xaudio.plugin import read_results, write_page

from .results import ConceptResults, Reference

NAMED = 3
"""Classes that a channel's card names."""


def write_concepts_page(folder: Path, result: ConceptResults) -> Path:
    """Write ``report.html`` of concepts, with the pictures and sounds of the folder in it."""
    return write_page(folder, __package__, result=result, place=place_in_words, named=NAMED)


def report(folder: Path) -> Path:
    """Write ``report.html`` again from the ``results.json``, ``run.json``, pictures and sounds of a folder."""
    return write_concepts_page(folder, read_results(folder / "results.json", ConceptResults))


def place_in_words(reference: Reference) -> str:
    """Where a receptive field lies."""
    spans = [
        f"{span.low:.3f} to {span.high:.3f} s" if span.unit == "s" else f"{span.low:.0f} to {span.high:.0f} {span.unit}"
        for span in reference.field
    ]
    return ", ".join(spans)

"""Explainers measured by several workers, each of which takes an explainer with all its metrics at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PartDoneError
from ..explanation.collection import Opened, recordings_of
from ..explanation.explaining import load_model
from ..model.model import weights_digest
from ..model.relabelling import in_classes_of
from ..output.words import counted
from ..shards.gathering import Sharing
from ..shards.plan import Row, planned
from .scoring import Work


class MeasuredExplainers:
    """Rows with the field ``explainer``; implements `xaudio.plugin.Job`. All is kept in the folder of the evaluation."""

    def __init__(
        self,
        opened: Opened,
        explainers: Sequence[str],
        metrics: Sequence[str],
        folder: Path,
        right: Sequence[bool],
        unlearned: str,
    ) -> None:
        model = load_model(opened.model, opened.device)
        dataset, _ = recordings_of(model, opened.dataset, opened.data, opened.part)
        self.digest, self.right, self.unlearned = weights_digest(model), np.array(right), unlearned
        self.work = Work(model, in_classes_of(model, dataset), np.array(opened.chosen), explainers, metrics, folder)

    def load(self, row: Row) -> str:
        """The explainer."""
        return str(row.fields["explainer"])

    def run(self, rows: Sequence[Row], loaded: Sequence[str], folder: Path) -> list[Mapping[str, Any]]:
        """Explain and measure; what an explainer or a metric refuses, it refuses again to who puts the results together."""
        self.work.measure(self.right, self.unlearned, "Measuring", only=loaded)
        return [{} for _ in rows]


def share_measuring(sharing: Sharing, digest: str, options: Mapping[str, Any], title: str) -> None:
    """Let workers measure explainers, or this process its part of them, so that all of it is found where `evaluate` looks.

    Parameters
    ----------
    sharing : Sharing
    digest : str
        Of the model.
    options : mapping
        Of `MeasuredExplainers`.
    title : str

    Raises
    ------
    PartDoneError
        If explainers are left that are the part of other processes.
    """
    fields = [{"source": spec, "explainer": spec} for spec in options["explainers"]]
    identity = {"model": digest, "metrics": list(options["metrics"]), "recordings": list(options["opened"].chosen)}
    plan = planned(options["folder"] / "work", identity, fields, lambda row: 1.0, batch=1)
    sharing.carry_out(plan, MeasuredExplainers, options, title)
    if not plan.is_tried():
        raise PartDoneError(f"{title}: some of {counted(plan.rows, 'explainer')} are the part of other workers.")

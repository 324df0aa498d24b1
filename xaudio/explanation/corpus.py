"""Many recordings explained as rows of a plan: a job that any worker can do; see `xaudio.shards`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from ..errors import DataError
from ..model.arguments import as_explainer
from ..model.questions import questions
from ..model.statements import check_offers
from ..registry.loading import registry
from ..registry.options import parse_spec
from ..shards.plan import Fields, Row
from ..shards.records import sizes_of
from ..sound.audio import read_audio
from ..sound.manifests import within
from ..types import Clip
from .asking import check_threshold
from .channels import refuse_joined_channels
from .explaining import explain, load_model
from .explanation import Explanation
from .rendering import save_and_render
from .summary import relevance_along, summary_of


class Recordings:
    """Rows with the fields source, start, end and target, as the recordings that they name.

    Parameters
    ----------
    root : str or None
        The folder that sources are relative to, and must not lead out of unless ``outside``; None for paths as they are.
    outside : bool
    channels : str, optional
        As for `read_audio`.
    """

    def __init__(self, root: str | None, outside: bool, channels: str | None = None) -> None:
        self.root, self.outside, self.channels = None if root is None else Path(root), outside, channels
        self._last: tuple[Path, Clip] | None = None

    def path(self, fields: Fields) -> Path:
        """The file of a row.

        Raises
        ------
        DataError
            If it leads out of the folder.
        """
        if self.root is None:
            return Path(fields["source"])
        return self.root / fields["source"] if self.outside else within(self.root, fields["source"])

    def seconds(self, fields: Fields) -> float:
        """How long a row is by what it says, or by the header of its file; 0 where nothing tells."""
        if "end" in fields:
            return float(fields["end"] - fields.get("start", 0.0))
        try:
            return float(soundfile.info(self.path(fields)).duration) - float(fields.get("start", 0.0))
        except (OSError, RuntimeError, DataError):
            return 0.0

    def clip(self, fields: Fields) -> Clip:
        """The recording of a row, or the excerpt of it.

        Raises
        ------
        XaudioError
            If it cannot be read, or is too short for the excerpt.
        """
        path = self.path(fields)
        if not ("start" in fields or "end" in fields):
            return read_audio(path, channels=self.channels)
        if self._last is None or self._last[0] != path:  # excerpts of one recording follow each other
            self._last = path, read_audio(path, channels=self.channels)
        whole = self._last[1]
        first = round(fields.get("start", 0.0) * whole.sample_rate)
        last = min(round(fields["end"] * whole.sample_rate), whole.samples) if "end" in fields else whole.samples
        if last - first < 2:
            raise DataError(
                f"{fields['source']}: has no excerpt from {first / whole.sample_rate:g} s: it ends at {whole.duration:g} s."
            )
        return replace(whole, waveform=whole.waveform[..., first:last], span=(first, whole.samples))


class ExplainRows:
    """Explains the recordings of rows; implements `xaudio.plugin.Job`.

    Parameters
    ----------
    model : str
        As for `load_model`.
    device : str
    recordings : mapping
        Options of `Recordings`.
    explainers : sequence of str
    targets : sequence of str or None
        What is explained of each recording whose row says no target.
    settings : mapping
        Further arguments of `explain`, the same for all.
    maps : bool
        Whether the relevance itself is kept.
    renderers : sequence of str
        What else is written of each recording.
    """

    def __init__(
        self,
        model: str,
        device: str,
        recordings: Mapping[str, Any],
        explainers: Sequence[str],
        targets: Sequence[str | None],
        settings: Mapping[str, Any],
        maps: bool,
        renderers: Sequence[str],
    ) -> None:
        self.model = load_model(model, device)
        self.digest = self.model.digest()
        channels = settings.get("channels") or ("all" if self.model.channels > 1 else None)
        self.recordings = Recordings(**recordings, channels=channels)
        self.explainers, self.targets, self.settings = list(explainers), list(targets), dict(settings)
        self.maps, self.renderers = maps, list(renderers)
        self._check()

    def _check(self) -> None:
        """Raise `XaudioError` for what would be refused of every row."""
        for explainer in self.explainers:
            name, options = parse_spec(explainer)
            check_offers(self.model, as_explainer(name, dict(options))[0], name)
        contrast = self.settings.get("contrast")
        for target in self.targets:
            questions(target, 1, self.model)
            check_threshold(self.settings.get("threshold"), target, contrast, self.model)
        if contrast is not None:
            questions(contrast, 1, self.model)
        renderers = [registry().create("renderer", *parse_spec(renderer)) for renderer in self.renderers]
        refuse_joined_channels(self.model, renderers, bool(self.settings.get("view")))

    def load(self, row: Row) -> Clip:
        """The recording of a row."""
        return self.recordings.clip(row.fields)

    def run(self, rows: Sequence[Row], loaded: Sequence[Clip], folder: Path) -> list[dict[str, Any]]:
        """For each row its explanations in short; files of a row go into a folder of its name."""
        explanations: dict[str, list[Explanation]] = {row.id: [] for row in rows}
        for explainer in self.explainers:
            for targets in self._targets(rows):
                for asks in (False, True):  # those that are asked for a target, and those for what the model says
                    chosen = [place for place, target in enumerate(targets) if (target is None) == asks]
                    for place, own in zip(
                        chosen,
                        self._explained([loaded[one] for one in chosen], explainer, [targets[one] for one in chosen]),
                        strict=True,
                    ):
                        explanations[rows[place].id] += own
        return [self._record(explanations[row.id], folder / "recordings" / row.id) for row in rows]

    def _targets(self, rows: Sequence[Row]) -> list[list[str | None]]:
        """What is explained, one or more times, of each row."""
        return [[row.fields.get("target", target) for row in rows] for target in self.targets]

    def _explained(self, clips: list[Clip], explainer: str, targets: list[str | None]) -> list[list[Explanation]]:
        """The explanations of each recording: several where there are several views, or what is asked has several parts."""
        if not clips:
            return []
        target = None if targets[0] is None else targets
        items = explain(self.model, clips, explainer=explainer, target=target, device=str(self.model.device), **self.settings)
        return [[item for item, row in zip(items, items.rows, strict=True) if row == place] for place in range(len(clips))]

    def _record(self, explanations: list[Explanation], folder: Path) -> dict[str, Any]:
        record: dict[str, Any] = {
            "device": str(self.model.device),
            "explanations": [{**summary_of(item), "relevance_along": relevance_along(item)} for item in explanations],
        }
        if self.maps or self.renderers:
            written = [item.path for files in save_and_render(explanations, self.renderers, folder) for item in files]
            record["files"] = sizes_of(written, folder.parents[3])
        return record

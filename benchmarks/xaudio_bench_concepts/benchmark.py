"""Looks at models whose concepts are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import xaudio
import xaudio.plugin
import xaudio_concepts
from xaudio.plugin import DataError, FloatArray, IntArray, PluginError
from xaudio_concepts import ConceptResults

from .measures import Tested, carrying, cells_in, classes_of, masses, switching, tested, tuning
from .results import HeatMaps, Results, Row, Shares, Switching, Tuning

CARRIERS = {"A": 620.0, "B": 1140.0, "C": 1980.0, "D": 3010.0}
"""In Hz; the truth of a recording holds their boxes in this order."""

POSITIONS = 20
"""Excerpts at random positions for each reference, to tell how often they would hold a burst."""

ALL = 1_000_000
"""More channels than any layer has."""


class ConceptTruth:
    """See `xaudio_bench_concepts.concepts`.

    Raises
    ------
    PluginError
        If a number does not fit.
    """

    def __init__(
        self,
        models: tuple[str, ...],
        explainers: tuple[str, ...],
        layer: str | None,
        dataset: str | None,
        recordings: int,
        top: int,
        references: int,
        draws: int,
        device: str,
        seed: int,
    ) -> None:
        self.models, self.explainers = models, xaudio.plugin.split_specs(",".join(explainers))
        self.layer, self.dataset, self.recordings = layer, dataset, recordings
        self.top, self.references, self.draws, self.device, self.seed = top, references, draws, device, seed

    def __call__(self, folder: Path) -> None:
        """Run, or continue, in a folder; what was done for a model and explainer is kept in ``rows``.

        Raises
        ------
        XaudioError
            If a model cannot be used, or its task is none of which the parts of the truth are known.
        """
        if not self.models:
            raise PluginError("The check of concepts needs trained models: give their run folders with --models.")
        loaded = [xaudio.load_model(path, self.device) for path in self.models]
        settings = {
            "models": {path: xaudio.plugin.weights_digest(model) for path, model in zip(self.models, loaded, strict=True)},
            "explainers": list(self.explainers),
            "layer": self.layer,
            "dataset": self.dataset,
            "recordings": self.recordings,
            "top": self.top,
            "references": self.references,
            "draws": self.draws,
            "seed": self.seed,
        }
        xaudio.plugin.refuse_other_settings(folder, settings)
        xaudio.plugin.write_run(folder, settings=settings)
        rows, title = [], ""
        for number, (path, model) in enumerate(zip(self.models, loaded, strict=True)):
            dataset, indices = xaudio.held_out(model, self.dataset)
            title = dataset.title
            layer = xaudio.plugin.find_layer(model.network, self.layer)
            one = None
            for place, explainer in enumerate(self.explainers):
                kept = folder / "rows" / f"{number}-{place}.json"
                if not kept.exists():
                    one = one or tested(model, dataset, indices, layer)
                    kept.parent.mkdir(exist_ok=True)
                    xaudio.plugin.write_json(kept, self.row(Path(path).name, one, explainer).model_dump())
                rows.append(Row.model_validate(xaudio.plugin.read_json(kept)))
        results = Results(data=title, top=self.top, references=self.references, draws=self.draws, rows=rows)
        xaudio.plugin.write_json(folder / "results.json", results.model_dump())
        print(f"Report: {self.report(folder)}")

    def report(self, folder: Path) -> Path:
        """Write the page again from what the folder holds."""
        return xaudio.plugin.report_writer(Results, __package__)(folder)

    def row(self, name: str, one: Tested, explainer: str) -> Row:
        """All that is measured of a model with an explainer.

        Raises
        ------
        DataError
            If the task is none of these.
        """
        task = one.model.task
        if task not in ("carriers", "slot"):
            raise DataError(
                f"{name}: has the task {task!r}; the concepts of 'carriers' and 'slot' of the data set truth are known."
            )
        measured = {by: self._results(one, explainer, by) for by in ("relevance", "activation")}
        channels = len(measured["relevance"].shares)
        own = carrying(one, measured["relevance"], self.top)
        measure = self._carriers if task == "carriers" else self._slot
        tuned, references, maps = measure(one, explainer, measured, own)
        changes = switching(one, own, channels, self.draws, self.seed)
        return Row(
            model=name,
            task=task,
            explainer=explainer,
            layer=one.layer,
            channels=channels,
            accuracy=float((one.predicted == one.labels).mean()),
            tuning=tuned,
            references=references,
            maps=maps,
            switching=Switching(
                top=float(np.mean([change[0] for change in changes])),
                random=float(np.mean([change[1:].mean() for change in changes])),
                classes=len(changes),
                beats_all=sum(bool(change[0] < change[1:].min()) for change in changes),
            ),
        )

    def _results(self, one: Tested, explainer: str, by: str) -> ConceptResults:
        """All channels with their references."""
        return xaudio_concepts.concepts(
            one.model,
            one.dataset,
            one.indices,
            one.layer,
            explainer=explainer,
            by=by,  # type: ignore[arg-type]
            top=ALL,
            references=self.references,
            draws=1,
            seed=self.seed,
        )

    def _sample(self, one: Tested) -> IntArray:
        """Correctly predicted recordings, evenly spread."""
        right = np.flatnonzero(one.predicted == one.labels)
        if not len(right):
            raise DataError(f"{one.model.facts.get('run')}: is never right in the test, so there is nothing to check.")
        return xaudio.plugin.evenly(right, self.recordings)

    def _carriers(
        self, one: Tested, explainer: str, results: Mapping[str, ConceptResults], own: Mapping[int, Sequence[int]]
    ) -> tuple[Tuning, Shares, HeatMaps]:
        effects = tuning(one, CARRIERS)
        magnitude = np.abs(effects)
        alive = magnitude.sum(1) > 0
        best = magnitude.argmax(1)
        wanted = effects[np.arange(len(effects)), best] > 0  # whether it answers to the carrier or to its absence
        selective = alive & (magnitude.max(1) > 0.5 * magnitude.sum(1))
        has = np.array([[letter in name for letter in CARRIERS] for name in classes_of(one)])
        pairs = [(label, channel) for label, channels in own.items() for channel in channels if selective[channel]]
        everywhere = [(label, channel) for label in own for channel in np.flatnonzero(selective)]
        fits = [np.mean([has[label, best[c]] == wanted[c] for label, c in some]) for some in (pairs, everywhere)]
        in_references = {
            by: np.mean(
                [
                    has[one.model.classes.index(reference.label or ""), best[item.channel]] == wanted[item.channel]
                    for item in result.channels
                    if selective[item.channel]
                    for reference in item.references
                ]
            )
            for by, result in results.items()
        }
        chance = np.mean([has[one.labels, best[c]] == wanted[c] for c in np.flatnonzero(selective)])
        return (
            Tuning(
                channels=int(alive.sum()),
                selective=int(selective.sum()),
                of_class=float(fits[0]),
                of_class_by_chance=float(fits[1]),
            ),
            Shares(chance=float(chance), **{by: float(share) for by, share in in_references.items()}),
            self._on_carriers(one, explainer, has, np.where(selective & wanted, best, -1)),
        )

    def _on_carriers(self, one: Tested, explainer: str, has: FloatArray, tuned: FloatArray) -> HeatMaps:
        """Of the relevance on the carriers that are there, the share on the one that a channel is tuned to (-1 for none)."""
        rows = np.array([row for row in self._sample(one) if has[one.labels[row]].sum() >= 2])
        channels = [int(channel) for channel in np.flatnonzero(tuned >= 0)]
        boxes = [slice(place, place + 1) for place in range(len(CARRIERS))]
        lie = masses(one, explainer, channels, rows, ["boxes.carriers"] * len(boxes), boxes)
        there = has[one.labels[rows]]
        lie = lie * there
        with np.errstate(invalid="ignore"):
            through = lie / lie.sum(2, keepdims=True)
        mine = np.array(tuned)[channels]
        own, others, chance = [], [], []
        for place in range(len(CARRIERS)):
            present = np.flatnonzero(there[:, place])
            own.append(through[mine == place][:, present, place].ravel())
            others.append(through[mine != place][:, present, place].ravel())
            chance.append(1 / there[present].sum(1))
        tuned_to, others_to, by_chance = (float(np.nanmean(np.concatenate(values))) for values in (own, others, chance))
        return HeatMaps(tuned=tuned_to, others=others_to, whole=None, chance=by_chance)

    def _slot(
        self, one: Tested, explainer: str, results: Mapping[str, ConceptResults], own: Mapping[int, Sequence[int]]
    ) -> tuple[None, Shares, HeatMaps]:
        carriers = sorted({channel for channels in own.values() for channel in channels})
        held: dict[str, list[bool]] = {"relevance": [], "activation": [], "chance": []}
        rng = np.random.default_rng(self.seed)
        for by, result in results.items():
            for item in result.channels:
                if item.channel not in carriers:
                    continue
                for reference in item.references:
                    ((start, stop, _, _),) = one.dataset[reference.recording].truth["boxes.slot"]
                    held[by].append(_holds(reference.start_s, reference.stop_s, start, stop))
                    length = reference.stop_s - reference.start_s
                    for begin in rng.uniform(0, max(0.0, 1 - length), POSITIONS):
                        held["chance"].append(_holds(begin, begin + length, start, stop))
        rows = self._sample(one)
        everything = range(len(results["relevance"].shares))
        lie = masses(one, explainer, [None, *everything], rows, ["boxes.slot"], [slice(None)])[..., 0]
        through = {channel: lie[1 + channel] for channel in everything}
        mine = [through[channel][place] for place, row in enumerate(rows) for channel in own[int(one.labels[row])]]
        return (
            None,
            Shares(**{by: float(np.mean(values)) for by, values in held.items()}),
            HeatMaps(
                tuned=float(np.nanmean(mine)),
                others=float(np.nanmean(lie[1:])),
                whole=float(np.nanmean(lie[0])),
                chance=cells_in(one, rows, "boxes.slot"),
            ),
        )


def _holds(start: float, stop: float, first: float, last: float) -> bool:
    """Whether an excerpt has at least half of a burst in it; times in s."""
    return min(stop, last) - max(start, first) >= 0.5 * (last - first)

"""Hypotheses tested by manipulation: what happens to accuracy when what an explanation points at is removed or moved.

A change by itself says little, since any change of a sound costs some accuracy. So each is compared with matched controls:
manipulations of the same size elsewhere, or in another direction. See `xaudio.probes.changes` for the changes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .batching import in_batches
from .classifier import Classifier, evaluation_mode
from .errors import DataError, PluginError
from .pages import read_results, write_page
from .preparation import prepare_dataset
from .probes.changes import Named, parse_changes
from .probes.heard import Heard, HeldOut, Plan
from .probes.moves import root_mean_squares
from .probes.results import ProbeResults
from .probes.summary import Outcomes, check_groups, summarise
from .runs import output_folder, refuse_other_settings, remove_leftovers, write_json, write_rows, write_run
from .terminal import progress
from .training import Examples, examples
from .types import Dataset, IntArray

BATCH = 50
"""Recordings manipulated at once."""


def probe(
    classifier: Classifier,
    dataset: Dataset,
    indices: IntArray,
    changes: str | Sequence[str],
    *,
    draws: int = 20,
    seed: int = 0,
    over: Literal["speakers", "recordings"] = "speakers",
    batch_size: int = BATCH,
    folder: str | Path | None = None,
) -> ProbeResults:
    """Change a test set and measure what it costs a model, beside matched controls.

    Parameters
    ----------
    classifier : Classifier
        On the device to compute on.
    dataset : Dataset
    indices : sequence of int
        Recordings in it that the classifier was not trained on; see `xaudio.held_out`. Those without a label are left out.
    changes : str or sequence of str
        As in "band:low=100,high=300" or "scale:male=1.5,female=0.66"; several are separated by commas.
    draws : int
        Of each random control; with fewer than 20 they cannot show that less than one in twenty is as costly.
    seed : int
        What is random for a recording follows from it and from the recording alone.
    over : {"speakers", "recordings"}
        What the bootstrap draws anew. Recordings of one speaker are not independent: intervals over recordings are too narrow.
    batch_size : int
        Recordings at once; halved when memory runs out.
    folder : path, optional
        Gets ``results.json``, ``report.html``, ``run.json`` and one file of rows per change. What an earlier, interrupted call
        with the same arguments finished is not done again.

    Returns
    -------
    ProbeResults

    Raises
    ------
    PluginError
        If a change or an option does not fit.
    DataError
        If a change does not fit the recordings or the task, or there are too few speakers for an interval.
    ModelError
        If the folder belongs to other settings.
    """
    named = parse_changes(changes)
    if draws < 1 or seed < 0 or batch_size < 1:
        raise PluginError(
            f"A probe needs 1 draw or more, a seed of 0 or more and a batch of 1 or more; got {draws}, {seed}, {batch_size}."
        )
    chosen = _labelled(classifier, dataset, indices)
    speakers = np.array(dataset.speakers)[chosen]
    groups = speakers if over == "speakers" else chosen
    notes = [*check_groups(groups, over), *dataset.notes]
    if len(chosen) < len(indices):
        notes.append(f"{len(indices) - len(chosen)} of {len(indices)} recordings have no label and are left out")
    data, held = _prepared(classifier, dataset, chosen, draws, seed)
    plans = [item.change.plan(held) for item in named]  # all that can be wrong is said before anything takes time
    out = None if folder is None else output_folder(Path(folder))
    if out is not None:
        _begin(out, classifier, dataset, chosen, named, draws, seed, over)
    found = []
    for number, (item, plan) in enumerate(zip(named, plans, strict=True), start=1):
        rows = None if out is None else out / f"rows-{number}-{item.spec.partition(':')[0]}.csv"
        outcomes = _outcomes(
            plan, data, held, chosen, speakers, groups, batch_size, rows, f"Probing {item.spec} ({number} of {len(named)})"
        )
        found.append(summarise(item.spec, plan, outcomes, classifier.classes, over, None if rows is None else rows.name, seed))
    results = ProbeResults(
        model=str(classifier.facts.get("run") or classifier.model_spec.get("name") or type(classifier.network).__name__),
        task=classifier.task,
        data=dataset.title,
        classes=list(classifier.classes),
        recordings=len(chosen),
        speakers=len(set(speakers.tolist())),
        chance=1 / len(classifier.classes),
        draws=draws,
        seed=seed,
        over=over,
        notes=notes,
        changes=found,
    )
    if out is not None:
        write_json(out / "results.json", results.model_dump())
        report(out)
    return results


def report(folder: Path) -> Path:
    """Write ``report.html`` anew from the ``results.json`` and ``run.json`` of a probe."""
    results = read_results(folder / "results.json", ProbeResults)
    return write_page(folder, "xaudio.probes", results=results)


def _labelled(classifier: Classifier, dataset: Dataset, indices: IntArray) -> IntArray:
    """Indices of the recordings with a label that the classifier knows."""
    classes = tuple(dataset.tasks.get(classifier.task, ()))
    if classes != tuple(classifier.classes):
        raise DataError(
            f"The model tells {', '.join(classifier.classes)} apart (task {classifier.task!r}), but the classes of that task in "
            f"{dataset.title} are {', '.join(classes) or 'not given'}: choose data with the same classes."
        )
    chosen = np.asarray(indices, dtype=np.int64)
    chosen = chosen[dataset.labels(classifier.task)[chosen] >= 0]
    if not len(chosen):
        raise DataError(f"None of the {len(indices)} recordings of {dataset.title} has a label of task {classifier.task!r}.")
    return chosen


def _prepared(classifier: Classifier, dataset: Dataset, chosen: IntArray, draws: int, seed: int) -> tuple[Examples, HeldOut]:
    """The recordings on the device, and what changes must know of them."""
    facts, read = classifier.facts, classifier.representation
    prepared = prepare_dataset(dataset, read, facts.get("fit"), facts.get("resampling"))
    data = examples(prepared, dataset.labels(classifier.task), chosen, classifier, facts.get("seed", 0))
    levels = root_mean_squares(data.waveforms, data.lengths)
    level = float(levels[levels > 0].median()) if bool((levels > 0).any()) else 0.0
    return data, HeldOut(classifier, data.lengths.cpu().double().numpy() / read.sample_rate, level, draws, seed)


def _begin(
    out: Path,
    classifier: Classifier,
    dataset: Dataset,
    chosen: IntArray,
    named: Sequence[Named],
    draws: int,
    seed: int,
    over: str,
) -> None:
    """Say in the folder what is done there, unless it belongs to something else."""
    settings = {
        "model": str(classifier.facts.get("run", "")),
        "task": classifier.task,
        "data": dataset.title,
        "fingerprint": dataset.fingerprint(),
        "recordings": len(chosen),
        "changes": [item.spec for item in named],
        "draws": draws,
        "seed": seed,
        "over": over,
    }
    refuse_other_settings(out, settings)
    remove_leftovers(out)
    write_run(out, settings=settings, device=str(classifier.device))


def _outcomes(
    plan: Plan,
    data: Examples,
    held: HeldOut,
    chosen: IntArray,
    speakers: Any,
    groups: Any,
    batch_size: int,
    path: Path | None,
    title: str,
) -> Outcomes:
    """Predictions before and after a change; read from its rows if an earlier call wrote them, else written there."""
    versions, labels = ["before", *plan.versions], data.labels.cpu().numpy()
    columns = [
        "index",
        "speaker",
        "label",
        *(f"predicted {name}" for name in versions),
        *(f"probability {name}" for name in versions),
    ]
    earlier = None if path is None else _read_rows(path, columns, chosen)
    if earlier is not None:
        return Outcomes(labels, groups, *earlier)
    predicted, probability = _measured(plan, data, held, chosen, batch_size, title)
    if path is not None:
        known = zip(chosen.tolist(), speakers.tolist(), labels.tolist(), strict=True)
        rows = ([*row, *predicted[i].tolist(), *map(repr, probability[i].tolist())] for i, row in enumerate(known))
        write_rows(path, columns, rows)
    return Outcomes(labels, groups, predicted, probability)


def _read_rows(path: Path, columns: Sequence[str], chosen: IntArray) -> tuple[Any, Any] | None:
    """Predictions and probabilities of a file of rows, or None if it is not there or is another's."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if header != list(columns) or [int(row[0]) for row in rows] != chosen.tolist():
            return None
        count = (len(columns) - 3) // 2
        values = np.array([row[3:] for row in rows], dtype=np.float64)
    except (OSError, ValueError, IndexError):
        return None
    return values[:, :count].astype(np.int64), values[:, count:]


def _measured(plan: Plan, data: Examples, held: HeldOut, chosen: IntArray, batch_size: int, title: str) -> tuple[Any, Any]:
    """Predicted class and probability of the true class (recordings, versions), before the change and after."""
    classifier = held.classifier

    with torch.no_grad(), evaluation_mode(classifier.network), progress(title, len(data)) as advance:

        def measure(positions: Tensor) -> Tensor:
            waveforms, labels = data.batch(positions), data.labels[positions]
            own = chosen[positions.cpu().numpy()]
            heard = Heard(classifier, waveforms, data.offsets[positions], data.lengths[positions], labels, own, held.seed)
            logits = torch.cat([heard.logits(waveforms)[:, None], plan.logits(heard)], dim=1).cpu().double()
            true = labels.cpu()[:, None, None].expand(-1, logits.shape[1], 1)
            advance(len(positions))
            return torch.stack([logits.argmax(2).double(), logits.softmax(2).gather(2, true)[..., 0]], dim=2)

        found = in_batches(measure, torch.arange(len(data), device=data.labels.device), size=batch_size).numpy()
    return found[..., 0].astype(np.int64), found[..., 1]

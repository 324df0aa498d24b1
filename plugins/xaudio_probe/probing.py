"""Hypotheses tested by manipulation: what happens to accuracy when what an explanation points at is removed or moved.

A change by itself says little, since any change of a sound costs some accuracy. So each is compared with matched controls:
manipulations of the same size elsewhere, or in another direction. See `xaudio_probe.changes` for the changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from xaudio.plugin import (
    DataError,
    Dataset,
    Examples,
    IntArray,
    Model,
    ModelError,
    PluginError,
    counted_of,
    evaluation_mode,
    examples,
    guessing,
    in_batches,
    in_classes_of,
    in_one_window,
    labelled,
    output_folder,
    progress,
    refuse_other_settings,
    remove_leftovers,
    report_writer,
    write_json,
    write_run,
)

from .changes import parse_changes
from .moves import root_mean_squares
from .results import ProbeResults
from .rows import Rows
from .summary import Outcomes, check_groups, summarise
from .test_set import Batch, HeldOut, Plan

BATCH = 50
"""Recordings manipulated at once."""


@dataclass(frozen=True, eq=False)
class _Tested:
    """A model and its test set."""

    held: HeldOut
    data: Examples
    indices: IntArray

    @property
    def labels(self) -> IntArray:
        return np.asarray(self.data.labels.cpu().numpy())


def probe(
    model: Model | Sequence[Model],
    dataset: Dataset,
    indices: IntArray | Sequence[IntArray],
    changes: str | Sequence[str],
    *,
    draws: int = 20,
    seed: int = 0,
    over: Literal["speakers", "recordings"] = "speakers",
    batch_size: int = BATCH,
    folder: str | Path | None = None,
) -> ProbeResults:
    """Change a test set and measure what it costs a model, against matched controls.

    Parameters
    ----------
    model : Model or sequence of Model
        On the device to compute on. Those of several folds are each tested on their own recordings and reported together.
    dataset : Dataset
    indices : sequence of int, or one such sequence per model
        Recordings that the model was not trained on; see `xaudio.held_out`. Those without a label are left out.
    changes : str or sequence of str
        As in "band:low=100,high=300" or "scale:male=1.5,female=0.66"; several are separated by commas.
    draws : int
        Of each random control; fewer than 20 cannot show that less than one in twenty is as costly.
    seed : int
        What is random for a recording follows from it and from the recording alone.
    over : {"speakers", "recordings"}
        What the bootstrap resamples. Recordings of one speaker are not independent: intervals over recordings are too narrow.
    batch_size : int
        Recordings at once; halved when memory runs out.
    folder : path, optional
        Gets ``results.json``, ``report.html``, ``run.json`` and one file of rows per change. What an earlier, interrupted call
        with the same arguments measured is not measured again.

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
        If the models are not folds of one kind of model, or the folder belongs to other settings.
    """
    named = parse_changes(changes)
    if draws < 1 or seed < 0 or batch_size < 1:
        raise PluginError(
            f"A probe needs 1 draw or more, a seed of 0 or more and a batch of 1 or more; got {draws}, {seed} and {batch_size}."
        )
    models, sets = ([model], [indices]) if isinstance(model, Model) else (list(model), list(indices))
    _check_models(models, sets)
    models[0].check_one_channel()
    dataset = in_classes_of(models[0], dataset)
    chosen = [_labelled(model, dataset, wanted) for model, wanted in zip(models, sets, strict=True)]
    windowed = [in_one_window(model, dataset, kept) for model, kept in zip(models, chosen, strict=True)]
    models = [model for model, _ in windowed]
    together = np.concatenate(chosen)
    speakers = np.array(dataset.speakers)[together]
    groups = speakers if over == "speakers" else together
    notes = [*check_groups(groups, over), *dataset.notes, *windowed[0][1]]
    given_count = sum(len(wanted) for wanted in sets)
    if len(together) < given_count:
        words = ("has no label and is left out", "have no label and are left out")
        notes.append(counted_of(given_count - len(together), given_count, "recording", *words))
    tested = [_tested(model, dataset, kept, draws, seed) for model, kept in zip(models, chosen, strict=True)]
    # All that can be wrong is said before anything takes time.
    plans = [[item.change.plan(part.held) for part in tested] for item in named]
    out = None if folder is None else output_folder(Path(folder))
    names = [model.source for model in models]
    if out is not None:
        _begin(
            out,
            models[0].device,
            {
                "models": names,
                "weights": [model.digest() for model in models],
                "task": models[0].task,
                "data": dataset.title,
                "fingerprint": dataset.fingerprint(),
                "recordings": len(together),
                "changes": [item.spec for item in named],
                "draws": draws,
                "seed": seed,
                "over": over,
            },
        )
    labels, costs = np.concatenate([part.labels for part in tested]), []
    for number, (item, its_plans) in enumerate(zip(named, plans, strict=True), start=1):
        title = f"Probing {item.spec} ({number} of {len(named)})"
        path = None if out is None else out / f"rows-{number}-{item.spec.partition(':')[0]}.csv"
        rows = Rows(path, ["before", *its_plans[0].versions], together, speakers.tolist(), labels)
        _measure(its_plans, tested, rows, batch_size, title)
        outcomes = Outcomes(labels, groups, rows.values[..., 0].astype(np.int64), rows.values[..., 1])
        costs.append(
            summarise(item.spec, its_plans, outcomes, models[0].classes, over, None if path is None else path.name, seed)
        )
    results = ProbeResults(
        models=names,
        task=models[0].task,
        data=dataset.title,
        classes=list(models[0].classes),
        recordings=len(together),
        speakers=len(set(speakers.tolist())),
        grouped_by=getattr(dataset, "grouped_by", "speaker"),
        chance=1 / len(models[0].classes),
        commonest=guessing(labels),
        draws=draws,
        seed=seed,
        over=over,
        notes=notes,
        changes=costs,
    )
    if out is not None:
        write_json(out / "results.json", results.model_dump())
        report(out)
    return results


report = report_writer(ProbeResults, __package__)
"""Writes ``report.html`` again from the ``results.json`` and ``run.json`` of a probe."""


def _check_models(models: Sequence[Model], sets: Sequence[Any]) -> None:
    if not models or len(models) != len(sets):
        raise ModelError(f"A probe needs models and as many test sets; got {len(models)} and {len(sets)}.")
    for model in models[1:]:
        if _kind(model) != _kind(models[0]):
            raise ModelError(
                f"{model.source}: differs from {models[0].source} in task, classes, "
                "data or representation; only models of several folds can be probed together."
            )


def _kind(model: Model) -> tuple[Any, ...]:
    read = model.representation
    axes = tuple((axis.name, len(axis.centres)) for axis in read.axes)
    return model.task, model.classes, model.facts.get("dataset"), read.sample_rate, read.samples, read.unit, axes


def _labelled(model: Model, dataset: Dataset, indices: Any) -> IntArray:
    """Indices of the recordings with a label that the model knows."""
    model.check_one_class(dataset)
    chosen = np.asarray(indices, dtype=np.int64)
    chosen = chosen[labelled(dataset.labels(model.task)[chosen])]
    if not len(chosen):
        raise DataError(f"None of the {len(indices)} recordings of {dataset.title} has a label of task {model.task!r}.")
    return chosen


def _tested(model: Model, dataset: Dataset, chosen: IntArray, draws: int, seed: int) -> _Tested:
    """The recordings on the device, and what changes must know of them."""
    data = examples(model.hear_all(dataset), dataset.labels(model.task), chosen)
    levels = root_mean_squares(data.waveforms, data.lengths)
    level = float(levels[levels > 0].median()) if bool((levels > 0).any()) else 0.0
    held = HeldOut(model, data.lengths.cpu().double().numpy() / model.representation.sample_rate, level, draws, seed)
    return _Tested(held, data, chosen)


def _begin(out: Path, device: torch.device, settings: dict[str, Any]) -> None:
    """Say in the folder what is done there, unless it belongs to something else."""
    refuse_other_settings(out, settings)
    remove_leftovers(out)
    write_run(out, settings=settings, device=str(device))


def _measure(plans: Sequence[Plan], tested: Sequence[_Tested], rows: Rows, batch_size: int, title: str) -> None:
    """Predicted class and probability of the true class before the change and after, for what is not in the rows yet."""
    left, total = len(rows), sum(len(part.data) for part in tested)
    if left == total:
        return
    try:
        with torch.no_grad(), progress(title, total, left) as advance:
            for plan, part in zip(plans, tested, strict=True):
                done = min(left, len(part.data))
                left -= done

                def measure(positions: Tensor, plan: Plan = plan, part: _Tested = part) -> Tensor:
                    outcomes = _versions(plan, part, positions)
                    rows.add(outcomes.numpy())
                    advance(len(positions))
                    return outcomes

                positions = torch.arange(done, len(part.data), device=part.data.labels.device)
                if len(positions):
                    with evaluation_mode(part.held.model.network):
                        in_batches(measure, positions, size=batch_size)
    finally:
        if len(rows):
            rows.save()


def _versions(plan: Plan, part: _Tested, positions: Tensor) -> Tensor:
    """Predicted class and probability of the true class (batch, versions, 2), float64 on the CPU."""
    data, model = part.data, part.held.model
    waveforms, labels, recordings = data.batch(positions), data.labels[positions], part.indices[positions.cpu().numpy()]
    batch = Batch(model, waveforms, data.offsets[positions], data.lengths[positions], labels, recordings, part.held.seed)
    logits = torch.cat([batch.logits(waveforms)[:, None], plan.logits(batch)], dim=1).cpu().double()
    true = labels.cpu()[:, None, None].expand(-1, logits.shape[1], 1)
    return torch.stack([logits.argmax(2).double(), model.probabilities(logits).gather(2, true)[..., 0]], dim=2)

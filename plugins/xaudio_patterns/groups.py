"""Mean relevance per class and per group of speakers, and where groups differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np

from xaudio.plugin import Count, DataError, Explanation, FloatArray, IntArray, Seed, convert, counted, counted_of, unknown

from .cells import Cells, relevance_cells
from .options import Align, Level, Normalise, Permute
from .permutation import Tested, doubt, permutation_test
from .results import Contrast, Group, GroupRelevance, Unit

FEWEST = 2
"""Units (speakers or recordings) without which a group cannot be compared."""


@dataclass(frozen=True)
class _Record:
    """What is kept of an explanation beside its cells."""

    explanation_task: str
    explainer: str
    speaker: str | None
    right: bool | None
    group: tuple[int, str] | None


def group_relevance(
    explanations: Sequence[Explanation],
    *,
    by: str | Sequence[str | None] = "class",
    view: str = "frequency",
    normalise: Normalise = "magnitude",
    align: Align = "start",
    frequency_bins: int | None = None,
    time_bins: int | None = None,
    permute: Permute = "auto",
    permutations: int = 1999,
    level: float = 0.05,
    seed: int = 0,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> GroupRelevance:
    """Mean relevance of groups of recordings, and where they differ beyond chance.

    Parameters
    ----------
    explanations : sequence of Explanation
        Of one model and explainer.
    by : str or sequence of str or None
        "class" (the explained one), "speaker", a task whose labels the clips know, such as "sex", or the group of each
        explanation, None for those in no group.
    view : str
        "time", "frequency" or "time-frequency"; see `Explanation.view`.
    normalise : {"magnitude", "positive", "none"}
        How recordings are made comparable: by the sum of magnitudes, by what speaks for the class alone, or not at all.
    align : {"start", "duration", "window"}
        Time 0 is the start of the recording; "duration" stretches all to one length; "window" leaves time as the model
        heard it, where short recordings lie at random places.
    frequency_bins, time_bins : int, optional
        By default 64; in time-frequency 32 and 24.
    permute : {"auto", "speakers", "within-speakers", "recordings"}
        What is exchanged in the test. Recordings of one speaker are not independent. "speakers" exchanges speakers, each
        with the mean of the recordings, and needs each speaker in one group; "within-speakers" exchanges the recordings
        of each speaker; "recordings" all of them. "auto" is the first that fits; "recordings" if groups are
        speakers or speakers are not known.
    permutations : int
        If there are no more arrangements than these, all are compared and p-values are exact.
    level : float
        Family-wise error; cells with a corrected p of at most this are marked.
    seed : int
        Of the permutations.
    classes : mapping of str to sequence of str, optional
        Class names of tasks, as ``dataset.tasks``.

    Returns
    -------
    GroupRelevance
        Units with no group, and groups of fewer than two units, are left out, and a note says so.

    Raises
    ------
    DataError
        If there are no two groups of two units, no such grouping, or relevance is NaN.
    PluginError
        If there is no such view, or an option does not fit.
    """
    permute, seed = convert("permute", Permute, permute), convert("seed", Seed, seed)
    permutations, level = convert("permutations", Count, permutations), convert("level", Level, level)
    records = _records(explanations, by, classes or {})
    if not records:
        raise DataError("There are no explanations: give some.")
    unit = _unit(records, permute, by == "speaker")
    names, kept, notes = _groups(records, unit)
    cells = relevance_cells(
        _Chosen(explanations, kept),
        view,
        normalise=normalise,
        align=align,
        frequency_bins=frequency_bins,
        time_bins=time_bins,
    )
    chosen = [records[index] for index in kept]
    groups = np.array([names.index(record.group[1]) for record in chosen if record.group])
    units = _units(cells, groups, [record.speaker for record in chosen], unit)
    tested = permutation_test(units.values, units.groups, units.blocks, permutations=permutations, seed=seed)
    notes += _notes(cells, units, tested, level)
    if reason := doubt(*units):
        tested = replace(tested, p=np.ones_like(tested.p), p_corrected=np.ones_like(tested.p))
        notes.append(f"Nothing is tested: {reason}. Compare groups that vary alike, or take the mean of more recordings.")
    shape = cells.values.shape[1:]
    return GroupRelevance(
        task=chosen[0].explanation_task,
        explainer=chosen[0].explainer,
        view=view,
        by=by if isinstance(by, str) else "groups given",
        normalise=normalise,
        align=align,
        unit=unit,
        level=level,
        arrangements=tested.arrangements,
        exact=tested.exact,
        axes=list(cells.axes),
        groups=[_group(number, name, chosen, groups, units, shape) for number, name in enumerate(names)],
        contrasts=_contrasts(names, units, tested, shape, level),
        outside=cells.outside,
        grouped_by=explanations[0].clip.grouped_by,
        notes=notes,
    )


class _Chosen(Sequence[Explanation]):
    """Some of many explanations, still read one by one."""

    def __init__(self, explanations: Sequence[Explanation], indices: Sequence[int]) -> None:
        self._explanations, self._indices = explanations, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        return self._explanations[self._indices[index]]


class _Units(NamedTuple):
    values: FloatArray
    groups: IntArray
    blocks: IntArray | None


def _records(
    explanations: Sequence[Explanation], by: str | Sequence[str | None], classes: Mapping[str, Sequence[str]]
) -> list[_Record]:
    if not isinstance(by, str) and len(by) != len(explanations):
        given = counted(len(by), "group is", "groups are")
        raise DataError(f"{given} given for {counted(len(explanations), 'explanation')}; give one for each.")
    records, tasks = [], set[str]()
    for index, item in enumerate(explanations):
        group = _group_of(item, by, classes) if isinstance(by, str) else _named_group(by[index])
        right = item.correct
        records.append(_Record(item.task, item.explainer, item.clip.speaker, right, group))
        tasks |= set(item.clip.labels)
    if isinstance(by, str) and by not in ("class", "speaker", *tasks):
        raise DataError(unknown("grouping", by, {"class", "speaker", *tasks}))
    return records


def _named_group(name: str | None) -> tuple[int, str] | None:
    return None if name is None else (0, str(name))


def _group_of(item: Explanation, by: str, classes: Mapping[str, Sequence[str]]) -> tuple[int, str] | None:
    """Order and name of an explanation's group, or None if it is not known."""
    if by == "class":
        return item.target, item.classes[item.target]
    if by == "speaker":
        return None if item.clip.speaker is None else (0, item.clip.speaker)
    label = item.clip.labels.get(by)
    if isinstance(label, tuple):
        return _named_group(" and ".join(label) or "none")
    if label is None or isinstance(label, str):
        return _named_group(label)
    names = classes.get(by, item.classes if by == item.task else ())
    return label, names[label] if label < len(names) else f"{by} {label}"


def _unit(records: Sequence[_Record], permute: Permute, by_speaker: bool) -> Unit:
    """What is exchanged between groups."""
    grouped = [record for record in records if record.group]
    groups_of = defaultdict(set)
    for record in grouped:
        groups_of[record.speaker].add(record.group)
    if permute != "recordings" and None in groups_of and permute != "auto":
        raise DataError(f"Speakers of some recordings are not known, so permute={permute} cannot be done: use recordings.")
    if permute == "recordings" or (permute == "auto" and (by_speaker or None in groups_of)):
        return "recordings"
    mixed = next((str(speaker) for speaker, groups in groups_of.items() if len(groups) > 1), None)
    if permute == "speakers" and mixed is not None:
        raise DataError(
            f"Speaker {mixed} has recordings in several groups, so speakers cannot be exchanged: use within-speakers."
        )
    return "speakers" if permute == "speakers" or (permute == "auto" and mixed is None) else "recordings within speakers"


def _groups(records: Sequence[_Record], unit: str) -> tuple[list[str], list[int], list[str]]:
    """Names of the groups that can be compared, indices of their recordings, and what was left out."""
    members: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        if record.group:
            members[record.group].append(index)
    lone = sum(not record.group for record in records)
    out = counted_of(lone, len(records), "recording", "belongs to no group and is", "belong to no group and are")
    notes = [f"{out} left out."] if lone else []
    names, kept = [], []
    for group, indices in sorted(members.items()):
        size = len({records[index].speaker for index in indices} if unit == "speakers" else indices)
        if size < FEWEST:
            what = "speakers" if unit == "speakers" else "recordings"
            notes.append(f"The group {group[1]!r} is left out: it has {size} of the {FEWEST} {what} that a comparison needs.")
            continue
        names.append(group[1])
        kept += indices
    if len(names) < 2:
        reasons = " ".join(notes) or "All recordings are in one."
        raise DataError(
            f"Fewer than two groups can be compared. {reasons} Take more recordings (or --part all), or group otherwise."
        )
    return names, sorted(kept), notes


def _units(cells: Cells, groups: IntArray, speakers: Sequence[str | None], unit: str) -> _Units:
    """What the test exchanges: recordings, perhaps within blocks, or speakers with their mean."""
    if unit == "recordings":
        return _Units(cells.rows, groups, None)
    names, first, blocks = np.unique([str(speaker) for speaker in speakers], return_index=True, return_inverse=True)
    if unit == "recordings within speakers":
        return _Units(cells.rows, groups, blocks)
    sums = np.zeros((len(names), cells.rows.shape[1]))
    np.add.at(sums, blocks, cells.rows)
    return _Units(sums / np.bincount(blocks)[:, None], groups[first], None)


def _notes(cells: Cells, units: _Units, tested: Tested, level: float) -> list[str]:
    notes = []
    if cells.silent:
        notes.append(f"{counted(cells.silent, 'recording has', 'recordings have')} no relevance at all, counted as 0.")
    if units.blocks is not None:
        pairs = {(int(block), int(group)) for block, group in zip(units.blocks, units.groups, strict=True)}
        speakers = int(units.blocks.max()) + 1
        mixed = sum(times > 1 for times in np.bincount([block for block, _ in pairs]))
        if mixed < speakers:
            said = counted_of(mixed, speakers, "speaker", "has", "have")
            notes.append(f"{said} recordings in several groups: the test compares within these.")
    if not tested.correlation.any():
        notes.append("No cell varies between what is exchanged, so nothing can be tested.")
    # Groups of one size may change places without any change of the largest difference.
    equal = np.unique(np.bincount(units.groups), return_counts=True)[1] if units.blocks is None else [1]
    least = prod(factorial(int(times)) for times in equal) / tested.arrangements
    if tested.exact and least > level:
        notes.append(
            f"There are only {tested.arrangements} arrangements of the groups, so p cannot fall below {least:.2g} however large "
            "a difference is, and nothing can be marked: take more speakers or recordings."
        )
    return notes


def _group(number: int, name: str, records: Sequence[_Record], groups: IntArray, units: _Units, shape: tuple[int, ...]) -> Group:
    members = [record for record, group in zip(records, groups, strict=True) if group == number]
    speakers = {record.speaker for record in members}
    right = [record.right for record in members if record.right is not None]
    return Group(
        name=name,
        recordings=len(members),
        speakers=None if None in speakers else len(speakers),
        accuracy=float(np.mean(right)) if right else None,
        mean=units.values[units.groups == number].mean(0).reshape(shape).tolist(),
    )


def _contrasts(names: Sequence[str], units: _Units, tested: Tested, shape: tuple[int, ...], level: float) -> list[Contrast]:
    contrasts = []
    for number in range(len(tested.p)):
        inside = units.groups == number
        difference = units.values[inside].mean(0) - units.values[~inside].mean(0)
        contrasts.append(
            Contrast(
                group=names[number],
                against=names[1] if len(names) == 2 else "all others",
                difference=difference.reshape(shape).tolist(),
                correlation=tested.correlation[number].reshape(shape).tolist(),
                p=tested.p[number].reshape(shape).tolist(),
                p_corrected=tested.p_corrected[number].reshape(shape).tolist(),
                marked=int((tested.p_corrected[number] <= level).sum()),
                smallest_p=float(tested.p_corrected[number].min()),
            )
        )
    return contrasts

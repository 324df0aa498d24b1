"""Folds of recordings: those of the data, else by what belongs together, and it is said which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaudio.plugin import Fold, IntArray, counted

from ._items import Item

FOLDS = 5
"""Drawn where the data have none."""
VALIDATION = 0.1
"""Share of the training groups that becomes the validation set where the data have none."""
TINY = 1e-9


def folds_of(items: Sequence[Item], labels: IntArray, groups: Sequence[str], seed: int) -> tuple[list[Fold], str]:
    """The folds of a task, and what is to be said of them.

    Parameters
    ----------
    items : sequence of Item
    labels : ndarray of int
        (recordings,) of class indices, or (recordings, classes) of 0 and 1; -1 where they are unknown.
    groups : sequence of str
        Of each recording.
    seed : int
    """
    labelled = np.flatnonzero((labels >= 0).reshape(len(labels), -1).all(1)) if labels.size else np.zeros(0, np.int64)
    parts = np.array([items[index].part for index in labelled.tolist()])
    names = sorted({str(part) for part in parts} - {""}, key=lambda name: (len(name), name))
    if set(names) & {"train", "test", "validation"}:
        return _fixed(labelled, parts, labels, np.array(groups), seed)
    if len(names) > 2:
        sets = [labelled[parts == name] for name in names]
        out = (parts == "").sum()
        more = f" {counted(out, 'recording is', 'recordings are')} in none of them." if out else ""
        return _around(sets), f"{len(names)} folds of the data ({', '.join(names[:12])}).{more}"
    if names:
        return [], f"The data have {counted(len(names), 'fold')} ({', '.join(names)}); at least three are needed."
    return _drawn(labelled, labels, np.array(groups), seed)


def _around(sets: Sequence[IntArray]) -> list[Fold]:
    """Folds of disjoint sets: each is tested once, and the one before it validates."""
    folds = []
    for test, part in enumerate(sets):
        validation = (test - 1) % len(sets)
        rest = [other for index, other in enumerate(sets) if index not in (test, validation)]
        folds.append(Fold(np.sort(np.concatenate(rest)), sets[validation], part))
    return folds


def _fixed(labelled: IntArray, parts: np.ndarray, labels: IntArray, groups: np.ndarray, seed: int) -> tuple[list[Fold], str]:  # type: ignore[type-arg]
    """The one fold of data that come divided; a validation set that they lack is drawn from the training."""
    sets = {name: labelled[parts == name] for name in ("train", "validation", "test")}
    said = "One fold: the data's own parts, " + ", ".join(
        f"{len(indices)} {name}" for name, indices in sets.items() if len(indices)
    )
    rest = len(labelled) - sum(map(len, sets.values()))
    said += f"; {counted(rest, 'recording is', 'recordings are')} in none of them" if rest else ""
    if not len(sets["test"]) and len(sets["validation"]):
        sets["test"], sets["validation"] = sets["validation"], sets["test"]
        said += "; the data have no test, so their validation part is the test"
    if not len(sets["validation"]) and len(sets["train"]):
        drawn = _dealt(sets["train"], labels, groups, round(1 / VALIDATION), seed)
        usable = [part for part in drawn if len(part)]
        if len(usable) > 1:
            sets["validation"] = usable[0]
            sets["train"] = np.sort(np.concatenate(usable[1:]))
            said += (
                f"; {counted(len(usable[0]), 'recording')} of the training, drawn with seed {seed}, validate, since no part does"
            )
    if not all(map(len, sets.values())):
        return [], f"{said}. Training and test must both have recordings."
    return [Fold(sets["train"], sets["validation"], sets["test"])], f"{said}."


def _drawn(labelled: IntArray, labels: IntArray, groups: np.ndarray, seed: int) -> tuple[list[Fold], str]:  # type: ignore[type-arg]
    count = min(FOLDS, len(set(groups[labelled].tolist())))
    if count < 3:
        return (
            [],
            f"{counted(count, 'group with labels is', 'groups with labels are')} too few for folds; at least three are needed.",
        )
    sets = _dealt(labelled, labels, groups, count, seed)
    return _around(sets), f"{count} folds drawn with seed {seed}."


def _dealt(indices: IntArray, labels: IntArray, groups: np.ndarray, count: int, seed: int) -> list[IntArray]:  # type: ignore[type-arg]
    """Recordings dealt to sets, group by group, so that each set has its share of every class.

    The largest groups come first; each goes to the set in which its classes are rarest so far (and of those to the smallest).
    """
    names, of_each = np.unique(groups[indices], return_inverse=True)
    counts = _class_counts(labels[indices], of_each, len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    totals = np.maximum(counts.sum(0), TINY)
    held, sizes = np.zeros((count, counts.shape[1])), np.zeros(count)
    of_group = np.zeros(len(names), np.int64)
    for group in order:
        share = (held * counts[group]) @ (1 / totals)
        chosen = int(np.lexsort((sizes, np.round(share, 9)))[0])
        of_group[group] = chosen
        held[chosen] += counts[group]
        sizes[chosen] += counts[group].sum()
    return [np.asarray(indices[of_group[of_each] == part]) for part in range(count)]


def _class_counts(labels: IntArray, of_each: IntArray, groups: int) -> np.ndarray:  # type: ignore[type-arg]
    """How many recordings of each class a group has, (groups, classes); recordings without any label are a class of their own."""
    if labels.ndim == 2:
        table = np.column_stack([labels, (labels == 0).all(1)]).astype(np.float64)
    else:
        table = np.eye(int(labels.max(initial=0)) + 1)[labels]
    counts = np.zeros((groups, table.shape[1]))
    np.add.at(counts, of_each, table)
    return counts

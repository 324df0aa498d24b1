"""Class names and labels as others give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ModelError, listing, unknown
from ..registry.plain import missing, plain, whole
from ..types import IntArray


def class_names(classes: Any) -> tuple[str, ...]:
    """Names of the classes in the order of the outputs.

    Parameters
    ----------
    classes : iterable, or mapping
        Names, or numbers which serve as names, such as ``LabelEncoder.classes_``; or a mapping from indices to names or from
        names to indices, such as ``id2label`` and ``label2id``.

    Raises
    ------
    ModelError
        If they are none of these, or not one name for each output.
    """
    if isinstance(classes, Mapping):
        classes = _ordered(classes)
    if isinstance(classes, str | bytes | Set) or not isinstance(classes, Iterable):
        raise ModelError(
            f"The classes are {classes!r}; expected a list of names in the order of the outputs, or a mapping as id2label."
        )
    names = tuple(_class_name(item) for item in classes)
    if not names:
        raise ModelError("The list of classes is empty; give a name for each output.")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ModelError(f"The class {repeated[0]!r} is named twice; every output needs a name of its own.")
    return names


def _class_name(item: Any) -> str:
    item = plain(item)
    if missing(item) or not isinstance(item, str | int | float) or not str(item).strip():
        raise ModelError(f"A class is named {item!r}; expected text or a number.")
    return str(item)


def _ordered(classes: Mapping[Any, Any]) -> list[Any]:
    """The names in a mapping from indices to names, or from names to indices, in the order of the indices."""
    turned = {value: key for key, value in classes.items() if isinstance(value, Hashable)}
    sides = [side for side in (classes, turned) if len(side) == len(classes)]
    # Numbers are the indices; only where neither side has numbers are they digits, as JSON writes them.
    numbered = [side for side in sides if all(whole(key) is not None for key in side)] or sides
    orders = [names for names in map(_by_index, numbered) if names is not None]
    if not orders or orders[0] != orders[-1]:
        which = "can be read both ways" if orders else "has the indices 0, 1, ... on neither side"
        raise ModelError(f"The mapping of classes {which}; expected {{0: 'first', 1: 'second', ...}}, or a list of names.")
    return orders[0]


def _by_index(names: Mapping[Any, Any]) -> list[Any] | None:
    """The names in the order of their keys, if these are 0, 1, ..., as numbers or digits."""
    keys = {whole(int(key) if isinstance(key, str) and key.isdecimal() else key): name for key, name in names.items()}
    return [keys[index] for index in range(len(names))] if set(keys) == set(range(len(names))) else None


def labelled(labels: IntArray) -> NDArray[np.bool_]:
    """Which recordings have a label, (recordings,): of class indices, or of 0 and 1 for each class; -1 is unknown.

    Parameters
    ----------
    labels : ndarray of int, shape (recordings,) or (recordings, classes)
    """
    return np.asarray(labels >= 0 if labels.ndim == 1 else (labels >= 0).all(1))


def label_index(label: Any, names: Sequence[str], where: str) -> int | None:
    """Index of a label given by number or name; None where it is unknown: None, NaN or -1.

    Parameters
    ----------
    label : int, str or None
        Or a scalar of another library.
    names : sequence of str
        Of the classes.
    where : str
        For messages, as in "a.wav: its label of task 'digit'".

    Raises
    ------
    DataError
        If it is none of the classes.
    """
    label = plain(label)
    if missing(label) or (label == -1 and not isinstance(label, bool)):
        return None
    if isinstance(label, str):
        if label not in names:
            raise DataError(f"{where} is none of the classes. {unknown('class', label, names)}")
        return names.index(label)
    index = int(label) if isinstance(label, bool) and len(names) == 2 else whole(label)
    if index is None or not 0 <= index < len(names):
        raise DataError(f"{where} is {label!r}; expected a class, 0 to {len(names) - 1} or by name ({listing(names)}).")
    return index

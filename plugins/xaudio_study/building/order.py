"""The order of the items for each participant: counterbalanced, and known from the seed and the participant's number.

Conditions (question, mode, explainer) follow a balanced Latin square: every condition stands at every place equally
often, and every condition follows every other equally often (Williams 1949, Aust. J. Sci. Res. A 2, 149). With an even
number C of conditions that takes C participants, with an odd number 2 C, none of whom withdraws. In mixed orders that holds
within each round; from one round to the next, some conditions follow others more often, of two or three conditions
also each itself. All shuffling is by digests rather than by a
random generator, so that an order is the same with every version of every package, on every day of a study.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from ..plan import Key
from ..records import Item


def latin_square(count: int) -> list[list[int]]:
    """A balanced Latin square: rows of 0 to ``count`` - 1; twice as many rows as columns if ``count`` is odd."""
    first = [0]
    low, high = 1, count - 1
    while len(first) < count:
        first.append(low if len(first) % 2 else high)
        low, high = (low + 1, high) if len(first) % 2 == 0 else (low, high - 1)
    rows = [[(place + shift) % count for place in first] for shift in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]


def conditions_of(items: Sequence[Item]) -> list[list[Item]]:
    """Items that are not catch trials, one list per question, mode and explainers."""
    groups: dict[tuple[str | None, ...], list[Item]] = {}
    for item in items:
        if item.catch is None:
            groups.setdefault((item.question, item.mode, item.explainer, item.against), []).append(item)
    return list(groups.values())


def order_of(key: Key, number: int) -> list[str]:
    """The items of a participant, by name, in order.

    Parameters
    ----------
    key : Key
        With order "blocks", the conditions come one after another, in each the recordings shuffled separately; with "mixed",
        every round holds each condition once, each with another recording where there are enough.
    number : int
        Of the participant, from 0.
    """
    conditions = conditions_of(key.items)
    square = latin_square(len(conditions))
    recordings = len(conditions[0])
    order: list[Item] = []
    if key.order == "blocks":
        for condition in square[number % len(square)]:
            order += [conditions[condition][place] for place in _shuffled(recordings, key.seed, number, condition)]
    else:
        places = _shuffled(recordings, key.seed, number, "mixed")
        for round_ in range(recordings):
            for condition in square[(number + round_) % len(square)]:
                order.append(conditions[condition][places[(round_ + condition * recordings // len(conditions)) % recordings]])
    catches = [item for item in key.items if item.catch is not None]
    for index, item in reversed(list(enumerate(catches))):  # each within its own part of the order, so that none is crowded
        start, stop = (part * len(order) // len(catches) for part in (index, index + 1))
        order.insert(max(1, start + _digest(key.seed, number, "catch", index) % max(1, stop - start)), item)
    return [item.item for item in order]


def headphone_order(key: Key, number: int) -> list[str]:
    """The trials of the headphone check of a participant."""
    names = list(key.headphones)
    return [names[place] for place in _shuffled(len(names), key.seed, number, "headphones")]


def swapped(key: Key, number: int, item: str) -> bool:
    """Whether a participant gets B of a preference first: half of the participants do, others for each item."""
    place = next(index for index, other in enumerate(key.items) if other.item == item)
    return (_digest(key.seed, "swap", place) + number) % 2 == 1


def _shuffled(count: int, *parts: object) -> list[int]:
    return sorted(range(count), key=lambda place: _digest(*parts, place))


def _digest(*parts: object) -> int:
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest())

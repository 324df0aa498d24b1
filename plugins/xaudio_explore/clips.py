"""Recordings that a page has brought, in memory, as many as fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from xaudio.plugin import DataError

Item = TypeVar("Item")


class Store(Generic[Item]):
    """Things by name, of which the longest unused give way when there are too many or they are too large.

    Parameters
    ----------
    what : str
        How messages name one.
    most : int
    most_bytes : int
        Of all together; the newest is kept even if it is larger.
    size : callable
        Bytes of one.
    """

    def __init__(self, what: str, most: int, most_bytes: int, size: Callable[[Item], int]) -> None:
        self.what, self.most, self.most_bytes, self._size = what, most, most_bytes, size
        self._items: OrderedDict[str, Item] = OrderedDict()
        self._count, self._lock = 0, threading.Lock()

    def add(self, item: Item) -> str:
        """Keep something; its name."""
        with self._lock:
            self._count += 1
            name = f"{self.what[0]}{self._count}"
            self._items[name] = item
            while len(self._items) > 1 and (len(self._items) > self.most or self.bytes > self.most_bytes):
                self._items.popitem(last=False)
            return name

    def __getitem__(self, name: str) -> Item:
        with self._lock:
            if name not in self._items:
                raise DataError(f"The {self.what} {name!r} is no longer kept. Make it again.")
            self._items.move_to_end(name)
            return self._items[name]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        """Of all together."""
        return sum(map(self._size, self._items.values()))

"""Progress of long work: a bar with a rate and the time left on a terminal, plain lines elsewhere. Goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_INTERVAL = 15.0
"""Seconds between two plain lines."""

Advance = Callable[..., None]

plain = False
"""Lines even on a terminal, for several processes that share it."""


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show the progress of ``total`` pieces of work.

    Parameters
    ----------
    title : str
    total : int
    done : int
        What an earlier run already did.

    Yields
    ------
    callable
        ``advance(count=1, note="")``, to be called after each piece.
    """
    show = _bar if sys.stderr.isatty() and not plain else _lines
    with show(title, total, done) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}", markup=False)
    note = TextColumn("{task.fields[note]}", markup=False)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        rate,
        TimeRemainingColumn(),
        note,
    ]
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(title, total=total, completed=done, rate="", note="")

        def advance(count: int = 1, note: str = "") -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=count, note=note, rate=f"{speed:.3g}/s" if speed else "")

        yield advance


@contextmanager
def _lines(title: str, total: int, done: int) -> Iterator[Advance]:
    start = last = time.monotonic()
    position = done

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal position, last
        position += count
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL or (position >= total and now - start >= PLAIN_INTERVAL):
            last = now
            rate = (position - done) / (now - start)
            left = f"{(total - position) / rate:.0f} s left" if rate else ""
            print(f"{title}: {position}/{total} ({rate:.3g}/s, {left}) {note}".rstrip(), file=sys.stderr, flush=True)

    print(f"{title}: {total - done} to do", file=sys.stderr, flush=True)
    yield advance

"""Progress of long work: a bar with a rate and the time left on a terminal, plain lines elsewhere. Goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

PLAIN_INTERVAL = 15.0
"""Seconds between two plain lines."""

Advance = Callable[..., None]
Tell = Callable[[str, float], None]
"""Says in words how far work is, and as a share of all of it, 0 to 1."""
Piece = TypeVar("Piece")

plain = False
"""Lines even on a terminal, for several processes that share it."""

in_command = False
"""Whether a command runs, so that a person waits at a terminal, and no script."""

_tell: ContextVar[Tell | None] = ContextVar("_tell", default=None)
"""Says something beside the progress that is shown."""


def say(text: str) -> None:
    """Tell the user something that is no result.

    Parameters
    ----------
    text : str
    """
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(title: str, total: int, done: int = 0, *, always: bool = True) -> Iterator[Advance]:
    """Show the progress of ``total`` pieces of work; within a piece of other work, beside the progress of that.

    Parameters
    ----------
    title : str
    total : int
    done : int
        What an earlier run already did.
    always : bool
        Also in Python; else only in a command.

    Yields
    ------
    callable
        ``advance(count=1, note="")``, to be called after each piece.
    """
    outer = _tell.get()
    if outer:
        yield _beside(outer, title, total, done)
    elif not (always or in_command):
        yield lambda count=1, note="": None
    else:
        show = _bar if sys.stderr.isatty() and not plain else _lines
        with show(title, total, done) as (advance, tell):
            token = _tell.set(tell)
            try:
                yield advance
            finally:
                _tell.reset(token)


@contextmanager
def reported_to(tell: Tell) -> Iterator[None]:
    """Report the progress of all that is done within, in this thread, to a function instead of the terminal.

    Parameters
    ----------
    tell : callable
        Gets words and a share from 0 to 1, after each piece of work. What it raises ends the work.
    """
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def in_sight(passes: Sequence[Piece]) -> Iterator[Piece]:
    """The passes of a slow piece of work, one by one; the progress that is shown, if one is, says how far they are.

    Parameters
    ----------
    passes : sequence
        Such as the slices of masked recordings that an explainer asks the model about.
    """
    reached = passes_of(len(passes))
    for done, one in enumerate(passes):
        reached(done)
        yield one


def passes_of(total: int) -> Callable[[int], None]:
    """Says beside the progress that is shown how many of the passes of a piece of work are done, when called with that."""
    start = time.monotonic()

    def reached(done: int) -> None:
        tell = _tell.get()
        if tell and 0 < done < total:
            left = (total - done) * (time.monotonic() - start) / done
            tell(f"pass {done}/{total}, {left:.0f} s left of it", done / total)

    return reached


def _beside(tell: Tell, title: str, total: int, done: int) -> Advance:
    position = done

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal position
        position += count
        tell(f"{title}: {position}/{total} {note}".rstrip(), position / total)

    return advance


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[tuple[Advance, Tell]]:
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

        yield advance, lambda note, share: bar.update(task, note=note)


@contextmanager
def _lines(title: str, total: int, done: int) -> Iterator[tuple[Advance, Tell]]:
    start = last = time.monotonic()
    position = done

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal position
        position += count
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL or (position >= total and now - start >= PLAIN_INTERVAL):
            show(now, note)

    def tell(note: str, share: float) -> None:
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL:
            show(now, note)

    def show(now: float, note: str) -> None:
        nonlocal last
        last = now
        rate = (position - done) / (now - start)
        left = f"{(total - position) / rate:.0f} s left" if rate else ""
        print(f"{title}: {position}/{total} ({rate:.3g}/s, {left}) {note}".rstrip(), file=sys.stderr, flush=True)

    print(f"{title}: {total - done} to do", file=sys.stderr, flush=True)
    yield advance, tell

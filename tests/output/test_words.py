"""Counted things agree with their number."""

import pytest

from xaudio.output.words import counted, counted_of


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 entries lack it"), (1, "1 entry lacks it"), (2, "2 entries lack it"), (2000, "2000 entries lack it")],
)
def test_what_is_said_of_counted_things_agrees_with_their_number(count: int, words: str) -> None:
    assert counted(count, "entry lacks it", "entries lack it") == words
    assert counted(count, "recording") == f"{count} recording" + "s" * (count != 1)


@pytest.mark.parametrize(
    ("count", "total", "words"),
    [
        (0, 1, "0 of 1 entry has none"),
        (1, 1, "1 of 1 entry has none"),
        (1, 40, "1 of 40 entries has none"),
        (3, 40, "3 of 40 entries have none"),
        (0, 40, "0 of 40 entries have none"),
    ],
)
def test_the_noun_agrees_with_all_and_the_verb_with_those_that_are_meant(count: int, total: int, words: str) -> None:
    assert counted_of(count, total, "entry", "has none", "have none", things="entries") == words

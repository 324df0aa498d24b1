"""Paths through the answer of a CTC network (Graves et al. 2006): which symbol each frame says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError, unknown
from ..types import FloatArray, IntArray
from .answers import Answer, class_index, names_of

BLANKS = ("<blank>", "<pad>", "[PAD]", "<blk>", "blank", "_", "-")
"""How the symbol without sound is named, the likeliest first."""

BETWEEN_WORDS = ("|", " ", "<space>", "\N{LOWER ONE EIGHTH BLOCK}")
"""Symbols that part words."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Sums of the scores of chosen frames and outputs, which stay the same whatever else the recording becomes; or means.

    Parameters
    ----------
    names : tuple of str
    frames, outputs : sequence of ndarray of int
        For each target, which it sums up.
    mean : bool
    """

    names: tuple[str, ...]
    frames: Sequence[IntArray]
    outputs: Sequence[IntArray]
    mean: bool = False

    def __call__(self, answer: Answer) -> Tensor:
        """The sums or means (batch, targets)."""
        parts = [answer.scores[:, frames, outputs] for frames, outputs in zip(self.frames, self.outputs, strict=True)]
        return torch.stack([part.mean(1) if self.mean else part.sum(1) for part in parts], 1)


@dataclass(frozen=True)
class Path:
    """The path of a CTC answer: for each character or word the sum of the logits of its frames, and that of the blanks.

    Parameters
    ----------
    labels : str or sequence of str, optional
        The text, or its symbols; by default what the best path spells. A given text takes the best of its paths.
    by : {"character", "word"}
        Whether each symbol is a target, or each word.
    blank : int or str, optional
        The symbol without sound; by default one named "<blank>", "<pad>", "[PAD]", "_" or "-", else the first.
    """

    labels: str | Sequence[str] | None = None
    by: Literal["character", "word"] = "character"
    blank: int | str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The path as a whole; its parts have names when an answer is there."""
        return ("best path" if self.labels is None else f"path of {''.join(self.labels)!r}",)

    def __call__(self, answer: Answer) -> Tensor:
        """The sum of the logits (batch, 1) along each recording's path."""
        rows = (row_of(answer, row) for row in range(len(answer.scores)))
        return torch.cat([path_steps(self, one)(one).sum(1, keepdim=True) for one in rows])


def row_of(answer: Answer, row: int) -> Answer:
    """The answer of one recording of a batch."""
    valid = None if answer.valid is None else answer.valid[row : row + 1]
    return answer._replace(scores=answer.scores[row : row + 1], valid=valid)


def path_steps(path: Path, answer: Answer) -> Steps:
    """The path of one recording's answer: for each character or word, and for the blanks, its frames and symbols.

    Raises
    ------
    ModelError
        If the answer is no CTC answer, a symbol is unknown, or the text is too long for the frames.
    """
    if answer.scores.ndim != 3:
        raise ModelError("The model answers once for the whole recording: a path needs the symbols of frames (kind='ctc').")
    names = names_of(answer)
    blank = blank_of(path, names)
    count = answer.scores.shape[1] if answer.valid is None else int(answer.valid[0])
    scores = answer.scores[0, :count].detach().double().cpu().numpy()
    if path.labels is None:
        symbols = scores.argmax(1)
        places = _runs(symbols, blank)
    else:
        symbols, places = aligned(scores, symbols_of(path.labels, names, blank), blank)
    if path.by == "word":
        places = _words(symbols, places, names)
    groups = [np.flatnonzero(places == place) for place in range(int(places.max(initial=-1)) + 1)]
    titles = [_title(names, symbols, frames, answer) for frames in groups]
    silent = np.flatnonzero(places < 0)
    if len(silent):
        groups, titles = [*groups, silent], [*titles, "blanks"]
    return Steps(tuple(titles), groups, [symbols[frames] for frames in groups])


def blank_of(path: Path, names: Sequence[str]) -> int:
    """Index of the symbol without sound."""
    if path.blank is not None:
        return class_index(path.blank, names)
    return next((list(names).index(name) for name in BLANKS if name in names), 0)


def symbols_of(text: str | Sequence[str], names: Sequence[str], blank: int) -> list[int]:
    """Indices of a text's symbols."""
    between = next((name for name in BETWEEN_WORDS if name in names), None)
    wanted = [between if item in BETWEEN_WORDS and item not in names and between else item for item in text]
    folded = [
        item if item in names else next((name for name in names if name.casefold() == item.casefold()), item) for item in wanted
    ]
    for item in folded:
        if item not in names or names.index(item) == blank:
            raise ModelError(unknown("symbol", item, names))
    return [list(names).index(item) for item in folded]


def aligned(scores: FloatArray, symbols: Sequence[int], blank: int) -> tuple[IntArray, IntArray]:
    """The best path that spells symbols, by the Viterbi algorithm: symbol and place (-1 for blanks) of each frame.

    Parameters
    ----------
    scores : ndarray, shape (frames, outputs)
    symbols : sequence of int
    blank : int

    Raises
    ------
    ModelError
        If there are too few frames.
    """
    states = np.full(2 * len(symbols) + 1, blank)
    states[1::2] = symbols
    skips = np.zeros(len(states), dtype=bool)  # a blank may be left out between two different symbols
    skips[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(len(states), -np.inf)
    best[:2] = scores[0, states[:2]]
    back = np.zeros((len(scores), len(states)), np.int64)
    for frame in range(1, len(scores)):
        steps = np.stack(
            [best, np.r_[-np.inf, best[:-1]], np.where(skips, np.r_[-np.inf, -np.inf, best[:-2]][: len(best)], -np.inf)]
        )
        back[frame] = steps.argmax(0)
        best = steps.max(0) + scores[frame, states]
    state = len(states) - 1 - (len(states) > 1 and best[-2] > best[-1])
    if not np.isfinite(best[state]):
        raise ModelError(f"A text of {len(symbols)} symbols does not fit the {len(scores)} frames of the answer.")
    visited = np.zeros(len(scores), np.int64)
    for frame in range(len(scores) - 1, -1, -1):
        visited[frame] = state
        state -= back[frame, state]
    return states[visited], np.where(visited % 2, visited // 2, -1)


def _runs(symbols: IntArray, blank: int) -> IntArray:
    """Place of each frame's symbol in what a path spells: equal ones that follow each other are one; -1 for blanks."""
    starts = (symbols != blank) & (np.r_[-1, symbols[:-1]] != symbols)
    return np.where(symbols == blank, -1, np.cumsum(starts) - 1)


def _words(symbols: IntArray, places: IntArray, names: Sequence[str]) -> IntArray:
    """The same by words; what parts them, and blanks, belong to none."""
    parting = np.array([names[symbol] in BETWEEN_WORDS for symbol in symbols])
    spoken = (places >= 0) & ~parting
    words, word, inside = np.full(len(places), -1), -1, False
    for frame in range(len(places)):
        if parting[frame] and places[frame] >= 0:
            inside = False
        elif spoken[frame]:
            word, inside = word + (not inside), True
            words[frame] = word
    return words


def _title(names: Sequence[str], symbols: IntArray, frames: IntArray, answer: Answer) -> str:
    """What a part spells and when, such as "h, 0.12 to 0.18 s"."""
    said, follows = symbols[frames], np.r_[False, np.diff(frames) == 1]
    repeats = follows & (np.r_[-1, said[:-1]] == said)
    spelt = "".join(names[symbol] for symbol in said[~repeats])
    if answer.frames is None:
        return spelt
    edges = answer.frames.edges
    return f"{spelt}, {edges[frames[0]]:.2f} to {edges[frames[-1] + 1]:.2f} s"

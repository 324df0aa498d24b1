"""A table of results: shown in a terminal and a notebook, and written as CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from .runs import printable, write_text
from .words import counted

FORMULA = ("=", "+", "-", "@")
"""Letters with which a text begins that a spreadsheet would compute."""

LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "−": "$-$",
    }
)
DIGITS = 3
"""Significant ones of a number that is read by people; files for programs hold all."""

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers under headings.

    Parameters
    ----------
    columns : tuple of str
    rows : tuple of tuple
        A str, number, bool, or None (nothing is known) for each column.
    caption : str
        What the table shows, in one line.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row as a mapping from its columns."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def column(self, name: str) -> list[Any]:
        """The values of a column, by its name."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV: numbers with all their digits, nothing for None.

        A text that a spreadsheet would take for a formula begins with an apostrophe.

        Parameters
        ----------
        path : str or Path, optional
            Where it is written, atomically, in UTF-8.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(_in_spreadsheet, self.columns))
        writer.writerows([_in_spreadsheet(cell) for cell in row] for row in self.rows)
        return _written(text.getvalue(), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """The table in Markdown (GitHub's, Pandoc's pipe tables), numbers with three digits.

        Parameters
        ----------
        path : str or Path, optional
            Where it is written, atomically.
        """
        head = [_in_markdown(name) for name in self.columns]
        lines = [head, ["---:" if self._is_numeric(place) else "---" for place in range(len(head))]]
        lines += [[_in_markdown(in_words(cell)) for cell in row] for row in self.rows]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        return _written(table + (f"\n{_in_markdown(self.caption)}\n" if self.caption else ""), path)

    def to_latex(self, path: str | Path | None = None) -> str:
        r"""The table for LaTeX: a ``tabular`` with the rules of the package booktabs, in a ``table`` if it has a caption.

        Parameters
        ----------
        path : str or Path, optional
            Where it is written, atomically.
        """
        kinds = "".join("r" if self._is_numeric(place) else "l" for place in range(len(self.columns)))
        head, *rows = (
            " & ".join(_in_latex(text) for text in line) + r" \\"
            for line in [self.columns, *([in_words(cell) for cell in row] for row in self.rows)]
        )
        lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
        if self.caption:
            lines = [r"\begin{table}", r"\centering", rf"\caption{{{_in_latex(self.caption)}}}", *lines, r"\end{table}"]
        return _written("\n".join(lines) + "\n", path)

    def _is_numeric(self, place: int) -> bool:
        cells = [row[place] for row in self.rows if row[place] is not None]
        return bool(cells) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)

    def __str__(self) -> str:
        lines = [self.columns, *([in_words(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = [self._is_numeric(place) for place in range(len(widths))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if numeric else cell.ljust(width)
                for cell, width, numeric in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in lines
        )

    def __repr__(self) -> str:
        return f"<Table of {counted(len(self.rows), 'row')}: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.columns)
        cells = ("".join(f"<td>{escape(in_words(cell))}</td>" for cell in row) for row in self.rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def in_words(cell: Any) -> str:
    """A cell as people read it: three digits of a number, yes or no, and nothing for what is not known.

    Parameters
    ----------
    cell : str, number, bool or None
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        form = f".{DIGITS}g" if 1e-4 <= abs(cell) < 1e5 or cell == 0 else f".{DIGITS - 1}e"
        return f"{cell:{form}}".replace("-", MINUS)
    if isinstance(cell, int):
        return str(cell).replace("-", MINUS)
    return " ".join(printable(str(cell)).split())


def _in_spreadsheet(cell: Any) -> Any:
    """A cell on one line that no spreadsheet computes; numbers stay numbers."""
    if isinstance(cell, bool):
        return in_words(cell)
    if not isinstance(cell, str):
        return cell
    line = in_words(cell)
    return f"'{line}" if line.startswith(FORMULA) else line


def _in_markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _in_latex(text: str) -> str:
    return text.translate(LATEX)


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        write_text(Path(path), text)
    return text

"""`xaudio explain --window`: long recordings, in files that the same command goes on with after it was stopped."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DataError, OutputError
from ..explanation.channels import refuse_joined_channels
from ..explanation.window_question import WindowQuestion
from ..explanation.windowing import LongWork
from ..explanation.windows import LongExplanation, Scored, Weights, overlap_added, parse_choice, weighted
from ..output.runs import output_folder, write_text
from ..output.temporary import remove_leftovers, temporary_prefix
from ..output.terminal import say
from ..shards.gathering import Sharing, require_all
from ..shards.plan import Row, planned
from ..shards.records import sizes_of

if TYPE_CHECKING:
    from ..explanation.explanation import Explanation
    from ..model.model import Model

TABLE, PART, FOLDER, EXPLANATION = "windows.csv", "windows.part.csv", "windows", "explanation.safetensors"


class Asked(NamedTuple):
    """What of each recording is wanted; see `xaudio.explain_windows`."""

    window: float
    hop: float | None
    choose: str
    weights: Weights
    target: str | None
    contrast: str | None
    view: str | None
    batch_size: int
    seed: int | None
    fit: Any
    resampling: Any
    channels: str | None
    explainer: str


class Done(NamedTuple):
    """A long recording with where its files lie."""

    long: LongExplanation
    folder: Path
    together: list[Path]


def only_one(name: str, values: Sequence[str] | None) -> str | None:
    """The only one of what may be repeated without windows.

    Raises
    ------
    DataError
        If there are several.
    """
    if values and len(values) > 1:
        raise DataError(f"With --window there can be one --{name}; got {len(values)}. Run the command once for each.")
    return values[0] if values else None


def explain_recordings(model: Model, files: Sequence[Path], asked: Asked, renderers: Sequence[Any], out: Path) -> list[Done]:
    """Scores, explanations and tables of long recordings; what an earlier run of the same command left whole is kept.

    Parameters
    ----------
    model : Model
    files : sequence of Path
    asked : Asked
    renderers : sequence of callable
    out : Path
        The folder of one recording; several have one each within it.
    """
    question = WindowQuestion(model, asked.target, asked.contrast)
    parse_choice(asked.choose, question.probable)  # refused before anything takes time
    folders = [out / name for name in folder_names(files)]
    return [_explained(model, file, asked, question, renderers, folder) for file, folder in zip(files, folders, strict=True)]


class WindowedRows:
    """Explains long recordings, each into a folder of its name; implements `xaudio.plugin.Job`."""

    def __init__(self, model: str, device: str, asked: Asked, renderers: Sequence[str], out: str) -> None:
        from ..explanation.explaining import load_model
        from ..registry.loading import registry
        from ..registry.options import parse_spec

        self.model, self.asked, self.out = load_model(model, device), asked, Path(out)
        self.digest, self.question = self.model.digest(), WindowQuestion(self.model, asked.target, asked.contrast)
        self.renderers = [registry().create("renderer", *parse_spec(spec)) for spec in renderers]
        refuse_joined_channels(self.model, self.renderers, asked.view is not None, ("together", "long_page"))

    def load(self, row: Row) -> Row:
        """The row: a long recording is read block by block."""
        return row

    def run(self, rows: Sequence[Row], loaded: Sequence[Row], folder: Path) -> list[dict[str, Any]]:
        """Tables and explanations in files."""
        for row in rows:
            place = self.out / row.fields["folder"]
            _explained(self.model, Path(row.fields["source"]), self.asked, self.question, self.renderers, place)
        return [{"files": sizes_of([self.out / row.fields["folder"] / TABLE], folder.parents[1])} for row in rows]


def share_recordings(job: WindowedRows, options: Mapping[str, Any], files: Sequence[Path], sharing: Sharing) -> bool:
    """Let workers do the recordings, or this process its part of them; `explain_recordings` then finds what is done.

    Parameters
    ----------
    job : WindowedRows
    options : mapping
        Of the job.
    files : sequence of Path
    sharing : Sharing

    Returns
    -------
    bool
        Whether all are done.

    Raises
    ------
    DataError
        If a recording failed.
    """
    fields = [{"source": os.path.abspath(file), "folder": name} for file, name in zip(files, folder_names(files), strict=True)]
    identity = {"asked": list(job.asked), "model": job.digest}
    plan = planned(job.out / "work", identity, fields, lambda row: float(os.path.getsize(row["source"])), batch=1)
    sharing.carry_out(plan, WindowedRows, options, "Explaining windows")
    if not plan.is_tried():
        say("Done with this part; the rest is that of other workers. Give the same command with --workers 1 when they are done.")
        return False
    require_all(plan)
    return True


def folder_names(files: Sequence[Path]) -> list[str]:
    """The folder of each recording within that of the results: that itself, if there is only one."""
    return ["."] if len(files) == 1 else list(_names(files))


def _names(files: Sequence[Path]) -> Iterator[str]:
    """A folder name for each recording."""
    taken: set[str] = set()
    for file in files:
        names = (file.stem if number == 1 else f"{file.stem}-{number}" for number in count(1))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        yield name


def _explained(model: Model, file: Path, asked: Asked, question: WindowQuestion, renderers: Sequence[Any], folder: Path) -> Done:
    from ..explanation.collection import KeptExplanations
    from ..explanation.rendering import write_together

    output_folder(folder)
    remove_leftovers(folder / FOLDER)
    how: tuple[Any, ...] = (asked.batch_size, asked.seed, asked.fit or "error", asked.resampling, asked.channels)
    work = LongWork(model, file, asked.window, asked.hop, question, *how)
    scores = _scores(work, folder)
    chosen = parse_choice(asked.choose, question.probable)(scores)
    paths = {number: folder / FOLDER / f"{number:06d}" for number in chosen}
    left = [number for number, path in paths.items() if not path.exists()]
    if left:
        output_folder(folder / FOLDER)
        for explanation in work.explanations(scores, left, {"explainer": asked.explainer}):
            _write(explanation, asked.view, renderers, paths[explanation.provenance["window"]["number"]])
    kept = KeptExplanations(tuple(path / EXPLANATION for path in paths.values()))
    long = work.result(scores, kept, asked.weights)
    return Done(long, folder, [*write_together(kept, renderers, folder, least=1), *_pages(long, paths, renderers, folder)])


def _pages(long: LongExplanation, paths: Mapping[int, Path], renderers: Sequence[Any], folder: Path) -> list[Path]:
    """``report.html`` with all of the recording, if a renderer has a method ``long_page``."""
    for renderer in renderers:
        if hasattr(renderer, "long_page"):
            pages = {number: next(iter(sorted(path.rglob("*.html"))), None) for number, path in paths.items()}
            links = {number: page.relative_to(folder).as_posix() for number, page in pages.items() if page is not None}
            return [write_text(folder / "report.html", renderer.long_page(long, links))]
    return []


def _scores(work: LongWork, folder: Path) -> list[Scored]:
    """Scores of all windows, written as they come; those that are there are read."""
    kept = _read(folder / TABLE) or _read(folder / PART)
    told = work.scores({one.window: one for one in kept})
    first = next(told)  # a recording that cannot be read is refused before anything is written
    part = write_text(folder / PART, _rows([Scored._fields, *kept]))
    try:
        with part.open("a", encoding="utf-8", newline="") as table:
            scores = []
            for scored in chain([first], told):
                scores.append(scored)
                if len(scores) > len(kept):
                    table.write(_rows([scored]))
                    table.flush()
        os.replace(part, folder / TABLE)
    except OSError as error:
        raise OutputError(f"{part}: cannot be written ({error.strerror or error}). Check the space left.") from error
    return scores


def _rows(rows: Sequence[Sequence[Any]]) -> str:
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read(path: Path) -> list[Scored]:
    """The rows of a table of scores up to the first that is not whole."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    rows = csv.reader(text[: text.rfind("\n") + 1].splitlines())
    kinds: Sequence[Callable[[str], Any]] = (int, int, int, float, float, str, float, _number, str)
    scores = []
    for number, row in enumerate(list(rows)[1:]):
        if len(row) != len(kinds) or row[0] != str(number):
            break
        scores.append(Scored(*(kind(cell) for kind, cell in zip(kinds, row, strict=True))))
    return scores


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _write(explanation: Explanation, view: str | None, renderers: Sequence[Any], folder: Path) -> None:
    """A window's explanation and what renderers make of it, in a folder that is there when all of it is."""
    from ..explanation.rendering import render

    building = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=folder.parent))
    try:
        explanation.save(building / EXPLANATION)
        render([explanation if view is None else explanation.view(view)], renderers, building)
        building.chmod(0o755)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def facts_of(done: Done) -> dict[str, Any]:
    """What ``run.json`` and ``--json`` say of a recording, of which each explanation is read once."""
    long, told = done.long, []

    def once() -> Iterator[Explanation]:
        for one in long.explanations:
            told.append((one.provenance["window"]["number"], one.explained_score))
            yield one

    pieces = [(float(piece.relevance.sum()), len(piece.coverage)) for piece in overlap_added(once(), long.weights)]
    return {
        "source": long.source,
        "seconds": long.duration,
        "sample_rate": long.sample_rate,
        "window": long.window,
        "hop": long.hop,
        "windows": len(long.scores),
        "explained": [number for number, _ in told],
        "weights": long.weights.tolist(),
        "score": weighted(long.weights, (score for _, score in told)),
        "relevance_sum": sum(held for held, _ in pieces),
        "covered_seconds": sum(samples for _, samples in pieces) / long.sample_rate,
        "notes": list(long.notes),
    }

"""From answers to findings: exclusions, measures with intervals, tests, opinions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from xaudio.plugin import DRAWS, LEAST, LEVEL, DataError, counted, counted_of

from ..records import StudyData
from .bootstrap import crossed_draws, drawn_anew, strata_of
from .cells import Drawn, cells_of, plain_cells
from .contrasts import MOST, contrasts_of
from .exclusions import ExclusionRules, apply_rules
from .opinions import preferences_of, ratings_of
from .results import Cell, StudyResults
from .table import Table, choice_table

LEAST_PARTICIPANTS = 2
"""Of an analysis; of one nothing can be said about others."""


def analyze(data: StudyData, rules: ExclusionRules | None = None, *, draws: int = DRAWS, seed: int = 0) -> StudyResults:
    """Analyse a study.

    Parameters
    ----------
    data : StudyData
        Of `xaudio_study.server.store.read_study` or `xaudio_study.simulation.simulation.simulate`.
    rules : ExclusionRules, optional
        Who and what is left out, as the settings of the study state it; by default
        the rules that settings have by default.
    draws : int
        Of the bootstrap.
    seed : int

    Returns
    -------
    StudyResults

    Raises
    ------
    DataError
        If there are no answers or too few participants, or the data contradict themselves.
    """
    stated, rules = rules, rules or ExclusionRules()
    _check(data)
    kept = apply_rules(data, rules)
    if not data.answers:
        raise DataError(f"{data.title}: nobody has answered yet; there is nothing to analyse.")
    least = 1 if data.simulated else LEAST_PARTICIPANTS
    if len(kept.data.participants) < least:
        named = "; ".join(f"{count.rule}: {count.participants}" for count in kept.counts if count.participants)
        raise DataError(
            f"{data.title}: {counted_of(len(kept.data.participants), len(data.participants), 'participant', 'is', 'are')} left "
            f"({named or 'no rule left anybody out'}); expected {least} or more."
        )
    ratings, preferences = ratings_of(kept.data, draws, seed), preferences_of(kept.data, draws, seed)
    table = choice_table(kept.data)
    if table is None and not ratings and not preferences:
        raise DataError(f"{data.title}: of the participants that are left nobody answered more than catch trials.")
    weights = None if table is None else crossed_draws(len(table.participants), strata_of(table), draws=draws, seed=seed)
    drawn = None if table is None else Drawn(table, weights)
    cells = cells_of(table, drawn) if table and drawn else []
    everybody = choice_table(apply_rules(data, None).data)
    redrawn = drawn_anew(len(table.participants), strata_of(table)) if table else []
    return StudyResults(
        title=data.title,
        simulated=data.simulated,
        classes=list(data.classes),
        enrolled=len(data.participants),
        kept=len(kept.data.participants),
        rules=rules.model_dump(),
        exclusions=kept.counts,
        form=_form(kept.data),
        level=LEVEL,
        draws=draws,
        seed=seed,
        drawn=redrawn,
        cells=cells,
        contrasts=contrasts_of(table, drawn) if table and drawn else [],
        ratings=ratings,
        preferences=preferences,
        without_exclusions=plain_cells(everybody) if everybody else [],
        notes=_notes(kept.data, table, cells, redrawn, stated is not None),
    )


def rules_of(path: Path) -> ExclusionRules:
    """The exclusion rules of a study folder, or of a TOML file of settings.

    Raises
    ------
    DataError
        If the settings cannot be read.
    """
    from ..building.settings import load_settings

    return load_settings(path / "study.toml" if path.is_dir() else path).exclusion


def _check(data: StudyData) -> None:
    """Refuse answers to unknown items or by unknown participants, two answers to the same item, and names given twice."""
    asked = {question.name for question in data.questions}
    for what, names in (
        ("participants", [person.participant for person in data.participants]),
        ("items", [item.item for item in data.items]),
    ):
        name, count = Counter(names).most_common(1)[0] if names else ("", 1)
        if count > 1:
            raise DataError(f"{data.title}: {count} {what} have the name {name}; expected one.")
    for item in data.items:
        if item.question not in asked:
            raise DataError(f"{data.title}: item {item.item} asks {item.question!r}, which is not a question of the study.")
    items, people = {item.item for item in data.items}, {person.participant for person in data.participants}
    seen: set[tuple[str, str]] = set()
    for answer in data.answers:
        if answer.item not in items or answer.participant not in people:
            raise DataError(
                f"{data.title}: the answer of {answer.participant} to {answer.item} belongs to no participant and item of it."
            )
        if (answer.participant, answer.item) in seen:
            raise DataError(f"{data.title}: {answer.participant} answered {answer.item} twice; expected one answer.")
        seen.add((answer.participant, answer.item))


def _form(data: StudyData) -> dict[str, dict[str, int]]:
    names = dict.fromkeys(name for person in data.participants for name in person.form)
    return {
        name: dict(Counter(person.form.get(name, "not answered") for person in data.participants).most_common()) for name in names
    }


def _notes(data: StudyData, table: Table | None, cells: list[Cell], drawn: list[str], stated: bool) -> list[str]:
    notes = []
    if data.simulated:
        notes.append(f"Simulated, not answered by people: {data.simulated} Nothing here is a finding about people.")
    if not stated:
        notes.append("Without settings of the study, the default rules say who is left out, which may not be those of the study.")
    if table is None:
        return notes
    if "participants" not in drawn:
        notes.append(
            f"{counted(len(table.participants), 'participant is', 'participants are')} fewer than {LEAST}: intervals do not "
            "resample them, and speak for these alone."
        )
    if "recordings" not in drawn:
        notes.append(
            f"Fewer than {LEAST} recordings were predicted wrongly, or correctly: intervals do not resample these, and speak "
            "for these alone."
        )
    if len(table.conditions) > MOST:
        notes.append(
            f"Of more than {MOST} conditions, each explanation is compared with the plain signal of the same sense and with "
            "the controls amplitude and random, made to sound or look as it is."
        )
    return notes + _left_out(cells)


def _left_out(cells: list[Cell]) -> list[str]:
    """Which classes have no value: those that the model never predicted, and those that nobody answered."""
    notes = []
    for group in ("wrong", "right"):
        chosen = [cell for cell in cells if cell.group == group]
        unfit = {item.name: item.undefined for cell in chosen for item in cell.classes if "predicted" in item.undefined}
        if unfit:
            reasons = "; ".join(f"{name}: {reason.partition(', ')[0]}" for name, reason in unfit.items())
            notes.append(f"On {group}ly predicted recordings, informedness and markedness are without classes ({reasons}).")
        unnamed = {
            cell.condition: [one for one in cell.markedness.left_out if one not in unfit]
            for cell in chosen
            if set(cell.markedness.left_out) - set(unfit)
        }
        if unnamed:
            if len(unnamed) > MOST:
                counts = Counter(name for names in unnamed.values() for name in names)
                named = f"{', '.join(f'{name} in {counts[name]}' for name in sorted(counts))} of {len(chosen)} conditions"
            else:
                named = "; ".join(f"{condition}: {', '.join(names)}" for condition, names in unnamed.items())
            notes.append(f"On {group}ly predicted recordings, markedness is without classes that nobody answered ({named}).")
    return notes

"""How many participants and recordings a study needs: how often the test finds a difference that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from xaudio.plugin import LEVEL, DataError, FixedRecord, progress, unknown

from ..analysis.contrasts import LEAST_PAIRS, differences, tested
from ..analysis.exclusions import ExclusionRules, apply_rules
from ..analysis.mixed import PAIRED, Fit, balanced_fit
from ..analysis.results import Estimate, Group
from ..analysis.table import GROUPS, choice_table
from ..records import Mode, StudyData
from .simulation import MODES, Behaviour, answers_of, check_bias, choices, named_conditions, plain_design

LEAST_SIMULATIONS = 20
"""Of fewer, a share says nothing."""


class PowerCell(FixedRecord):
    """One size of a study.

    Parameters
    ----------
    participants, recordings : int
        Participants who begin; recordings of the group that is tested.
    analysed : float
        Participants who are left by the rules of exclusion, in the mean of the simulated studies.
    power : Estimate
        Share of the simulated studies in which the test finds the difference, with the exact interval.
    false_alarms : Estimate
        The same where both conditions have the mean of their skills: it should be near the level.
    mean_difference : float
        In the share of right answers, over the studies that could be tested.
    """

    participants: int
    recordings: int
    analysed: float
    power: Estimate
    false_alarms: Estimate
    mean_difference: float


class PowerResults(FixedRecord):
    """Power over a grid of sizes: the content of ``power.json``.

    Parameters
    ----------
    format : int
    simulated : str
    first, second : str
        Conditions compared.
    group : {"wrong", "right", "all"}
    test : str
        The model whose p is compared with ``alpha``.
    alpha : float
    simulations : int
        Of each size, with and without the difference.
    behaviour : dict
    rules : dict
        Who is left out, as in ``[exclusion]`` of a study's settings.
    classes, seed : int
    cells : list of PowerCell
    """

    format: Literal[1] = 1
    simulated: str
    first: str
    second: str
    group: Group
    test: str
    alpha: float
    simulations: int
    behaviour: dict[str, object]
    rules: dict[str, object]
    classes: int
    seed: int
    cells: list[PowerCell]


def power(
    behaviour: Behaviour,
    compare: tuple[str, str],
    *,
    participants: Sequence[int],
    recordings: Sequence[int],
    classes: Sequence[str] = tuple("0123456789"),
    group: Group = "wrong",
    rules: ExclusionRules | None = None,
    simulations: int = 200,
    alpha: float = 1 - LEVEL,
    seed: int = 0,
) -> PowerResults:
    """Simulate many studies of each size and count in how many the test finds the difference.

    The test is that of the analysis (`xaudio_study.analysis.mixed.paired_fit`), in its closed form where no answer is
    missing. Who drops out or is careless is left out by the rules as in an analysis, so the number of participants who are
    analysed varies from study to study; one in which too few are left for a test does not find the difference.

    Parameters
    ----------
    behaviour : Behaviour
        ``knows`` of both conditions is the effect.
    compare : (str, str)
        Conditions: modes, or "mode:explainer" to compare two of one mode.
    participants, recordings : sequence of int
        The grid; 2 or more each. Of ``group`` "all", half of the recordings are predicted wrongly.
    classes : sequence of str
    group : {"wrong", "right", "all"}
    rules : ExclusionRules, optional
        By default those that settings have by default.
    simulations : int
        Of each size.
    alpha : float
        Level of the test.
    seed : int

    Raises
    ------
    DataError
        If a number does not fit, the conditions are not two different ones, the behaviour names another condition, or
        in every study too few participants are left.
    """
    _check(behaviour, compare, group, participants, recordings, simulations)
    rules = rules or ExclusionRules()
    null = _without_difference(behaviour, compare)
    check_bias(classes, behaviour)
    cells = []
    sizes = [(people, sounds) for people in participants for sounds in recordings]
    with progress("Simulating studies", 2 * simulations * len(sizes)) as advance:
        for place, (people, sounds) in enumerate(sizes):
            shares = {}
            for number, assumed in enumerate((behaviour, null)):
                outcomes = np.empty((simulations, 3))
                for repeat in range(simulations):
                    rng = np.random.default_rng([seed, place, number, repeat])
                    outcomes[repeat] = _simulated(assumed, compare, classes, (people, sounds), group, rules, rng)
                    advance()
                shares[number] = outcomes
            effects = shares[0][np.isfinite(shares[0][:, 1]), 1]
            if not len(effects):
                raise DataError(f"Of {people} participants too few are left for a test in every simulated study; expected more.")
            cells.append(
                PowerCell(
                    participants=people,
                    recordings=sounds,
                    analysed=float(shares[0][:, 2].mean()),
                    power=share(shares[0][:, 0] < alpha),
                    false_alarms=share(shares[1][:, 0] < alpha),
                    mean_difference=float(effects.mean()),
                )
            )
    return PowerResults(
        simulated=behaviour.described(max(participants), seed),
        first=compare[0],
        second=compare[1],
        group=group,
        test=PAIRED,
        alpha=alpha,
        simulations=simulations,
        behaviour=behaviour.model_dump(),
        rules=rules.model_dump(),
        classes=len(classes),
        seed=seed,
        cells=cells,
    )


def share(rejected: object) -> Estimate:
    """Share of what is true among booleans, with the exact interval (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    values = np.asarray(rejected, np.bool_)
    test = binomtest(int(values.sum()), len(values))
    exact = test.proportion_ci(LEVEL, method="exact")
    return Estimate(value=float(values.mean()), low=float(exact.low), high=float(exact.high))


def _check(
    behaviour: Behaviour,
    compare: tuple[str, str],
    group: str,
    participants: Sequence[int],
    recordings: Sequence[int],
    simulations: int,
) -> None:
    if compare[0] == compare[1]:
        raise DataError(f"Both conditions are {compare[0]!r}; expected two different ones.")
    for name in (*behaviour.knows, *behaviour.hears):
        if name not in compare:
            raise DataError(unknown("condition", name, compare))
    if group not in GROUPS:
        raise DataError(unknown("group of recordings", group, GROUPS))
    for name, numbers in (("participants", participants), ("recordings", recordings)):
        if not numbers or min(numbers) < 2:
            raise DataError(f"The numbers of {name} are {list(numbers)}; expected one or more, each 2 or more.")
    if simulations < LEAST_SIMULATIONS:
        raise DataError(f"{simulations} simulations are too few for a share; expected {LEAST_SIMULATIONS} or more.")


def _without_difference(behaviour: Behaviour, compare: tuple[str, str]) -> Behaviour:
    """The same with both conditions alike: the means of their skills."""
    changed: dict[str, Mapping[str, float]] = {}
    for name in ("knows", "hears"):
        chances = getattr(behaviour, name)
        mean = sum(chances.get(condition, 0.0) for condition in compare) / 2
        changed[name] = dict.fromkeys(compare, mean)
    return behaviour.model_copy(update=changed)


def _design(classes: Sequence[str], recordings: int, group: str, compare: tuple[str, str]) -> StudyData:
    wrong = {"wrong": recordings, "right": 0, "all": recordings // 2}[group]
    return plain_design(classes, recordings - wrong, wrong, [_split(name) for name in compare])


def _split(condition: str) -> tuple[Mode, str | None]:
    """Mode and explainer of a condition's name."""
    mode, _, explainer = condition.partition(":")
    for one in MODES:
        if mode == one:
            return one, explainer or None
    raise DataError(unknown("mode", mode, MODES))


def _simulated(
    behaviour: Behaviour,
    compare: tuple[str, str],
    classes: Sequence[str],
    size: tuple[int, int],
    group: Group,
    rules: ExclusionRules,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """P of the test, the difference (NaN without a test), and how many participants are left, of one simulated study."""
    people, sounds = size
    design = _design(classes, sounds, group, compare)
    if not behaviour.dropout and not behaviour.careless:  # the same without all the records: ten times as fast
        names = [compare[0]] * sounds + [compare[1]] * sounds
        answered = choices(classes, design.items, names, behaviour, people, rng).answered
        predicted = np.array([list(classes).index(item.predicted) for item in design.items])
        correct = (answered == predicted).astype(np.float64)
        whole = balanced_fit(correct[:, :sounds] - correct[:, sounds:])
        return whole.test()[1], whole.effect, people
    fit, left = _analysed(design, _renamed(behaviour, compare, design), people, group, rules, rng)
    return (1.0, np.nan, left) if fit is None else (fit.test()[1], fit.effect, left)


def _analysed(
    design: StudyData, behaviour: Behaviour, people: int, group: Group, rules: ExclusionRules, rng: np.random.Generator
) -> tuple[Fit | None, int]:
    """The test as `analyze` makes it, None if there is none, and how many participants are left."""
    participants, answers = answers_of(design, behaviour, people, rng)
    kept = apply_rules(design.model_copy(update={"participants": participants, "answers": answers}), rules).data
    table = choice_table(kept)
    if table is None:
        return None, 0
    difference, left = differences(table, 0, 1, group), len(table.participants)
    if min(difference.shape) >= LEAST_PAIRS and np.isfinite(difference).all():
        return balanced_fit(difference), left
    outcome = tested(table, 0, 1, group)
    return (None if isinstance(outcome, str) else outcome[0]), left


def _renamed(behaviour: Behaviour, compare: tuple[str, str], design: StudyData) -> Behaviour:
    """The same with the names that the conditions have in the design."""
    named = named_conditions(design)
    names = dict(zip(compare, (named[design.items[0].item], named[design.items[-1].item]), strict=True))
    changed = {kind: {names[name]: value for name, value in getattr(behaviour, kind).items()} for kind in ("knows", "hears")}
    return behaviour.model_copy(update=changed)


def conditions_in(text: str) -> tuple[str, str]:
    """Two modes, as in "audible-explanation,visual-explanation".

    Raises
    ------
    DataError
        If there are not two.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise DataError(f"Cannot read the conditions {text!r}: expected two, such as audible-explanation,visual-explanation.")
    return parts[0], parts[1]

"""What an analysis finds: the content of its ``results.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from xaudio.plugin import FixedRecord

Group = Literal["wrong", "right", "all"]
"""Recordings that the model predicted wrongly, correctly, or all."""


class Estimate(FixedRecord):
    """A value with its 95 % interval.

    Parameters
    ----------
    value : float
    low, high : float or None
        None where there is no interval: too few participants and recordings, or the value is undefined in most draws.
    """

    value: float
    low: float | None = None
    high: float | None = None


class ExclusionCount(FixedRecord):
    """A rule and whom it leaves out.

    Parameters
    ----------
    rule : str
        In words.
    participants : int
        Under this rule, for itself; a participant may be counted by several.
    """

    rule: str
    participants: int


class ClassMeasures(FixedRecord):
    """One class in one condition and group.

    Parameters
    ----------
    name : str
    recordings : int
        Recordings that the model took for it. From one of them, nothing can be said about others.
    predicted, answered, right : int
        Answers about recordings that the model took for it; answers that name it; both.
    informedness, markedness : Estimate or None
        None where it is undefined.
    undefined : str
        Why it is, "" if nothing is: the model never predicted the class here, or nobody answered it.
    """

    name: str
    recordings: int
    predicted: int
    answered: int
    right: int
    informedness: Estimate | None
    markedness: Estimate | None
    undefined: str = ""


class Measure(FixedRecord):
    """Informedness or markedness over the classes.

    Parameters
    ----------
    macro : Estimate or None
        Mean over the classes that have a value.
    weighted : Estimate or None
        Powers (2011): informedness weighted by bias (how often a class was answered), markedness by prevalence (how often
        it was predicted), over the same classes.
    left_out : list of str
        Classes without a value.
    """

    macro: Estimate | None
    weighted: Estimate | None
    left_out: list[str]


class Cell(FixedRecord):
    """A condition and a group of recordings.

    Parameters
    ----------
    condition : str
        Mode, with the explainer where there are several.
    mode : str
    explainer : str or None
    group : {"wrong", "right", "all"}
    answers, participants, recordings : int
    accuracy : Estimate
        Share of the answers that name the model's prediction.
    chance : float
        One over the number of classes.
    commonest : float
        What always naming the class that the model predicted most often here would reach.
    above_chance : bool or None
        Whether the interval of the accuracy lies above chance; None without an interval.
    truth : float or None
        Share of the answers that name the true class; on wrongly predicted recordings these are not the model's.
    informedness, markedness : Measure
    classes : list of ClassMeasures
    median_ms : float
    geometric_mean_ms : Estimate
        Of the response times.
    plays : float
        Mean number of times that the sound was started.
    fleiss_kappa, krippendorff_alpha : float or None
        Agreement of the participants; None with fewer than two answers to each item, or if all answers are the same.
    confusion : list of list of int
        Rows are predictions of the model, columns answers.
    """

    condition: str
    mode: str
    explainer: str | None
    group: Group
    answers: int
    participants: int
    recordings: int
    accuracy: Estimate
    chance: float
    commonest: float
    above_chance: bool | None
    truth: float | None
    informedness: Measure
    markedness: Measure
    classes: list[ClassMeasures]
    median_ms: float
    geometric_mean_ms: Estimate
    plays: float
    fleiss_kappa: float | None
    krippendorff_alpha: float | None
    confusion: list[list[int]]


class Test(FixedRecord):
    """A linear mixed model of the difference between two conditions.

    Parameters
    ----------
    model : str
        Its formula in words.
    difference : Estimate
        In the share of right answers, first less second, with the interval of the t distribution.
    standard_error, df, t, p : float
    p_holm : float
        Corrected for all comparisons of the group (Holm 1979).
    variances : dict of str to float
        Of the random effects and the residual.
    pairs, participants, recordings : int
        What it rests on.
    notes : list of str
        Random effects of which the data show no variance.
    """

    model: str
    difference: Estimate
    standard_error: float
    df: float
    t: float
    p: float
    p_holm: float
    variances: dict[str, float]
    pairs: int
    participants: int
    recordings: int
    notes: list[str] = Field(default_factory=list)


class Contrast(FixedRecord):
    """Two conditions compared, in one group of recordings.

    Parameters
    ----------
    first, second : str
    group : {"wrong", "right", "all"}
    test : Test or None
    untested : str
        Why there is no test, "" if there is one.
    informedness_macro, informedness_weighted : Estimate or None
        Difference, first less second, with the interval of the bootstrap over participants and recordings.
    """

    first: str
    second: str
    group: Group
    test: Test | None
    untested: str
    informedness_macro: Estimate | None
    informedness_weighted: Estimate | None


class Rating(FixedRecord):
    """Ratings of a condition.

    Parameters
    ----------
    question, condition : str
    group : {"wrong", "right", "all"}
    answers, participants, recordings : int
    mean : Estimate
        Of the scale's places, from 1; the interval is that of the bootstrap.
    counts : dict of str to int
        How often each was given.
    krippendorff_alpha : float or None
        Agreement at interval level.
    """

    question: str
    condition: str
    group: Group
    answers: int
    participants: int
    recordings: int
    mean: Estimate
    counts: dict[str, int]
    krippendorff_alpha: float | None


class Preference(FixedRecord):
    """How often one explainer was preferred to another.

    Parameters
    ----------
    question, mode, first, second : str
    answers, recordings : int
    share : Estimate
        Of the answers that prefer the first; the interval is that of the bootstrap.
    prefer_first, prefer_second, undecided : int
        Participants by what they preferred in most of their answers.
    share_of_participants : Estimate or None
        Of those who decided; the interval is exact (Clopper and Pearson 1934).
    p : float or None
        Exact two-sided binomial test that as many participants prefer the one as the other.
    """

    question: str
    mode: str
    first: str
    second: str
    answers: int
    recordings: int
    share: Estimate
    prefer_first: int
    prefer_second: int
    undecided: int
    share_of_participants: Estimate | None
    p: float | None


class WithoutExclusions(FixedRecord):
    """A condition and group as it would be if nobody were left out."""

    condition: str
    group: Group
    participants: int
    answers: int
    accuracy: float
    informedness_macro: float | None
    markedness_macro: float | None


class StudyResults(FixedRecord):
    """An analysed study.

    Parameters
    ----------
    format : int
    result : {"study"}
        What ``xaudio report`` knows the folder by.
    title : str
    simulated : str
        How the participants were simulated; "" for people. Results of a simulation are not findings about people.
    classes : list of str
    enrolled, kept : int
        Participants.
    rules : dict
        The exclusion rules, as in ``[exclusion]`` of the settings.
    exclusions : list of ExclusionCount
    form : dict of str to dict of str to int
        How often each answer of the form was given by those who are kept.
    level : float
        Of the intervals.
    draws, seed : int
        Of the bootstrap.
    drawn : list of str
        What the bootstrap resamples: participants, recordings, both or neither.
    cells : list of Cell
    contrasts : list of Contrast
    ratings : list of Rating
    preferences : list of Preference
    without_exclusions : list of WithoutExclusions
    notes : list of str
        What a reader must know.
    """

    format: Literal[1] = 1
    result: Literal["study"] = "study"
    title: str
    simulated: str
    classes: list[str]
    enrolled: int
    kept: int
    rules: dict[str, Any]
    exclusions: list[ExclusionCount]
    form: dict[str, dict[str, int]]
    level: float
    draws: int
    seed: int
    drawn: list[str]
    cells: list[Cell]
    contrasts: list[Contrast]
    ratings: list[Rating]
    preferences: list[Preference]
    without_exclusions: list[WithoutExclusions]
    notes: list[str]

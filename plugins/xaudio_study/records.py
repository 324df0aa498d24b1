"""What a study is made of and what people answered, as they are stored, exported and analysed."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from xaudio.plugin import FixedRecord

Mode = Literal["audible-explanation", "audible-signal", "visual-explanation", "visual-signal"]
"""The four modes of arXiv 1807.03418, Section 3.4: an explanation or, as a baseline, the plain signal, heard or seen."""

QuestionKind = Literal["choice", "rating", "preference"]
"""``choice``: which class did the model predict; ``rating``: a whole number on a scale; ``preference``: A or B."""


class Record(FixedRecord):
    """Base of the records: fixed, and without unknown fields."""

    model_config = ConfigDict(allow_inf_nan=False)


class Question(Record):
    """A question, the same for every item it is asked about.

    Parameters
    ----------
    name : str
        Identifier in exports.
    kind : {"choice", "rating", "preference"}
    text : mapping of str to str
        Per language.
    answers : tuple of str
        What may be answered: class names, the numbers of the scale as text, or "A" and "B".
    """

    name: str
    kind: QuestionKind
    text: dict[str, str]
    answers: tuple[str, ...] = Field(min_length=2)


class Item(Record):
    """One thing to be judged, with what only the researcher knows about it.

    Parameters
    ----------
    item : str
        Opaque identifier, which says nothing about its content.
    mode : str
        See `Mode`.
    question : str
        Name of the question that is asked.
    explainer : str or None
        Of the explanation shown; None for a plain signal.
    against : str or None
        In a preference, the explainer of B (A is ``explainer``; which is shown first is drawn per participant).
    recording, speaker : str
        Source of the recording and who speaks.
    predicted, truth : str
        The model's prediction, which participants are asked for, and the true class.
    right : bool
        Whether the model was right.
    catch : str or None
        The one acceptable answer of a catch trial; None for all others, which alone are analysed.
    """

    item: str
    mode: Mode
    question: str
    explainer: str | None = None
    against: str | None = None
    recording: str = ""
    speaker: str = ""
    predicted: str = ""
    truth: str = ""
    right: bool = True
    catch: str | None = None


class Participant(Record):
    """One person, under a random name.

    Parameters
    ----------
    participant : str
    language : str
    enrolled : str
        ISO 8601, UTC, "" of one who withdrew; ``finished`` as well, None until the last answer.
    form : mapping of str to str
        Demographics and experience, as asked in the form.
    headphones : float or None
        Share of right answers in the headphone check, None where there was none.
    withdrawn : bool
        Answers of a person who withdrew are deleted; the record says only that there was one.
    """

    participant: str
    language: str = "en"
    enrolled: str
    finished: str | None = None
    form: dict[str, str] = Field(default_factory=dict)
    headphones: float | None = None
    withdrawn: bool = False


class Answer(Record):
    """One answer to one item.

    Parameters
    ----------
    participant, item : str
    position : int
        Place in the participant's order, from 0.
    value : str
        One of the question's answers; in a preference "A" or "B" as in `Item`, whatever was shown first.
    response_ms : float
        From the moment the item was shown until the answer, measured in the browser.
    plays : int
        How often the sound was started (0 for pictures).
    answered : str
        ISO 8601, UTC, on the server.
    """

    participant: str
    item: str
    position: int = Field(ge=0)
    value: str
    response_ms: float = Field(ge=0)
    plays: int = Field(ge=0)
    answered: str


class StudyData(Record):
    """A study with its answers: what ``xaudio study export`` writes as JSON and ``xaudio study analyze`` reads.

    Parameters
    ----------
    format : int
    title : str
    classes : tuple of str
    questions, items, participants, answers : tuple of records
    simulated : str
        How the participants were simulated; "" for people.
    """

    format: Literal[1] = 1
    title: str
    classes: tuple[str, ...]
    questions: tuple[Question, ...]
    items: tuple[Item, ...]
    participants: tuple[Participant, ...]
    answers: tuple[Answer, ...]
    simulated: str = ""

"""A built study: the part that the browser may know, and the key that stays with the researcher."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from xaudio.plugin import DataError, ModelError, first_fault, read_json

from .records import Item, Question, Record

PUBLIC, KEY, MEDIA = "study.json", "key.json", "media"
"""Names within a study folder. ``study.json`` is written last, so that a folder with it is complete."""

Stage = Literal["consent", "form", "level", "headphones", "items", "done", "withdrawn"]
"""Where a participant is."""

Schema = TypeVar("Schema", bound=Record)


class Medium(Record):
    """A sound or a picture that a participant gets.

    Parameters
    ----------
    name : str
        File in ``media``, which says nothing about its content.
    kind : {"sound", "picture"}
    seconds : float
        Length of a sound, 0 of a picture.
    width, height : int
        Of a picture in pixels, 0 of a sound.
    """

    name: str = Field(pattern=r"^[0-9a-f]{24}\.(wav|png)$")
    kind: Literal["sound", "picture"]
    seconds: float = Field(default=0, ge=0)
    width: int = 0
    height: int = 0


class Trial(Record):
    """What a participant gets to see of an item, or of a trial of the headphone check.

    Parameters
    ----------
    item : str
    question : str
        Name of the question; "" in the headphone check.
    media : tuple of Medium
        One, or A and B of a preference; none in a catch trial.
    text : mapping of str to str
        The question, per language.
    hint : mapping of str to str
        What is shown above it, per language.
    answers : tuple of str
    """

    item: str = Field(pattern=r"^[0-9a-f]{16}$")
    question: str
    media: tuple[Medium, ...] = ()
    text: dict[str, str]
    hint: dict[str, str] = Field(default_factory=dict)
    answers: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Length of all its sounds."""
        return sum(medium.seconds for medium in self.media)

    @property
    def sounds(self) -> int:
        """How many sounds it has."""
        return sum(medium.kind == "sound" for medium in self.media)


class FormChoice(Record):
    """One answer to a question of the form, with its text per language."""

    value: str = Field(pattern=r"^[\w -]{1,40}$")
    text: dict[str, str] = Field(default_factory=dict)


class FormField(Record):
    """A question of the form; only given answers can be chosen, so that nobody writes down who they are.

    Parameters
    ----------
    name : str
        Column of the export.
    text : mapping of str to str
        Per language.
    answers : tuple of FormChoice
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    text: dict[str, str]
    answers: tuple[FormChoice, ...] = Field(min_length=2)


class PublicStudy(Record):
    """What the browser may know: ``study.json``.

    Parameters
    ----------
    format : int
    title : mapping of str to str
    languages : tuple of str
    classes : tuple of str
    labels : mapping
        Per language, how an answer is shown if not by its own name.
    texts : mapping
        Per language, all texts of the pages.
    form : tuple of FormField
    questions : tuple of Question
    level : Medium or None
        Sound of the level check.
    headphones : tuple of Trial
        Trials of the headphone check.
    items : tuple of Trial
        In the order of their opaque names.
    """

    format: Literal[1] = 1
    title: dict[str, str]
    languages: tuple[str, ...]
    classes: tuple[str, ...]
    labels: dict[str, dict[str, str]] = Field(default_factory=dict)
    texts: dict[str, dict[str, str]]
    form: tuple[FormField, ...]
    questions: tuple[Question, ...]
    level: Medium | None = None
    headphones: tuple[Trial, ...] = ()
    items: tuple[Trial, ...]


class Key(Record):
    """What only the researcher knows: ``key.json``.

    Parameters
    ----------
    format : int
    seed : int
        Of the orders.
    order : {"blocks", "mixed"}
        See `xaudio_study.building.order`.
    items : tuple of Item
        Conditions one after another, in each the recordings in the same order; the catch trials last.
    headphones : mapping of str to str
        Right answer of each trial of the headphone check.
    """

    format: Literal[1] = 1
    seed: int
    order: Literal["blocks", "mixed"] = "blocks"
    items: tuple[Item, ...]
    headphones: dict[str, str] = Field(default_factory=dict)


def read_public(folder: Path) -> PublicStudy:
    """Read ``study.json``.

    Raises
    ------
    DataError
        If the folder holds no study, or one that is not finished.
    ModelError
        If the file is damaged or of another format.
    """
    if not (folder / PUBLIC).exists():
        started = (folder / "run.json").exists()
        todo = "Its build did not finish: give the same command again." if started else "Make one with: xaudio study build."
        raise DataError(f"{folder}: holds no study ({PUBLIC} is missing). {todo}")
    return read_record(folder / PUBLIC, PublicStudy)


def read_key(folder: Path) -> Key:
    """Read ``key.json``; raises as `read_public`."""
    read_public(folder)
    return read_record(folder / KEY, Key)


def read_record(path: Path, schema: type[Schema]) -> Schema:
    """Read a JSON file that holds a record.

    Raises
    ------
    ModelError
        If it is missing, damaged or of another format.
    """
    content = read_json(path)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"{path}: is damaged or of another version of xaudio ({first_fault(error)}).") from None


def media_of(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each item, by its name, as the participants get them; empty for a catch trial."""
    return {trial.item: tuple(folder / MEDIA / medium.name for medium in trial.media) for trial in read_public(folder).items}

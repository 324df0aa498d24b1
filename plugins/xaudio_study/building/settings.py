"""All that a study is made of, as one TOML file: the schema, which is its documentation as well."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from xaudio.plugin import DataError, FixedRecord, first_fault, nearest, unknown

from ..analysis.exclusions import ExclusionRules
from ..plan import FormField
from ..records import Mode, QuestionKind
from ..server.texts import BUILT_IN, KEYS

MODES: tuple[Mode, ...] = ("audible-explanation", "audible-signal", "visual-explanation", "visual-signal")
Texts = dict[str, dict[str, str]]


class Recordings(FixedRecord):
    """Which recordings are judged, drawn from those that the model never heard."""

    right: NonNegativeInt = Field(10, description="How many that the model predicted correctly.")
    wrong: NonNegativeInt = Field(10, description="How many that it predicted wrongly.")
    fill: bool = Field(
        False,
        description="Whether the correctly predicted recordings of which the model was least certain stand in for wrongly "
        "predicted ones that are missing; they stay marked as right.",
    )
    balance: Literal["none", "predicted"] = Field(
        "none", description='"none" draws all alike, as in the paper; "predicted" spreads the draws over the predicted classes.'
    )


class Explanations(FixedRecord):
    """What is shown of them."""

    explainers: tuple[str, ...] = Field(
        ("lrp",), min_length=1, description="Explainers to compare, with options as in lrp:composite=epsilon_plus."
    )
    view: str = Field(
        "", description='Domain of the relevance: "time", "frequency", "time-frequency", or "" for that of the model.'
    )
    sound: str = Field(
        "audible:domain=features,normalisation=maximum,smooth_ms=0,loudness=match,parts=original+positive",
        description="Renderer of the sounds, with its options; it must write original.wav and the part. This is "
        "equation 4 of the paper, as loud as the recording; audible:loudness=match,parts=original+positive has fewer artefacts.",
    )
    part: str = Field("positive", description="Part of the sound that is the audible explanation.", pattern=r"^[a-z]+$")


class Pictures(FixedRecord):
    """How the pictures look; explanation and plain signal differ in the colours alone."""

    width: Annotated[int, Field(ge=200, le=4000)] = Field(960, description="In pixels.")
    height: Annotated[int, Field(ge=100, le=4000)] = Field(420, description="In pixels.")
    percentile: Annotated[float, Field(gt=0, le=100)] = Field(
        99.5, description="Percentile of the magnitudes of relevance at which the colour saturates."
    )


class Ask(FixedRecord):
    """A question, and the items it is asked about."""

    name: str = Field(description="Identifier in exports.", pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    kind: QuestionKind = Field(
        "choice",
        description='"choice": which class; "rating": a number on a scale; "preference": A or B, of two explainers.',
    )
    modes: tuple[Mode, ...] = Field(MODES, min_length=1, description="Modes it is asked in.")
    scale: Annotated[int, Field(ge=2, le=11)] = Field(5, description="Of a rating: numbers from 1 to this.")
    text: dict[str, str] = Field(
        {},
        description="Per language; by default the built-in text of its kind. Without a choice in the study, {prediction} "
        "stands for the model's prediction.",
    )


class Checks(FixedRecord):
    """What tells careful listeners with headphones from others."""

    level: bool = Field(True, description="A page to set the volume with a noise as loud as the sounds.")
    headphones: bool = Field(
        False,
        description="Six trials of three tones, one softer, one in antiphase: easy with headphones only (Woods et al. 2017, "
        "doi 10.3758/s13414-017-1361-2).",
    )
    catch_trials: Annotated[int, Field(ge=0, le=20)] = Field(
        0, description="Items that ask for one given answer, spread over the study."
    )


class Serving(FixedRecord):
    """What the server lets happen."""

    open_enrolment: bool = Field(False, description="Whether anybody who knows the address may take part, without an invitation.")
    max_participants: PositiveInt = Field(1000, description="Of open enrolment.")
    enrolments_per_minute: PositiveInt = Field(30, description="Of open enrolment, from all addresses together.")
    requests_per_second: Annotated[float, Field(ge=0.1)] = Field(
        10, description="Of one participant; bursts of ten times as many."
    )


class StudySettings(FixedRecord):
    """Settings of a study; ``xaudio study build --init study.toml`` writes them with their descriptions."""

    title: dict[str, str] = Field({"en": "What did the computer hear?", "de": "Was hat der Computer gehört?"})
    languages: tuple[str, ...] = Field(
        ("en", "de"), min_length=1, description="The first is the default. English (en) and German (de) are built in."
    )
    seed: NonNegativeInt = Field(0, description="Of the choice of recordings, the orders, and what an explainer draws.")
    order: Literal["blocks", "mixed"] = Field(
        "blocks",
        description='"blocks": one mode after another, in balanced Latin squares over the participants; "mixed": all modes in '
        "turns, balanced within each turn alone. Either way the recordings are shuffled.",
    )
    tell_mode: bool = Field(
        False, description="Whether each task says if it shows an explanation or the plain recording; in the paper it did not."
    )
    contact: str = Field("", description="Who answers questions, shown with the consent: names, institution, address, e-mail.")
    recordings: Recordings = Recordings()
    explanations: Explanations = Explanations()
    pictures: Pictures = Pictures()
    checks: Checks = Checks()
    exclusion: ExclusionRules = ExclusionRules()
    serving: Serving = Serving()
    questions: tuple[Ask, ...] = Field((Ask(name="prediction"),), min_length=1)
    form: tuple[FormField, ...] | None = Field(
        None, description="Questions about the participant; by default the paper's on gender, experience with XAI, and hearing."
    )
    labels: Texts = Field({}, description="Per language, how a class is shown if not by its own name.")
    texts: Texts = Field({}, description="Per language, texts of the pages that replace the built-in ones.")

    @model_validator(mode="after")
    def _fits(self) -> StudySettings:
        """Everything has a text in every language, and no question gives away what another asks."""
        _refuse_twice("the name of a question", [question.name for question in self.questions])
        _refuse_twice("explanations.explainers", self.explanations.explainers)
        _refuse_twice("languages", self.languages)
        _refuse_twice("the name of a question of the form", [field.name for field in self.form or ()])
        for question in self.questions:
            _refuse_twice(f"modes of the question {question.name!r}", question.modes)
        for field in self.form or ():
            _refuse_twice(f"an answer to the question {field.name!r} of the form", [answer.value for answer in field.answers])
        if self.recordings.right + self.recordings.wrong == 0:
            raise ValueError("recordings.right and recordings.wrong are both 0; a study needs recordings")
        asked = [question for question in self.questions if "{prediction}" in "".join(question.text.values())]
        if asked and any(question.kind == "choice" for question in self.questions):
            raise ValueError(f"the question {asked[0].name!r} reveals the prediction, which another question asks for")
        for language in self.languages:
            self._check_language(language)
        for question in self.questions:
            if question.kind == "preference" and len(self.explanations.explainers) < 2:
                raise ValueError(f"the question {question.name!r} compares explainers; explanations.explainers names one")
            if question.kind == "preference" and not all("explanation" in mode for mode in question.modes):
                raise ValueError(f"the question {question.name!r} compares explainers; its modes must be explanations")
        return self

    def _check_language(self, language: str) -> None:
        texts = self.texts.get(language, {})
        wrong = next((key for key in texts if key not in KEYS), None)
        if wrong is not None:
            raise ValueError(f"texts.{language}: {unknown('text', wrong, KEYS)}")
        missing = [] if language in BUILT_IN else [key for key in KEYS if key not in texts]
        if missing:
            raise ValueError(f"the language {language!r} is not built in; texts.{language} lacks {', '.join(missing)}")
        if language not in self.title:
            raise ValueError(f"title.{language} is missing")
        if language not in BUILT_IN and self.form is None:
            raise ValueError(f"the built-in form has no text in {language!r}; give [[form]] with its questions")
        for question in self.questions:
            if question.text and language not in question.text:
                raise ValueError(f"the question {question.name!r} has no text in {language!r}")
        for field in self.form or ():
            if language not in field.text or any(answer.text and language not in answer.text for answer in field.answers):
                raise ValueError(f"the question {field.name!r} of the form has no text in {language!r}")


def _refuse_twice(what: str, values: Sequence[str]) -> None:
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        raise ValueError(f"{what} is given twice: {twice!r}")


def load_settings(path: Path | None) -> StudySettings:
    """Settings from a TOML file; the defaults are those of the paper's study.

    Raises
    ------
    DataError
        If it cannot be read, or a setting is unknown or does not fit.
    """
    if path is None:
        return StudySettings()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as TOML ({error}).") from None
    return settings_from(content, str(path))


def settings_from(content: object, name: str) -> StudySettings:
    """Settings from what a TOML or JSON file holds; raises as `load_settings`."""
    try:
        return StudySettings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        near = nearest(str(first["loc"][-1]), _names(), 1) if first["type"] == "extra_forbidden" else ""
        todo = "" if first["type"] == "value_error" else f"{near} xaudio study build --init FILE writes all settings."
        raise DataError(f"{name}: {first_fault(error)}.{todo}") from None


def _names() -> set[str]:
    """Of all settings and sections."""
    schema = StudySettings.model_json_schema()
    return {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", ())}

"""What is asked about which recording, and what a participant sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ..plan import Medium, Trial
from ..records import Item, Mode, Question
from ..server.texts import all_texts
from .media import Media
from .settings import Ask, StudySettings


def explainers_of(ask: Ask, mode: Mode, explainers: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Explainers of A and B: pairs in a preference, else one and none, or neither for a plain signal."""
    if ask.kind == "preference":
        return list(combinations(explainers, 2))
    return [(explainer, None) for explainer in explainers] if mode.endswith("explanation") else [(None, None)]


def question_of(ask: Ask, settings: StudySettings, classes: tuple[str, ...]) -> Question:
    """A question with its answers and texts."""
    scale = tuple(str(number + 1) for number in range(ask.scale))
    answers = {"choice": classes, "rating": scale, "preference": ("A", "B")}[ask.kind]
    text = ask.text or {language: all_texts(language, settings.texts)[f"question_{ask.kind}"] for language in settings.languages}
    return Question(name=ask.name, kind=ask.kind, text=text, answers=answers)


def trial_of(item: Item, question: Question, media: tuple[Medium, ...], settings: StudySettings) -> Trial:
    """What a participant sees of an item."""
    hints, texts = {}, {}
    for language in settings.languages:
        words = all_texts(language, settings.texts)
        medium = "sound" if item.mode.startswith("audible") else "picture"
        mode = item.mode.replace("-", "_") if settings.tell_mode else medium
        hints[language] = words[f"hint_{medium}s" if question.kind == "preference" else f"hint_{mode}"]
        prediction = settings.labels.get(language, {}).get(item.predicted, item.predicted)
        texts[language] = question.text[language].replace("{prediction}", prediction)
    answers = ("1", "2") if question.kind == "preference" else question.answers
    return Trial(item=item.item, question=question.name, media=media, text=texts, hint=hints, answers=answers)


def catch_items(media: Media, question: Question, settings: StudySettings) -> list[Item]:
    """Catch trials; the answer they ask for is another each time."""
    shift = int(media.name("catch"), 16)
    return [
        Item(
            item=media.name("catch", number)[:16],
            mode="visual-signal",
            question=question.name,
            catch=question.answers[(shift + number) % len(question.answers)],
        )
        for number in range(settings.checks.catch_trials)
    ]


def catch_trial(item: Item, question: Question, settings: StudySettings) -> Trial:
    """What a participant sees of a catch trial."""
    answers = ("1", "2") if question.kind == "preference" else question.answers
    asked = item.catch or ""
    hints = {}
    for language in settings.languages:
        texts = all_texts(language, settings.texts)
        shown = {"A": texts["first"], "B": texts["second"]}.get(asked, asked) if question.kind == "preference" else asked
        label = settings.labels.get(language, {}).get(shown, shown) if question.kind == "choice" else shown
        hints[language] = texts["catch_text"].replace("{answer}", label)
    return Trial(item=item.item, question=question.name, text=dict(question.text), hint=hints, answers=answers)

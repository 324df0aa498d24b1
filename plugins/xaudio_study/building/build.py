"""From a trained model to a study: choose recordings, explain them, write what participants get and the key to it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from xaudio.plugin import (
    Clip,
    DataError,
    Dataset,
    Explanation,
    Model,
    ModelError,
    XaudioWarning,
    explain,
    held_out,
    in_one_window,
    load_model,
    output_folder,
    parse_spec,
    progress,
    recording_digests,
    refuse_other_settings,
    registry,
    remove_leftovers,
    seeded,
    unknown,
    weights_digest,
    write_json,
    write_run,
    write_text,
)

from ..plan import KEY, PUBLIC, Key, PublicStudy, Trial, read_public
from ..records import Item
from ..server.texts import all_texts, built_in_form
from .choose import choose, kept_predictions
from .items import catch_items, catch_trial, explainers_of, question_of, trial_of
from .media import Media
from .settings import StudySettings
from .template import to_toml


def build_study(
    run: Path | str,
    out: Path,
    settings: StudySettings,
    *,
    dataset: str | None = None,
    data: Path | None = None,
    device: str = "auto",
) -> PublicStudy:
    """Make a study from a trained model, or go on with one; see `write_study` for what it writes.

    Parameters
    ----------
    run : Path
        Run folder of the model, or a loader with its options.
    out : Path
    settings : StudySettings
    dataset : str, optional
        By default the data of the model's training, of which its test recordings are used.
    data : Path, optional
        Folder of the data set.
    device : str

    Raises
    ------
    XaudioError
        If the model or the data cannot be used, there are too few recordings, or the folder holds another study.
    """
    model = load_model(run, device)
    data_set, test = held_out(model, dataset, data)
    model.check_one_class(data_set)
    model.check_one_channel()
    model, noted = in_one_window(model, data_set, test)
    for note in noted:
        warnings.warn(note, XaudioWarning, stacklevel=2)
    identity = {
        "study": settings.model_dump(mode="json"),
        "weights": weights_digest(model),
        "data": data_set.title,
        "fingerprint": data_set.fingerprint(),
    }
    refuse_other_settings(output_folder(out), identity)
    if (out / PUBLIC).exists():
        return read_public(out)
    remove_leftovers(out)
    _check_plugins(settings)
    origin = f"{identity['weights']} on the test recordings of {identity['fingerprint']}"
    probabilities = kept_predictions(model, data_set, test, out / "probabilities.csv", origin)
    choice = choose(probabilities, data_set.labels(model.task)[test], settings.recordings, settings.seed, data_set.title)
    digests = recording_digests(data_set)
    contents = sorted(digests[int(test[index])] for index in choice.indices)
    # Until here other settings may still be tried.
    write_run(out, settings=identity, device=str(model.device), contents=contents)
    clips = [data_set[int(test[index])] for index in choice.indices]
    explanations: dict[str, list[Explanation]] = {}
    for spec in settings.explanations.explainers:
        explanations[spec] = explain_clips(model, data_set, clips, spec, settings.seed, settings.explanations.view, device)
        for explanation, index in zip(explanations[spec], choice.predicted, strict=True):
            if explanation.predicted != index:
                source = explanation.clip.source
                raise ModelError(f"{run}: predicts {source} differently when it is explained. Delete {out} and build again.")
    return write_study(out, settings, explanations)


def _check_plugins(settings: StudySettings) -> None:
    """Raise what creating the explainers or the renderer raises, before anything takes time."""
    for kind, specs in (("explainer", settings.explanations.explainers), ("renderer", (settings.explanations.sound,))):
        for spec in specs:
            registry().create(kind, *parse_spec(spec))


def explain_clips(
    model: Model, dataset: Dataset, clips: Sequence[Clip], explainer: str, seed: int, view: str, device: str
) -> list[Explanation]:
    """Explanations as a study shows them: recordings prepared as for predictions, the seed for what an explainer draws."""
    rules = model.rules_in(dataset)
    return explain(
        model,
        list(clips),
        explainer=seeded(explainer, seed),
        device=device,
        view=view or None,
        fit=rules.fit,
        resampling=rules.resampling,
        placement=rules.placement,
    )


def write_study(out: Path, settings: StudySettings, explanations: dict[str, list[Explanation]]) -> PublicStudy:
    """Write a study of given explanations.

    Parameters
    ----------
    out : Path
        Gets ``secret.key``, ``media``, ``study.toml``, ``key.json`` and, last, ``study.json``. What is there already is kept.
    settings : StudySettings
    explanations : dict
        Of each explainer, by its name with options: those of the same recordings, in the same order, each with a label.

    Raises
    ------
    DataError
        If a sound or picture cannot be made, or ``labels`` names a class that there is not.
    OutputError
        If the folder cannot be written.
    """
    first_of = next(iter(explanations.values()))[0]
    _check_labels(settings, first_of.classes)
    media = Media(out, settings, explanations)
    names = _recording_names(explanations)
    items: list[Item] = []
    trials: list[Trial] = []
    questions = tuple(question_of(ask, settings, first_of.classes) for ask in settings.questions)
    conditions = [
        (ask, question, mode, pair)
        for ask, question in zip(settings.questions, questions, strict=True)
        for mode in ask.modes
        for pair in explainers_of(ask, mode, settings.explanations.explainers)
    ]
    with progress("Drawing and writing sounds", len(conditions) * len(names)) as advance:
        for ask, question, mode, (first, second) in conditions:
            for place, name in enumerate(names):
                shown = explanations[first or settings.explanations.explainers[0]][place]
                item = Item(
                    item=media.name("item", ask.name, mode, first, second, place)[:16],
                    mode=mode,
                    question=ask.name,
                    explainer=first,
                    against=second,
                    recording=name,
                    speaker=shown.clip.speaker or "",
                    predicted=shown.classes[shown.predicted],
                    truth=shown.classes[_label(shown)],
                    right=bool(shown.correct),
                )
                items.append(item)
                files = tuple(media.of(mode, explainer, place) for explainer in ((first, second) if second else (first,)))
                trials.append(trial_of(item, question, files, settings))
                advance()
    caught = catch_items(media, questions[0], settings)
    items, trials = [*items, *caught], [*trials, *(catch_trial(item, questions[0], settings) for item in caught)]
    level, headphones, right = media.level(), *media.headphones()
    languages = settings.languages
    public = PublicStudy(
        title={language: settings.title[language] for language in languages},
        languages=languages,
        classes=first_of.classes,
        labels={language: settings.labels.get(language, {}) for language in languages},
        texts={language: _texts(language, settings, len(items)) for language in languages},
        form=settings.form if settings.form is not None else built_in_form(),
        questions=questions,
        level=level,
        headphones=headphones,
        items=tuple(sorted(trials, key=lambda trial: trial.item)),
    )
    key = Key(seed=settings.seed, order=settings.order, items=tuple(items), headphones=right)
    write_text(out / "study.toml", to_toml(settings))
    write_json(out / KEY, key.model_dump(mode="json"))
    write_json(out / PUBLIC, public.model_dump(mode="json"))
    return public


def _check_labels(settings: StudySettings, classes: tuple[str, ...]) -> None:
    for language, labels in settings.labels.items():
        for name in labels:
            if name not in classes:
                raise DataError(f"labels.{language}: {unknown('class', name, classes)}")


def unjudged(key: Key, classes: tuple[str, ...]) -> list[str]:
    """Per kind of recording a line on the classes that were never predicted, of which nobody can tell how well they are known."""
    lines = []
    for right, kind in ((False, "wrongly"), (True, "correctly")):
        predicted = {item.predicted for item in key.items if item.catch is None and item.right == right}
        missing = [name for name in classes if name not in predicted]
        if predicted and missing:
            lines.append(f"no {kind} predicted recording is predicted as {', '.join(missing)}: no informedness of these there.")
    return lines


def _texts(language: str, settings: StudySettings, items: int) -> dict[str, str]:
    texts = {name: text.replace("{items}", str(items)) for name, text in all_texts(language, settings.texts).items()}
    return {**texts, "contact": settings.contact}


def _label(explanation: Explanation) -> int:
    if explanation.label is None:
        raise DataError(f"{explanation.clip.source}: its true class is not known, so nobody can say whether the model was right.")
    return explanation.label


def _recording_names(explanations: dict[str, list[Explanation]]) -> list[str]:
    """File names without folders, told apart by a number where two are the same."""
    names: list[str] = []
    for explanation in next(iter(explanations.values())):
        name = explanation.clip.name
        names.append(name if name not in names else f"{name} ({len(names)})")
    return names

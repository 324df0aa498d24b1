"""A recogniser as proxy listener: it hears the file that participants would hear, and names the class that it hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from xaudio.plugin import (
    Clip,
    DataError,
    Explanation,
    Model,
    ModelError,
    Written,
    as_written,
    counted,
    evaluation_mode,
    held_out,
    in_one_window,
    load_model,
    parse_spec,
    progress,
    read_audio,
    read_json,
    recording_digests,
    registry,
    used_recordings,
    weights_digest,
)

from ..analysis.table import Indices
from ..building.build import explain_clips
from ..building.choose import choose, predictions
from ..building.settings import Recordings
from ..records import Answer, Item, Participant, Question, StudyData

BATCH = 50
PART = "positive"
"""The part of the renderer's sounds that is the audible explanation."""

WHEN = "2000-01-01T00:00:00+00:00"


def recognised(listener: Model, clips: Sequence[Clip], seed: int = 0) -> Indices:
    """What a recogniser takes sounds for.

    Parameters
    ----------
    listener : Model
    clips : sequence of Clip
        As participants hear them; resampled, fitted and placed as the listener's training does it, the loudest part of
        what is too long.
    seed : int
        Of the guesses about silence: a network always says the same there, a person who hears nothing can only guess.

    Returns
    -------
    ndarray of int, shape (clips,)
        Class indices.
    """
    placed = listener.hear(clips, replace(listener.rules, fit="loudest"))
    predicted = []
    with torch.no_grad(), evaluation_mode(listener.network):
        for start in range(0, len(clips), BATCH):
            waveforms = placed.batch(slice(start, start + BATCH))
            predicted.append(listener.logits(listener.features(waveforms)).argmax(1).cpu().numpy())
    guesses = np.random.default_rng(seed).integers(len(listener.classes), size=len(clips))
    silent = ~np.abs(placed.prepared.waveforms).any(1)
    return np.where(silent, guesses, np.concatenate(predicted)).astype(np.int64)


class Explained(NamedTuple):
    """What a recogniser must not have learned from, and must not be.

    Parameters
    ----------
    weights : str
        Digest of the explained model's weights; see `xaudio.model.model.weights_digest`.
    data : str
        Title of the data set that is explained; "" if it is not known, and is then taken for the listener's.
    speakers : frozenset of str
        Who speaks in the recordings that are explained.
    contents : frozenset of str
        Digests of these recordings by their sound; empty if they are not known.
    """

    weights: str
    data: str
    speakers: frozenset[str]
    contents: frozenset[str] = frozenset()


def load_listeners(folders: Sequence[Path], explained: Explained, classes: Sequence[str], device: str) -> dict[str, Model]:
    """The recognisers of run folders, after a look at whether they may listen.

    Parameters
    ----------
    folders : sequence of Path
        Run folders of `xaudio train`.
    explained : Explained
    classes : sequence of str
        Of the study.
    device : str

    Raises
    ------
    ModelError
        If one is the explained model, has other classes, or was trained on speakers whose recordings are explained.
    """
    models: dict[str, Model] = {}
    for number, folder in enumerate(folders):
        listener = load_model(folder, device)
        if tuple(listener.classes) != tuple(classes):
            raise ModelError(
                f"{folder}: knows the classes {', '.join(listener.classes)}; the study asks for {', '.join(classes)}."
            )
        _check_independent(folder, listener, explained)
        models[f"listener-{number + 1}"] = listener
    return models


def describe(listeners: Mapping[str, Model], folders: Sequence[Path]) -> str:
    """One sentence for `StudyData.simulated`."""
    parts = []
    for (name, listener), folder in zip(listeners.items(), folders, strict=True):
        accuracy = read_json(folder / "results.json").get("accuracy") if (folder / "results.json").exists() else None
        quality = "accuracy not known" if accuracy is None else f"accuracy {accuracy:.1%} on plain recordings of its test"
        parts.append(f"{name}: {listener.model_spec.get('name', '?')}, seed {listener.facts.get('seed', '?')}, {quality}")
    count = counted(len(listeners), "recogniser")
    return f"{count} trained on plain recordings only, as proxy listener{'s' * (len(listeners) > 1)} ({'; '.join(parts)})."


def listen(design: StudyData, media: Mapping[str, Path], listeners: Mapping[str, Model], simulated: str) -> StudyData:
    """A study as recognisers answer its audible choices; what is seen, rated or compared is left out.

    Parameters
    ----------
    design : StudyData
    media : mapping of str to Path
        Sound of each item by its name.
    listeners : mapping of str to Model
    simulated : str
        What they are.

    Raises
    ------
    DataError
        If the study has no audible choice.
    """
    choices = {question.name for question in design.questions if question.kind == "choice"}
    items = [
        item
        for item in design.items
        if item.mode.startswith("audible") and item.question in choices and item.catch is None and item.item in media
    ]
    if not items:
        raise DataError(f"{design.title}: no item is a choice about a sound, so a recogniser has nothing to answer.")
    clips = [read_audio(media[item.item]) for item in items]
    answers = []
    with progress("Listening", len(listeners)) as advance:
        for number, (name, listener) in enumerate(listeners.items()):
            for position, (item, value) in enumerate(zip(items, recognised(listener, clips, number), strict=True)):
                answers.append(
                    Answer(
                        participant=name,
                        item=item.item,
                        position=position,
                        value=design.classes[value],
                        response_ms=0,
                        plays=1,
                        answered=WHEN,
                    )
                )
            advance()
    people = tuple(Participant(participant=name, enrolled=WHEN, finished=WHEN) for name in listeners)
    return design.model_copy(
        update={"items": tuple(items), "participants": people, "answers": tuple(answers), "simulated": simulated}
    )


def listen_to_study(folder: Path, listeners: Sequence[Path], device: str = "auto") -> StudyData:
    """A built study as recognisers answer it; see `listen` and `load_listeners`."""
    from ..plan import media_of
    from ..server.store import read_study

    media = {name: paths[0] for name, paths in media_of(folder).items() if paths}
    design = read_study(folder)
    loaded = load_listeners(listeners, _explained_in(folder, design), design.classes, device)
    return listen(design, media, loaded, describe(loaded, listeners))


def _explained_in(folder: Path, design: StudyData) -> Explained:
    """What a study explains, by the record of how it was built."""
    record = read_json(folder / "run.json") if (folder / "run.json").exists() else {}
    built, contents = record.get("settings", {}), frozenset(record.get("contents", ()))
    speakers = frozenset(item.speaker for item in design.items if item.catch is None)
    return Explained(built.get("weights", ""), built.get("data", ""), speakers, contents)


def listen_to_model(
    run: Path,
    listeners: Sequence[Path],
    explainers: Sequence[str],
    renderers: Sequence[str],
    *,
    recordings: int = 50,
    dataset: str | None = None,
    data: Path | None = None,
    view: str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> StudyData:
    """What recognisers make of a model's explanations, by several explainers and renderers, and of the plain recordings.

    Parameters
    ----------
    run : Path
        Run folder of the explained model.
    listeners : sequence of Path
        Run folders of recognisers.
    explainers, renderers : sequence of str
        With options; each renderer must write the part "positive" as an audio file. All are combined.
    recordings : int
        Correctly predicted ones, and as many wrongly predicted ones, of the model's test set, each kind spread over the
        predicted classes.
    dataset, data, view, device, seed
        As in `xaudio.explain` and `xaudio.held_out`.

    Returns
    -------
    StudyData
        The mode "audible-explanation" for each combination, "audible-signal" for the plain recordings.

    Raises
    ------
    XaudioError
        If anything does not fit, or too few recordings are predicted wrongly.
    """
    model = load_model(run, device)
    drawn = {name: registry().create("renderer", *parse_spec(name)) for name in renderers}  # before anything takes time
    plain = registry().create("renderer", "audible", {"parts": ("original",)})
    held, test = held_out(model, dataset, data)
    model.check_one_channel()
    model = in_one_window(model, held, test)[0]
    speakers = frozenset(held.speakers[index] for index in test)
    digests = recording_digests(held)
    explained = Explained(weights_digest(model), held.title, speakers, frozenset(digests[index] for index in test))
    loaded = load_listeners(listeners, explained, model.classes, device)
    wanted = Recordings(right=recordings, wrong=recordings, fill=False, balance="predicted")
    with TemporaryDirectory(prefix="xaudio-") as temporary:
        folder = Path(temporary)
        probabilities = predictions(model, held, test)
        choice = choose(probabilities, held.labels(model.task)[test], wanted, seed, held.title)
        clips = [held[int(test[index])] for index in choice.indices]
        items: list[Item] = []
        media: dict[str, Path] = {}
        with progress("Explaining and rendering", len(explainers) * len(clips)) as advance:
            for number, explainer in enumerate(explainers):
                for place, explanation in enumerate(explain_clips(model, held, clips, explainer, seed, view or "", device)):
                    methods = {f"{explainer} {name}": renderer for name, renderer in drawn.items()}
                    for label, renderer in ({"": plain} if number == 0 else {}).items() | methods.items():
                        item = _item(explanation, label, place)
                        target = folder / item.item
                        target.mkdir()
                        media[item.item] = _sound(as_written(renderer(explanation, target)), PART if label else "original", label)
                        items.append(item)
                    advance()
        question = Question(name="prediction", kind="choice", text={"en": "What did the model predict?"}, answers=model.classes)
        design = StudyData(
            title=f"{held.title}, {model.task}: explanations of {model.model_spec.get('name', 'a model')}",
            classes=model.classes,
            questions=(question,),
            items=tuple(sorted(items, key=lambda item: item.mode != "audible-signal")),
            participants=(),
            answers=(),
        )
        return listen(design, media, loaded, describe(loaded, listeners))


def _item(explanation: Explanation, label: str, place: int) -> Item:
    """The item of an explanation, or of the plain recording if the label is empty."""
    kind = label.replace("/", "-") or "signal"
    return Item(
        item=f"{place:04d} {kind}",
        mode="audible-explanation" if label else "audible-signal",
        question="prediction",
        explainer=label or None,
        recording=explanation.clip.name,
        speaker=explanation.clip.speaker or "",
        predicted=explanation.classes[explanation.predicted],
        truth="" if explanation.label is None else explanation.classes[explanation.label],
        right=bool(explanation.correct),
    )


def _sound(written: Sequence[Written], part: str, label: str) -> Path:
    paths = [file.path for file in written]
    for path in paths:
        if path.stem == part and path.suffix != ".json":
            return path
    raise DataError(
        f"{label}: wrote no sound named {part!r}, but {', '.join(path.name for path in paths)}. Choose another renderer."
    )


def _check_independent(folder: Path, listener: Model, explained: Explained) -> None:
    """Refuse the explained model itself, and a recogniser that was trained on the speakers that are explained."""
    if weights_digest(listener) == explained.weights:
        raise ModelError(f"{folder}: is the explained model itself; expected a recogniser that was trained apart from it.")
    heard = explained.speakers - set(listener.facts.get("test_speakers", ()))
    if heard and (explained.data or listener.facts.get("data")) == listener.facts.get("data"):
        raise ModelError(
            f"{folder}: was trained on speakers whose recordings are explained ({', '.join(sorted(heard))}). "
            "Train it with the --fold of the explained model, which tests on them."
        )
    heard_before = len(explained.contents & used_recordings(listener)) if explained.contents else 0
    if heard_before:
        raise ModelError(
            f"{folder}: was trained or validated on {heard_before} of the {len(explained.contents)} recordings that are "
            "explained. Train it with the --fold of the explained model, which tests on them."
        )

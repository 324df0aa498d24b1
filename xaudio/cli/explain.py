"""`xaudio explain`."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import DataError, OutputError
from ..output.words import counted
from ..registry.defaults import DATASET_WITH_OPTIONS, EXPLAINER, EXPLAINER_WITH_OPTIONS, RENDERERS
from ..types import Clip, Fit, Resampling
from .common import (
    MODEL_HELP,
    ChannelsOption,
    DeviceOption,
    JsonOption,
    OutOption,
    names_of,
    prepare_command,
    print_json,
    refuse_inside,
)
from .corpus import explain_corpus, whole_recordings
from .sharing import EngineOption, ShardOption, WorkersOption, shared_by
from .stopping import when_stopped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.model import Model
    from ..shards.gathering import Sharing


@when_stopped("what is in the folder of --out is whole. Run the same command again to make all of it.")
def explain(
    *,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Recordings: WAV, FLAC, OGG, MP3, AIFF, AU, CAF, W64, RF64 or NIST, or a pipe.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help=MODEL_HELP, autocompletion=names_of("loader"))] = None,
    out: OutOption,
    explainer: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Explainer, with options as in {EXPLAINER_WITH_OPTIONS}; may be repeated. [default: {EXPLAINER}]",
            autocompletion=names_of("explainer"),
        ),
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(
            help="Domain to show the relevance in: time, frequency or time-frequency, the last with options as in "
            "time-frequency:window=hann,length=455,hop=35; may be repeated. [default: what the model reads]"
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="What to explain: a name or index, with seconds as in dog@1.2-1.8 of a model with frames, or similar:FILE; may "
            "be repeated. [default: the predicted one]"
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Explain each label whose probability is above this, instead of a target.")
    ] = None,
    contrast: Annotated[
        str | None, typer.Option(help="Explain why the target rather than this class: the difference of the two explanations.")
    ] = None,
    render: Annotated[
        str | None,
        typer.Option(
            help=f"Renderers, separated by commas. [default: {','.join(RENDERERS)}; none where workers share]",
            autocompletion=names_of("renderer"),
        ),
    ] = None,
    fit: Annotated[
        Fit | None, typer.Option(help="What to do with a recording that is too long; by default as in training.")
    ] = None,
    resampling: Annotated[
        Resampling | None,
        typer.Option(help="How a recording is brought to the model's sample rate. [default: as in its training]"),
    ] = None,
    channels: ChannelsOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data set in which the recordings lie, a folder or a table of files and labels: it says what is true of them.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help=f"Name of that data set, with options as in {DATASET_WITH_OPTIONS}. [default: what lies in --data]",
            autocompletion=names_of("dataset"),
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            help="Seconds of a window: long recordings are cut into windows, all of them scored, and some explained; a "
            "command that was stopped goes on where it was."
        ),
    ] = None,
    hop: Annotated[float | None, typer.Option(help="Seconds from one window to the next. [default: those of a window]")] = None,
    choose: Annotated[
        str | None,
        typer.Option(
            "--explain",
            help="Windows that are explained: top:5 (the most probable), threshold:0.5 (a probability, or a score where there is "
            "none), all, or seconds and spans as in 12.5,80-95. [default: top:5]",
        ),
    ] = None,
    weights: Annotated[
        Literal["mean", "sum"] | None,
        typer.Option(help="What explained windows weigh in the score of the whole recording. [default: mean]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Recordings explained at once.", min=1)] = 32,
    device: DeviceOption = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draws the place of short recordings, as in training; by default they are centred.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="A table (CSV, TSV or JSON lines) with the columns source, and start, end (in seconds) and target where needed, "
            "instead of recordings; results are lines of JSON. Paths lead from the folder of the table."
        ),
    ] = None,
    outside: Annotated[
        bool, typer.Option("--allow-outside", help="Let a manifest name recordings outside of its folder, and by absolute paths.")
    ] = False,
    workers: WorkersOption = None,
    shard: ShardOption = None,
    engine: EngineOption = None,
    shards: Annotated[int | None, typer.Option(min=1, help="Shards that workers share. [default: by the number of rows]")] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep the relevance itself, too, of recordings that workers share.")
    ] = False,
    gather: Annotated[bool, typer.Option("--gather", help="Only put together what workers left in --out, and count it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Explain why a model classifies recordings as it does: pictures, sounds, and the relevance itself.

    Examples
    --------
    xaudio explain seven.wav --model demo --out why
    xaudio explain seven.wav --model runs/digits --explainer lrp --explainer gradient --contrast 1 --out why
    """
    from ..explanation.views import parse_view
    from ..model.devices import resolve_device
    from ..output.runs import output_folder
    from ..registry.options import split_specs

    prepare_command()
    resolve_device(device)
    for asked in view or []:
        parse_view(asked)
    files = [*(files or []), *(whole_recordings(manifest, outside) if manifest and window is not None else [])]
    refuse_inside(files, out)
    labelled = data is not None or dataset is not None
    if labelled and (gather or any(one is not None for one in (window, manifest, workers, engine, shard))):
        raise DataError(
            "--data and --dataset go with recordings that are explained whole and by this process alone: leave out --window, "
            "--manifest, --gather, --workers, --engine and --shard."
        )
    shared = gather or (window is None and any(one is not None for one in (manifest, workers, engine, shard)))
    _refuse_without(window is not None or gather, "--window", {"--hop": hop, "--explain": choose, "--weights": weights})
    _refuse_without(shared, "--manifest or --workers, and not with --window", {"--maps": maps or None, "--shards": shards})
    _refuse_without(manifest is not None or gather, "--manifest", {"--allow-outside": outside or None})
    if shared:
        asked_of_all = {"view": view or None, "threshold": threshold, "contrast": contrast, "fit": fit, "resampling": resampling}
        asked_of_all |= {} if channels is None else {"channels": channels}
        rows: dict[str, Any] = {
            "model": _needed(model) if not gather else "",
            "explainers": explainer or [EXPLAINER],
            "targets": target or [None],
            "settings": {**asked_of_all, "seed": seed, "batch_size": batch_size},
            "maps": maps,
            "renderers": split_specs(render or ""),
        }
        explain_corpus(
            files,
            manifest,
            outside,
            rows,
            shared_by(workers, engine, shard, {} if gather else os.environ),
            out=out,
            device=device,
            batch_size=batch_size,
            shards=shards,
            only_gather=gather,
            as_json=as_json,
        )
        return
    if not files:
        raise typer.BadParameter("Give recordings, or --manifest with a table of them.", param_hint="files")
    refuse_to_overwrite(out)
    model, render = _needed(model), ",".join(RENDERERS) if render is None else render
    settings = {
        "files": [str(path) for path in files],
        "explainers": explainer or [EXPLAINER],
        "view": view,
        "target": target,
        "contrast": contrast,
        **({} if threshold is None else {"threshold": threshold}),
        **({} if channels is None else {"channels": channels}),
        **({"data": None if data is None else str(data), "dataset": dataset} if labelled else {}),
        "model": model,
        "render": render,
        "fit": fit,
        "resampling": resampling,
        "seed": seed,
    }
    output_folder(out)
    if window is not None:
        choices = {"choose": choose or "top:5", "weights": weights or "mean", "batch_size": batch_size}
        sharing = shared_by(workers, engine, shard, {} if manifest is None else os.environ)
        explain_by_windows(settings | {"window": window, "hop": hop}, choices, device, out, as_json, sharing)
        return
    explain_whole(settings, batch_size, device, out, as_json)


def _refuse_without(there: bool, companion: str, given: Mapping[str, Any]) -> None:
    """Raise `DataError` for an option that would be ignored, since what it goes with is not there."""
    ignored = [name for name, value in given.items() if value is not None]
    if ignored and not there:
        raise DataError(f"{' and '.join(ignored)} would be ignored: leave it out, or give it with {companion}.")


def explain_whole(settings: dict[str, Any], batch_size: int, device: str, out: Path, as_json: bool) -> None:
    """The command for recordings that are explained whole, by this process.

    Parameters
    ----------
    settings : dict
        All on which the results depend.
    batch_size : int
    device : str
    out : Path
    as_json : bool
    """
    from ..explanation.channels import refuse_joined_channels
    from ..explanation.explaining import explain as explain_audio, load_model
    from ..explanation.rendering import save_and_render, write_report, write_together
    from ..explanation.summary import summary_of
    from ..explanation.table import Explanations
    from ..output.runs import files_of_earlier_run, refuse_other_settings, remove_files, write_run
    from ..output.temporary import remove_leftovers
    from ..registry.loading import registry
    from ..registry.options import parse_spec, split_specs

    refuse_other_settings(out, settings)
    earlier = files_of_earlier_run(out, settings)
    specs = split_specs(settings["render"])
    renderers = [registry().create("renderer", *parse_spec(spec)) for spec in specs]  # before anything takes time
    loaded = load_model(settings["model"], device)
    refuse_joined_channels(loaded, renderers, bool(settings["view"]))
    clips = _clips(loaded, settings)
    passed_on = ("threshold", "fit", "resampling", "seed", "contrast", "channels")
    asked: dict[str, Any] = {name: settings.get(name) for name in passed_on}
    asked |= {"view": settings["view"] or None, "device": device, "batch_size": batch_size}
    explanations = Explanations()
    for spec, wanted in product(settings["explainers"], settings["target"] or [None]):
        explanations += explain_audio(loaded, clips, explainer=spec, target=wanted, **asked)
    remove_leftovers(out)
    remove_files(earlier, out)
    write_run(out, settings=settings, unfinished=True)  # so that the same command may go on if it is interrupted
    written = save_and_render(explanations, renderers, out)
    reports = write_report(explanations, renderers, written, out)
    together = write_together(explanations, renderers, out)
    paths = [file.path for record in written for file in record] + together + reports
    own = [path.relative_to(out).as_posix() for path in paths]
    write_run(out, settings=settings, device=str(loaded.device), files=own)
    if as_json:
        shown = zip(explanations, written, strict=True)
        print_json([{**summary_of(item), "files": [str(file.path) for file in own_files]} for item, own_files in shown])
        return
    for item, own_files in zip(explanations, written, strict=True):
        print(item.title())
        print(f"  strongest at {item.strongest_place}")
        for warning in item.warnings:
            typer.secho(f"  warning: {warning}", fg=typer.colors.YELLOW, bold=True)
        for remark in item.remarks:
            typer.secho(f"  note: {remark}", dim=True)
        for file in own_files:
            print(f"  {file.path}" + (f" (silent: {file.facts['reason']})" if file.facts.get("reason") else ""))
    for path in together:
        print(f"All together: {path}")
    for path in reports:
        print(f"{'Report' if path.suffix == '.html' else 'Table'}: {path}")


def _clips(model: Model, settings: Mapping[str, Any]) -> list[Clip]:
    """The recordings, with what a data set says is true of them."""
    from ..model.arguments import clip_for
    from ..model.relabelling import labels_of
    from ..output.terminal import progress
    from ..sound.datasets import open_dataset

    files, clips = [Path(name) for name in settings["files"]], []
    with progress("Reading recordings", len(files)) as advance:
        for path in files:
            clips.append(clip_for(model, path, channels=settings.get("channels")))
            advance()
    if "dataset" not in settings:
        return clips
    data = settings["data"]
    labels = labels_of(model, open_dataset(settings["dataset"], None if data is None else Path(data)), files)
    return [replace(clip, labels={model.task: label}) for clip, label in zip(clips, labels, strict=True)]


def _needed(model: str | None) -> str:
    if model is None:
        raise typer.BadParameter("A model is needed.", param_hint="--model")
    return model


def explain_by_windows(
    settings: dict[str, Any], choices: dict[str, Any], device: str, out: Path, as_json: bool, sharing: Sharing
) -> None:
    """The command for long recordings.

    Parameters
    ----------
    settings : dict
        All on which scores and explanations depend: what is there of the same settings is kept.
    choices : dict
        Which windows are explained, what they weigh, and how many are computed at once.
    device : str
    out : Path
    as_json : bool
    sharing : Sharing
        Who does the work, recording by recording.
    """
    from ..output.runs import files_in, files_of_earlier_run, refuse_other_settings, write_run
    from ..output.temporary import remove_leftovers
    from ..registry.options import split_specs
    from ..shards.gathering import Sharing
    from .windows import Asked, WindowedRows, explain_recordings, facts_of, only_one, share_recordings

    chosen: dict[str, Any] = {name: settings[name] for name in ("window", "hop", "seed", "fit", "resampling", "contrast")}
    chosen |= {name: only_one(name, settings[name]) for name in ("target", "view")}
    chosen |= {"channels": settings.get("channels")}
    asked = Asked(**chosen, **choices, explainer=only_one("explainer", settings["explainers"]) or EXPLAINER)
    if "threshold" in settings:
        raise DataError(
            "--threshold cannot be had with --window: of each window one thing is asked. Windows are chosen by --explain."
        )
    files = [Path(name) for name in settings["files"]]
    options = {"model": settings["model"], "device": device, "asked": asked, "renderers": split_specs(settings["render"])}
    options["out"] = str(out.absolute())
    job = WindowedRows(**options)
    settings |= {"weights_digest": job.digest, "stamps": [_stamp(path) for path in files]}
    refuse_other_settings(out, settings)
    files_of_earlier_run(out, settings)
    remove_leftovers(out)
    write_run(out, settings=settings, unfinished=True)  # so that the same command goes on if it is interrupted
    if sharing != Sharing() and not share_recordings(job, options, files, sharing):
        return
    done = explain_recordings(job.model, files, asked, job.renderers, out)
    facts = [facts_of(one) for one in done]
    own = [path.relative_to(out).as_posix() for path in files_in(out) if path.name != "run.json"]
    write_run(out, settings=settings, device=str(job.model.device), files=own, recordings=facts)
    if as_json:
        print_json(facts)
        return
    for one, told in zip(done, facts, strict=True):
        seconds = [told[name] / told["sample_rate"] for name in ("window", "hop")]
        print(f"{one.long.source}: {counted(told['windows'], 'window')} of {seconds[0]:g} s, one every {seconds[1]:g} s")
        for note in one.long.notes:
            typer.secho(f"  note: {note}", dim=True)
        print(f"  scores: {one.folder / 'windows.csv'}")
        if not told["explained"]:
            print("  no window was chosen: choose others with --explain, such as top:5")
        for scored in (one.long.scores[number] for number in told["explained"]):
            print(f"  {scored.start_s:.3f} to {scored.end_s:.3f} s: {scored.label!r} ({scored.strength})")
        print(f"  explained: {one.folder / 'windows'}")
        for path in one.together:
            print(f"  all together: {path}")


def _stamp(path: Path) -> list[int]:
    """Size and time of a file, by which it is known again; nothing of what cannot be read, which is said later."""
    try:
        told = path.stat()
    except (OSError, ValueError):
        return []
    return [told.st_size, told.st_mtime_ns]


def refuse_to_overwrite(out: Path) -> None:
    """Raise `OutputError` if the results could take the place of a model's or benchmark's files."""
    kept = [name for name in ("model.safetensors", "results.json") if (out / name).exists()]
    if kept:
        raise OutputError(f"{out}: holds the results of another command ({kept[0]}). Choose another --out.")

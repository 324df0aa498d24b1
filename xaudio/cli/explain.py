"""`xaudio explain`."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from ..errors import OutputError
from ..registry.defaults import EXPLAINER, EXPLAINER_WITH_OPTIONS, RENDERERS
from ..types import Fit, Resampling
from .common import DeviceOption, JsonOption, OutOption, print_json, refuse_inside, warn_about_plugins
from .stopping import when_stopped


@when_stopped("what is in the folder of --out is whole. Run the same command again to make all of it.")
def explain(
    files: Annotated[
        list[Path], typer.Argument(help="Recordings: WAV, FLAC, OGG, MP3, AIFF, AU, CAF, W64, RF64 or NIST, or a pipe.")
    ],
    model: Annotated[Path, typer.Option(help="Run folder of a trained model.")],
    out: OutOption,
    explainer: Annotated[
        list[str] | None,
        typer.Option(help=f"Explainer, with options as in {EXPLAINER_WITH_OPTIONS}; may be repeated. [default: {EXPLAINER}]"),
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(
            help="Domain to show the relevance in: time, frequency or time-frequency, the last with options as in "
            "time-frequency:window=hann,length=455,hop=35; may be repeated. [default: what the model reads]"
        ),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Class to explain; may be repeated. [default: the predicted one]")
    ] = None,
    contrast: Annotated[
        str | None, typer.Option(help="Explain why the target rather than this class: the difference of the two explanations.")
    ] = None,
    render: Annotated[str, typer.Option(help="Renderers, separated by commas.")] = ",".join(RENDERERS),
    fit: Annotated[
        Fit | None, typer.Option(help="What to do with a recording that is too long; by default as in training.")
    ] = None,
    resampling: Annotated[
        Resampling | None,
        typer.Option(help="How a recording is brought to the model's sample rate. [default: as in its training]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Recordings explained at once.", min=1)] = 32,
    device: DeviceOption = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draws the place of short recordings, as in training; by default they are centred.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain why a model classifies recordings as it does: pictures, sounds, and the relevance itself."""
    from ..explanation.explaining import explain as explain_audio, load_model
    from ..explanation.rendering import save_and_render, write_report
    from ..explanation.table import Explanations
    from ..explanation.views import parse_view
    from ..model.allocator import keep_large_buffers
    from ..model.devices import resolve_device
    from ..output.runs import files_of_earlier_run, output_folder, remove_files, remove_leftovers, write_run
    from ..output.terminal import progress
    from ..registry.loading import registry
    from ..registry.options import parse_spec, split_specs
    from ..sound.audio import read_audio

    warn_about_plugins()
    keep_large_buffers()
    resolve_device(device)
    for asked in view or []:
        parse_view(asked)
    refuse_to_overwrite(files, out)
    settings = {
        "files": [str(path) for path in files],
        "explainers": explainer or [EXPLAINER],
        "view": view,
        "target": target,
        "contrast": contrast,
        "model": str(model),
        "render": render,
        "fit": fit,
        "resampling": resampling,
        "seed": seed,
    }
    earlier = files_of_earlier_run(output_folder(out), settings)
    renderers = split_specs(render)
    made = [registry().create("renderer", *parse_spec(spec)) for spec in renderers]  # before anything takes time
    loaded = load_model(model, device)
    clips = []
    with progress("Reading recordings", len(files)) as advance:
        for path in files:
            clips.append(read_audio(path))
            advance()
    explanations = Explanations()
    targets: list[str | None] = list(target) if target else [None]
    for spec, wanted in product(explainer or [EXPLAINER], targets):
        explanations += explain_audio(
            loaded,
            clips,
            explainer=spec,
            target=wanted,
            device=device,
            fit=fit,
            resampling=resampling,
            seed=seed,
            batch_size=batch_size,
            view=view or None,
            contrast=contrast,
        )
    remove_leftovers(out)
    remove_files(earlier, out)
    write_run(out, settings=settings, unfinished=True)  # so that the same command may go on if it is interrupted
    written = save_and_render(explanations, made, out)
    report = write_report(explanations, made, out)
    paths = [file.path for record in written for file in record] + ([report] if report else [])
    own = [path.relative_to(out).as_posix() for path in paths]
    write_run(out, settings=settings, device=str(loaded.device), files=own)
    if as_json:
        print_json([_record(item, files) for item, files in zip(explanations, written, strict=True)])
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
    if report:
        print(f"Report: {report}")


def refuse_to_overwrite(files: list[Path], out: Path) -> None:
    """Raise `OutputError` if the results could take the place of a recording or of a model's or benchmark's files."""
    refuse_inside(files, out)
    kept = [name for name in ("model.safetensors", "results.json") if (out / name).exists()]
    if kept:
        raise OutputError(f"{out}: holds the results of another command ({kept[0]}). Choose another --out.")


def _record(item, files) -> dict[str, object]:  # type: ignore[no-untyped-def]
    return {
        "source": item.clip.source,
        "explained": item.classes[item.target],
        "contrast": item.contrast_class,
        "predicted": item.classes[item.predicted] if item.kind == "classes" else list(item.predictions),
        "kind": item.kind,
        "probabilities": dict(zip(item.classes, (float(p) for p in item.probabilities), strict=True)),
        "relevance_sum": float(item.relevance.sum()),
        "logit": float(item.logits[item.target]),
        "explainer": item.explainer,
        "domain": item.domain,
        "strongest": item.strongest and dict(zip((axis.name for axis in item.axes), item.strongest, strict=True)),
        "recording_span": item.recording_span,
        "window_start": item.window_start,
        "view": item.provenance.get("view"),
        "trained_on": item.provenance.get("trained_on"),
        "completeness": item.provenance.get("completeness"),
        "warnings": list(item.warnings),
        "notes": list(item.remarks),
        "files": [str(file.path) for file in files],
    }

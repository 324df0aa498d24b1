"""`xaudio doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..registry.defaults import EXPLAINER_WITH_OPTIONS
from .common import DeviceOption, JsonOption, print_json, warn_about_plugins


def doctor(
    model: Annotated[Path, typer.Argument(help="Run folder of a trained model.")],
    explainer: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Explainer to ask about, with options as in {EXPLAINER_WITH_OPTIONS}; may be repeated. [default: all]"
        ),
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="Recording to try on; by default a buzz between silences.")] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find what makes attributions of a model silently wrong; exit status 1 if there is an error among the findings."""
    from ..doctor.diagnosis import diagnose

    warn_about_plugins()
    diagnosis = diagnose(model, audio, explainer=explainer or None, device=device)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        print(diagnosis)
    if not diagnosis.is_healthy:
        raise typer.Exit(1)

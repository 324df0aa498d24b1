"""`xaudio doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..registry.defaults import EXPLAINER_WITH_OPTIONS
from .common import MODEL_HELP, ChannelsOption, DeviceOption, JsonOption, names_of, print_json, warn_about_plugins


def doctor(
    model: Annotated[str, typer.Argument(help=MODEL_HELP, autocompletion=names_of("loader"))],
    explainer: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Explainer to ask about, with options as in {EXPLAINER_WITH_OPTIONS}; may be repeated. [default: all]",
            autocompletion=names_of("explainer"),
        ),
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="Recording to try on; by default a buzz between silences.")] = None,
    channels: ChannelsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Find what makes attributions of a model silently wrong; exit status 1 if there is an error among the findings.

    Examples
    --------
    xaudio doctor runs/digits
    xaudio doctor demo --audio seven.wav --explainer lrp
    """
    from ..doctor.diagnosis import diagnose
    from ..sound.audio import read_audio

    warn_about_plugins()
    tried = audio if audio is None or channels is None else read_audio(audio, channels=channels)
    diagnosis = diagnose(model, tried, explainer=explainer or None, device=device)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        print(diagnosis)
    if not diagnosis.is_healthy:
        raise typer.Exit(1)

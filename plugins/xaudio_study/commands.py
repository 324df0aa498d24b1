"""`xaudio study`: build a study, invite people, serve it, see how far it is, export it, delete a participant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xaudio.plugin import (
    MODEL_HELP,
    ChannelsOption,
    DataOption,
    DeviceOption,
    JsonOption,
    counted,
    in_channels,
    names_of,
    no_other_results,
    print_json,
    print_table,
    warn_about_plugins,
    when_stopped,
)

from .commands_analysis import analyze
from .commands_simulation import Simulate, listen, power, simulate

app = typer.Typer(
    help="A listening study: build it from a run, serve it to people, analyse what they answered.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("analyze")(analyze)
app.command("simulate", cls=Simulate)(simulate)
app.command("power")(power)
app.command("listen")(listen)

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of a built study.")]


@app.command("build")
@when_stopped()
def build(
    model: Annotated[str | None, typer.Option(help=MODEL_HELP, autocompletion=names_of("loader"))] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the study; the same command continues in it.", callback=no_other_results)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; by default the paper's study.")] = None,
    init: Annotated[Path | None, typer.Option(help="Only write a TOML file of all settings with their descriptions.")] = None,
    fill: Annotated[
        bool, typer.Option("--fill", help="Let the least certain right predictions stand in for wrong ones that are missing.")
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set, with options as in synthetic:speakers=40; by default that of the training.",
            autocompletion=names_of("dataset"),
        ),
    ] = None,
    data: DataOption = None,
    channels: ChannelsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Make a study from a trained model: choose recordings, explain them, write what participants get.

    Examples
    --------
    xaudio study build --init study.toml
    xaudio study build --model runs/digits --config study.toml --out study
    """
    from xaudio.plugin import OutputError, write_text

    from .building.settings import load_settings
    from .building.template import starting_point, to_toml

    if init is not None:
        if init.exists():
            raise OutputError(f"{init}: is there already. Choose another name, or delete it.")
        print(f"Settings: {write_text(init, to_toml(starting_point()))}")
        return
    if model is None or out is None:
        raise typer.BadParameter("a study is built from --model RUN into --out STUDY; --init FILE writes settings to begin with.")
    warn_about_plugins()
    settings = load_settings(config)
    if fill:
        settings = settings.model_copy(update={"recordings": settings.recordings.model_copy(update={"fill": True})})
    from .building.build import build_study, unjudged
    from .plan import read_key

    study = build_study(model, out, settings, dataset=in_channels(dataset, data, channels), data=data, device=device)
    lacking = unjudged(read_key(out), study.classes)
    if lacking and settings.recordings.balance == "none":
        lacking.append('recordings.balance = "predicted" spreads the recordings over the classes.')
    for line in lacking:
        print(f"note: {line}")
    if not settings.contact:
        print("xaudio: warning: the consent names nobody who answers questions; set contact in the settings.", file=sys.stderr)
    print(f"Study: {out}, {counted(len(study.items), 'item')} per participant. Look at it with: xaudio study serve {out} --open")


@app.command("invite")
@when_stopped("invitations that were not shown may exist; see xaudio study status.")
def invite(
    study: StudyArgument,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many links.")] = 1,
    address: Annotated[str, typer.Option(help="Where the study is reached from outside.")] = "http://127.0.0.1:8765/",
) -> None:
    """Print personal links, one per participant; whoever has one is that participant.

    Examples
    --------
    xaudio study invite study --count 40 --address https://study.example.org/
    """
    from .server.links import Links, link
    from .server.store import open_database

    database, links = open_database(study), Links(study)
    for participant in database.invite(count):
        print(link(address, links.token(participant)))
    database.close()


@app.command("serve")
@when_stopped("all answers that were acknowledged are stored. Run the same command again to serve the study.")
def serve(
    study: StudyArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this computer's own need a proxy with TLS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any that is free.")] = 8765,
    open_enrolment: Annotated[
        bool | None, typer.Option("--open/--invited", help="Whether all may take part; by default as the study's settings say.")
    ] = None,
) -> None:
    """Serve a study until Ctrl-C; answers are on the disk before they are acknowledged.

    Examples
    --------
    xaudio study serve study --open
    """
    from xaudio_web import is_loopback

    from .server.serve import serve_study

    if not is_loopback(host):
        print(
            f"xaudio: warning: {host} can be reached from other computers, and without TLS others can read along. Put a proxy "
            "before it.",
            file=sys.stderr,
        )
    serve_study(study, host, port, open_enrolment=open_enrolment, started=lambda address: print(f"Serving {address}", flush=True))


@app.command("status")
def status(study: StudyArgument, as_json: JsonOption = False) -> None:
    """Show who has begun, who has finished, and how many answers there are; also while it is being served.

    Examples
    --------
    xaudio study status study
    """
    from .server.store import status as found_status

    counts = found_status(study)
    if as_json:
        print_json(counts)
        return
    print(
        f"{counts['title']}: {counts['invited']} invited or enrolled, {counts['begun']} begun, {counts['finished']} finished, "
        f"{counts['withdrawn']} withdrawn, {counted(counts['answers'], 'answer')}"
    )
    rows = [
        [row["participant"], _state(row), f"{row['answers']} of {counts['items']}", (row["enrolled"] or "-")[:16]]
        for row in counts["participants"]
    ]
    if rows:
        print_table(["participant", "state", "answers", "begun (UTC)"], rows)


@app.command("export")
def export(
    study: StudyArgument,
    out: Annotated[
        Path, typer.Option(help="Folder for answers.csv, participants.csv and study-data.json.", callback=no_other_results)
    ],
) -> None:
    """Write all answers as CSV and JSON, as of this moment; also while the study is being served.

    Examples
    --------
    xaudio study export study --out exported
    """
    from xaudio.plugin import output_folder

    from .server.store import export_study

    for path in export_study(study, output_folder(out)):
        print(path)


@app.command("withdraw")
@when_stopped("see xaudio study status for what was withdrawn. Run the same command again to withdraw the rest.")
def withdraw(
    study: StudyArgument,
    participant: Annotated[str, typer.Argument(help="The code that the participant's pages show, or the personal link.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything that one participant gave, for good; that there was one stays known.

    Examples
    --------
    xaudio study withdraw study K7M2QX
    """
    from .server.links import Links
    from .server.store import open_database

    database = open_database(study)
    token = participant.rpartition("#")[2]
    code = Links(study).participant(token) or participant
    if not yes:
        typer.confirm(f"Delete everything that participant {code} gave, for good?", abort=True)
    deleted = database.forget(code)
    if database.left_in_file:
        print(
            f"xaudio: warning: another program is reading {database.path}, so that traces are left in it. Give this command "
            "again when it has ended.",
            file=sys.stderr,
        )
    database.close()
    print(f"Participant {code}: {counted(deleted, 'answer')} deleted. Delete them from your exports and copies as well.")


def _state(row: dict[str, object]) -> str:
    if row["withdrawn"]:
        return "withdrawn"
    if row["finished"]:
        return "finished"
    return "begun" if row["enrolled"] else "invited"

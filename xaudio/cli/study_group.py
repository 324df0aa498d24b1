"""The group of commands `xaudio study`, to which `study` and `study_analysis` add theirs."""

import typer

app = typer.Typer(
    help="A listening study: build it from a run, serve it to people, analyse what they answered.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

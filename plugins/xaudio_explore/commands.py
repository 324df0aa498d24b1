"""`xaudio explore`."""

from __future__ import annotations

from typing import Annotated

import typer

from xaudio.plugin import MODEL_HELP, DataOption, DeviceOption, names_of, prepare_command, when_stopped


@when_stopped("only what you saved was kept. Run the same command again to start over.")
def explore(
    model: Annotated[
        str | None, typer.Option(help=f"{MODEL_HELP} [default: the ready model demo]", autocompletion=names_of("loader"))
    ] = None,
    data: DataOption = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set, with options as in synthetic:speakers=40; without it, what lies in --data.",
            autocompletion=names_of("dataset"),
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any that is free.")] = 8770,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    device: DeviceOption = "auto",
) -> None:
    """Try a model in the browser: record a word, and see and hear why; on this computer alone, until Ctrl-C.

    Examples
    --------
    xaudio explore
    xaudio explore --model runs/digits --data my-recordings
    """
    import webbrowser

    from xaudio.plugin import open_dataset, resolve_device

    from .explorer import Explorer, given_model
    from .serving import Served

    prepare_command()
    resolve_device(device)
    recordings = None if data is None and dataset is None else open_dataset(dataset, data)
    served = Served(Explorer(given_model(model, device), recordings, str(model or "")), port)
    print(f"Exploring at {served.address}\nOnly this computer reaches it; stop with Ctrl-C.", flush=True)
    if browser:
        webbrowser.open(served.address)
    served.run()

"""Serve a study: one process, on the loopback address unless told otherwise, without a log of who came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xaudio.plugin import PluginError
from xaudio_web import address_of, listen, server_of

from ..building.settings import load_settings
from ..plan import read_public


def serve_study(folder: Path, host: str, port: int, *, open_enrolment: bool | None, started: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    folder : Path
        Of a built study.
    host : str
    port : int
        0 for any that is free.
    open_enrolment : bool or None
        Instead of the study's own setting.
    started : callable
        Gets the address before the first request is served.

    Raises
    ------
    PluginError
        If Starlette or uvicorn is not installed.
    OutputError
        If the address is taken or the answers cannot be stored.
    DataError, ModelError
        If there is no study, or it is damaged.
    """
    try:
        from .app import make_app
    except ImportError as error:
        raise PluginError(f"Serving needs {error.name}. Install it: pip install 'xaudio[study]'.") from None
    read_public(folder)
    serving = load_settings(folder / "study.toml").serving
    if open_enrolment is not None:
        serving = serving.model_copy(update={"open_enrolment": open_enrolment})
    server, listening = server_of(make_app(folder, serving)), listen(host, port)
    started(address_of(listening, host))
    server.run(sockets=[listening])

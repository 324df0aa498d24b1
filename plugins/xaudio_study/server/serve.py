"""Serve a study: one process, on the loopback address unless told otherwise, without a log of who came."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from xaudio.plugin import OutputError, PluginError

from ..building.settings import load_settings
from ..plan import read_public

LIMIT = 512
"""Connections at a time, a browser has up to six; requests on more get status 503."""


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
        import uvicorn

        from .app import make_app
        from .limits import Impatient
    except ImportError as error:
        raise PluginError(f"Serving needs {error.name}. Install it: pip install 'xaudio[study]'.") from None
    read_public(folder)
    serving = load_settings(folder / "study.toml").serving
    if open_enrolment is not None:
        serving = serving.model_copy(update={"open_enrolment": open_enrolment})
    app = make_app(folder, serving)
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=LIMIT,
        h11_max_incomplete_event_size=16_384,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=20,  # longer than a body may take, so that nothing has to be cut off
    )
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    started(f"http://{shown}:{listening.getsockname()[1]}/")
    uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart need not wait
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise OutputError(f"{host}:{port}: cannot be served ({error.strerror}). Choose another --host or --port.") from None
    return listening

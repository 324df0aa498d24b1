"""One process that serves an application, without a log of who came."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from xaudio.plugin import OutputError, PluginError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

LIMIT = 512
"""Connections at a time, a browser has up to six; requests on more get status 503."""


def server_of(app: ASGIApp) -> uvicorn.Server:
    """What serves an application on a socket, by ``run(sockets=[listening])``, until it is told to end.

    Parameters
    ----------
    app : callable

    Raises
    ------
    PluginError
        If uvicorn is not installed.
    """
    try:
        import uvicorn

        from .limits import Impatient
    except ImportError as error:
        raise PluginError(f"Serving needs {error.name}. Install it: pip install 'xaudio[web]'.") from None
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
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Parameters
    ----------
    host : str
    port : int
        0 for any that is free.

    Raises
    ------
    OutputError
        If the address is taken, or not of this computer.
    """
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


def address_of(listening: socket.socket, host: str) -> str:
    """The address that a browser opens, such as "http://127.0.0.1:8765/".

    Parameters
    ----------
    listening : socket
    host : str
        As the user gave it.
    """
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/"


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address.

    Parameters
    ----------
    host : str
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

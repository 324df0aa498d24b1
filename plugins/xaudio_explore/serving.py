"""A page about a model, served to this computer alone."""

from __future__ import annotations

import secrets
import threading
from html import escape
from pathlib import Path
from typing import Any

from xaudio.plugin import PluginError, open_dataset
from xaudio_web import Gate, address_of, headers, listen, server_of

from .explorer import Explorer, given_model
from .jobs import quietly

HOST = "127.0.0.1"
FRAMES = "'self' http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*"
"""Whose pages may hold the page in a frame: notebooks on this computer."""


def explore(model: Any = None, *, data: Any = None, device: str = "auto", port: int = 0, **options: Any) -> Served:
    """Serve the page of a model in a thread; see `xaudio.explore`."""
    recordings = None if data is None else open_dataset(None, data) if isinstance(data, Path) else open_dataset(data)
    place = model if isinstance(model, str) else ""
    served = Served(Explorer(given_model(model, device, **options), recordings, place), port)
    served.start()
    return served


class Served:
    """A page that is served, or about to be.

    Parameters
    ----------
    explorer : Explorer
    port : int
        0 for any that is free.

    Attributes
    ----------
    address : str
        What a browser opens: it holds a token, without which nothing is answered.

    Raises
    ------
    PluginError
        If Starlette or uvicorn is not installed.
    OutputError
        If the port is taken.
    """

    def __init__(self, explorer: Explorer, port: int = 0) -> None:
        try:
            from .app import App
        except ImportError as error:
            raise PluginError(f"Exploring needs {error.name}. Install it: pip install 'xaudio[web]'.") from None
        self.explorer, self._thread = explorer, threading.Thread(target=self.run, daemon=True, name="xaudio-explore")
        self._listening = listen(HOST, port)
        token = secrets.token_urlsafe(24)
        base = address_of(self._listening, HOST)
        self.address = f"{base}#token={token}"
        own = base.removeprefix("http://").rstrip("/")
        hosts = {own, own.replace(HOST, "localhost")}
        self._server = server_of(Gate(App(explorer, token).app(), headers(microphone=True, frames=FRAMES), hosts))

    def run(self) -> None:
        """Serve until interrupted, or until `stop`."""
        threading.Thread(target=quietly, args=(self.explorer.warm_up,), daemon=True).start()
        self._server.run(sockets=[self._listening])

    def start(self) -> None:
        """Serve in a thread, and return at once."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()

    def __repr__(self) -> str:
        return f"<xaudio explore: {self.address}>"

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks."""
        allowed = "microphone; autoplay; fullscreen; clipboard-write"
        style = "width:100%;height:60em;border:0"
        return f'<iframe src="{escape(self.address)}" title="xaudio explore" allow="{allowed}" style="{style}"></iframe>'

"""Files that never change while they are served, and what errors become."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .refusal import RefusedError

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Handler = Callable[[Request, Exception], Awaitable[Response]]


def static_files(package: str) -> dict[str, Response]:
    """The files of a package's folder ``static``, by name.

    Parameters
    ----------
    package : str
    """
    return {
        path.name: Response(path.read_bytes(), media_type=TYPES[Path(path.name).suffix])
        for path in files(package).joinpath("static").iterdir()
        if Path(path.name).suffix in TYPES
    }


def answering_errors() -> dict[int | type[Exception], Handler]:
    """Handlers for Starlette: what is refused, and what is not there, is answered with a code and one line."""
    return {RefusedError: _refused, HTTPException: _no_route}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 (what Starlette's types leave open)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {"Retry-After": "2"} if error.status == 429 else {}
    return JSONResponse({"error": error.code, "message": error.message}, error.status, headers)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return JSONResponse({"error": "unknown", "message": error.detail}, error.status_code, error.headers)

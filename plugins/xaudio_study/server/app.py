"""The web application of a study: a few small files, and requests that each do one thing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from xaudio.plugin import XaudioError
from xaudio_web import Allowance, Gate, RefusedError, answering_errors, read_json, static_files

from ..building.settings import Serving
from . import visits
from .database import StorageBusyError, StorageFullError
from .links import Links
from .visits import Visits

MEDIA_TYPES = {".wav": "audio/wav", ".png": "image/png"}
REFUSED_PER_MINUTE = 600
"""Requests without a valid link, from all addresses together; those with one are not held up by them."""

Schema = TypeVar("Schema", bound=visits.Request)


def make_app(folder: Path, serving: Serving, clock: Callable[[], float] = time.time) -> ASGIApp:
    """The application of a built study.

    Raises
    ------
    DataError, ModelError
        If there is no study, or it is damaged.
    OutputError
        If the answers cannot be stored.
    """
    return Gate(Server(folder, serving, clock).app())  # around everything, also around what fails


class Server:
    """What the application does, request by request."""

    def __init__(self, folder: Path, serving: Serving, clock: Callable[[], float]) -> None:
        self.visits, self.links = Visits(folder, serving, clock), Links(folder)
        self.each = Allowance(serving.requests_per_second, 10 * serving.requests_per_second)
        self.enrolments = Allowance(serving.enrolments_per_minute / 60, serving.enrolments_per_minute)
        self.strangers = Allowance(REFUSED_PER_MINUTE / 60, REFUSED_PER_MINUTE)
        public = self.visits.public.model_dump(mode="json", exclude={"items", "headphones", "questions"})
        self.study = public | {"open": serving.open_enrolment, "items": len(self.visits.public.items)}
        self.static = static_files(__package__)

    def app(self) -> Starlette:
        """Routes, and what errors become."""
        steps: dict[str, tuple[type[Any], Callable[[str, Any], dict[str, Any]]]] = {
            "consent": (visits.Consent, self.visits.consent),
            "form": (visits.Form, self.visits.form),
            "level": (visits.Level, self.visits.level),
            "answer": (visits.Answered, self.visits.answer),
            "withdraw": (visits.Withdrawal, self.visits.withdraw),
        }
        routes = [
            Route("/", self._page),
            Route("/static/{name}", self._static),
            Route("/media/{name}", self._media),
            Route("/api/study", self._study),
            Route("/api/state", self._state),
            Route("/api/enrol", self._enrol, methods=["POST"]),
            *(Route(f"/api/{name}", self._step(*step), methods=["POST"]) for name, step in steps.items()),
            Route("/{link}", self._mangled),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self.visits.database.close()

        app = Starlette(
            routes=routes,
            exception_handlers={**answering_errors(), XaudioError: _failed},
            lifespan=lifespan,
        )
        app.router.redirect_slashes = False  # a redirection would name the host that the request names
        return app

    async def _page(self, request: Request) -> Response:
        return self.static["index.html"]

    async def _mangled(self, request: Request) -> Response:
        """A personal link whose # became %23, as some mail programs make it: back to what was meant."""
        address = request.path_params["link"]
        if not address.startswith("#"):
            raise HTTPException(404)
        return RedirectResponse(f"./{address}", 303)

    async def _static(self, request: Request) -> Response:
        response = self.static.get(request.path_params["name"])
        if response is None:
            raise RefusedError(404, "unknown", "There is no such file.")
        return response

    async def _study(self, request: Request) -> Response:
        return JSONResponse(self.study)

    async def _state(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.visits.state, self._participant(request)))

    async def _media(self, request: Request) -> Response:
        path = await run_in_threadpool(self.visits.medium, self._participant(request), request.path_params["name"])
        return Response(await run_in_threadpool(path.read_bytes), media_type=MEDIA_TYPES[path.suffix])

    async def _enrol(self, request: Request) -> Response:
        if await read_json(request) != b"{}":
            raise RefusedError(422, "invalid", "Send an empty JSON object.")
        self.enrolments.take()
        return JSONResponse({"token": self.links.token(await run_in_threadpool(self.visits.enrol))})

    def _step(
        self, schema: type[Schema], act: Callable[[str, Schema], dict[str, Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that reads what a participant sends and acts on it."""

        async def step(request: Request) -> Response:
            participant = self._participant(request)
            content = await read_json(request)
            try:
                sent = schema.model_validate_json(content)
            except ValidationError as error:
                status = 400 if error.errors()[0]["type"] == "json_invalid" else 422
                raise RefusedError(status, "invalid", "The request does not have the expected form.") from None
            return JSONResponse(await run_in_threadpool(act, participant, sent))

        return step

    def _participant(self, request: Request) -> str:
        """Who sent a request, by the token of the link."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        participant = self.links.participant(token) if scheme == "Bearer" else None
        if participant is None:
            self.strangers.take()
            raise RefusedError(401, "link", "This link is not valid.")
        self.each.take(participant)
        return participant


async def _failed(request: Request, error: Exception) -> Response:
    """What could not be stored is never acknowledged; the page keeps it and sends it again."""
    if isinstance(error, StorageFullError):
        message = "The study's computer has no room left; nothing was stored."
        return JSONResponse({"error": "full", "message": message}, 507, {"Retry-After": "10"})
    if isinstance(error, StorageBusyError):
        return JSONResponse({"error": "busy", "message": "Nothing was stored; try again."}, 503, {"Retry-After": "2"})
    return JSONResponse({"error": "failed", "message": "The study's data cannot be read."}, 500)

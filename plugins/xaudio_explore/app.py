"""The web application: small files, and requests that each do one thing."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xaudio.plugin import XaudioError
from xaudio_html import player_script, player_style
from xaudio_web import RefusedError, answering_errors, read_body, read_json, static_files

from .explorer import Ask, Brush, Explorer, Nothing, Why
from .jobs import Job, Jobs, quietly
from .saving import Save, saved, spelt

LARGEST_SOUND = 150_000_000
"""Bytes of a recording that is sent."""
SOON = 0.7
"""Seconds in which an answer comes at once; else it is asked for again."""
PATIENCE = 1.0
"""Seconds for which a request for progress waits."""

Schema = TypeVar("Schema", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


class App:
    """What the application does, request by request; all but the page's own files needs the token of the address."""

    def __init__(self, explorer: Explorer, token: str) -> None:
        self.explorer, self.token, self.jobs = explorer, token, Jobs()
        self.static = static_files(__package__) | {
            "player.js": Response(player_script(), media_type="text/javascript"),
            "player.css": Response(player_style(), media_type="text/css"),
        }

    def app(self) -> Starlette:
        """Routes, and what errors become."""
        explorer = self.explorer
        routes = [
            Route("/", self._page),
            Route("/static/{name}", self._static),
            Route("/api/facts", self._get(lambda _: explorer.facts())),
            Route("/api/clips", self._add, methods=["POST"]),
            Route("/api/clips/{clip}", self._get(lambda request: explorer.about(request.path_params["clip"]))),
            Route("/api/wave", self._wave, methods=["POST"]),
            Route("/api/predict", self._post(Ask, explorer.predict), methods=["POST"]),
            Route("/api/brush", self._post(Brush, explorer.brush), methods=["POST"]),
            Route("/api/verdict", self._post(Why, explorer.verdict), methods=["POST"]),
            Route("/api/spelt", self._post(Why, partial(spelt, explorer)), methods=["POST"]),
            Route("/api/explain", self._work(Why, explorer.explain), methods=["POST"]),
            Route("/api/estimate", self._work(Why, explorer.estimate), methods=["POST"]),
            Route("/api/set", self._work(Nothing, explorer.through), methods=["POST"]),
            Route("/api/jobs/{job}", self._job, methods=["GET", "DELETE"]),
            Route("/api/save", self._save, methods=["POST"]),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self.jobs.stop()

        app = Starlette(routes=routes, exception_handlers={**answering_errors(), XaudioError: _told}, lifespan=lifespan)
        app.router.redirect_slashes = False
        return app

    async def _page(self, request: Request) -> Response:
        return self.static["index.html"]

    async def _static(self, request: Request) -> Response:
        response = self.static.get(request.path_params["name"])
        if response is None:
            raise RefusedError(404, "unknown", "There is no such file.")
        return response

    def _check(self, request: Request) -> None:
        """Refuse who does not know the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not secrets.compare_digest(token.encode(), self.token.encode()):
            raise RefusedError(401, "token", "This address has no token. Open the whole address that the command printed.")

    async def _read(self, request: Request, schema: type[Schema]) -> Schema:
        self._check(request)
        content = await read_json(request)
        try:
            return schema.model_validate_json(content)
        except ValidationError as error:
            status = 400 if error.errors()[0]["type"] == "json_invalid" else 422
            raise RefusedError(status, "invalid", "The request does not have the expected form.") from None

    def _get(self, act: Callable[[Request], dict[str, Any]]) -> Endpoint:
        async def get(request: Request) -> Response:
            self._check(request)
            return JSONResponse(await run_in_threadpool(quietly, act, request))

        return get

    def _post(self, schema: type[Schema], act: Callable[[Schema], dict[str, Any]]) -> Endpoint:
        """An endpoint that answers at once."""

        async def post(request: Request) -> Response:
            return JSONResponse(await run_in_threadpool(quietly, act, await self._read(request, schema)))

        return post

    def _work(self, schema: type[Schema], act: Callable[[Schema], dict[str, Any]]) -> Endpoint:
        """An endpoint that answers soon, or says under which name its work goes on."""

        async def work(request: Request) -> Response:
            name, job = self.jobs.start(partial(act, await self._read(request, schema)))
            return await self._state(job, name, SOON)

        return work

    async def _job(self, request: Request) -> Response:
        self._check(request)
        name = request.path_params["job"]
        job = self.jobs.get(name)
        if job is None:
            raise RefusedError(404, "unknown", "This work is not running.")
        if request.method == "DELETE":
            job.cancel()
            return JSONResponse({})
        return await self._state(job, name, PATIENCE)

    async def _state(self, job: Job, name: str, wait: float) -> Response:
        state = await run_in_threadpool(job.state, wait)
        if "result" in state or "error" in state:  # and not merely by now: its end would never be told
            self.jobs.forget(name)
        return JSONResponse({"job": name, **state})

    async def _add(self, request: Request) -> Response:
        self._check(request)
        content = await read_body(request, ("application/octet-stream",), LARGEST_SOUND)
        name = unquote(request.headers.get("x-name", ""))[:200]
        return JSONResponse(await run_in_threadpool(self.explorer.add, content, name))

    async def _wave(self, request: Request) -> Response:
        ask = await self._read(request, Ask)
        return Response(await run_in_threadpool(self.explorer.wave, ask.clip, ask.cut), media_type="audio/wav")

    async def _save(self, request: Request) -> Response:
        save = await self._read(request, Save)
        content, media = await run_in_threadpool(saved, self.explorer, save)
        return Response(content, media_type=media)


async def _told(request: Request, error: Exception) -> Response:
    """What the user can mend, in its one line."""
    return JSONResponse({"error": "refused", "message": str(error)}, 422)

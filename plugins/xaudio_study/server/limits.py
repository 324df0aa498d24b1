"""How much and how often somebody may send, and the headers that keep a page to itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .visits import RefusedError

LARGEST_BODY = 16_384
LARGEST_HEADERS = 8_192
LONGEST_ADDRESS = 1_000
BODY_SECONDS = 15.0
HEAD_SECONDS = 10.0

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}


class Gate:
    """Refuses requests whose address or headers are too long, and adds `HEADERS` to every response, also to refusals."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        address = len(scope["path"]) + len(scope["query_string"])
        headers = sum(len(name) + len(value) for name, value in scope["headers"])
        fault = 414 if address > LONGEST_ADDRESS else 431 if headers > LARGEST_HEADERS else 0
        refusal = JSONResponse({"error": "invalid", "message": "The address or the headers are too long."}, fault or 200)
        await (refusal if fault else self.app)(scope, receive, with_headers)


class Impatient(H11Protocol):
    """Closes a connection when its next request is not there in time: all that are open count towards the limit."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as H11Protocol has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._look, None)

    def _look(self, before: object) -> None:
        """Close if no request was begun since the last look, and none is being answered."""
        if self.cycle is before and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(HEAD_SECONDS, self._look, self.cycle)


class Allowance:
    """So many requests per second of each name, with a store for bursts (a token bucket); nothing of it is kept.

    Parameters
    ----------
    rate : float
        Per second.
    burst : float
    clock : callable
        Seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str = "") -> None:
        """Raise `RefusedError` with status 429 if the allowance of a name is used up."""
        moment = self._clock()
        left, before = self._left.get(name, (self.burst, moment))
        left = min(self.burst, left + (moment - before) * self.rate)
        if left < 1:
            raise RefusedError(429, "busy", "Too many requests; try again in a moment.")
        self._left[name] = (left - 1, moment)


async def read_body(request: Request) -> bytes:
    """The JSON that a page of this server sent, not yet read.

    Raises
    ------
    RefusedError
        If it is too large or too slow, of another type, or sent by a page of another server.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "invalid", "Send JSON.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RefusedError(403, "invalid", "Only the study's own page may send this.")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > LARGEST_BODY:
                    raise RefusedError(413, "invalid", "This is too large.")
    except TimeoutError:
        raise RefusedError(408, "invalid", "This took too long to arrive.") from None
    except ClientDisconnect:
        raise RefusedError(400, "invalid", "The connection ended.") from None
    return bytes(content)

"""How much and how often somebody may send, and the headers that keep a page to itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .refusal import RefusedError

LARGEST_BODY = 16_384
LARGEST_HEADERS = 8_192
LONGEST_ADDRESS = 1_000
BODY_SECONDS = 15.0
HEAD_SECONDS = 10.0


def headers(*, microphone: bool = False, frames: str = "'none'") -> dict[str, str]:
    """Headers of every answer, which keep a page to itself.

    Parameters
    ----------
    microphone : bool
        Whether the page may ask for the microphone.
    frames : str
        Whose pages may hold this one in a frame, as Content-Security-Policy has it.
    """
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {frames}"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        **({"X-Frame-Options": "DENY"} if frames == "'none'" else {}),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": f"camera=(), geolocation=(), microphone=({'self' if microphone else ''})",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex, nofollow",
    }


class Gate:
    """Refuses requests whose address or headers are too long, and adds headers to every response, also to refusals.

    Parameters
    ----------
    app : callable
    more : mapping of str to str, optional
        The headers; by default those of `headers`.
    hosts : collection of str, optional
        What a request may name as its host, as in "127.0.0.1:8765": where a page is for this computer alone, nobody else's
        name may lead to it, and no page of another origin may ask it anything. By default any, as behind a proxy, whose name
        for the page is not known here.
    """

    def __init__(self, app: ASGIApp, more: Mapping[str, str] | None = None, hosts: Collection[str] | None = None) -> None:
        self.app, self.headers, self.hosts = app, headers() if more is None else more, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    given[name] = value
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """What a request gets that is not passed on."""
        sizes = len(scope["path"]) + len(scope["query_string"]), sum(len(name) + len(value) for name, value in scope["headers"])
        if sizes[0] > LONGEST_ADDRESS or sizes[1] > LARGEST_HEADERS:
            fault = 414 if sizes[0] > LONGEST_ADDRESS else 431
            return JSONResponse({"error": "invalid", "message": "The address or the headers are too long."}, fault)
        if self.hosts is None:
            return None
        given = Headers(scope=scope)
        if given.get("host", "").lower() not in self.hosts:
            return JSONResponse({"error": "host", "message": "This page is for the computer it runs on."}, 421)
        if any(origin.lower() not in {f"http://{host}" for host in self.hosts} for origin in given.getlist("origin")):
            return JSONResponse({"error": "origin", "message": "Only this server's own page may ask this."}, 403)
        return None


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


async def read_json(request: Request) -> bytes:
    """The JSON that a page of this server sent, not yet read.

    Raises
    ------
    RefusedError
        As `read_body`.
    """
    return await read_body(request, ("application/json",), LARGEST_BODY)


async def read_body(request: Request, types: Collection[str], largest: int) -> bytes:
    """What a page of this server sent.

    Parameters
    ----------
    request : Request
    types : collection of str
        Media types that are accepted.
    largest : int
        Bytes.

    Raises
    ------
    RefusedError
        If it is too large or too slow, of another type, or sent by a page of another server.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() not in types:
        raise RefusedError(415, "invalid", f"Send {' or '.join(sorted(types))}.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RefusedError(403, "invalid", "Only the page of this server may send this.")
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > largest:
                    raise RefusedError(413, "invalid", "This is too large.")
    except TimeoutError:
        raise RefusedError(408, "invalid", "This took too long to arrive.") from None
    except ClientDisconnect:
        raise RefusedError(400, "invalid", "The connection ended.") from None
    return bytes(content)

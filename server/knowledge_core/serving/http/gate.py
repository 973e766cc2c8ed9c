"""What stands before the HTTP door's application: requests that must not come in are answered before their body is read.

In this order: the Host is foreign (421), the Origin is foreign (403), there is nothing at this path (404), the token is
missing or wrong (401), the body is too large (413, by its announced size, or counted while it comes), the body stops
coming (408). Host and Origin are checked against DNS rebinding: a web page can make a browser call this port, but not say
that it was called by another name.

Rules kept here:
- `/healthz` needs no token and tells nothing;
- an answer that is under way ends when its token is replaced;
- no token and no header of a request is logged; refusals are counted, and told once a minute at most.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from knowledge_core.errors import StorageError
from knowledge_core.serving.http.tokens import TokenStore

log = logging.getLogger(__name__)

MCP_PATH, HEALTH_PATH = "/mcp", "/healthz"
LARGEST_REQUEST = 16 * 1024 * 1024  # bytes: room for one document of the largest size that a call may bring, as JSON
SILENT_BODY = 10.0  # seconds without a byte of a body that is not whole yet
WHOLE_BODY = 120.0  # seconds for a body as a whole: 16 MB at one megabit a second, as over a slow tunnel
TOLD_EVERY = 60.0  # seconds between two lines about refusals
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="knowledge-core"'}  # RFC 6750, section 3


@dataclass(frozen=True)
class Refusal:
    """An answer that is not the application's."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = PlainTextResponse(self.text, self.status, dict(self.headers))
        await answer(scope, receive, send)


FOREIGN_HOST = Refusal(
    421,
    "This door answers to this machine's own names only, with its port in the Host header: use the address that "
    "`kcore serve --http` shows.",
)
FOREIGN_ORIGIN = Refusal(403, "Web pages of other origins may not use this door.")
NOTHING_HERE = Refusal(404, "There is nothing here. MCP is at /mcp.")
NO_TOKEN = Refusal(
    401,
    "This door asks for a token: send the header `Authorization: Bearer TOKEN`. `kcore serve --http` shows it.",
    tuple(_CHALLENGE.items()),
)
WRONG_TOKEN = Refusal(
    401,
    "This is not the door's token, or not any more. `kcore serve --http` shows the present one.",
    (("WWW-Authenticate", f'{_CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'),),
)
NO_STORE = Refusal(503, "This door cannot read its tokens and lets nobody in; `kcore logs` says why.")
TOO_LARGE = Refusal(413, f"A request has {LARGEST_REQUEST} bytes at most. Send large documents in several calls.")
TOO_SLOW = Refusal(408, "The body of this request did not come in time.", (("Connection", "close"),))


def in_url(host: str) -> str:
    """Return an address as it stands in a URL.

    >>> in_url("127.0.0.1"), in_url("::1")
    ('127.0.0.1', '[::1]')
    """
    return f"[{host}]" if ":" in host else host


class Gate:
    """An ASGI application that lets through to another one what may come in.

    host, port: the loopback address that requests come to. tokens: who may come in; None: everybody who reaches the port.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int, tokens: TokenStore | None) -> None:
        self._app, self._tokens = app, tokens
        names = {"127.0.0.1", "localhost", "[::1]", in_url(host)}
        self._hosts = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts}
        self._refusals = _Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None and scope["path"] == HEALTH_PATH:
            await self._app(scope, receive, send)  # which reads no body: nothing is kept for callers without a token
            return
        body = None if refusal else await self._body(receive)
        if isinstance(body, Refusal):
            refusal = body
        if refusal is not None:
            self._refusals.count(refusal.status)
            await refusal(scope, receive, send)
        elif isinstance(body, deque):
            await self._app(scope, _replaying(body, receive), self._while_allowed(scope, receive, send))

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Return what is wrong with the head of a request; None if it may come in."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            return FOREIGN_HOST
        if any(origin.decode("latin-1").lower() not in self._origins for origin in origins):
            return FOREIGN_ORIGIN
        path = scope["path"]
        if path not in (MCP_PATH, HEALTH_PATH):
            return NOTHING_HERE
        if path == MCP_PATH and (refusal := self._stranger(scope)):
            return refusal
        # The server below has checked that it is a number.
        sizes = [int(value) for value in _values(scope, b"content-length") if value.isdigit()]
        return TOO_LARGE if any(size > LARGEST_REQUEST for size in sizes) else None

    def _stranger(self, scope: Scope) -> Refusal | None:
        """Return the refusal of a request without a token that counts now; None if it may come in."""
        if self._tokens is None:
            return None
        given = _values(scope, b"authorization")
        if not given:
            return NO_TOKEN
        scheme, _, token = given[0].partition(b" ")
        if len(given) > 1 or scheme.lower() != b"bearer":
            return NO_TOKEN
        try:
            return None if self._tokens.accepts(token.strip()) else WRONG_TOKEN
        except StorageError as error:
            self._refusals.tell(str(error))
            return NO_STORE

    async def _body(self, receive: Receive) -> deque[Message] | Refusal | None:
        """Return the messages of a body that is whole; None where the client left."""
        parts: deque[Message] = deque()
        size = 0
        try:
            with anyio.fail_after(WHOLE_BODY):
                while True:
                    with anyio.fail_after(SILENT_BODY):
                        message = await receive()
                    if message["type"] != "http.request":
                        return None
                    size += len(message.get("body", b""))
                    if size > LARGEST_REQUEST:
                        return TOO_LARGE
                    parts.append(message)
                    if not message.get("more_body", False):
                        return parts
        except TimeoutError:
            return TOO_SLOW

    def _while_allowed(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """Return a `send` that ends an answer, also one that streams, when its token does not count any more."""
        if self._tokens is None or scope["path"] != MCP_PATH:
            return send
        begun = ended = False

        async def sent(message: Message) -> None:
            nonlocal begun, ended
            if ended:
                return
            if refusal := self._stranger(scope):
                ended = True
                if begun:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                else:
                    await refusal(scope, receive, send)
                return
            begun = True
            await send(message)

        return sent


def _values(scope: Scope, name: bytes) -> list[bytes]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value for key, value in headers if key == name]


def _replaying(body: deque[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives the body once more, and then what comes after it: that the client left."""

    async def replay() -> Message:
        return body.popleft() if body else await receive()

    return replay


class _Refusals:
    """Counts refusals for the log, in which a flood of them must not drown everything else."""

    def __init__(self) -> None:
        self._counted = Counter[int]()
        self._told = -TOLD_EVERY
        self._said: dict[str, float] = {}

    def count(self, status: int) -> None:
        self._counted[status] += 1
        if time.monotonic() - self._told > TOLD_EVERY:
            shown = ", ".join(f"{number} with status {each}" for each, number in sorted(self._counted.items()))
            log.info("HTTP door refused requests: %s", shown)
            self._counted.clear()
            self._told = time.monotonic()

    def tell(self, reason: str) -> None:
        if time.monotonic() - self._said.get(reason, -TOLD_EVERY) > TOLD_EVERY:
            log.error("HTTP door: %s", reason)
            self._said = {reason: time.monotonic()}

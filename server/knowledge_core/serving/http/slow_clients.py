"""Connections of the HTTP door that keep it waiting, or are too many: uvicorn's protocol with the limits that it lacks.

uvicorn waits for ever for the head of a request, for the rest of a body that was answered already, and for a client that
does not read. Here each of these ends: `HttpDoor` looks at every connection once a second.

The number of open connections is limited, too. Where one more comes, the one that has waited longest for its client gives
its place, so that a thousand connections which send nothing keep nobody out; only where all the others are being
answered, the new one is turned away (503).
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import sys
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

WHOLE_HEAD = 10.0  # seconds from a connection's opening, or from its last answer, to the end of the next request's head
LEFTOVER_BODY = (
    5.0  # seconds in which the rest of a refused body is thrown away: a client that still writes must read why
)
UNREAD_ANSWER = 60.0  # seconds without a byte of an answer being taken
MOST_CONNECTIONS = 256  # 40 clients with a few each; an open one costs a descriptor and about 20 KB
AT_ONCE = 16  # connections that give their places when there is none left
_SHARE = 4  # of the descriptors that this process may have, the door's connections take one in so many
_BUSY_TEXT = b"This door serves as many clients as it can. Try again in a moment."
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY_TEXT), _BUSY_TEXT)
)
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_log = logging.getLogger(f"{__name__}.uvicorn")
_log.setLevel(logging.ERROR)  # a line per malformed request would let anybody fill the log


def most_connections() -> int:
    """Return how many connections the door may have open in this process."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(min(MOST_CONNECTIONS, descriptors // _SHARE), 8)


class LimitedProtocol(H11Protocol):
    """One connection. `limit_concurrency` of the configuration, at which uvicorn refuses requests, is never reached."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _log
        self._since = self.loop.time()  # since then, it waits for its client, if it does
        self._unread_since: float | None = None
        self._unread = 0  # bytes of an answer that the client has not taken yet, at the last look
        self._request: object = None  # the last one whose head was whole

    # -- what uvicorn and the event loop call --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        most = (self.limit_concurrency or MOST_CONNECTIONS + 1) - 1
        if len(self.connections) >= most and not self._gets_a_place():
            self.transport = transport  # for `connection_lost`
            transport.write(_BUSY)
            transport.close()
            return
        super().connection_made(transport)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not self._request:
            self._request, self._since = self.cycle, self.loop.time()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    # -- what a slow client costs --------------------------------------------------------------------------------------

    def look(self) -> None:
        """End this connection if its client has kept it waiting for too long."""
        now = self.loop.time()
        waited = now - self._since
        answered = self.cycle is not None and self.cycle.response_complete
        if self._unread_since is not None:
            left = self.transport.get_write_buffer_size()
            if left < self._unread:
                self._unread_since = now  # it reads, however slowly
            self._unread = left
        if self._unread_since is not None and now - self._unread_since > UNREAD_ANSWER:
            self.transport.abort()
        elif self.conn.their_state is h11.IDLE and waited > WHOLE_HEAD:
            self.give_place()
        elif self.conn.their_state is h11.SEND_BODY and answered and waited > LEFTOVER_BODY:
            self.transport.abort()

    def give_place(self) -> None:
        """Close a connection that waits for its client; one that has begun a request is told why."""
        in_head = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] and self.conn.our_state is h11.IDLE
        if in_head or (self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.SEND_RESPONSE):
            self.transport.write(_LATE)
        self.connections.discard(cast(Any, self))  # at once, not when the event loop has closed it
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # it does not even read
        else:
            self.transport.close()

    @property
    def _waits(self) -> bool:
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    @property
    def _rank(self) -> tuple[bool, float]:
        """Who gives its place first: whoever has begun something and does not end it; then who may come back."""
        pauses = self.conn.their_state is h11.IDLE and self._request is not None and not self.conn.trailing_data[0]
        return pauses, self._since

    def _gets_a_place(self) -> bool:
        others = [each for each in self.connections if isinstance(each, LimitedProtocol) and each._waits]
        # Several at once, so that a flood does not cost a look at all of them each time.
        for place, other in enumerate(heapq.nsmallest(AT_ONCE, others, key=lambda each: each._rank)):
            if place == 0 or not other._rank[0]:
                other.give_place()
        return bool(others)

"""The HTTP door: streamable HTTP at /mcp on loopback, beside the owner's socket.

Rules kept here:
- it listens on loopback only;
- a request is judged before its body is read (`gate.py`), and slow or too many clients keep nobody out
  (`slow_clients.py`);
- sessions that nobody uses end, and their number is bounded;
- closing does not wait for a stream that a client holds open;
- whoever shows a token may use the tools, but not the private requests of `kcore`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from knowledge_core.errors import InvalidInput
from knowledge_core.serving.http.gate import HEALTH_PATH, LARGEST_REQUEST, MCP_PATH, Gate, in_url
from knowledge_core.serving.http.slow_clients import WHOLE_HEAD, LimitedProtocol, most_connections
from knowledge_core.serving.http.tokens import TokenStore
from knowledge_core.serving.surface.mcp_server import KnowledgeServer

log = logging.getLogger(__name__)
# It tells of each session by its id, which is what a client shows to go on with it.
logging.getLogger("mcp.server.streamable_http_manager").setLevel(logging.WARNING)

IDLE_SESSION = 30 * 60.0  # seconds without a request under way or an open stream, after which a session ends
MOST_SESSIONS = 1_000  # an open one costs about 35 KB; one more is refused (503) until another has ended
LAST_STREAMS = 3  # seconds that open streams have once the door closes
LOOK_EVERY = 10  # of uvicorn's ticks, ten a second, between two looks at the connections
QUEUE = (
    1_024  # connections that the system keeps until the event loop takes them; one more waits a second to be sent again
)
BACKLOG = 64  # connections that the event loop takes over at once, so descriptors that it needs beyond the open ones


def http_app(server: KnowledgeServer, host: str, port: int, *, tokens: TokenStore | None) -> ASGIApp:
    """Return the ASGI application of a server.

    host, port: the loopback address that its requests come to. tokens: who may come in; None: everybody who reaches the port.
    """
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        # The gate has checked Host and Origin before.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=LARGEST_REQUEST,
        session_idle_timeout=IDLE_SESSION,
        max_sessions=MOST_SESSIONS,
    )
    app.router.routes.append(Route(HEALTH_PATH, _healthz, methods=["GET"]))
    return Gate(app, host=host, port=port, tokens=tokens)


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})  # nothing more: this route needs no token


def loopback_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket. port: 0 for any free one.

    Raises:
        InvalidInput: the host is not loopback, or the port is taken; says what to do.
    """
    if not is_loopback(host):
        raise InvalidInput(
            f"{host} is reachable from other machines, and this door speaks plain HTTP: its token and your documents would "
            "cross the network readable. Use 127.0.0.1, and an SSH tunnel or a reverse proxy with TLS, if it must be reached "
            "from elsewhere."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # on Windows this option would let another program take the same port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1" if host == "localhost" else host, port))
        made.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        raise InvalidInput(
            f"Port {port} cannot be used ({error}). Choose another with --port, or 0 for a free one."
        ) from error
    return made


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpDoor(uvicorn.Server):
    """A uvicorn server on a socket that is open already, in a process that handles its signals elsewhere.

    Run it by `serve_until_closed`. closed: called once it has closed.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, *, closed: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=LAST_STREAMS,
                lifespan="on",
                ws="none",
                http=LimitedProtocol,
                timeout_keep_alive=int(WHOLE_HEAD),  # the same rule as `LimitedProtocol.look`
                limit_concurrency=most_connections() + 1,
                backlog=BACKLOG,
            )
        )
        self._listener, self._closed = listener, closed
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{in_url(listener.getsockname()[0])}:{self.port}/mcp"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signal handlers as they are."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets)
        self._listener.listen(QUEUE)  # asyncio has one number for this and for BACKLOG

    async def on_tick(self, counter: int) -> bool:
        """Look at every connection now and then; uvicorn calls this ten times a second."""
        if counter % LOOK_EVERY == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedProtocol):
                    connection.look()
        return await super().on_tick(counter)

    async def serve_until_closed(self) -> None:
        """Serve until `close`."""
        log.info("HTTP door open at %s", self.url)
        try:
            await self.serve(sockets=[self._listener])
        finally:
            self._listener.close()
            self._closed()
            log.info("HTTP door closed")

    def close(self) -> None:
        """Begin to close: no new requests, and open streams end within seconds."""
        self.should_exit = True

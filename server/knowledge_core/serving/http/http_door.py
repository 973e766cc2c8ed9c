"""The HTTP door: streamable HTTP at /mcp on loopback, beside the owner's socket.

Rules kept here:
- it listens on loopback only;
- a request must name a loopback host, and a browser's page must come from one: Host and Origin are checked, against DNS
  rebinding;
- the size of a request is bounded;
- closing does not wait for a stream that a client holds open;
- whoever reaches the port may use the tools, but not the private requests of `kcore`.
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
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from knowledge_core.errors import InvalidInput
from knowledge_core.serving.surface.mcp_server import KnowledgeServer

log = logging.getLogger(__name__)

LARGEST_REQUEST = 16 * 1024 * 1024  # bytes: room for one document of the largest size that a call may bring, as JSON
LAST_STREAMS = 3  # seconds that open streams have once the door closes


def http_app(server: KnowledgeServer, port: int) -> Starlette:
    """Return the ASGI application of a server. port: the loopback port that its requests come to."""
    names = ["127.0.0.1", "localhost", "[::1]"]
    hosts = [f"{name}:{port}" for name in names] + (names if port == 80 else [])
    app = server.streamable_http_app(
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=hosts,
            allowed_origins=[f"http://{host}" for host in hosts],
        ),
        max_request_body_size=LARGEST_REQUEST,
    )
    app.router.routes.append(Route("/healthz", _healthz, methods=["GET"]))
    return app


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})  # nothing more: this route answers without a check of the Host


def loopback_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket. port: 0 for any free one.

    Raises:
        InvalidInput: the host is not loopback, or the port is taken; says what to do.
    """
    if not _is_loopback(host):
        raise InvalidInput(
            f"{host} is reachable from other machines, and this door knows no authentication yet. Use 127.0.0.1, and an "
            "SSH tunnel or a reverse proxy that authenticates, if it must be reached from elsewhere."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # on Windows this option would let another program take the same port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1" if host == "localhost" else host, port))
        made.listen(128)
    except (OSError, OverflowError) as error:
        made.close()
        raise InvalidInput(
            f"Port {port} cannot be used ({error}). Choose another with --port, or 0 for a free one."
        ) from error
    return made


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpDoor(uvicorn.Server):
    """A uvicorn server on a socket that is open already, in a process that handles its signals elsewhere.

    Run it by `serve_until_closed`. closed: called once it has closed.
    """

    def __init__(self, app: Starlette, listener: socket.socket, *, closed: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_graceful_shutdown=LAST_STREAMS, lifespan="on", ws="none"
            )
        )
        self._listener, self._closed = listener, closed
        self.port: int = listener.getsockname()[1]
        host = listener.getsockname()[0]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/mcp"

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signal handlers as they are."""
        yield

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

"""A hub on loopback that serves one model's folder as the Hugging Face hub does, or misbehaves as a test says.

It is two real HTTP servers: the hub itself, and the place that it points to for large files.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" + "0" * 34
LARGE = 10_000  # bytes; from there on a file lies elsewhere


class HubServer:
    """What is served, what goes wrong, and what was asked."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.extra: dict[str, bytes] = {}
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.refusals_left = 1 << 30
        self.cut_after: int | None = None  # bytes of a large file in one answer, once
        self.ignores_ranges = False
        self.spoiled = 0  # so many answers of a large file with a flipped byte
        self.sent: dict[str, int] = {}
        self.tokens: dict[str, list[str | None]] = {"hub": [], "cdn": []}
        self.requests: list[str] = []
        self.url = self.cdn = ""

    def files(self) -> dict[str, bytes]:
        there = {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
        return there | self.extra

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files().items():
            item: dict[str, Any] = {"rfilename": name, "size": len(content)}
            item["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if len(content) >= LARGE:
                item["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            siblings.append(item)
        return {"id": self.name, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "gemma"}}


@contextmanager
def hub_server(folder: Path, name: str) -> Iterator[HubServer]:
    """Yield a hub that serves a folder as the model `name`."""
    hub = HubServer(folder, name)
    with ExitStack() as stack:
        for kind in ("hub", "cdn"):
            server = _Server(("127.0.0.1", 0), _handler(hub, kind))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            address = f"http://127.0.0.1:{server.server_address[1]}"
            hub.url, hub.cdn = (address, hub.cdn) if kind == "hub" else (hub.url, address)
        yield hub


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left."""


def _handler(hub: HubServer, kind: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            hub.requests.append(f"{kind} {self.path}")
            hub.tokens[kind].append(self.headers["authorization"])
            if kind == "hub" and hub.refusal and hub.refusals_left > 0:
                hub.refusals_left -= 1
                status, headers = hub.refusal
                self._send(status, b"{}", headers)
            elif kind == "hub" and self.path.startswith("/api/"):
                self._listing()
            else:
                self._file()

        def _listing(self) -> None:
            path, _, query = self.path.removeprefix("/api/models/").partition("?")
            name, _, revision = path.partition("/revision/")
            assert query == "blobs=true"
            if name != hub.name:
                self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", COMMIT):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                self._send(200, json.dumps(hub.listing()).encode())

        def _file(self) -> None:
            name = self.path.partition(f"/{hub.name}/resolve/{COMMIT}/")[2]
            content = hub.files()[name]
            if kind == "hub" and len(content) >= LARGE:
                self._send(302, b"", {"Location": f"{hub.cdn}{self.path}"})
                return
            wanted = self.headers["range"]
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and not hub.ignores_ranges else 0
            if start >= len(content) > 0:
                self._send(416, b"")
                return
            body = content[start:]
            if hub.spoiled and len(content) >= LARGE:
                hub.spoiled -= 1
                body = body[:-1] + bytes([body[-1] ^ 1])
            ranged = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            self._send(206 if start else 200, body, ranged, name=name)

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, name: str = "") -> None:
            self.send_response(status)
            for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            whole = len(body)
            if name and hub.cut_after is not None and len(hub.files()[name]) >= LARGE:
                body, hub.cut_after = body[: hub.cut_after], None
            self.wfile.write(body)
            if name:
                hub.sent[name] = hub.sent.get(name, 0) + len(body)
            if len(body) < whole:
                self.wfile.flush()
                self.close_connection = True

    return Handler

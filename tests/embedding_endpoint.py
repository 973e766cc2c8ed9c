"""An OpenAI-compatible embeddings server on loopback that behaves, or misbehaves, as a test says.

It is a real HTTP server. What it knows of a model is a function from strings to vectors, so that a real local model
can stand behind it; without one, vectors are made from the hash of each string.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from knowledge_core.types import Vectors

Model = Callable[[Sequence[str]], Vectors]


def hashed(dimensions: int, salt: str = "") -> Model:
    """Return a model that knows nothing: its vectors are random, and the same for the same string."""

    def vectors(strings: Sequence[str]) -> Vectors:
        seeds = [int.from_bytes(hashlib.sha256((salt + each).encode()).digest()[:8], "little") for each in strings]
        return np.stack([np.random.default_rng(seed).standard_normal(dimensions) for seed in seeds]).astype(np.float32)

    return vectors


@dataclass(frozen=True)
class Misbehave:
    """What one answer does wrong. status: an HTTP state with `body`. spoil: changes the items before they are sent.

    raw: is sent instead. cut: only the first half is, and the connection closed. slow: seconds before it answers.
    drip: sends a byte every so many seconds.
    """

    status: int = 200
    body: str = '{"error": {"message": "scripted failure"}}'
    headers: dict[str, str] = field(default_factory=dict)
    spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    raw: bytes | None = None
    cut: bool = False
    slow: float = 0.0
    drip: float = 0.0


class EmbeddingEndpoint:
    """What the server does next, and what it was asked. script: one entry a request; then it behaves."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.host = f"127.0.0.1:{port}"
        self.model: Model = hashed(8)
        self.script: list[Misbehave] = []
        self.always: Misbehave | None = None
        self.base64 = True
        self.strict = False  # refuses any other encoding_format than float
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self._at_once = 0
        self._guard = threading.Lock()

    def texts(self) -> list[str]:
        """Return every string that was sent, in order."""
        return [text for request in self.requests for text in request["input"]]

    @contextmanager
    def counted(self) -> Iterator[Misbehave]:
        with self._guard:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            turn = self.always or (self.script.pop(0) if self.script else Misbehave())
        try:
            yield turn
        finally:
            with self._guard:
                self._at_once -= 1


@contextmanager
def embedding_endpoint(certificate: ssl.SSLContext | None = None) -> Iterator[EmbeddingEndpoint]:
    """Yield an endpoint on a free port. certificate: with which it speaks TLS."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if certificate:
        server.socket = certificate.wrap_socket(server.socket, server_side=True)
    endpoint = EmbeddingEndpoint(server.server_address[1])
    if certificate:
        endpoint.url = endpoint.url.replace("http:", "https:")
    server.endpoint = endpoint
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: EmbeddingEndpoint

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        endpoint = self.server.endpoint
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        endpoint.requests.append(request)
        endpoint.keys.append(self.headers["authorization"])
        endpoint.times.append(time.monotonic())
        with endpoint.counted() as turn:
            time.sleep(turn.slow)
            try:
                self._answer(endpoint, request, turn)
            except OSError:
                self.close_connection = True  # the client has left

    def _answer(self, endpoint: EmbeddingEndpoint, request: dict[str, Any], turn: Misbehave) -> None:
        if self.path != "/v1/embeddings":
            self._send(404, b"404 page not found")
        elif turn.status != 200:
            self._send(turn.status, turn.body.encode(), turn.headers)
        elif endpoint.strict and request["encoding_format"] != "float":
            self._send(422, b'{"error": {"message": "unknown encoding_format"}}')
        else:
            body = self._vectors(endpoint, request, turn) if turn.raw is None else turn.raw
            self._send(200, body, cut=turn.cut, drip=turn.drip)

    def _vectors(self, endpoint: EmbeddingEndpoint, request: dict[str, Any], turn: Misbehave) -> bytes:
        coded = endpoint.base64 and request["encoding_format"] == "base64"
        items: list[dict[str, Any]] = [
            {
                "object": "embedding",
                "index": place,
                "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if coded else row.tolist(),
            }
            for place, row in enumerate(endpoint.model(request["input"]))
        ]
        items = turn.spoil(items) if turn.spoil else items
        return json.dumps({"object": "list", "data": items, "model": request["model"]}).encode()

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False, drip: float = 0.0
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if drip:
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
                time.sleep(drip)
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True

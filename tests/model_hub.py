"""A model hub on loopback: as much of the Hugging Face hub's protocol as a client of it needs, and its misbehaviour.

Two real HTTP servers: the hub, which lists repositories, hands out small files and redirects to a store for large ones,
as the real one does; and the store, another origin, which must never see a token. Every request is kept, with how many
bytes of a file went out for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".onnx", ".gguf")  # kept in the store, named by their SHA-256
PIECE = 65_536


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Request:
    at: str  # "hub" or "store"
    method: str
    path: str
    authorization: str | None
    range: str | None
    host: str
    sent: int = 0  # bytes of a file


@dataclass
class Misbehave:
    """What one request gets whose path holds `on`.

    cut: only so many bytes of the file, then the connection ends. stall: set once `cut` bytes are out; then it waits
    for `go`. flip: one byte is wrong. whole: Range is ignored. etag: other than listed. after: called when it is done.
    """

    on: str
    at: str = "hub"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    stall: threading.Event | None = None
    go: threading.Event | None = None
    flip: bool = False
    whole: bool = False
    more: bool = False
    etag: str = ""
    after: Callable[[], None] | None = None


@dataclass
class Repository:
    files: dict[str, bytes]
    gated: bool = False
    branches: dict[str, str] = field(default_factory=lambda: {"main": "1" * 40})
    sizes: dict[str, int] = field(default_factory=dict)  # that are listed instead of the true ones


class ModelHub:
    """What it holds, what it was asked, and what it will do wrong."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, str] = {}
        self.tokens: set[str] = set()  # that it knows
        self.accepted: set[str] = set()  # tokens of accounts that accepted the licence
        self.renewals: dict[str, str] = {}  # refresh token: the token that it is exchanged for
        self.lists_blobs = True
        self.script: list[Misbehave] = []
        self.requests: list[Request] = []
        self.url = self.store = ""
        self._lock = threading.Lock()

    def add(self, name: str, folder: Path) -> Repository:
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.repositories[name] = Repository(files)
        return self.repositories[name]

    def sent(self, name: str) -> int:
        """Return how many bytes of a file went out, over all requests."""
        files = [each.files[name] for each in self.repositories.values() if name in each.files]
        ends = {f"/{sha256(content)}" for content in files}
        return sum(
            request.sent
            for request in self.requests
            if request.path[-65:] in ends or request.path.partition("/resolve/")[2].partition("/")[2] == name
        )

    def paths(self, at: str) -> list[str]:
        return [request.path for request in self.requests if request.at == at]

    def take(self, at: str, path: str) -> Misbehave:
        with self._lock:
            for entry in self.script:
                if entry.at == at and entry.on in path:
                    self.script.remove(entry)
                    return entry
        return Misbehave("")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: ModelHub

    def handle_error(self, request: object, client_address: object) -> None: ...  # a client that left is no error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each small answer waits 40 ms for the client's acknowledgement
    at = ""

    def log_message(self, *args: object) -> None: ...

    @property
    def hub(self) -> ModelHub:
        assert isinstance(self.server, _Server)
        return self.server.hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)  # a proxy is asked for a whole address
        self.request_kept = Request(
            self.at, self.command, path, self.headers["authorization"], self.headers["range"], self.headers["host"]
        )
        self.hub.requests.append(self.request_kept)
        self.wrong = self.hub.take(self.at, path)
        try:
            if self.wrong.status:
                self.answer(self.wrong.status, self.wrong.body, self.wrong.headers)
            else:
                self.serve(path)
        except OSError:
            self.close_connection = True  # the client has left
        if self.wrong.after:
            self.wrong.after()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.answer(403, b"this proxy connects to nothing")

    def serve(self, path: str) -> None:
        raise NotImplementedError

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, content: bytes, headers: dict[str, str]) -> None:
        if self.wrong.flip:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.wrong.more:
            content += b"more"
        size, start = len(content), 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["range"] or "")
        if asked and not self.wrong.whole:
            start = int(asked[1])
            if start >= size:
                self.answer(416, b"", {"content-range": f"bytes */{size}"})
                return
            headers = {**headers, "content-range": f"bytes {start}-{size - 1}/{size}"}
        self.send_response(206 if start else 200)
        for name, value in {**headers, "content-length": str(size - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = size if self.wrong.cut is None else start + self.wrong.cut
        for at in range(start, end, PIECE):
            self.write(content[at : min(at + PIECE, end)])
        if self.wrong.stall and self.wrong.go:
            self.wrong.stall.set()
            self.wrong.go.wait(60)
            self.write(content[end:])
        elif end < size:
            self.close_connection = True

    def write(self, part: bytes) -> None:
        self.wfile.write(part)
        self.request_kept.sent += len(part)


class _Hub(_Handler):
    at = "hub"

    def do_POST(self) -> None:
        """Renew a login."""
        sent = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        renewed = self.hub.renewals.get(sent["refresh_token"][0], "")
        body = json.dumps({"access_token": renewed, "token_type": "bearer", "expires_in": 10**6}).encode()
        self.answer(200 if renewed and urlsplit(self.path).path == "/oauth/token" else 400, body)

    def serve(self, path: str) -> None:
        kind, name, revision, file = _parts(path)
        moved = self.hub.renamed.get(name)
        if moved:
            self.answer(307, b"", {"location": self.path[self.path.index("/", 8) :].replace(name, moved)
                                   if self.path.startswith("http") else self.path.replace(name, moved)})  # fmt: skip
            return
        token = (self.headers["authorization"] or "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            self.refuse(401, "", "Invalid credentials in Authorization header")
            return
        repository = self.hub.repositories.get(name)
        if repository is None:
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
            return
        commit = revision if revision in repository.branches.values() else repository.branches.get(revision)
        if commit is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif kind == "list":
            self.list(name, repository, commit)
        elif repository.gated and token not in self.hub.accepted:
            self.refuse(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted.")
        elif file not in repository.files:
            self.refuse(404, "EntryNotFound", "Entry not found")
        else:
            self.resolve(name, repository.files[file], commit, file)

    def list(self, name: str, repository: Repository, commit: str) -> None:
        blobs = self.hub.lists_blobs and "blobs" in parse_qs(urlsplit(self.path).query)
        siblings: list[dict[str, object]] = []
        for file, content in repository.files.items():
            entry: dict[str, object] = {"rfilename": file}
            size = repository.sizes.get(file, len(content))
            if blobs:
                entry |= {"size": size, "blobId": git_sha1(content)}
                if file.endswith(LARGE):
                    entry["lfs"] = {"sha256": sha256(content), "size": size, "pointerSize": 135}
            siblings.append(entry)
        body = json.dumps({"id": name, "sha": commit, "cardData": {"license": "mit"}, "siblings": siblings}).encode()
        self.answer(200, body, {"content-type": "application/json"})

    def resolve(self, name: str, content: bytes, commit: str, file: str) -> None:
        headers = {"x-repo-commit": commit}
        if not file.endswith(LARGE):
            self.send_file(content, headers | {"etag": f'"{self.wrong.etag or git_sha1(content)}"'})
            return
        digest = sha256(content)
        headers |= {"x-linked-etag": f'"{self.wrong.etag or digest}"', "x-linked-size": str(len(content))}
        headers |= {"location": f"{self.hub.store}/{name}/{digest}?Signature=signed"}
        self.answer(302, b"", headers)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, b"", {"x-error-code": code, "x-error-message": message})


class _Store(_Handler):
    at = "store"

    def serve(self, path: str) -> None:
        digest = path.rpartition("/")[2]
        for repository in self.hub.repositories.values():
            for content in repository.files.values():
                if sha256(content) == digest:
                    self.send_file(content, {"etag": '"what the store calls it"', "accept-ranges": "bytes"})
                    return
        self.answer(403, b"<Error>AccessDenied</Error>")


def _parts(path: str) -> tuple[str, str, str, str]:
    listed = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path)
    if listed:
        return "list", listed[1], listed[2], ""
    resolved = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
    return ("file", *resolved.groups()) if resolved else ("", "", "", "")  # type: ignore[return-value]


@contextmanager
def model_hub(certificate: ssl.SSLContext | None = None) -> Iterator[ModelHub]:
    """Yield an empty hub on two free ports. certificate: with which hub and store speak TLS."""
    hub = ModelHub()
    servers = []
    for handler in (_Hub, _Store):
        server = _Server(("127.0.0.1", 0), handler)
        server.hub = hub
        if certificate:
            server.socket = certificate.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
    scheme = "https" if certificate else "http"
    hub.url, hub.store = (f"{scheme}://127.0.0.1:{server.server_port}" for server in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()

"""A model's endpoint on loopback that speaks the Messages API and chat completions, and says what a test scripted.

It is a real HTTP server for the real SDKs: server-sent events cut into pieces of seven bytes, status codes with their
headers, streams that break off. Each request takes the next turn of the script, or asks a function for one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 7  # bytes: events, lines and characters all get split


@dataclass(frozen=True)
class Say:
    """Text. cites: words of a passage in the request; the Messages API then cites the block that holds them."""

    text: str
    cites: str = ""
    misquotes: str = ""  # cited_text instead of the block's own
    ended: str = "end_turn"
    then: tuple[Say, ...] = ()


@dataclass(frozen=True)
class Call:
    """Tool calls. written: arguments as they stand in the stream, if they are no proper JSON."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    written: str | None = None
    saying: str = ""
    more: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """A stream that breaks off after this text. clean: it ends as if all had been said."""

    text: str = ""
    clean: bool = False


@dataclass(frozen=True)
class Overloaded:
    """An error as an event within a stream that began well."""


@dataclass(frozen=True)
class Slow:
    """Says a little, then nothing for so long."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Refuse:
    """The model's own refusal."""

    why: str = "This is harmful."


Turn = Say | Call | Fail | Cut | Overloaded | Slow | Refuse


class Endpoint:
    """What is scripted, and what was asked."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.script: list[Turn] = []
        self.think: Callable[[dict[str, Any]], Turn] | None = None
        self.requests: list[dict[str, Any]] = []
        self.hosts: list[str] = []
        self.paths: list[str] = []
        self.times: list[float] = []

    def base_url(self, api: str) -> str:
        return self.origin if api == "anthropic" else f"{self.origin}/v1"

    def next(self, request: dict[str, Any]) -> Turn:
        if self.think is not None:
            return self.think(request)
        return self.script.pop(0) if self.script else Fail(400, "the script is over")


@contextmanager
def scripted_endpoint() -> Iterator[Endpoint]:
    """Yield an endpoint on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    endpoint = Endpoint(server.server_address[1])
    server.endpoint = endpoint  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


class _Broken(Exception):
    """The stream ends here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None: ...

    def do_POST(self) -> None:
        endpoint: Endpoint = self.server.endpoint  # type: ignore[attr-defined]
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        endpoint.requests.append(request)
        endpoint.hosts.append(self.headers["host"])
        endpoint.paths.append(self.path)
        endpoint.times.append(time.monotonic())
        turn = endpoint.next(request)
        if isinstance(turn, Fail):
            self._fail(turn)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        events = anthropic_events if self.path.endswith("/messages") else openai_events
        try:
            for event in events(turn, request):
                self._write(event.encode())
            self.wfile.write(b"0\r\n\r\n")
        except _Broken:
            self.close_connection = True
        except OSError:
            pass  # the client has left

    def _write(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    def _fail(self, turn: Fail) -> None:
        kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(turn.status, "api_error")
        body = json.dumps({"type": "error", "error": {"type": kind, "message": turn.message}}).encode()
        self.send_response(turn.status)
        for name, value in {"content-type": "application/json", **turn.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def search_results(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the `search_result` blocks of a Messages request, in the order that citations count."""
    found = []
    for message in request["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "search_result":
                found.append(block)
            elif block["type"] == "tool_result":
                found += [each for each in block["content"] if each["type"] == "search_result"]
    return found


def _citation(words: str, request: dict[str, Any], misquotes: str) -> dict[str, Any]:
    for index, result in enumerate(search_results(request)):
        for block, part in enumerate(result["content"]):
            if words in part["text"]:
                return {
                    "type": "search_result_location", "cited_text": misquotes or part["text"],
                    "search_result_index": index, "source": result["source"], "title": result["title"],
                    "start_block_index": block, "end_block_index": block + 1,
                }  # fmt: skip
    raise AssertionError(f"no passage in the request holds {words!r}")


def anthropic_events(turn: Turn, request: dict[str, Any]) -> Iterator[str]:
    """Yield a turn as events of the Messages API."""
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 0}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": request["model"], "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    yield _sse("message_start", message=message)
    yield _sse("ping")
    index = 0
    ended = "end_turn"
    if isinstance(turn, Overloaded):
        yield _sse("error", error={"type": "overloaded_error", "message": "Overloaded"})
        return
    if isinstance(turn, Refuse):
        details = {"type": "refusal", "category": None, "explanation": turn.why}
        yield _sse(
            "message_delta",
            delta={"stop_reason": "refusal", "stop_details": details, "stop_sequence": None},
            usage={"output_tokens": 3},
        )
        yield _sse("message_stop")
        return
    for part in _texts(turn):
        yield _sse("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for piece in _halves(part.text):
            yield _sse("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        if part.cites:
            citation = _citation(part.cites, request, part.misquotes)
            yield _sse("content_block_delta", index=index, delta={"type": "citations_delta", "citation": citation})
        _stop_early(turn)
        if isinstance(turn, Cut):
            return
        yield _sse("content_block_stop", index=index)
        index += 1
        ended = part.ended
    for call in _calls(turn):
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": call.name, "input": {}}
        yield _sse("content_block_start", index=index, content_block=block)
        for piece in _halves(_written(call)):
            yield _sse("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
        yield _sse("content_block_stop", index=index)
        index += 1
        ended = "tool_use"
    yield _sse("message_delta", delta={"stop_reason": ended, "stop_sequence": None}, usage={"output_tokens": 20})
    yield _sse("message_stop")


def openai_events(turn: Turn, request: dict[str, Any]) -> Iterator[str]:
    """Yield a turn as chunks of chat completions."""
    ended = "stop"
    if isinstance(turn, Overloaded):
        yield _data({"error": {"message": "Overloaded", "type": "server_error"}})
        return
    if isinstance(turn, Refuse):
        yield _chunk({"role": "assistant", "refusal": turn.why})
    for part in _texts(turn):
        for piece in _halves(part.text):
            yield _chunk({"role": "assistant", "content": piece})
        _stop_early(turn)
        if isinstance(turn, Cut):
            return
        ended = {"max_tokens": "length"}.get(part.ended, "stop")
    for index, call in enumerate(_calls(turn)):
        first = {"index": index, "id": f"call_{index}", "type": "function"}
        yield _chunk({"tool_calls": [{**first, "function": {"name": call.name, "arguments": ""}}]})
        for piece in _halves(_written(call)):
            yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        ended = "tool_calls"
    yield _chunk({}, ended)
    if request.get("stream_options", {}).get("include_usage"):
        usage = {
            "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 40},
        }  # fmt: skip
        yield _data({**_CHUNK, "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}


def _chunk(delta: dict[str, Any], ended: str | None = None) -> str:
    return _data({**_CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": ended}]})


def _data(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _sse(type: str, **body: Any) -> str:
    return f"event: {type}\ndata: {json.dumps({'type': type, **body}, ensure_ascii=False)}\n\n"


def _texts(turn: Turn) -> list[Say]:
    if isinstance(turn, Say):
        return [turn, *turn.then]
    if isinstance(turn, Call):
        return [Say(turn.saying)] if turn.saying else []
    return [Say(turn.text)] if isinstance(turn, Cut | Slow) else []


def _stop_early(turn: Turn) -> None:
    if isinstance(turn, Cut) and not turn.clean:
        raise _Broken
    if isinstance(turn, Slow):
        time.sleep(turn.seconds)


def _calls(turn: Turn) -> list[Call]:
    return [turn, *turn.more] if isinstance(turn, Call) else []


def _written(call: Call) -> str:
    return json.dumps(call.arguments, ensure_ascii=False) if call.written is None else call.written


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [each for each in (text[:middle], text[middle:]) if each]

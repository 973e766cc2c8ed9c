"""Lines that are no proper message, over a pipe, the owner's socket and stdin: each is answered, and nothing else notices."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from embedding_endpoint import EmbeddingEndpoint, Misbehave, embedding_endpoint
from knowledge_core.paths import holder
from knowledge_core.serving.pipe.dialling import connect
from knowledge_core.serving.pipe.lines import LINE_LIMIT
from knowledge_core.serving.pipe.local_socket import dial
from owner_processes import LEGACY, PATIENT, RawPipe, own_home

PARSE, INVALID, METHOD, PARAMS = -32700, -32600, -32601, -32602
RESULT = "a result"
INITIALIZE = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


def said(method: str, params: str = "", id: str = '"q"') -> bytes:
    """A message as it is written; `params` and `id` are JSON."""
    member = f', "params": {params}' if params else ""
    return f'{{"jsonrpc": "2.0", {f"{chr(34)}id{chr(34)}: {id}, " if id else ""}"method": "{method}"{member}}}'.encode()


def called(arguments: str, tool: str = "search") -> bytes:
    return said("tools/call", f'{{"name": "{tool}", "arguments": {arguments}}}')


def withdrawn(params: str) -> bytes:
    return said("notifications/cancelled", params, id="")


LINES: dict[str, tuple[bytes, list[tuple[Any, Any]]]] = {
    # A withdrawal with odd parameters. A notification has no answer, but one that is no message has.
    "withdrawal without parameters": (withdrawn(""), []),
    "withdrawal with a list": (withdrawn("[1]"), [(None, INVALID)]),
    "withdrawal with a text": (withdrawn('"x"'), [(None, INVALID)]),
    "withdrawal with null": (withdrawn("null"), []),
    "withdrawal of a list": (withdrawn('{"requestId": [1]}'), []),
    "withdrawal of an object": (withdrawn('{"requestId": {"a": 1}}'), []),
    "withdrawal of a fraction": (withdrawn('{"requestId": 1.5}'), []),
    "withdrawal of true": (withdrawn('{"requestId": true}'), []),
    "withdrawal of null": (withdrawn('{"requestId": null}'), []),
    "withdrawal of nobody": (withdrawn('{"requestId": "nobody"}'), []),
    "withdrawal of half an emoji": (withdrawn(r'{"requestId": "\ud83d"}'), []),
    "withdrawal of 5,000 digits": (withdrawn(f'{{"requestId": {"9" * 5_000}}}'), [(None, PARSE)]),
    "withdrawal for an odd reason": (withdrawn('{"requestId": "nobody", "reason": [1], "_meta": 3}'), []),
    "withdrawal with an id": (said("notifications/cancelled", '{"requestId": "nobody"}'), [("q", METHOD)]),
    "odd progress": (said("notifications/progress", '{"progressToken": [1], "progress": "x"}', id=""), []),
    "unknown notification": (said("notifications/nope", '{"_meta": [1]}', id=""), []),
    # What is no Unicode.
    "half an emoji in an argument": (called(r'{"query": "a rose \ud83d"}'), [("q", RESULT)]),
    "half an emoji in a name": (called(r'{"query\ud83d": "x"}'), [("q", RESULT)]),
    "half an emoji in a tool": (called("{}", r"search\ud83d"), [("q", PARAMS)]),
    "half an emoji in the method": (said(r"ping\ud83d"), [("q", METHOD)]),
    "half an emoji in the id": (said("ping", id=r'"q\ud83d"'), [("q\ud83d", RESULT)]),
    "no UTF-8": (b"\xff\xfe\x00 not text", [(None, PARSE)]),
    "no UTF-8, id first": (called('{"query": "?"}').replace(b"?", b"\xff"), [("q", PARSE)]),
    "no UTF-8, id last": (b'{"method": "tools/call", "params": {"id": 3, "x": "\xff"}, "id": "q"}', [("q", PARSE)]),
    "no UTF-8, id between": (b'{"params": {"id": 3, "x": ["}\xff"]}, "id": -7, "method": "ping"}', [(-7, PARSE)]),
    "no UTF-8, id escaped": (b'{"\\u0069d": "\\u0071", "method": "\xff"}', [("q", PARSE)]),
    "no UTF-8, id in the arguments only": (b'{"params": {"id": 3, "x": "\xff"}, "method": "ping"}', [(None, PARSE)]),
    "no UTF-8 in the id": (b'{"id": "\xff", "method": "ping"}', [(None, PARSE)]),
    "no UTF-8 in an answer": (b'{"id": 1, "result": {"x": "\xff"}}', [(None, PARSE)]),
    # Ids.
    "id of a fraction": (said("ping", id="1.5"), [(1.5, INVALID)]),
    "id null": (said("ping", id="null"), [(None, INVALID)]),
    "id of a list": (said("ping", id="[1]"), [(None, INVALID)]),
    "id of an object": (said("ping", id='{"a": 1}'), [(None, INVALID)]),
    "id true": (said("ping", id="true"), [(None, INVALID)]),
    "id of not a number": (said("ping", id="NaN"), [(None, INVALID)]),
    "id of 30 digits": (said("ping", id="9" * 30), [(10**30 - 1, RESULT)]),
    "id of 5,000 digits": (said("ping", id="9" * 5_000), [(None, PARSE)]),
    "id of 100,000 letters": (said("ping", id=f'"{"x" * 100_000}"'), [("x" * 100_000, RESULT)]),
    "empty id": (said("ping", id='""'), [("", RESULT)]),
    "two ids": (b'{"jsonrpc": "2.0", "id": "q", "method": "ping", "id": "r"}', [("r", RESULT)]),
    # JSON, and what is none.
    "absurdly nested": (said("ping", f'{{"a": {"[" * 100_000 + "]" * 100_000}}}'), [("q", PARSE)]),
    "brackets without an end": (said("ping", "[" * 100_000), [("q", PARSE)]),
    "brackets alone": (b"[" * 100_000, [(None, PARSE)]),
    "nested 300 deep": (said("ping", f'{{"a": {"[" * 300 + "]" * 300}}}'), [("q", RESULT)]),
    "not a number": (called('{"query": "a", "limit": NaN}'), [("q", RESULT)]),
    "infinity": (called('{"query": "a", "limit": -Infinity}'), [("q", RESULT)]),
    "too large a number": (called('{"query": "a", "limit": 1e999}'), [("q", RESULT)]),
    "byte order mark": (b"\xef\xbb\xbf" + said("ping"), [("q", RESULT)]),
    "carriage return": (said("ping") + b"\r", [("q", RESULT)]),
    "empty line": (b"", []),
    "blank line": (b" \t \r", []),
    "NULs around": (b"\0" + said("ping") + b"\0", [("q", PARSE)]),
    "NULs alone": (b"\0" * 100, [(None, PARSE)]),
    "NUL in a text": (called('{"query": "a\0b"}'), [("q", PARSE)]),
    "NUL as an escape": (called(r'{"query": "a\u0000b"}'), [("q", RESULT)]),
    "half a message": (b'{"jsonrpc": "2.0", "id": 7, "method"', [(7, PARSE)]),
    "half an id": (b'{"jsonrpc": "2.0", "id": 7', [(None, PARSE)]),
    "text after a message": (said("ping") + b" x", [("q", PARSE)]),
    "text": (b"hello there", [(None, PARSE)]),
    "a number": (b"3", [(None, INVALID)]),
    # JSON that is no message.
    "batch": (b"[" + said("ping") + b"," + said("ping", id="9") + b"]", [("q", INVALID), (9, INVALID)]),
    "batch of a notification": (b"[" + said("notifications/x", id="") + b"]", [(None, INVALID)]),
    "empty batch": (b"[]", [(None, INVALID)]),
    "no version": (b'{"id": "q", "method": "ping"}', [("q", INVALID)]),
    "old version": (b'{"jsonrpc": "1.0", "id": "q", "method": "ping"}', [("q", INVALID)]),
    "method of a number": (b'{"jsonrpc": "2.0", "id": "q", "method": 5}', [("q", INVALID)]),
    "no method": (b'{"jsonrpc": "2.0", "id": "q"}', [("q", INVALID)]),
    "unknown method": (said("no/such"), [("q", METHOD)]),
    "parameters in a list": (said("tools/call", '["search"]'), [("q", INVALID)]),
    "parameters in a text": (said("tools/call", '"search"'), [("q", INVALID)]),
    "parameters null": (said("tools/call", "null"), [("q", PARAMS)]),
    "arguments in a list": (called("[1]"), [("q", PARAMS)]),
    "token of a list": (said("tools/call", '{"name": "job", "_meta": {"progressToken": [1]}}'), [("q", PARAMS)]),
    "initialize again": (said("initialize", json.dumps(INITIALIZE)), [("q", RESULT)]),
    # Answers to what was never asked get none, and none of the client's own calls gets one.
    "answer to nobody": (b'{"jsonrpc": "2.0", "id": "nobody", "result": {}}', []),
    "error for nobody": (b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}}', []),
    "answer that is none": (b'{"jsonrpc": "2.0", "id": 1, "result": [1]}', []),
    "error that is none": (b'{"jsonrpc": "2.0", "id": 1, "error": "x"}', []),
    "error without an id": (b'{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": "x"}}', []),
    "a message with a key of ours": (said("ping")[:-1] + b', "knowledge-core": "goodbye"}', [("q", RESULT)]),
}  # fmt: skip


class Door:
    """One connection: what is sent over it, and the answers to a line."""

    def __init__(self, send: Callable[[bytes], None], lines: queue.Queue[bytes | None]) -> None:
        self.send, self._lines, self._count = send, lines, 0
        self.kept: dict[Any, dict[str, Any]] = {}  # answers to the calls that were sent with `begin`
        self._begun: set[int] = set()

    def begin(self, method: str, params: dict[str, Any]) -> int:
        """Send a request, and return its id at once."""
        self._count += 1
        id = 1_000_000 + self._count
        self._begun.add(id)
        self.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode() + b"\n")
        return id

    def answer(self, id: int) -> dict[str, Any]:
        """Return the answer to a request that was begun."""
        while id not in self.kept:
            self.next()
        return self.kept.pop(id)

    def next(self) -> tuple[Any, Any] | None:
        """Return the next answer as id and outcome; None for one to a request that was begun, and for a notification."""
        line = self._lines.get(timeout=PATIENT)
        assert line is not None, "the connection ended"
        message = json.loads(line)
        if "method" in message:
            return None
        if message["id"] in self._begun:
            self.kept[message["id"]] = message
            return None
        return message["id"], RESULT if "result" in message else message["error"]["code"]

    def answers(self, line: bytes, count: int) -> list[tuple[Any, Any]]:
        """Send a line, then a ping; return the answers until the ping has its own, and until there are `count`."""
        self.send(line + b"\n")
        ping = self.begin("ping", {})
        found: list[tuple[Any, Any]] = []
        while ping not in self.kept or len(found) < count:
            if (one := self.next()) is not None:
                found.append(one)
        del self.kept[ping]
        return found


@pytest.fixture(scope="module")
def slow() -> Iterator[EmbeddingEndpoint]:
    with embedding_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module", params=["pipe", "socket", "stdin"])
def door(request: pytest.FixtureRequest, slow: EmbeddingEndpoint, tmp_path_factory: Any) -> Iterator[Door]:
    remote = {"url": slow.url, "model": "slow", "dimensions": 8}
    folder: Path = tmp_path_factory.mktemp(request.param)
    with own_home(folder, embedding={"model": "remote", "remote": remote}) as home, contextlib.ExitStack() as stack:
        if request.param == "socket":
            made = Door(*_socket(home, stack))
        else:
            pipe = stack.enter_context(RawPipe(home, *(["--in-process"] if request.param == "stdin" else [])))
            made = Door(pipe.send, pipe.lines)
        made.answer(made.begin("initialize", INITIALIZE))
        made.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        yield made


def _socket(home: Path, stack: contextlib.ExitStack) -> tuple[Callable[[bytes], None], queue.Queue[bytes | None]]:
    opened = stack.enter_context(connect(home, None, "host").socket)
    lines: queue.Queue[bytes | None] = queue.Queue()

    def read(file: Any) -> None:
        with contextlib.suppress(OSError):
            for line in file:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, args=(opened.makefile("rb"),), daemon=True).start()
    stack.callback(opened.shutdown, socket.SHUT_RDWR)
    return opened.sendall, lines


def test_each_line_is_answered_under_its_id_wherever_that_can_be_read(door):
    for name, (line, expected) in LINES.items():
        found = door.answers(line, len(expected))
        assert sorted(found, key=repr) == sorted(expected, key=repr), name


def test_a_call_under_way_is_answered_whatever_else_comes_over_its_connection(door, slow):
    slow.always = Misbehave(slow=0.15)
    try:
        call = {"name": "index", "arguments": {"documents": [{"id": "a", "text": f"text {time.time()}"}]}}
        id = door.begin("tools/call", call)
        for line, _ in LINES.values():
            door.send(line + b"\n")
        left = sum(len(expected) for _, expected in LINES.values())
        while left or id not in door.kept:
            left -= door.next() is not None
        assert door.answer(id)["result"]["structuredContent"]["indexed"] == 1
    finally:
        slow.always = None


def test_a_call_is_withdrawn_by_its_id_as_a_text_too_and_keeps_no_place(door):
    for _ in range(70):  # more than may be under way
        id = door.begin("tools/call", {"name": "list_collections", "arguments": {}})
        door.send(said("notifications/cancelled", f'{{"requestId": "{id}"}}', id="") + b"\n")
    assert "result" in door.answer(door.begin("ping", {}))


def test_a_line_beyond_the_limit_is_refused_under_its_id_and_not_held(door):
    for id, head, end in (
        ("q", b'{"id": "q", "jsonrpc": "2.0", "method": "tools/call", "params": {"x": "', b'"}}'),
        ("last", b'{"method": "tools/call", "params": {"x": "', b'"}, "jsonrpc": "2.0", "id": "last"}'),
    ):
        assert door.answers(head + b"a" * LINE_LIMIT + end, 1) == [(id, INVALID)]


def test_a_line_is_answered_under_its_id_before_initialize_and_where_no_owner_is_left(tmp_path):
    with own_home(tmp_path) as home, RawPipe(home) as pipe:
        door = Door(pipe.send, pipe.lines)
        assert door.answers(said("tools/list"), 1) == [("q", PARAMS)]
        assert door.answers(withdrawn("[1]"), 1) == [(None, INVALID)]
        assert door.answers(said("ping").replace(b"ping", b"\xff"), 1) == [("q", PARSE)]
        assert "result" in door.answer(door.begin("initialize", INITIALIZE))
        with connect(home, None, "cli").socket as cli:
            cli.sendall(said("initialize", json.dumps(INITIALIZE)) + b"\n")
            cli.sendall(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
            cli.sendall(said("knowledge-core/stop", '{"arguments": {}}') + b"\n")
            while cli.recv(65_536):
                pass
        pipe.send(b'{"jsonrpc": "2.0", "id": 5, "method": "\xff"}\n')
        assert pipe.answer(5)["error"]["code"] == PARSE


HELLOS = [
    b'{"knowledge-core": "hello", "version": "0", "pid": "x"}',
    b'{"knowledge-core": "hello", "version": "' + "0.²".encode() + b'", "pid": -1}',
    b'{"knowledge-core": "hello", "version": "0.0.' + b"1" * 5_000 + b'"}',
    b'{"knowledge-core": "hello", "version": ["0\\n2026-12-01 forged"], "pid": 1e400, "roots": ["a\\u0000b", 5]}',
    b'{"knowledge-core": "hello", "version": "0\\n2026-12-01 forged", "roots": 7}',
    b'["knowledge-core"]',
    b"\xff" * 70_000,
    b"",
]


def test_a_hello_that_is_none_of_ours_harms_no_other_connection(tmp_path):
    with own_home(tmp_path) as home, connect(home, None, "cli").socket as first:
        for hello in HELLOS:
            with dial(holder(home).address, PATIENT) as made:
                made.sendall(hello + b"\n")
                made.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    while made.recv(65_536):
                        pass
        first.sendall(said("ping", id="5") + b"\n")
        assert json.loads(first.recv(65_536))["id"] == 5
        logged = (home / "logs" / "owner.log").read_text()
        assert "Traceback" not in logged
        assert max(map(len, logged.splitlines())) < 400
        assert "2026-12-01 forged" not in [line[:17] for line in logged.splitlines()]

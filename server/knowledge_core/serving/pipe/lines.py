"""The lines that pipe and owner exchange: cutting a stream into them, and peeking into one. No I/O, standard library.

A line is one JSON-RPC message, as in MCP's stdio transport. Beside messages a connection carries a few lines of our own
(hello, challenge, welcome, goodbye), recognised by their key `knowledge-core`; no client and no SDK ever sees them.

What is no message is answered, by one rule for pipe and owner (`refusal`): its client may be waiting. The answer has the
request's id wherever that can be read, even where the rest of the line cannot (`legible_id`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

LINE_LIMIT = 64 * 1024 * 1024  # bytes; an `index` call of a few documents of the largest size allowed (10 MB) fits
OURS = "knowledge-core"  # the key that marks our own lines
CHUNK = 64 * 1024  # bytes per read: a pipe's capacity on Linux

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
OWNER_ENDED = -32001  # from the range of codes that JSON-RPC leaves to servers

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'  # possessive: a string without an end is found to be one in linear time
_TOKEN = re.compile(_STRING + rb'|["{}\[\]]', re.DOTALL)
_COLON = re.compile(rb"[ \t\r]*+:[ \t\r]*+")
_ID = re.compile(rb"(?:" + _STRING + rb"|-?\d{1,200}+(?:\.\d{1,200}+)?+)(?=[ \t\r]*+[,}])", re.DOTALL)
_ID_LAST = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.){0,200}"|-?\d{1,200}+(?:\.\d{1,200}+)?+)\s*\}\s*$')
EDGE = 512  # bytes kept of each end of a line that is too long: clients write the id first or last
MOST_TOKENS = 200_000  # strings and brackets looked at for the id of a line that is no JSON: a tenth of a second
MOST_OF_BATCH = 1_000  # requests of a batch that are refused one by one

Id = str | int


@dataclass(frozen=True)
class TooLong:
    """A line beyond the limit, of which only both ends are kept: refusing 100 MB must not need 100 MB."""

    head: bytes
    tail: bytes

    def id(self) -> Id | float | None:
        """Return the id of the request in the line; None where neither end shows one."""
        first = legible_id(self.head)
        if first is not None:
            return first
        last = _ID_LAST.search(self.tail)
        return None if last is None else _value(last[1])


class LineBuffer:
    """Cuts chunks of bytes into lines without their ends. Empty lines are left out.

    >>> buffer = LineBuffer()
    >>> list(buffer.feed(b'{"a": 1}\\n{"b"')), list(buffer.feed(b': 2}\\n'))
    ([b'{"a": 1}'], [b'{"b": 2}'])
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._open = bytearray()
        self._dropped_head: bytes | None = None

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """Take the bytes that were read; yield every line that they complete."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            line = self._taken()
            if line:
                yield line
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._open += part
        if len(self._open) > self._limit:
            if self._dropped_head is None:
                self._dropped_head = bytes(self._open[:EDGE])
            del self._open[:-EDGE]

    def _taken(self) -> bytes | TooLong:
        line, head = bytes(self._open).rstrip(b"\r"), self._dropped_head
        self._open, self._dropped_head = bytearray(), None
        if head is not None:
            return TooLong(head, line[-EDGE:])
        return line.strip().removeprefix(b"\xef\xbb\xbf")  # a byte order mark, which shells of Windows write


def own_line(**content: Any) -> bytes:
    """Return one of our own lines, with its line end."""
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def error_line(id: Id | float | None, code: int, message: str) -> bytes:
    """Return a JSON-RPC error as a line, with its line end."""
    return json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).encode() + b"\n"


def too_long_message() -> str:
    """Return the error for a client whose message is beyond the limit."""
    return f"The message is longer than {LINE_LIMIT // 2**20} MiB. Send fewer documents in one call, or index files."


def is_id(value: object) -> TypeGuard[Id]:
    """Say whether a value can be a request's id: the Model Context Protocol allows texts and integers only."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def call_key(id: object) -> Id | None:
    """Return what identifies a call; None where the value is no id. "7" and 7 are one call, as for the SDK.

    >>> call_key("7"), call_key("seven"), call_key(7.5)
    (7, 'seven', None)
    """
    if not is_id(id):
        return None
    try:
        return int(id)
    except ValueError:
        return id


def parsed(line: bytes) -> Any:
    """Return the JSON of a line.

    Raises:
        ValueError, RecursionError: it is none, or nothing that Python reads: `unreadable` is the answer to it.
    """
    return json.loads(line.decode())


def unreadable(line: bytes, error: Exception) -> bytes:
    """Return the answer to a line that is no JSON, as a line. error: what `parsed` raised."""
    if isinstance(error, UnicodeDecodeError):
        wrong = f"a message must be one line of JSON in UTF-8; byte {error.start} of it is none."
    elif isinstance(error, json.JSONDecodeError):
        wrong = f"a message must be one line of JSON in UTF-8; it is none from character {error.pos} on."
    else:
        wrong = "it nests too deep, or a number in it has too many digits."
    return error_line(legible_id(line), PARSE_ERROR, f"Parse error: {wrong}")


def refusal(said: Any) -> bytes | None:
    """Return the answer to JSON that is no request and no notification, as lines; None for a message.

    What says to be an answer is taken for a message: whoever waits for it must be told, not whoever sent it.
    """
    if isinstance(said, list):
        return _refused_batch(said)
    if not isinstance(said, dict):
        return error_line(None, INVALID_REQUEST, NO_MESSAGE)
    if _is_answer(said):
        return None
    id = said.get("id")
    if "id" in said and not is_id(id):
        # JSON-RPC has the id back as it was, where it can be one there; MCP knows no such ids, nor does it null.
        shown = id if isinstance(id, float) and math.isfinite(id) else None
        return error_line(shown, INVALID_REQUEST, "The id of a request must be a text or an integer. Nothing was done.")
    params = said.get("params")
    if said.get("jsonrpc") != "2.0" or not isinstance(said.get("method"), str) or not isinstance(params, dict | None):
        return error_line(id, INVALID_REQUEST, NO_MESSAGE)
    return None


NO_MESSAGE = (
    'Not a JSON-RPC 2.0 message: it needs "jsonrpc": "2.0" and a method, and its params, if any, must be an object.'
)


def _refused_batch(batch: list[Any]) -> bytes:
    """Return an error for each request of a batch, since its client waits for each of them; else one without an id."""
    ids = [each.get("id") for each in batch[:MOST_OF_BATCH] if isinstance(each, dict) and not _is_answer(each)]
    wrong = "Batches are not supported: send each message as a line of its own."
    return b"".join(error_line(id, INVALID_REQUEST, wrong) for id in list(filter(is_id, ids)) or (None,))


def _is_answer(said: dict[str, Any]) -> bool:
    return "method" not in said and ("result" in said or "error" in said)


def legible_id(line: bytes) -> Id | float | None:
    """Return the id of the request in a line that is no JSON; None where none can be read, and for an answer.

    >>> legible_id(b'{"method": "tools/call", "params": {"id": 1, "query": "\\xff"}, "id": 7}')
    7
    """
    members = dict(_members(line))
    return None if _is_answer(members) else members.get("id")


def _members(line: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the names at the top of an object as far as it can be read, each with its value if that could be an id."""
    begin = line.find(b"{")
    if begin < 0 or line[:begin].strip(b" \t\r\0"):
        return
    depth = 0
    for _, token in zip(range(MOST_TOKENS), _TOKEN.finditer(line, begin), strict=False):
        match token[0][:1]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case _ if token[0] == b'"':  # a string without an end
                return
            case _ if depth == 1 and (colon := _COLON.match(line, token.end())):
                value = _ID.match(line, colon.end())
                yield str(_value(token[0])), None if value is None else _value(value[0])
        if depth == 0:
            return


def _value(token: bytes) -> Id | float | None:
    """Return the value of a text or number in JSON; None where it is no UTF-8."""
    try:
        value: Id | float = json.loads(token.decode())
    except ValueError:
        return None
    return value

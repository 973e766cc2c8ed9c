"""The lines that pipe and owner exchange: cutting a stream into them, and peeking into one. No I/O, standard library.

A line is one JSON-RPC message, as in MCP's stdio transport. Beside messages a connection carries a few lines of our own
(hello, challenge, welcome, goodbye), recognised by their key `knowledge-core`; no client and no SDK ever sees them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LINE_LIMIT = 64 * 1024 * 1024  # bytes; an `index` call of a few documents of the largest size allowed (10 MB) fits
OURS = "knowledge-core"  # the key that marks our own lines
CHUNK = 64 * 1024  # bytes per read: a pipe's capacity on Linux

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
OWNER_ENDED = -32001  # from the range of codes that JSON-RPC leaves to servers

_ID = rb'"id"\s*:\s*("(?:[^"\\]|\\.){0,200}"|-?\d{1,18})'
_ID_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?(?:"method"\s*:\s*"[^"\\]{1,100}"\s*,\s*)?' + _ID)
_ID_LAST = re.compile(_ID + rb"\s*\}\s*$")
EDGE = 512  # bytes kept of each end of a line that is too long: clients write the id first or last


@dataclass(frozen=True)
class TooLong:
    """A line beyond the limit, of which only both ends are kept: refusing 100 MB must not need 100 MB."""

    head: bytes
    tail: bytes

    def id(self) -> str | int | None:
        """Return the id of the request in the line; None where neither end shows one."""
        found = _ID_FIRST.match(self.head) or _ID_LAST.search(self.tail)
        return json.loads(found[1]) if found else None


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
        return line.strip() if head is None else TooLong(head, line[-EDGE:])


def own_line(**content: Any) -> bytes:
    """Return one of our own lines, with its line end."""
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def error_line(id: str | int | None, code: int, message: str) -> bytes:
    """Return a JSON-RPC error as a line, with its line end."""
    return json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).encode() + b"\n"


def too_long_message() -> str:
    """Return the error for a client whose message is beyond the limit."""
    return f"The message is longer than {LINE_LIMIT // 2**20} MiB. Send fewer documents in one call, or index files."

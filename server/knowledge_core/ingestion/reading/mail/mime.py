"""A message's bytes to its parts, as MIME cuts them (RFC 2045, 2046). Every byte is looked at once a level.

The standard library's parser goes down by recursion, asks every open part about every line, and copies the message four
times. Here a part is a slice of the bytes; only the parts that become text are copied. Heads are parsed by the standard
library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32

DEEPEST = 20  # parts within parts; a reply to a forwarded message of a list has about 8
MOST_PARTS = 5_000  # of one part
_LONGEST_HEAD = 1_000_000  # bytes
_LONGEST_FIELD = 10_000  # characters
_HEADER = re.compile(rb"[!-9;-~]{1,100}[ \t]{0,9}:[^\n]*\n?(?:[ \t]+[^\s][^\n]*\n?)*")
_BLANK = re.compile(rb"[ \t]*\r?\n")
_SEPARATOR = re.compile(rb">?From [^\n]*\n")


_PREAMBLE = 10_000  # bytes before the first part
_BOUNDARY = re.compile(rb"(?:^|\n)--([^\s-][^\r\n]{0,69}?)[ \t]*\r?\n(?=Content-[A-Za-z-]{1,40}:)", re.IGNORECASE)
"""A line that begins a part, by what follows it: the head of the part. RFC 2046 allows a boundary 70 characters."""


@dataclass(frozen=True)
class Part:
    """One part: its head, and its body as data[start:end].

    depth: 0 for the message itself.
    """

    head: Message
    data: bytes
    start: int
    end: int
    depth: int = 0

    @property
    def kind(self) -> str:
        """Its media type, in lower case."""
        return self.head.get_content_type()

    def parts(self) -> Iterator[Part]:
        """Yield the parts of a multipart body, or the message that an attached one is."""
        if self.depth >= DEEPEST:
            return
        if self.kind in ("message/rfc822", "message/global", "message/news"):
            if str(self.head.get("Content-Transfer-Encoding", "")).strip().lower() in ("base64", "quoted-printable"):
                whole = self.body()
                yield part_of(whole, 0, len(whole), self.depth + 1)
            else:
                yield part_of(self.data, self.start, self.end, self.depth + 1)
            return
        inner = "message/rfc822" if self.kind == "multipart/digest" else "text/plain"
        for start, end in self._between():
            yield part_of(self.data, start, end, self.depth + 1, inner)

    def body(self) -> bytes:
        """Return the body's bytes as they were before they were encoded for the way."""
        found = Message(compat32)
        found["Content-Transfer-Encoding"] = str(self.head.get("Content-Transfer-Encoding", "")).strip()
        raw = self.data[self.start : self.end]
        found.set_payload(raw.decode("ascii", "surrogateescape"))
        try:
            decoded = found.get_payload(decode=True)
        except (ValueError, LookupError, IndexError):
            return raw
        return decoded if isinstance(decoded, bytes) else raw

    def _between(self) -> list[tuple[int, int]]:
        boundary = self.head.get_boundary()
        cuts = self._cut(boundary.encode("utf-8", "surrogateescape")) if boundary else []
        if not cuts and self.kind.startswith("multipart/"):  # the head names another one, or none
            found = _BOUNDARY.search(self.data, max(0, self.start - 1), min(self.end, self.start + _PREAMBLE))
            cuts = self._cut(found[1]) if found else []
        return cuts

    def _cut(self, boundary: bytes) -> list[tuple[int, int]]:
        line = b"(?:^|\n)--" + re.escape(boundary) + rb"(--)?[ \t]*\r?(?=\n|\Z)"
        cuts: list[tuple[int, int]] = []
        begin = -1
        for found in re.compile(line).finditer(self.data, max(0, self.start - 1), self.end):
            if begin >= 0:
                cuts.append((begin, max(begin, found.start())))
            begin = min(found.end() + 1, self.end)
            if found[1] or len(cuts) >= MOST_PARTS:
                return cuts
        return [*cuts, (begin, self.end)] if begin >= 0 else []


def part_of(data: bytes, start: int, end: int, depth: int = 0, default: str = "text/plain") -> Part:
    """Return the part that data[start:end] is: head, an empty line, body.

    A head ends where a line is none of a head, too: some programs leave out the empty line.
    """
    at = start
    while at < end and at - start < 1000 and (blank := _BLANK.match(data, at, end)) and depth == 0:
        at = blank.end()  # before a message; in a part it means that there is no head
    if separator := _SEPARATOR.match(data, at, end):
        at = separator.end()
    head = at
    while at < end and at - head < _LONGEST_HEAD and (line := _HEADER.match(data, at, end)):
        at = line.end()
    message = BytesHeaderParser(policy=compat32).parsebytes(data[head:at].replace(b"\r\n", b"\n"))
    message.set_default_type(default)
    for name in ("Content-Type", "Content-Disposition"):
        if len(str(message.get(name, ""))) > _LONGEST_FIELD:  # taking it apart takes time quadratic in its length
            del message[name]
    blank = _BLANK.match(data, at, end)
    return Part(message, data, blank.end() if blank else at, end, depth)

"""Files that went wrong by chance or on purpose: bytes flipped, cut, doubled, exchanged, also within the parts of archives.

A pure function of the bytes and the random numbers, so that a number names a case.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from random import Random

from hostile_archives import ARCHIVES, XML, Parts, packed

_NUMBERS = (b"-1", b"0", b"65536", b"2147483648", b"99999999999999999999", b"1e999", b"NaN", b"")
_TOKENS = (
    b"<", b">", b"</", b"&#0;", b"&#x110000;", b"]]>", b"<![CDATA[", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80",
    b"{", b"}", b"[" * 500, b"\\", b'"', b"\r", b"\n" * 100, b"|", b"```", b"---\n", b"=?utf-7?b?AAAA?=", b"\\u-99999 ",
    b"\\bin99999 ", b"endstream", b"xref", b"null", b"charset=unicode_escape", b"\xe2\x80\xae", b"-->", b"<table>" * 50,
    b"A" * 5000,
)  # fmt: skip
_MOST_PARTS = 200


def mutated(data: bytes, random: Random) -> bytes:
    """Return a file with one to six faults."""
    if data.startswith(b"PK\3\4") and random.random() < 0.85:
        with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
            return _archive(data, random)
    return _bytes(data, random)


def _bytes(data: bytes, random: Random) -> bytes:
    for _ in range(random.randint(1, 6)):
        data = random.choice(_WAYS)(data, random)
    return data


def _archive(data: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()[:_MOST_PARTS]]
    at = random.randrange(len(parts))
    name, part = parts[at]
    way = random.random()
    if way < 0.1:
        return random.choice(list(ARCHIVES.values()))([*parts[:at], *parts[at + 1 :], parts[at]])
    if way < 0.2:
        return packed([*parts[:at], (name, random.choice(list(XML.values())).encode()), *parts[at + 1 :]])
    if way < 0.25:
        return packed([*parts[:at], *parts[at + 1 :]])
    if way < 0.3:
        return packed(_exchanged(parts, at, random))
    return packed([*parts[:at], (name, _bytes(part, random)), *parts[at + 1 :]])


def _exchanged(parts: Parts, at: int, random: Random) -> Parts:
    """Give one part the bytes of another."""
    return [*parts[:at], (parts[at][0], random.choice(parts)[1]), *parts[at + 1 :]]


def _span(data: bytes, random: Random, most: int = 2000) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.randint(0, random.choice((4, 40, most))))


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 8) if data else 0):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _drop(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _double(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[start:end] * random.choice((2, 3, 50)) + data[end:]


def _move(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    to = random.randrange(len(data) + 1)
    return data[:to] + data[start:end] + data[to:]


def _token(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(_TOKENS) + data[at:]


def _number(data: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb"-?\d+", data))
    if not found:
        return data
    one = random.choice(found)
    return data[: one.start()] + random.choice(_NUMBERS) + data[one.end() :]


def _element(data: bytes, random: Random) -> bytes:
    """Nest an element of a text in itself, deeply."""
    found = re.findall(rb"<[A-Za-z][\w:.-]*", data[:100_000])
    if not found:
        return _token(data, random)
    opening = random.choice(found)
    at = data.index(opening)
    return data[:at] + (opening + b">") * random.choice((3, 400, 3000)) + data[at:]


_WAYS = (_flip, _flip, _cut, _drop, _double, _move, _token, _token, _number, _element)

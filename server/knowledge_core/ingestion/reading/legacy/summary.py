"""What an older document says about itself: the property set "SummaryInformation" (MS-OLEPS)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from knowledge_core.ingestion.decoding import clean_text, decode_as
from knowledge_core.ingestion.reading.legacy.compound import Compound
from knowledge_core.ingestion.reading.parsed import facts
from knowledge_core.ingestion.reading.properties import day, person, sensible_title, tags_of

_STREAM = "\x05SummaryInformation"
_CODE_PAGE, _TITLE, _SUBJECT, _AUTHOR, _KEYWORDS, _CREATED, _SAVED = 1, 2, 3, 4, 5, 12, 13
_BYTES, _WIDE, _TIME, _SHORT = 30, 31, 64, 2  # types of values
_MOST = 1_000  # properties
_LONGEST = 2_000  # bytes of a text


def summary(file: Compound) -> tuple[str, dict[str, object]]:
    """Return the title ("" where it is none that people give), and author, dates, tags and description."""
    found = dict(_properties(file.read(_STREAM)))
    code_page = found.get(_CODE_PAGE)
    label = f"windows-{code_page}" if isinstance(code_page, int) and code_page != 65001 else "utf-8"

    def text(number: int) -> str:
        value = found.get(number)
        if isinstance(value, bytes):
            value = decode_as(value.split(b"\0")[0], label)
        return " ".join(clean_text(value).split()) if isinstance(value, str) else ""

    about = facts(
        author=person(text(_AUTHOR)),
        date=day(text(_CREATED)),
        modified=day(text(_SAVED)),
        description=text(_SUBJECT),
        tags=tags_of(text(_KEYWORDS)),
    )
    return sensible_title(text(_TITLE)), dict(about)


def time_of(ticks: int) -> str:
    """Return a time of Windows (tenths of microseconds since 1601) as ISO text; "" where it is none that can be."""
    try:
        when = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return ""
    return when.isoformat(timespec="seconds") if 1980 <= when.year <= 2999 else ""


def _properties(data: bytes) -> Iterator[tuple[int, int | str | bytes]]:
    if len(data) < 56:
        return
    (start,) = struct.unpack_from("<I", data, 44)
    if start + 8 > len(data):
        return
    (count,) = struct.unpack_from("<I", data, start + 4)
    for number in range(min(count, _MOST)):
        at = start + 8 + number * 8
        if at + 8 > len(data):
            return
        name, offset = struct.unpack_from("<II", data, at)
        value = start + offset
        if value + 8 <= len(data):
            yield from ((name, each) for each in _value(data, value))


def _value(data: bytes, at: int) -> Iterator[int | str | bytes]:
    kind, size = struct.unpack_from("<II", data, at)
    if kind == _BYTES:
        yield data[at + 8 : at + 8 + min(size, _LONGEST)]
    elif kind == _WIDE:
        yield data[at + 8 : at + 8 + 2 * min(size, _LONGEST)].decode("utf-16-le", "replace").split("\0")[0]
    elif kind == _SHORT:
        yield size & 0xFFFF
    elif kind == _TIME and at + 12 <= len(data) and (when := time_of(struct.unpack_from("<Q", data, at + 4)[0])):
        yield when

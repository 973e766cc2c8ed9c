"""How the paragraphs of a Word document look (MS-DOC 2.4.6.1, 2.9.175): headings, lists, tables.

Paragraphs are described in pages of 512 bytes by their place in the stream, each by its style and by changes to it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

_PAGE = 512
_MOST_PAGES = 100_000
_HEADINGS = range(1, 10)  # numbers of the built-in styles "heading 1" to "heading 9", in any language
_LIST_BULLETS = range(48, 58)  # "List Bullet", "List Number" and their levels
# Changes ("sprms") that count here.
_IN_TABLE, _ENDS_ROW, _LIST, _LIST_LEVEL, _OUTLINE_LEVEL = 0x2416, 0x2417, 0x460B, 0x260A, 0x2640
_OPERAND = (1, 1, 2, 4, 2, 2, 0, 3)  # bytes, by the upper three bits; 0: the operand says its length
_ELSEWHERE = (b"\x46\x66", b"\x45\x66")  # the changes lie in another stream
_LONG_TABLE = 0xD608  # its length has two bytes


@dataclass(frozen=True)
class Look:
    """heading: 1 to 9, 0 for none. list_level: from 0; -1 outside of lists."""

    heading: int = 0
    list_level: int = -1
    in_table: bool = False
    ends_row: bool = False


def looks(stream: bytes, pages: bytes, styles: bytes, more: bytes) -> list[tuple[int, Look]]:
    """Return where in the stream runs of one look begin, in order; empty where nothing is known.

    more: the stream in which changes lie that are too long for a page, as those of wide tables.
    """
    kinds = _styles(styles)
    count = max(0, (len(pages) - 4) // 8)
    numbers = struct.unpack_from(f"<{count}I", pages, (count + 1) * 4) if count else ()
    found: list[tuple[int, Look]] = []
    for number in numbers[:_MOST_PAGES]:
        at = (number & 0x3FFFFF) * _PAGE
        page = stream[at : at + _PAGE]
        if len(page) == _PAGE:
            found += _runs(page, kinds, more)
    found.sort(key=lambda each: each[0])
    return found


def _runs(page: bytes, styles: list[Look], more: bytes) -> Iterator[tuple[int, Look]]:
    count = page[-1]
    if (count + 1) * 4 + count * 13 > _PAGE - 1:
        return
    starts = struct.unpack_from(f"<{count}I", page)
    for number, start in enumerate(starts):
        at = page[(count + 1) * 4 + number * 13] * 2
        size = page[at] * 2 - 1 if at and page[at] else page[at + 1] * 2 if at else 0
        at += 1 if at and page[at] else 2
        described = page[at : at + size] if size >= 2 else b"\0\0"
        if len(described) < 2:
            described = b"\0\0"
        (style,) = struct.unpack_from("<H", described)
        changes = described[2:]
        if changes[:2] in _ELSEWHERE and len(changes) >= 6:
            (at,) = struct.unpack_from("<I", changes, 2)
            changes = more[at + 2 : at + 2 + int.from_bytes(more[at : at + 2], "little")]
        yield start, _changed(styles[style] if style < len(styles) else Look(), changes)


def _changed(look: Look, changes: bytes) -> Look:
    at = 0
    while at + 3 <= len(changes):
        (change,) = struct.unpack_from("<H", changes, at)
        size = _OPERAND[change >> 13]
        at += 2
        if change == _LONG_TABLE:
            size = struct.unpack_from("<H", changes.ljust(at + 2, b"\0"), at)[0] + 1
        elif not size:
            size = changes[at] + 1
        value = changes[at]
        if change == _IN_TABLE:
            look = replace(look, in_table=bool(value))
        elif change == _ENDS_ROW:
            look = replace(look, ends_row=bool(value))
        elif change == _LIST and at + 2 <= len(changes):
            listed = changes[at : at + 2] not in (b"\0\0", b"\x01\xf8")
            look = replace(look, list_level=max(0, look.list_level) if listed else -1)
        elif change == _LIST_LEVEL and value < 9:
            look = replace(look, list_level=value)
        elif change == _OUTLINE_LEVEL:
            look = replace(look, heading=value + 1 if value < 9 else 0)
        at += size
    return look


def _styles(data: bytes) -> list[Look]:
    """Return the looks of the styles by their numbers: what their changes say, and whether they are built-in headings."""
    if len(data) < 4:
        return []
    head, count = struct.unpack_from("<HH", data)
    base = struct.unpack_from("<H", data, 4)[0] if len(data) >= 6 else 10
    at = 2 + head
    styles: list[Look] = []
    while at + 2 <= len(data) and len(styles) < count:
        (size,) = struct.unpack_from("<H", data, at)
        body = data[at + 2 : at + 2 + size]
        styles.append(_style(body, base))
        at += 2 + size + size % 2
    return styles


def _style(body: bytes, base: int) -> Look:
    if len(body) < 6:
        return Look()
    built_in = struct.unpack_from("<H", body)[0] & 0xFFF
    look = Look(built_in if built_in in _HEADINGS else 0, 0 if built_in in _LIST_BULLETS else -1)
    if base + 2 > len(body) or struct.unpack_from("<H", body, 2)[0] & 0xF != 1:
        return look
    at = base + 2 + (struct.unpack_from("<H", body, base)[0] + 1) * 2  # behind the name
    if at + 4 > len(body):
        return look
    (size,) = struct.unpack_from("<H", body, at)
    return _changed(look, body[at + 4 : at + 2 + size])

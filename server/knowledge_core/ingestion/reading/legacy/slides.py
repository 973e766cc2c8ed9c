"""PowerPoint 97 to 2003 (MS-PPT): slides with their titles, texts and notes, each a page.

A file holds every state since it was last saved whole; which records count is in its persist directory (2.1.2 of MS-PPT).
Where that is damaged, all texts in the file are read in their order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.legacy.compound import Compound
from knowledge_core.ingestion.reading.legacy.summary import summary
from knowledge_core.ingestion.reading.literal import literal
from knowledge_core.ingestion.reading.parsed import Parsed, paged
from knowledge_core.ingestion.unreadable import Unreadable

_DOCUMENT, _SLIDE, _NOTES, _NOTES_ATOM = 1000, 1006, 1008, 1009
_LIST, _LIST_ENTRY, _HEADER, _REFERENCE = 4080, 1011, 3999, 3998
_WIDE_TEXT, _BYTES_TEXT, _STRING, _COMMENT = 4000, 4008, 4026, 12000
_USER_EDIT, _PERSIST = 4085, 6002
_TITLES = (0, 6)  # kinds of text: title, centred title
_ENCRYPTED = 0xF3D1C4DF
_MOST_EDITS = 10_000
_MOST_SLIDES = 20_000


@dataclass
class _Slide:
    """title and texts in their order; comments below."""

    title: str = ""
    texts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def add(self, kind: int, text: str) -> None:
        if not text:
            return
        if kind in _TITLES and not self.title:
            self.title = " ".join(text.split())
        else:
            self.texts.append(text)

    def written(self) -> str:
        blocks = [f"# {self.title}" if self.title else "", *(literal(text) for text in self.texts)]
        if self.notes:
            blocks += ["Notes:", *(literal(text) for text in self.notes)]
        blocks += [f"Comment: {' '.join(text.split())}" for text in self.comments]
        return clean_text("\n\n".join(block for block in blocks if block))


def read_ppt(data: bytes, name: str) -> Parsed:
    """Return a presentation of an older PowerPoint as Markdown, a page for each slide.

    Raises:
        Unreadable: "encrypted" or "damaged".
    """
    file = Compound(data, name)
    stream, user = file.read("PowerPoint Document"), file.read("Current User")
    if len(stream) < 8:
        raise Unreadable("damaged", f"{name} is not a sound presentation. Open it and save it anew.")
    if len(user) >= 20 and struct.unpack_from("<I", user, 12)[0] == _ENCRYPTED:
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
    slides = _slides(stream, user) or _all_texts(stream)
    title, about = summary(file)
    text, pages = paged([slide.written() for slide in slides])
    title = title or next((slide.title for slide in slides[:1]), "")
    return Parsed(text, title, from_file(about, {"format": "ppt", "pages": len(pages)}), pages=pages)


def _records(stream: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield type, instance, start and end of all records within the bounds, containers before what is in them."""
    at = start
    while at + 8 <= end:
        kind, number, size = struct.unpack_from("<HHI", stream, at)
        yield number, kind >> 4, at + 8, min(end, at + 8 + size)
        at += 8 if kind & 0xF == 0xF else 8 + size


def _live(stream: bytes, user: bytes) -> tuple[dict[int, int], int]:
    """Return where the records that count lie, by their numbers, and the number of the document's own."""
    places: dict[int, int] = {}
    document = 0
    at = struct.unpack_from("<I", user, 16)[0] if len(user) >= 20 else len(stream)
    seen: set[int] = set()
    while at + 36 <= len(stream) and at not in seen and len(seen) < _MOST_EDITS:
        seen.add(at)
        if struct.unpack_from("<H", stream, at + 2)[0] != _USER_EDIT:
            break
        before, directory, reference = struct.unpack_from("<III", stream, at + 16)
        document = document or reference
        for number, place in _persisted(stream, directory):
            places.setdefault(number, place)
        if not before:
            break
        at = before
    return places, document


def _persisted(stream: bytes, at: int) -> Iterator[tuple[int, int]]:
    if at + 8 > len(stream) or struct.unpack_from("<H", stream, at + 2)[0] != _PERSIST:
        return
    end = min(len(stream), at + 8 + struct.unpack_from("<I", stream, at + 4)[0])
    at += 8
    while at + 4 <= end:
        (entry,) = struct.unpack_from("<I", stream, at)
        first, count = entry & 0xFFFFF, entry >> 20
        at += 4
        for number in range(min(count, (end - at) // 4)):
            yield first + number, struct.unpack_from("<I", stream, at + 4 * number)[0]
        at += 4 * count


def _container(stream: bytes, place: int | None) -> tuple[int, int, int]:
    """Return type, start and end of the record at a place; (0, 0, 0) where there is none."""
    if place is None or place + 8 > len(stream):
        return 0, 0, 0
    _, number, size = struct.unpack_from("<HHI", stream, place)
    return number, place + 8, min(len(stream), place + 8 + size)


def _slides(stream: bytes, user: bytes) -> list[_Slide]:
    """Return the slides in the order of the presentation."""
    places, document = _live(stream, user)
    _, start, end = _container(stream, places.get(document))
    slides: list[_Slide] = []
    by_number: dict[int, _Slide] = {}
    for reference, number, outline in _listed(stream, start, end, 0):
        kind, first, last = _container(stream, places.get(reference))
        if kind == _SLIDE and len(slides) < _MOST_SLIDES:
            slides.append(_slide(stream, first, last, outline))
            by_number[number] = slides[-1]
    for reference, _, outline in _listed(stream, start, end, 2):
        kind, first, last = _container(stream, places.get(reference))
        if kind == _NOTES:
            noted = _slide(stream, first, last, outline)
            atom = next((at for number, _, at, _ in _records(stream, first, last) if number == _NOTES_ATOM), None)
            slide = (
                by_number.get(struct.unpack_from("<I", stream, atom)[0]) if atom and atom + 4 <= len(stream) else None
            )
            if slide:
                slide.notes += [text for text in noted.texts if text.strip("*")]
    return slides


def _listed(stream: bytes, start: int, end: int, which: int) -> Iterator[tuple[int, int, list[tuple[int, str]]]]:
    """Yield reference, number and outline texts of each slide (0) or page of notes (2) in the document's list."""
    at = start
    while at + 8 <= end:
        kind, number, size = struct.unpack_from("<HHI", stream, at)
        if number == _LIST and kind >> 4 == which:
            break
        at += 8 + size
    else:
        return
    entry: tuple[int, int] | None = None
    outline: list[tuple[int, str]] = []
    text_kind = -1
    for number, _, first, last in _records(stream, at + 8, min(end, at + 8 + size)):
        if number == _LIST_ENTRY and first + 16 <= len(stream):
            if entry:
                yield (*entry, outline)
            entry, outline = (
                (struct.unpack_from("<I", stream, first)[0], struct.unpack_from("<I", stream, first + 12)[0]),
                [],
            )
        elif number == _HEADER and first + 4 <= len(stream):
            (text_kind,) = struct.unpack_from("<I", stream, first)
            outline.append((text_kind, ""))
        elif number in (_WIDE_TEXT, _BYTES_TEXT) and outline:
            outline[-1] = (text_kind, _text(stream, number, first, last))
    if entry:
        yield (*entry, outline)


def _slide(stream: bytes, start: int, end: int, outline: list[tuple[int, str]]) -> _Slide:
    """Return a slide: the texts in its boxes, of which some are references to the outline."""
    slide = _Slide()
    kind = -1
    used: set[int] = set()
    comment = False
    for number, instance, first, last in _records(stream, start, end):
        if number == _HEADER and first + 4 <= last:
            (kind,) = struct.unpack_from("<I", stream, first)
        elif number in (_WIDE_TEXT, _BYTES_TEXT):
            slide.add(kind, _text(stream, number, first, last))
            kind = -1
        elif number == _REFERENCE and first + 4 <= last:
            (index,) = struct.unpack_from("<I", stream, first)
            if index < len(outline) and index not in used:
                used.add(index)
                slide.add(*outline[index])
        elif number == _COMMENT:
            comment = True
        elif number == _STRING and comment and instance == 1 and (said := _text(stream, _WIDE_TEXT, first, last)):
            slide.comments.append(said)
    for index, (text_kind, text) in enumerate(outline):
        if index not in used:
            slide.add(text_kind, text)
    return slide


def _all_texts(stream: bytes) -> list[_Slide]:
    """Return the slides in the order of the file, where nothing says which of them count."""
    top = list(_top(stream))
    lists = [list(_listed(stream, start, end, 0)) for number, start, end in top if number == _DOCUMENT]
    outlines = [outline for _, _, outline in max(lists, key=len, default=[])]
    slides: list[_Slide] = []
    for number, start, end in top:
        if number == _SLIDE and len(slides) < _MOST_SLIDES:
            slides.append(_slide(stream, start, end, outlines[len(slides)] if len(slides) < len(outlines) else []))
    if slides:
        return slides
    return [_slide(stream, 0, 0, outline) for outline in outlines]


def _top(stream: bytes) -> Iterator[tuple[int, int, int]]:
    at = 0
    while at + 8 <= len(stream):
        _, number, size = struct.unpack_from("<HHI", stream, at)
        yield number, at + 8, min(len(stream), at + 8 + size)
        at += 8 + size


def _text(stream: bytes, kind: int, start: int, end: int) -> str:
    raw = stream[start:end]
    text = raw.decode("utf-16-le", "replace") if kind == _WIDE_TEXT else raw.decode("latin-1")
    lines = text.replace("\r", "\n").replace("\x0b", "\n").replace("\0", "").split("\n")
    return "\n".join(line.strip() for line in lines).strip()

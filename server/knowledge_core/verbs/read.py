"""The verb `read`, behind `get_document`: a part of a document's text, or its outline, as much of it as there is room for.

A part is asked for by lines, by chunk with its neighbours, by page, by section, or by a place that was pasted with the id.
First it is found (`reading_of`), which says how large it is; then it is cut to a room (`cut`), so that several can share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from knowledge_core.cursors import pack, unpack
from knowledge_core.errors import CursorExpired, InvalidInput, quoted
from knowledge_core.ingestion.cutting.outline import outline
from knowledge_core.language.token_estimate import BYTES_PER_TOKEN, utf8_length
from knowledge_core.retrieval.reading.line_places import line_starts, lines_of
from knowledge_core.retrieval.reading.outlines import OutlinePage as OutlinePage
from knowledge_core.retrieval.reading.outlines import OutlineReading, outline_reading, version
from knowledge_core.retrieval.reading.pasted import pasted
from knowledge_core.retrieval.reading.section_names import section_named, shown_path
from knowledge_core.storage.view import StoredDocument, View
from knowledge_core.types import Lines, Span

DEFAULT_TOKENS = 2_500  # of an answer, where the caller gives no budget
MOST_TOKENS = 6_500  # that a caller may ask for; about MOST_BYTES
MOST_BYTES = 19_500  # of text, title and id: below the limit of 20 KB for a tool's text
LEAST_BYTES = 1_000  # of text, however long title and id are


@dataclass(frozen=True)
class Part:
    """Which part of a document is wanted; from its first line on where nothing is given.

    Attributes:
        lines: "120-180", "120-" or "120", counted from 1.
        chunk: the `chunk` of a hit.
        around: how many neighbours of the chunk to return on each side, 0..50.
        page: counted from 1.
        section: a heading, or a path of them; with what stands below it.
        outline: the headings, of all or of a section, instead of the text.
        cursor: of an earlier excerpt or outline.
    """

    lines: str | None = None
    chunk: int | None = None
    around: int = 1
    page: int | None = None
    section: str | None = None
    outline: bool = False
    cursor: str | None = None


@dataclass(frozen=True)
class Excerpt:
    """Whole lines of a document.

    Attributes:
        stored: the document.
        text: the lines, without the last line end.
        lines: their numbers.
        total_lines: of the document.
        page: the page that was asked for; None where none was.
        section: the path of the section that was asked for; None where none was.
        truncated: more of what was asked for follows.
        cursor: asks for it; None where nothing follows.
    """

    stored: StoredDocument
    text: str
    lines: Lines
    total_lines: int
    page: int | None
    section: str | None
    truncated: bool
    cursor: str | None


@dataclass(frozen=True)
class TextReading:
    """Text that was asked for and found. starts: where each line of the document begins."""

    stored: StoredDocument
    starts: Sequence[int]
    span: Span
    page: int | None = None
    section: str | None = None

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return utf8_length(self.stored.document.text[self.span.start : self.span.end])

    def cut(self, room: int) -> Excerpt:
        """Return as much of it as `room` bytes hold, in whole lines; a first line that is longer is cut."""
        text, span = self.stored.document.text, self.span
        end = _cut(text, span, room)
        shown = text[span.start : end].removesuffix("\n")
        return Excerpt(
            stored=self.stored,
            text=shown,
            lines=lines_of(self.starts, Span(span.start, span.start + len(shown))),
            total_lines=len(self.starts),
            page=self.page,
            section=self.section,
            truncated=end < span.end,
            cursor=pack([version(self.stored), end, span.end]) if end < span.end else None,
        )


Reading = TextReading | OutlineReading


def room_for(stored: StoredDocument, max_tokens: int | None) -> int:
    """Return the bytes of text that a budget, in tokens, and an answer of one document hold.

    max_tokens: 50 to `MOST_TOKENS`; None for `DEFAULT_TOKENS`.

    Raises:
        InvalidInput: it is another number.
    """
    named = utf8_length(f"{stored.document.title}{stored.document.id}")
    return min(budget_of(max_tokens), max(MOST_BYTES - named, LEAST_BYTES))


def budget_of(max_tokens: int | None) -> int:
    """Return the bytes that a budget in tokens stands for; see `room_for`."""
    budget = DEFAULT_TOKENS if max_tokens is None else max_tokens
    if not 50 <= budget <= MOST_TOKENS:
        raise InvalidInput(f"max_tokens is {budget}; it must be from 50 to {MOST_TOKENS}.")
    return budget * BYTES_PER_TOKEN


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """Return how much of a room each of several readings gets: what the small ones leave over, the others share.

    >>> shares([10, 500, 300], 400)
    [10, 195, 195]
    """
    given = [0] * len(sizes)
    left = room
    for done, place in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        given[place] = min(sizes[place], left // (len(sizes) - done))
        left -= given[place]
    return given


def reading_of(view: View, id: str, part: Part) -> Reading:
    """Return what is asked for of a document; where there is no such id, of the document and the place that it may mean.

    A place in the id counts for what the part leaves open. Only one of lines, chunk, page, section and cursor may be given.

    Raises:
        DocumentNotFound: there is no such id.
        InvalidInput: a range outside the document, no such section, or several of the five.
        CursorExpired: the cursor does not belong to this document as it is now.
    """
    if sum(given is not None for given in (part.lines, part.chunk, part.page, part.section, part.cursor)) > 1:
        raise InvalidInput("Give one of lines, chunk, page, section or cursor, not several.")
    if part.outline and any(given is not None for given in (part.lines, part.chunk, part.page)):
        raise InvalidInput("outline is of the whole document, or of a section; leave out lines, chunk and page.")
    stored, part = _meant(view, id, part)
    starts = line_starts(stored.document.text)
    if part.cursor is not None:
        return _from_cursor(stored, starts, part.cursor)
    if part.section is not None or part.outline:
        return _of_sections(stored, starts, part)
    span = _wanted(view, stored, starts, part)
    return TextReading(stored, starts, span, part.page)


def ids_meant(id: str) -> list[str]:
    """Return the ids of documents that a text may mean: itself, and without a place that was pasted with it."""
    return list(dict.fromkeys([id, *(each.id for each in pasted(id))]))


def _meant(view: View, id: str, part: Part) -> tuple[StoredDocument, Part]:
    """Return the document of an id, or the one that it names with a place, and the part that is wanted then."""
    for each in pasted(id) if view.state(id) is None else ():
        if view.state(each.id) is not None:
            given = (part.lines, part.chunk, part.page, part.section, part.cursor)
            if any(value is not None for value in given):
                return view.document(each.id), part
            lines = None if part.outline else each.lines
            return view.document(each.id), replace(part, lines=lines, section=each.section)
    return view.document(id), part


def _of_sections(stored: StoredDocument, starts: Sequence[int], part: Part) -> Reading:
    """Return a section, or the outline of one or of all."""
    sections = outline(stored.document)
    if part.section is None:
        return outline_reading(stored, starts, sections)
    section = section_named(stored.document, sections, starts, part.section)
    if part.outline:
        at = next(number for number, each in enumerate(sections) if each is section)
        return outline_reading(stored, starts, sections, at)
    return TextReading(stored, starts, section.span, section=shown_path(section))


def _wanted(view: View, stored: StoredDocument, starts: Sequence[int], part: Part) -> Span:
    """Return the characters that are asked for by lines, by chunk or by page; all of them where none is."""
    length = len(stored.document.text)
    if part.lines is not None:
        return _span_of_lines(part.lines, starts, length)
    if part.chunk is not None:
        return _span_of_chunks(view, stored.document.id, part.chunk, part.around)
    if part.page is not None:
        pages = stored.document.pages
        if not pages:
            raise InvalidInput(f"{quoted(stored.document.id)} has no pages; ask for lines (1-{len(starts)}) instead.")
        if not 1 <= part.page <= len(pages):
            raise InvalidInput(f"page is {part.page}; {quoted(stored.document.id)} has pages 1 to {len(pages)}.")
        return pages[part.page - 1]
    return Span(0, length)


def _span_of_lines(lines: str, starts: Sequence[int], length: int) -> Span:
    first, dash, last = lines.replace("–", "-").replace("L", "").partition("-")
    try:
        begin = int(first)
        end = int(last) if last.strip() else (len(starts) if dash else begin)
    except ValueError:
        raise InvalidInput(f'lines is {quoted(lines)}; write it like "120-180", "120-" or "120".') from None
    if not 1 <= begin <= len(starts) or end < begin:
        raise InvalidInput(f"lines is {quoted(lines)}; the document has lines 1 to {len(starts)}.")
    return Span(starts[begin - 1], starts[end] if end < len(starts) else length)


def _span_of_chunks(view: View, id: str, chunk: int, around: int) -> Span:
    chunks = view.chunks_of_document(id)
    if not 0 <= chunk < len(chunks):
        raise InvalidInput(f"chunk is {chunk}; {quoted(id)} has chunks 0 to {len(chunks) - 1}.")
    if not 0 <= around <= 50:
        raise InvalidInput(f"around is {around}; it must be from 0 to 50.")
    near = chunks[max(chunk - around, 0) : chunk + around + 1]
    return Span(near[0].span.start, near[-1].span.end)


def _cut(text: str, span: Span, room: int) -> int:
    """Return where to end so that the text has at most `room` bytes: after the last whole line, else within the first."""
    if utf8_length(text[span.start : span.end]) <= room:
        return span.end
    whole = text[span.start : span.start + room].encode()[:room].decode(errors="ignore")
    newline = whole.rfind("\n")
    return span.start + (newline + 1 if newline > 0 else max(len(whole), 1))


def _from_cursor(stored: StoredDocument, starts: Sequence[int], cursor: str) -> Reading:
    match unpack(cursor):
        case [of, int(start), int(end)] if of == version(stored):
            if 0 <= start < end <= len(stored.document.text):
                return TextReading(stored, starts, Span(start, end))
        case [of, "outline", int(section), int(first)] if of == version(stored):
            sections = outline(stored.document)
            if -1 <= section < max(len(sections), 1):
                reading = outline_reading(stored, starts, sections, section if section >= 0 else None, max(first, 0))
                if reading.entries:
                    return reading
    raise CursorExpired(
        f"This cursor does not belong to {quoted(stored.document.id)} as it is now. Call again without it."
    )

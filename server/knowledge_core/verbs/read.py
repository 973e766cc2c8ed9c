"""The verb `read`, behind `get_document`: part of a document's text, by lines, by chunk with its neighbours, or by page."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from knowledge_core.cursors import pack, request_digest, unpack
from knowledge_core.errors import CursorExpired, InvalidInput, quoted
from knowledge_core.language.token_estimate import BYTES_PER_TOKEN
from knowledge_core.storage.view import StoredDocument, View
from knowledge_core.types import Lines, Span

DEFAULT_TOKENS = 2_500  # of an excerpt, where the caller gives no budget
MOST_TOKENS = 6_500  # that a caller may ask for; about MOST_BYTES
MOST_BYTES = 19_500  # of text, title and id: below the limit of 20 KB for a tool's text
LEAST_BYTES = 1_000  # of text, however long title and id are


@dataclass(frozen=True)
class Excerpt:
    """Whole lines of a document.

    Attributes:
        stored: the document.
        text: the lines, without the last line end.
        lines: their numbers.
        total_lines: of the document.
        page: the page that was asked for; None where none was.
        truncated: more of what was asked for follows.
        cursor: asks for it; None where nothing follows.
    """

    stored: StoredDocument
    text: str
    lines: Lines
    total_lines: int
    page: int | None
    truncated: bool
    cursor: str | None


def read(
    view: View,
    id: str,
    *,
    lines: str | None = None,
    chunk: int | None = None,
    around: int = 1,
    page: int | None = None,
    max_tokens: int | None = None,
    cursor: str | None = None,
) -> Excerpt:
    """Return a part of a document, at most `max_tokens` of it; by default from its first line.

    A single line that is longer than the budget is cut. Only one of lines, chunk, page and cursor may be given.

    Args:
        lines: "120-180", "120-" or "120", counted from 1.
        chunk: the `chunk` of a hit.
        around: how many neighbours of the chunk to return on each side, 0..50.
        page: counted from 1.
        max_tokens: 50 to `MOST_TOKENS`; None for `DEFAULT_TOKENS`.
        cursor: of an earlier excerpt.

    Raises:
        DocumentNotFound: there is no such id.
        InvalidInput: a range outside the document, or several of the four.
        CursorExpired: the cursor does not belong to this document as it is now.
    """
    if sum(given is not None for given in (lines, chunk, page, cursor)) > 1:
        raise InvalidInput("Give one of lines, chunk, page or cursor, not several.")
    budget = DEFAULT_TOKENS if max_tokens is None else max_tokens
    if not 50 <= budget <= MOST_TOKENS:
        raise InvalidInput(f"max_tokens is {budget}; it must be from 50 to {MOST_TOKENS}.")
    stored = view.document(id)
    starts = _line_starts(stored.document.text)
    span, shown_page = _wanted(view, stored, starts, lines=lines, chunk=chunk, around=around, page=page, cursor=cursor)
    return _excerpt(stored, starts, span, budget, shown_page)


def _excerpt(stored: StoredDocument, starts: list[int], span: Span, budget: int, page: int | None) -> Excerpt:
    """Return as much of a span as the budget, in tokens, and an answer hold. starts: where each line begins."""
    text = stored.document.text
    named = len(f"{stored.document.title}{stored.document.id}".encode("utf-8", "replace"))
    end = _cut(text, span, min(budget * BYTES_PER_TOKEN, max(MOST_BYTES - named, LEAST_BYTES)))
    shown = text[span.start : end].removesuffix("\n")
    return Excerpt(
        stored=stored,
        text=shown,
        lines=Lines(_line_of(starts, span.start), _line_of(starts, max(span.start, span.start + len(shown) - 1))),
        total_lines=len(starts),
        page=page,
        truncated=end < span.end,
        cursor=pack([_version(stored), end, span.end]) if end < span.end else None,
    )


def _wanted(
    view: View,
    stored: StoredDocument,
    starts: list[int],
    *,
    lines: str | None,
    chunk: int | None,
    around: int,
    page: int | None,
    cursor: str | None,
) -> tuple[Span, int | None]:
    """Return the characters that are asked for, and the page, if a page was asked for."""
    length = len(stored.document.text)
    if lines is not None:
        return _span_of_lines(lines, starts, length), None
    if chunk is not None:
        return _span_of_chunks(view, stored.document.id, chunk, around), None
    if page is not None:
        pages = stored.document.pages
        if not pages:
            raise InvalidInput(f"{quoted(stored.document.id)} has no pages; ask for lines (1-{len(starts)}) instead.")
        if not 1 <= page <= len(pages):
            raise InvalidInput(f"page is {page}; {quoted(stored.document.id)} has pages 1 to {len(pages)}.")
        return pages[page - 1], page
    if cursor is not None:
        return _from_cursor(stored, cursor), None
    return Span(0, length), None


def _span_of_lines(lines: str, starts: list[int], length: int) -> Span:
    first, dash, last = lines.partition("-")
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
    if len(text[span.start : span.end].encode()) <= room:
        return span.end
    whole = text[span.start : span.start + room].encode()[:room].decode(errors="ignore")
    newline = whole.rfind("\n")
    return span.start + (newline + 1 if newline > 0 else len(whole))


def _line_starts(text: str) -> list[int]:
    lines = text.split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()  # the newline at the end of the text begins no further line
    return [0, *accumulate(len(line) + 1 for line in lines[:-1])]


def _line_of(starts: list[int], offset: int) -> int:
    return bisect_right(starts, offset)


def _version(stored: StoredDocument) -> str:
    """Return a digest of a document as it is now: of its id and its content."""
    return request_digest([stored.document.id, stored.digest])


def _from_cursor(stored: StoredDocument, cursor: str) -> Span:
    match unpack(cursor):
        case [version, int(start), int(end)] if version == _version(stored):
            if 0 <= start < end <= len(stored.document.text):
                return Span(start, end)
    raise CursorExpired(
        f"This cursor does not belong to {quoted(stored.document.id)} as it is now. Call again without it."
    )

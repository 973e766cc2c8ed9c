"""The answers of `get_document`: of one document, or of several that share the room of one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from knowledge_core.language.printable import fenced, one_line, printable
from knowledge_core.language.token_estimate import estimated_tokens
from knowledge_core.near_names import brief
from knowledge_core.retrieval.reading.outlines import outline_row
from knowledge_core.serving.surface.calls.pages import LONGEST_NOTICE, STRUCTURE_CAP, TEXT_CAP, ending
from knowledge_core.serving.surface.results import DocumentResult, OutlineItem, ReadItem, ReadResult
from knowledge_core.verbs.read import Excerpt, OutlinePage, Reading, budget_of, room_for, shares

LEAST_BYTES = 300  # of an excerpt, however large the rest of the answer is
LEAST_OF_EACH = 60  # bytes, of each of several documents
BESIDE_TEXT = 150  # bytes of what is said of each of several documents, about
ENDS = 690  # bytes that an answer of several may have beyond its budget: a default answer stays below 8 KB
LONGEST_TITLE = 120  # characters of one of several documents

EXTRACTED = "Its lines are those of the text that was extracted from the file."
DAMAGED = (
    "This document is not as it was stored: something in the record changed. `kcore doctor --repair` reads it again from its "
    "file; a document that was given by its text is indexed again with the `index` tool."
)
NO_HEADINGS = "It has no headings: read it from its start, or by lines."
PAGES = "It has no headings: these are its pages."


@dataclass(frozen=True)
class Asked:
    """What is read of a document, and what became of its file."""

    reading: Reading
    file: str | None


def one_document(collection: str, asked: Asked, max_tokens: int | None) -> tuple[DocumentResult, str]:
    """Return the answer of one document, as structure and as text."""
    room = room_for(asked.reading.stored, max_tokens)
    while True:
        result = _document(collection, asked, asked.reading.cut(room))
        text = _rendered(result)
        # The room counts bytes of text; with their escapes and the metadata they can be too long. Half of it is shown then.
        if room <= LEAST_BYTES or not _too_long(result, text, TEXT_CAP):
            return result, text
        room = max(room // 2, LEAST_BYTES)


def several_documents(
    collection: str, asked: Sequence[Asked | tuple[str, str]], max_tokens: int | None
) -> tuple[DocumentResult, str]:
    """Return the answer of several documents, which share its room fairly.

    asked: what is read of each; or its id and why it is not read.
    """
    budget, left_out = budget_of(max_tokens), 0
    cap = min(budget + ENDS, TEXT_CAP)
    while True:
        shown = asked[: len(asked) - left_out]
        least = LEAST_OF_EACH * len(shown)
        room = max(budget - BESIDE_TEXT * len(shown), least)
        while True:
            result = _documents(collection, shown, room, [_id(each) for each in asked[len(shown) :]])
            text = _rendered_documents(result)
            if not _too_long(result, text, cap if left_out == 0 and room > least else TEXT_CAP):
                return result, text
            if room <= least:
                break
            room = max(room * 4 // 5, least)
        left_out += 1


def _too_long(result: DocumentResult, text: str, cap: int) -> bool:
    return len(result.model_dump_json()) > STRUCTURE_CAP or len(printable(text).encode()) > cap


def _id(asked: Asked | tuple[str, str]) -> str:
    return asked[0] if isinstance(asked, tuple) else asked.reading.stored.document.id


def _document(collection: str, asked: Asked, cut: Excerpt | OutlinePage) -> DocumentResult:
    stored = cut.stored
    return DocumentResult(
        collection=collection, uri=stored.document.uri, metadata=dict(stored.document.metadata),
        indexed_at=stored.indexed_at, notices=_notices(cut), **_read(asked, cut),
    )  # fmt: skip


def _documents(
    collection: str, asked: Sequence[Asked | tuple[str, str]], room: int, left_out: Sequence[str]
) -> DocumentResult:
    read = [each for each in asked if isinstance(each, Asked)]
    rooms = iter(shares([each.reading.size for each in read], room))
    items: list[ReadItem] = []
    for each in asked:
        if isinstance(each, Asked):
            cut = each.reading.cut(max(next(rooms), LEAST_OF_EACH))
            fields = {**_read(each, cut), "title": brief(cut.stored.document.title, LONGEST_TITLE)}
            items.append(ReadItem(**fields, notices=_notices(cut) or None))
        else:
            items.append(ReadItem(id=brief(each[0], LONGEST_TITLE), error=brief(each[1], LONGEST_NOTICE)))
    rest = (
        [f"No room for {len(left_out)} more: ask for {', '.join(map(one_line, left_out))} again."] if left_out else []
    )
    return DocumentResult(
        collection=collection,
        documents=items,
        truncated=bool(left_out) or any(item.truncated for item in items),
        notices=[brief(each, LONGEST_NOTICE) for each in rest],
    )


def _read(asked: Asked, cut: Excerpt | OutlinePage) -> dict[str, Any]:
    """Return the fields that are said of each document."""
    document = cut.stored.document
    fields: dict[str, Any] = {
        "id": document.id, "title": document.title, "total_lines": cut.total_lines,
        "document_tokens": estimated_tokens(document.text), "modified": cut.stored.modified, "file": asked.file,
        "pages": len(document.pages) or None, "section": cut.section, "truncated": cut.truncated, "cursor": cut.cursor,
    }  # fmt: skip
    if isinstance(cut, Excerpt):
        return {**fields, "text": cut.text, "lines": str(cut.lines), "page": cut.page}
    entries = [
        OutlineItem(heading=each.heading, level=each.level, lines=str(each.lines), tokens=each.tokens)
        for each in cut.entries
    ]
    return {**fields, "outline": entries}


def _notices(cut: Excerpt | OutlinePage) -> list[str]:
    notices = [] if cut.stored.document.lines_of_file else [EXTRACTED]
    notices += [] if cut.stored.is_sound else [DAMAGED]
    if isinstance(cut, OutlinePage):
        if not cut.of_headings:
            notices.append(PAGES if cut.total else NO_HEADINGS)
        if cut.truncated:
            notices.append(
                f"{len(cut.entries)} of {cut.total} entries; with `section`, the outline is of that section alone."
            )
    return notices


def _rendered(result: DocumentResult) -> str:
    own = f"modified {result.modified}, " if result.modified != result.indexed_at else ""
    file = f", file {one_line(result.file)}" if result.file else ""
    head = f"{_head(result)} ({own}indexed {result.indexed_at}{file}):"
    return "\n".join([head, *_body(result), *ending(result.notices, result.cursor)])


def _rendered_documents(result: DocumentResult) -> str:
    paragraphs = []
    for number, item in enumerate(result.documents or [], start=1):
        if item.error is not None:
            paragraphs.append(f"{number}. {one_line(item.id or '')}: not read. {item.error}")
            continue
        file = f", file {one_line(item.file)}" if item.file else ""
        more = [f'[more: id="{one_line(item.id or "")}", cursor="{item.cursor}"]'] if item.cursor else []
        head = f"{number}. {_head(item)} (modified {item.modified}{file}):"
        paragraphs.append("\n".join([head, *_body(item), *(item.notices or []), *more]))
    return "\n\n".join([*paragraphs, *(["\n".join(result.notices)] if result.notices else [])])


def _head(read: ReadResult) -> str:
    """Return what is said of a document above its text or its outline."""
    name = f"{one_line(read.title or read.id or '')} ({one_line(read.id or '')})"
    of = f" of {one_line(brief(read.section, 2 * LONGEST_TITLE))}" if read.section else ""
    if read.outline is not None:
        what = f"outline{of}: lines (tokens) heading; {read.total_lines} lines, {read.document_tokens} tokens in all"
        return f"{name}, {what}"
    page = f", page {read.page} of {read.pages}" if read.page else ""
    section = f", section{of[len(' of') :]}" if of else ""
    return f"{name}, lines {read.lines} of {read.total_lines}{section}{page}"


def _body(read: ReadResult) -> list[str]:
    if read.outline is None:
        return [fenced(read.text or "")]
    rows = [outline_row(each.heading, each.level, each.lines, each.tokens) for each in read.outline]
    return [fenced("\n".join(rows))] if rows else []

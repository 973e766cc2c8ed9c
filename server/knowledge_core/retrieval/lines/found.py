"""Matching lines as an answer shows them: with their documents, as many as fit."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knowledge_core.language.token_estimate import estimated_tokens
from knowledge_core.retrieval.answers.hits import HIT_OVERHEAD, Searched
from knowledge_core.retrieval.file_states import FileStates
from knowledge_core.retrieval.lines.scanning import Line
from knowledge_core.storage.view import Place, StoredDocument
from knowledge_core.types import Lines


@dataclass(frozen=True)
class FoundLine:
    """A line that matches, or the lines over which a literal text goes.

    Attributes:
        collection: that holds the document.
        document: its id.
        title: of the document.
        chunk: the position of the chunk in which the line begins, or of the next one where it is in none.
        lines: its number, or those of the first and the last line.
        page: on which it begins, from 1; None where the document has no pages.
        text: as it is, without its line end; of a long line a part with the match.
        cut: whether that is not all.
        lines_of_file: whether `lines` are those of the file, not of a text that was extracted from it.
        file: what became of its file since, as `FileStates.of` returns it; None where it is as it was indexed.
    """

    collection: str
    document: str
    title: str
    chunk: int
    lines: Lines
    page: int | None
    text: str
    cut: bool = False
    lines_of_file: bool = True
    file: str | None = None


Fits = Callable[[FoundLine], bool]
"""Called once per line of a page, in order: returns whether it still fits into the answer."""


@dataclass(frozen=True)
class _About:
    """What the lines of one document share. places: of its chunks, in text order."""

    stored: StoredDocument
    places: Sequence[Place]
    file: str | None


def page_of_lines(found: Sequence[tuple[Searched, str, Line]], max_tokens: int | None, fits: Fits) -> list[FoundLine]:
    """Return the lines that fit into the token budget and the answer; the first one even if it does not fit.

    found: each with its collection and the id of its document.
    """
    about = _about(found)
    shown: list[FoundLine] = []
    left = float("inf") if max_tokens is None else max_tokens
    for one, id, line in found:
        each = _line(one.name, about[one.name, id], line)
        left -= estimated_tokens(f"{each.document} {each.text}") + HIT_OVERHEAD
        if not fits(each) or left < 0:
            return shown or [each]
        shown.append(each)
    return shown


def _about(found: Sequence[tuple[Searched, str, Line]]) -> dict[tuple[str, str], _About]:
    """Return what there is to say of each document, by its collection's name and its id."""
    states, about = FileStates(), dict[tuple[str, str], _About]()
    for one in {each.name: each for each, _, _ in found}.values():
        ids = list(dict.fromkeys(id for each, id, _ in found if each.name == one.name))
        files = one.view.files(ids)
        for id, stored in one.view.documents_by_id(ids).items():
            file = states.of(files[id], one.around, one.view.files) if id in files else None
            about[one.name, id] = _About(stored, one.view.places_of_document(id), file)
    return about


def _line(collection: str, about: _About, line: Line) -> FoundLine:
    document = about.stored.document
    chunk = bisect_left(about.places, line.number, key=lambda place: place.lines.last)
    page = bisect_right(document.pages, line.start, key=lambda span: span.start)
    return FoundLine(
        collection=collection, document=document.id, title=document.title, chunk=min(chunk, max(len(about.places) - 1, 0)),
        lines=Lines(line.number, line.last), page=max(page, 1) if document.pages else None, text=line.text,
        cut=line.cut, lines_of_file=document.lines_of_file, file=about.file,
    )  # fmt: skip

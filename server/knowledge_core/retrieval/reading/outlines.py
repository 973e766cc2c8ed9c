"""The outline of a document: its headings with their lines and tokens, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from knowledge_core.cursors import pack, request_digest
from knowledge_core.ingestion.cutting.outline import OutlineSection
from knowledge_core.language.printable import one_line
from knowledge_core.language.token_estimate import tokens_of_bytes, utf8_length
from knowledge_core.near_names import brief
from knowledge_core.retrieval.reading.line_places import lines_of
from knowledge_core.retrieval.reading.section_names import shown_path
from knowledge_core.storage.values import StoredDocument
from knowledge_core.types import Lines, Span

LONGEST_NAME = 160  # characters of a heading in an outline


def outline_row(heading: str, level: int, lines: str, tokens: int) -> str:
    """Return an entry of an outline as a line of text, indented by its level.

    >>> outline_row("Linux", 2, "12-40", 310)
    '12-40 (310)   Linux'
    """
    return f"{lines} ({tokens}) {'  ' * (level - 1)}{heading}"


@dataclass(frozen=True)
class OutlineEntry:
    """A section in an outline. level: 1 for the outermost. tokens: of the section with all below it, estimated."""

    heading: str
    level: int
    lines: Lines
    tokens: int

    @property
    def row(self) -> str:
        """The entry as a line of text."""
        return outline_row(self.heading, self.level, str(self.lines), self.tokens)


@dataclass(frozen=True)
class OutlinePage:
    """Entries of a document's outline.

    Attributes:
        stored: the document.
        entries: in text order; pages where the document has no headings; none where it has neither.
        of_headings: whether they are headings.
        total: how many entries the whole outline has.
        total_lines: of the document.
        section: the path of the section whose outline it is; None for the whole document's.
        truncated: more entries follow.
        cursor: asks for them; None where none follow.
    """

    stored: StoredDocument
    entries: tuple[OutlineEntry, ...]
    of_headings: bool
    total: int
    total_lines: int
    section: str | None
    truncated: bool
    cursor: str | None


@dataclass(frozen=True)
class OutlineReading:
    """An outline that was asked for and found.

    Attributes:
        stored: the document. starts: where each of its lines begins.
        entries: from the one that the answer begins with.
        of_headings: as in `OutlinePage`.
        first: how many entries come before those.
        section: as in `OutlinePage`. at: its number among all sections; -1 for the whole document.
    """

    stored: StoredDocument
    starts: Sequence[int]
    entries: Sequence[OutlineEntry]
    of_headings: bool
    first: int
    section: str | None
    at: int

    @property
    def size(self) -> int:
        """How many bytes it has as text."""
        return sum(utf8_length(entry.row) + 1 for entry in self.entries)

    def cut(self, room: int) -> OutlinePage:
        """Return as many entries as `room` bytes hold as text, and one at least."""
        shown = 0
        for entry in self.entries:
            room -= utf8_length(entry.row) + 1
            if shown and room < 0:
                break
            shown += 1
        rest, total = len(self.entries) - shown, self.first + len(self.entries)
        cursor = pack([version(self.stored), "outline", self.at, self.first + shown]) if rest else None
        return OutlinePage(
            self.stored, tuple(self.entries[:shown]), self.of_headings, total, len(self.starts), self.section, rest > 0, cursor
        )  # fmt: skip


def outline_reading(
    stored: StoredDocument,
    starts: Sequence[int],
    sections: Sequence[OutlineSection],
    at: int | None = None,
    first: int = 0,
) -> OutlineReading:
    """Return the outline of a document from one of its entries on: its pages where it has no headings.

    starts: where each line begins. sections: all of the document. at: the one whose outline it is, with those in it.
    """
    text = stored.document.text
    if not sections:
        pages = stored.document.pages
        entries = [_entry(text, starts, page, 1, f"page {number}") for number, page in enumerate(pages, start=1)]
        return OutlineReading(stored, starts, entries[first:], of_headings=False, first=first, section=None, at=-1)
    path = None if at is None else shown_path(sections[at])
    inside = sections if at is None else _with_those_below(sections, at)
    found = [_entry(text, starts, each.span, len(each.path), each.name) for each in inside[first:]]
    return OutlineReading(
        stored, starts, found, of_headings=True, first=first, section=path, at=-1 if at is None else at
    )


def version(stored: StoredDocument) -> str:
    """Return a digest of a document as it is now: of its id and its content."""
    return request_digest([stored.document.id, stored.digest])


def _with_those_below(sections: Sequence[OutlineSection], at: int) -> Sequence[OutlineSection]:
    end = at + 1
    while end < len(sections) and len(sections[end].path) > len(sections[at].path):
        end += 1
    return sections[at:end]


def _entry(text: str, starts: Sequence[int], span: Span, level: int, name: str) -> OutlineEntry:
    tokens = tokens_of_bytes(utf8_length(text[span.start : span.end]))
    return OutlineEntry(one_line(brief(name, LONGEST_NAME)) or "(no words)", level, lines_of(starts, span), tokens)

"""Text to blocks: runs of text that belong together by the text's structure, whatever their size.

A block is a paragraph, an item of a list, a fenced piece of code, a table, a definition. Blocks of one section follow
each other; a section is what lies under one heading or in one definition. Every non-space character of the text lies in
exactly one block. What goes into no chunk is a block of its own, of the kind `LEFT_OUT`. Knows nothing of tokens. All
functions take time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from knowledge_core.types import Heading, Span

# Neighbouring paragraphs are joined into one block up to this length: they would end in one chunk anyway, and the number
# of blocks stays in proportion to the text even where every line is a paragraph.
JOIN_UP_TO = 240  # characters; about 60 tokens of English

LONGEST_HEADING = 200  # characters that a heading path keeps of a name

_EMPTY_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")


class Kind(Enum):
    """How a block that is too long is cut: at ends of sentences, of lines, of items (of a list), or of rows that may have
    several lines. LEFT_OUT: it goes into no chunk.
    """

    PROSE = "prose"
    LINES = "lines"
    ITEMS = "items"
    ROWS = "rows"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, or in one definition.

    path: the numbers of the enclosing sections and of this one, outermost first; sections of equal path are the same.
    heading: the names of these sections; shorter than the path where some have none.
    whole: the section becomes one chunk, with everything in it, wherever that fits.
    """

    path: tuple[int, ...] = ()
    heading: tuple[str, ...] = ()
    whole: bool = False

    def parent(self, depth: int) -> Section:
        """Return the enclosing section whose path has `depth` numbers."""
        return Section(self.path[:depth], self.heading[:depth], self.whole)


@dataclass(frozen=True, slots=True)
class Block:
    """One run of text: text[start:end], which may begin or end with white space.

    leads: it names what follows, as a heading does; no chunk should end with it.
    lead: the place up to which such text reaches at the beginning of the block; it is not cut off from the rest.
    header: a table's header row on one line (`header_line`); every chunk of the block, save the one that holds the header
        itself, has it as the last element of its heading path.
    header_at: where that row begins; None: where the block begins.
    part: no chunk holds text of two parts; between them a page ends, or something is left out.
    """

    start: int
    end: int
    section: Section = field(default_factory=Section)
    kind: Kind = Kind.PROSE
    header: str = ""
    header_at: int | None = None
    part: int = 0
    leads: bool = False
    lead: int = 0

    @property
    def heading(self) -> tuple[str, ...]:
        """The heading path of a chunk of this block that does not hold the header."""
        return (*self.section.heading, self.header) if self.header else self.section.heading


def header_line(cells: Sequence[str]) -> str:
    """Return the cells of a table's header row as a heading: one line of at most 200 characters.

    >>> header_line([" Name", "", "Born\n(year) "])
    'Name | Born (year)'
    """
    return " | ".join(cell for cell in (" ".join(cell.split()) for cell in cells) if cell)[:LONGEST_HEADING].strip(" |")


def paragraphs(text: str, start: int, end: int, section: Section, kind: Kind = Kind.PROSE) -> Iterator[Block]:
    """Yield the paragraphs of text[start:end], which empty lines separate; short neighbours are joined."""
    begin = paragraph = start
    for gap in _EMPTY_LINES.finditer(text, start, end):
        if paragraph > begin and gap.end() - begin > JOIN_UP_TO:
            yield Block(begin, paragraph, section, kind)
            begin = paragraph
        paragraph = gap.end()
    if paragraph > begin and end - begin > JOIN_UP_TO:
        yield Block(begin, paragraph, section, kind)
        begin = paragraph
    if begin < end:
        yield Block(begin, end, section, kind)


def plain_blocks(text: str) -> list[Block]:
    """Return the paragraphs of a text without headings."""
    return list(paragraphs(text, 0, len(text), Section()))


def line_blocks(text: str) -> list[Block]:
    """Return a text whose units are lines (records, settings, logs) as one block, which is later cut between lines."""
    return [Block(0, len(text), Section(), Kind.LINES)]


def headed_blocks(text: str, headings: Sequence[Heading]) -> list[Block]:
    """Return the paragraphs of a text, each under the headings given for it, which are in text order."""
    outline = Outline()
    blocks: list[Block] = []
    start, section = 0, Section()
    for heading in headings:
        at = min(max(heading.start, start), len(text))
        blocks += paragraphs(text, start, at, section)
        start, section = at, outline.enter(heading.level, " ".join(heading.name.split())[:LONGEST_HEADING])
    return [*blocks, *paragraphs(text, start, len(text), section)]


def parted(blocks: Sequence[Block], gaps: Sequence[Span]) -> list[Block]:
    """Return what of the blocks lies between the gaps, which are in order of their starts; each gap begins a new part.

    An empty gap takes nothing away: a page begins there. Where a block with a header is taken apart, `header_at` is known.
    """
    parts: list[Block] = []
    at = 0
    for block in blocks:
        start = block.start
        while start < block.end:
            while at < len(gaps) and gaps[at].start <= start and gaps[at].end <= start:
                at += 1
            end = min(block.end, gaps[at].start) if at < len(gaps) else block.end
            if end > start:
                parts.append(replace(block, start=start, end=end, part=at))
                start = end
            else:
                start = gaps[at].end
    return parts


class Outline:
    """The headings above the current place, while a text is read from its start."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int, str]] = []  # level, number, name
        self._number = 0

    def enter(self, level: int, name: str) -> Section:
        """Return the section that a heading opens. It closes the open sections of its level and of deeper ones."""
        self._number += 1
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, self._number, name))
        return Section(tuple(entry[1] for entry in self._open), tuple(entry[2] for entry in self._open))

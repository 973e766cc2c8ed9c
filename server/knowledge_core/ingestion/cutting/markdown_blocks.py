"""Markdown to blocks under headings. Reads line by line; in a fence or a comment nothing is a heading.

Not a Markdown parser: it finds what matters for cutting (headings, fences, tables, lists, paragraphs, front matter)
and takes time linear in any text. Headings are ATX (`# x`) and setext (a line, then a line of = or -).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from itertools import groupby

from knowledge_core.ingestion.cutting.blocks import JOIN_UP_TO, Block, Kind, Outline, Section
from knowledge_core.ingestion.front_matter import front_matter

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t](.*))?$")
_CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
_SETEXT = re.compile(r" {0,3}(?:(=+)|-{2,})[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(`{3,}|~{3,})([^\n]*)")
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|#]|\d{1,9}[.)]\s)|(?: {4}|\t)")
_LIST_OR_TABLE = re.compile(r"\s*(?:[-*+][ \t]|\d{1,9}[.)][ \t]|\|)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_MARKUP = re.compile(r"[*`]|<[^<>]*>|\{[#.][^{}]*\}\s*$")
_LONGEST_HEADING = 200  # characters that a heading path keeps of a name
_LONGEST_LINE = 2000  # characters; a longer line is no heading


class _Role(Enum):
    """What kind of line it is, as far as cutting needs to know."""

    EMPTY = auto()
    TEXT = auto()
    ROWS = auto()
    FENCE = auto()
    HEADING = auto()
    FRONT = auto()


def markdown_blocks(text: str) -> list[Block]:
    """Return the blocks of a Markdown text, each under the headings above it."""
    blocks: list[Block] = []
    outline = Outline()
    section = Section()
    for role, start, end, level, name in _runs(text):
        if role == _Role.HEADING:
            section = outline.enter(level, name)
        kind = Kind.LEFT_OUT if role == _Role.FRONT else Kind.LINES if role in (_Role.ROWS, _Role.FENCE) else Kind.PROSE
        last = blocks[-1] if blocks else None
        if (
            last
            and Kind.LEFT_OUT not in (kind, last.kind)
            and last.section is section
            and end - last.start <= JOIN_UP_TO
        ):
            kind = Kind.LINES if Kind.LINES in (kind, last.kind) else Kind.PROSE
            blocks[-1] = Block(last.start, end, section, kind)
        else:
            blocks.append(Block(start, end, section, kind))
    return blocks


def first_heading(text: str) -> str:
    """Return the first heading that has words, without its markup; "" where there is none."""
    return next((name for role, _, _, _, name in _runs(text) if role == _Role.HEADING and name), "")


def _runs(text: str) -> Iterator[tuple[_Role, int, int, int, str]]:
    """Yield the runs of lines of one role: role, start, end, and a heading's level and name. Empty lines are left out."""
    for (role, _, level, name), lines in groupby(_lines(text), key=lambda line: line[0]):
        if role != _Role.EMPTY:
            spans = [line[1] for line in lines]
            yield role, spans[0][0], spans[-1][1], level, name


_Tag = tuple[_Role, int, int, str]  # role, number of its run, heading level, heading name


class _State:
    """The state between two lines: the open run's role and number, and the fence or comment that is still open."""

    def __init__(self) -> None:
        self.role, self.run = _Role.EMPTY, 1
        self.fence = ""
        self.comment = False

    def begin(self, role: _Role) -> None:
        self.role, self.run = role, self.run + 1

    def tag(self, level: int = 0, name: str = "") -> _Tag:
        return self.role, self.run, level, name

    def closed_by(self, line: str) -> bool:
        rest = line.strip()
        if self.fence:
            return len(rest) >= len(self.fence) and rest == self.fence[0] * len(rest)
        return "-->" in line

    def take(self, line: str) -> None:
        """Take a line that is no heading and stands outside of fences and comments."""
        opened = _FENCE.match(line)
        if opened and not (opened[1][0] == "`" and "`" in opened[2]):
            self.fence = opened[1]
            self.begin(_Role.FENCE)
        elif line.lstrip().startswith("<!--"):
            self.comment = "-->" not in line
            self.begin(_Role.TEXT)
        else:
            role = _Role.ROWS if _LIST_OR_TABLE.match(line) else _Role.TEXT
            # A line below a list item or a row belongs to it, until an empty line.
            if self.role == _Role.EMPTY or (self.role == _Role.TEXT and role == _Role.ROWS):
                self.begin(role)


def _lines(text: str) -> Iterator[tuple[_Tag, tuple[int, int]]]:
    """Yield each line's tag and span."""
    position = front_matter(text)[1]
    if position:
        yield (_Role.FRONT, 0, 0, ""), (0, position)
    state = _State()
    while position < len(text):
        start, end = position, text.find("\n", position) + 1 or len(text)
        line = text[start:end].rstrip("\n")
        if state.fence or state.comment:
            yield state.tag(), (start, end)
            if state.closed_by(line):
                state.fence, state.comment = "", False
                state.begin(_Role.EMPTY)
        elif not line or line.isspace():
            state.begin(_Role.EMPTY)
            yield state.tag(), (start, end)
        elif heading := _heading(text, start, end, state.role):
            level, name, end = heading
            state.begin(_Role.HEADING)
            yield state.tag(level, name), (start, end)
            state.begin(_Role.EMPTY)
        else:
            state.take(line)
            yield state.tag(), (start, end)
        position = end


def _heading(text: str, start: int, line_end: int, role: _Role) -> tuple[int, str, int] | None:
    """Return level, name and end of the heading that begins with this line; None if none does."""
    if line_end - start > _LONGEST_LINE:
        return None
    line = text[start:line_end].rstrip("\n")
    if found := _ATX.match(line):
        return len(found[1]), _name(_CLOSING.sub("", (found[2] or "").rstrip())), line_end
    if role != _Role.EMPTY or text[line_end : line_end + 1] not in ("=", "-", " ") or _NO_PARAGRAPH.match(line):
        return None
    after_end = text.find("\n", line_end, line_end + _LONGEST_LINE) + 1 or min(len(text), line_end + _LONGEST_LINE)
    under = _SETEXT.match(text[line_end:after_end].rstrip("\n"))
    return (1 if under[1] else 2, _name(line), after_end) if under else None


def _name(line: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", line)).split())[:_LONGEST_HEADING]

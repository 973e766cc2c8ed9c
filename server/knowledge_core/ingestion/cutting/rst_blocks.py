"""reStructuredText to blocks under headings: lines with a line of punctuation below, in a text read line by line.

Not a parser of reStructuredText: it finds titles, directives, comments, lists, definitions, fields, tables and literal
blocks. A heading's level is given by its kind of underline, in the order in which the kinds first appear, as in docutils.
"""

from __future__ import annotations

import re

from knowledge_core.ingestion.cutting.blocks import (
    LONGEST_HEADING,
    Block,
    Kind,
    Outline,
    Section,
    header_line,
)
from knowledge_core.ingestion.cutting.joining import joined
from knowledge_core.ingestion.cutting.lines import TextLines, indentation
from knowledge_core.types import Heading

_LINE = re.compile(r"([=\-~^\"'`#*+:.<>_])\1{2,}[ \t]*$")
_EXPLICIT = re.compile(r"[ \t]*\.\.(?:[ \t]+|$)")
_DIRECTIVE = re.compile(r"[ \t]*\.\.[ \t]+(?:\|[^|]{1,100}\|[ \t]+)?([\w:.+-]{1,60}?)[ \t]?::(?:[ \t]|$)")
_MARKED = re.compile(r"[ \t]*\.\.[ \t]+(?:\[[^\]]{1,100}\]|_)")  # a footnote, a citation, a target
_TARGET = re.compile(r"[ \t]*\.\.[ \t]+_[^\n]{1,200}:[ \t]*$")  # of what stands below
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\(?(?:\d{1,3}|#)[.)]|:(?:[^:\n\\]|\\.){1,100}:)(?:[ \t]|$)")
_OPTION = re.compile(r"[ \t]*(?:-\w|--\w[\w-]*|/\w)(?:[ =,][^\s]{1,40}){0,4}(?: {2,}\S|$)")
_GRID = re.compile(r"[ \t]*\+(?:[-=]+\+)+[ \t]*$")
_GRID_HEAD = re.compile(r"[ \t]*\+(?:=+\+)+[ \t]*$")
_COLUMNS = re.compile(r"[ \t]*=+(?:[ \t]+=+)+[ \t]*$")
_ROW_OF_LIST = re.compile(r"[ \t]*\*[ \t]+-(?:[ \t]|$)")
# Directives that say nothing to a reader, and those that name or set up what follows.
_LEFT_OUT = frozenset({"contents", "sectnum", "section-numbering", "meta", "raw", "header", "footer"})
_LEADING = frozenset(
    {"index", "highlight", "currentmodule", "module", "py:currentmodule", "py:module", "rubric", "role"}
)
_TABLES = frozenset({"list-table", "csv-table", "table"})
_AS_LINES = frozenset({"code-block", "code", "sourcecode", "parsed-literal", "literalinclude", "math", "productionlist",
                   "doctest", "testcode", "ipython", "prompt", "console",
                   "toctree", "autosummary", "hlist"})  # fmt: skip
_UNIT_UP_TO = 600  # characters; a longer body of a directive is read as text of its own
_DEEPEST = 6  # bodies within each other that are read so: each reads its lines once more
_LONGEST_ROW = 50_000  # characters
_LONGEST_TITLE = 2000  # characters


def rst_blocks(text: str) -> list[Block]:
    """Return the blocks of a reStructuredText, each under its headings."""
    return joined(text, _read(text).blocks)


def rst_headings(text: str) -> list[Heading]:
    """Return the headings of a reStructuredText in text order, those that nothing stands under included."""
    return _read(text).headings


def _read(text: str) -> _Reader:
    """Return the reader of a text, which has taken all of it."""
    reader = _Reader(TextLines(text))
    lines = reader.lines
    number = lines.filled_from(0)
    while number < len(lines):
        number = lines.filled_from(reader.take(number))
    return reader


class _Reader:
    """Takes one run of lines after the other; `blocks` and `headings` are those found so far."""

    def __init__(self, lines: TextLines) -> None:
        self.lines = lines
        self.blocks: list[Block] = []
        self.headings: list[Heading] = []
        self._outline = Outline()
        self._section = Section()
        self._levels: dict[str, int] = {}
        self._bodies: list[tuple[int, int]] = []  # of the directives around: the line after it, its indentation

    def take(self, number: int) -> int:
        """Take what begins with this line, which is not blank; return the line after it."""
        line = self.lines[number]
        while self._bodies and self._bodies[-1][0] <= number:
            self._bodies.pop()
        return (
            self._title(number, line)
            or self._explicit(number, line)
            or self._table(number, line)
            or self._item(number, line)
            or self._text(number, line)
        )

    def _add(
        self, number: int, end: int, kind: Kind, header: str = "", header_at: int = 0, *, leads: bool = False
    ) -> int:
        start = self.lines.start(number)
        place = self.lines.start(header_at) if header else None
        self.blocks.append(Block(start, self.lines.start(end), self._section, kind, header, place, leads=leads))
        return end

    def _title(self, number: int, line: str) -> int:
        over = _LINE.match(line) if line[0] not in " \t" else None
        at = number + 1 if over else number
        name, below = self.lines[at].rstrip(), self.lines[at + 1]
        under = _LINE.match(below)
        if not name or not under or len(name.strip()) > min(len(under[0].rstrip()) + 2, _LONGEST_TITLE):
            return 0
        if _LINE.match(name) or (over and over[0].rstrip() != under[0].rstrip()) or (not over and name[0].isspace()):
            return 0
        level = self._levels.setdefault(under[1] * (2 if over else 1), len(self._levels))
        self._section = self._outline.enter(level, name.strip()[:LONGEST_HEADING])
        self.headings.append(Heading(self.lines.start(number), level, name.strip()[:LONGEST_HEADING]))
        return self._add(number, at + 2, Kind.PROSE, leads=True)

    def _explicit(self, number: int, line: str) -> int:
        if not _EXPLICIT.match(line):
            return 0
        end = number + 1
        if line.strip() != ".." or not self.lines.blank(end):
            end = max(end, self.lines.indented_end(end, indentation(line) + 1))
        found = _DIRECTIVE.match(line)
        if not found:
            kind = Kind.PROSE if _MARKED.match(line) else Kind.LEFT_OUT
            return self._add(number, end, kind, leads=bool(_TARGET.match(line)))
        name = found[1].lower()
        if name in _TABLES:
            header, at = self._header_of(number, end)
            return self._add(number, end, Kind.ROWS if name != "csv-table" else Kind.LINES, header, at)
        if name in _LEFT_OUT or name in _AS_LINES:
            return self._add(number, end, Kind.LEFT_OUT if name in _LEFT_OUT else Kind.LINES)
        if self.lines.start(end) - self.lines.start(number) > _UNIT_UP_TO and len(self._bodies) < _DEEPEST:
            return self._entered(number, end)
        return self._add(number, end, Kind.PROSE, leads=name in _LEADING)

    def _entered(self, number: int, end: int) -> int:
        """Take the first lines of a directive, up to its body, which is then read like any text."""
        body = self.lines.filled_from(number + 1)
        while body < end and body > number + 1 and self.lines[body].lstrip().startswith(":"):
            body += 1
        while body < end and not self.lines.blank(body) and not self.lines.blank(body - 1):
            body += 1
        self._bodies.append((end, indentation(self.lines[self.lines.filled_from(body)])))
        return self._add(number, min(body, end), Kind.PROSE, leads=True)

    def _header_of(self, number: int, end: int) -> tuple[str, int]:
        """Return the header row of a table that is a directive's body, and its line; "" where it has none."""
        rows_of_head = False
        for at in range(number + 1, min(end, number + 40)):
            line = self.lines[at].strip()
            if line.startswith(":header:"):
                return header_line(line.removeprefix(":header:").replace('"', "").split(",")), at
            rows_of_head = rows_of_head or line.startswith((":header-rows:", ":header-rows: 1"))
            if _ROW_OF_LIST.match(line) and rows_of_head:
                return self._first_row(at, end), at
            if line and not line.startswith(":"):
                if _COLUMNS.match(line):
                    return self._head_of_columns(at), at
                if _GRID.match(line):
                    return self._head_of_grid(at, end), at
                return (header_line(line.replace('"', "").split(",")), at) if rows_of_head else ("", at)
        return "", number

    def _first_row(self, number: int, end: int) -> str:
        cells = [self.lines[number].strip()[1:].strip().removeprefix("-")]
        for at in range(number + 1, min(end, number + 60)):
            line = self.lines[at].strip()
            if _ROW_OF_LIST.match(line):
                break
            cells += [line[1:]] if line.startswith("-") else []
            cells[-1] += "" if line.startswith("-") else f" {line}"
        return header_line(cells)

    def _table(self, number: int, line: str) -> int:
        if len(line) > _LONGEST_ROW:
            return 0
        if _GRID.match(line):
            end = number + 1
            while self.lines[end].lstrip().startswith(("+", "|")):
                end += 1
            return self._add(number, end, Kind.ROWS, self._head_of_grid(number, end), number)
        if not _COLUMNS.match(line):
            return 0
        borders, at, last = 1, number + 1, number
        while at < len(self.lines) and borders < 3:
            if _COLUMNS.match(self.lines[at][:_LONGEST_ROW]):
                borders, last = borders + 1, at
                if borders == 2 and self.lines.blank(at + 1):
                    break
            at += 1
        return self._add(number, last + 1, Kind.LINES, self._head_of_columns(number), number)

    def _head_of_grid(self, number: int, end: int) -> str:
        """Return the rows above the line of equals signs."""
        below = next((at for at in range(number, min(end, number + 40)) if _GRID_HEAD.match(self.lines[at])), number)
        rows = [self.lines[at].strip().strip("|").split("|") for at in range(number + 1, below)]
        cells = [row for row in rows if not row[0].startswith("+")]
        return header_line([" ".join(column) for column in zip(*cells, strict=False)])

    def _head_of_columns(self, number: int) -> str:
        """Return the rows between the first and the second border; "" where nothing stands below the second."""
        border = self.lines[number]
        below = next((at for at in range(number + 1, number + 10) if _COLUMNS.match(self.lines[at])), number)
        if below == number or self.lines.blank(below + 1):
            return ""
        starts = [column.start() for column in re.finditer("=+", border)]
        rows = [self.lines[at] for at in range(number + 1, below)]
        ends: list[int | None] = [*starts[1:], None]
        return header_line([" ".join(row[a:b] for row in rows) for a, b in zip(starts, ends, strict=True)])

    def _item(self, number: int, line: str) -> int:
        if not (_ITEM.match(line) or _OPTION.match(line)):
            return 0
        end = self.lines.indented_end(number + 1, indentation(line) + 1)
        return self._add(number, max(end, number + 1), Kind.ITEMS)

    def _text(self, number: int, line: str) -> int:
        """Take a paragraph, a term with its definition, or what is indented: a quote, or lines as they are after `::`."""
        base = self._bodies[-1][1] if self._bodies else 0
        own = indentation(line)
        if own > base:
            literal = bool(self.blocks) and self._literal(self.blocks[-1])
            return self._add(number, self.lines.indented_end(number, base + 1), Kind.LINES if literal else Kind.PROSE)
        if not self.lines.blank(number + 1) and indentation(self.lines[number + 1]) > own:
            return self._add(number, self.lines.indented_end(number + 1, own + 1), Kind.PROSE)
        end = number + 1
        while end < len(self.lines) and not self.lines.blank(end):
            end += 1
        return self._add(number, end, Kind.LINES if line.lstrip().startswith((">>>", "| ")) else Kind.PROSE)

    def _literal(self, block: Block) -> bool:
        return self.lines.text[max(block.start, block.end - 200) : block.end].rstrip().endswith("::")

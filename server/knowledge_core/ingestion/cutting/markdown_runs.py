"""Markdown to runs of lines that belong together: a heading, a paragraph, an item of a list with all below it, a table.

Not a Markdown parser: it finds what matters for cutting and takes time linear in any text. Beside CommonMark it knows
tables, front matter, definition lists, admonitions (`!!! note`), containers (`:::`), and what MDX adds. Headings are ATX
(`# x`), setext (a line, then a line of = or -), and HTML on one line. In a fence, a comment or an item nothing is one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from knowledge_core.ingestion.cutting.blocks import LONGEST_HEADING, header_line
from knowledge_core.ingestion.cutting.lines import TextLines, indentation
from knowledge_core.ingestion.cutting.markdown_lines import ATX, MODULE_LINE, SETEXT, closes, fence
from knowledge_core.ingestion.front_matter import front_matter

_CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
_HTML_HEADING = re.compile(r"[ \t]*<h([1-6])\b[^<>]*>(.*)</h[1-6]>[ \t]*$", re.IGNORECASE)
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|#]|\d{1,9}[.)]\s)|(?: {4}|\t)")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_DELIMITERS = re.compile(r"[ \t]*(?:\|[ \t]*)?:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*(?:\|[ \t]*)?$")
_CELL_END = re.compile(r"(?<!\\)\|")
_DEFINITION = re.compile(r" {0,3}:[ \t]+\S")
_ADMONITION = re.compile(r"""(?:!!!|\?\?\?\+?)[ \t]+["'\w]|===[!+]?[ \t]+["']""")
_FIELD = re.compile(r"[\w-]+:(?:[ \t]|$)")
_ENDS_A_PARAGRAPH = re.compile(
    r"[ \t]*(?:[`~]{3}|[-*+][ \t]|\d{1,9}[.)][ \t]|[>|]|:::|<!--|\{/\*|</?(?:details|table)\b)"
)
_TAGS = "details|table|pre|script|style|dl|ul|ol|figure"
_PAIRS = re.compile(
    rf"^[ \t]*:{{3,}}[ \t]*(?P<name>[^\s:]?)|<(?P<end>/?)(?P<tag>{_TAGS})\b", re.MULTILINE | re.IGNORECASE
)
_ANY_ATX = re.compile(r"^ {0,3}#{1,6}[ \t]", re.MULTILINE)
_ANY_FENCE = re.compile(r"^[ \t]*(?:`{3}|~{3})", re.MULTILINE)
_CELL_OF_HTML = re.compile(r"</?t[hdr]\b[^<>]*>", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_MARKUP = re.compile(r"[*`]|<[^<>]*>|\{[#.][^{}]*\}\s*$")
_LONGEST_LINE = 2000  # characters; a longer line is no heading
_LONGEST_ROW = 50_000  # characters; a longer line is no header of a table
_MOST_FIELDS = 40  # lines of settings between two lines of dashes, as slides have them


class Role(Enum):
    """What a run of lines is, as far as cutting needs to know."""

    TEXT = auto()
    ITEM = auto()
    TABLE = auto()
    HTML_TABLE = auto()
    CODE = auto()
    HEADING = auto()
    LEFT_OUT = auto()


@dataclass(frozen=True, slots=True)
class Run:
    """text[start:end], whole lines. level, name: of a heading. name of a table: its header, which begins at `header_at`."""

    role: Role
    start: int
    end: int
    level: int = 0
    name: str = ""
    header_at: int = 0


def runs(text: str) -> Iterator[Run]:
    """Yield the runs of a Markdown text, in order. Blank lines between them are in none."""
    front = front_matter(text)[1]
    if front:
        yield Run(Role.LEFT_OUT, 0, front)
    lines = TextLines(text)
    reader = _Reader(lines)
    number = lines.filled_from(lines.from_place(front))
    while number < len(lines):
        role, end, level, name, header_at = reader.run(number)
        yield Run(role, lines.start(number), lines.start(end), level, name, header_at)
        number = lines.filled_from(end)


_Found = tuple[Role, int, int, str, int]  # role, the line after the last, level, name, place of the header


def _plain(role: Role, end: int) -> _Found:
    return role, end, 0, "", 0


class _Reader:
    """Finds the run that begins with a line, which is not blank."""

    def __init__(self, lines: TextLines) -> None:
        self._lines = lines
        self._jsx_comments = "*/}" in lines.text
        self._pairs = _pairs(lines.text)
        self._headings = [found.start() for found in _ANY_ATX.finditer(lines.text)] if self._pairs else []
        self._fences = [found.start() for found in _ANY_FENCE.finditer(lines.text)] if self._pairs else []

    def run(self, number: int) -> _Found:
        line = self._lines[number]
        if opened := fence(line):
            return _plain(Role.CODE, self._fence_end(number, opened[1]))
        return (
            self._comment(number, line)
            or self._heading(number, line)
            or self._marked_off(number, line)
            or self._table(number, line)
            or self._item(number, line)
            or self._text(number, line)
        )

    def _fence_end(self, number: int, mark: str) -> int:
        for after in range(number + 1, len(self._lines)):
            if closes(self._lines[after], mark):
                return after + 1
        return len(self._lines)

    def _comment(self, number: int, line: str) -> _Found | None:
        begun = line.lstrip()
        closing = "-->" if begun.startswith("<!--") else "*/}" if begun.startswith("{/*") and self._jsx_comments else ""
        if not closing:
            return None
        at = self._lines.text.find(closing, self._lines.start(number))
        if at < 0 and closing == "*/}":
            self._jsx_comments = False  # none further on is closed
            return None
        end = self._lines.from_place(at + len(closing)) if at >= 0 else len(self._lines)
        alone = closing == "*/}" and self._lines[end - 1].rstrip().endswith(closing)
        return _plain(Role.LEFT_OUT if alone else Role.TEXT, end)

    def _heading(self, number: int, line: str) -> _Found | None:
        if len(line) > _LONGEST_LINE:
            return None
        if found := ATX.match(line):
            return Role.HEADING, number + 1, len(found[1]), _name(_CLOSING.sub("", (found[2] or "").rstrip())), 0
        if (found := _HTML_HEADING.match(line)) and (name := _name(found[2])):
            return Role.HEADING, number + 1, int(found[1]), name, 0
        below = self._lines[number + 1]
        if below[:1] not in ("=", "-", " ") or len(below) > _LONGEST_LINE or _NO_PARAGRAPH.match(line):
            return None
        under = SETEXT.match(below)
        return (Role.HEADING, number + 2, 1 if under[1] else 2, _name(line), 0) if under else None

    def _marked_off(self, number: int, line: str) -> _Found | None:
        """Return what its own marks make one thing, whatever stands in it: admonitions, containers, HTML, settings."""
        if _ADMONITION.match(line):
            return _plain(Role.TEXT, max(number + 1, self._lines.indented_end(number + 1, 4)))
        if MODULE_LINE.match(line):
            return _plain(Role.LEFT_OUT, self._blank_from(number + 1))
        if line.rstrip() == "---" and _FIELD.match(self._lines[number + 1]):
            for after in range(number + 2, min(number + 2 + _MOST_FIELDS, len(self._lines))):
                if self._lines[after].rstrip() == "---":
                    return _plain(Role.CODE, after + 1)
                if not (_FIELD.match(self._lines[after]) or self._lines[after][:1] in ("", " ", "-", "#")):
                    break
        start = self._lines.start(number) + len(line) - len(line.lstrip())
        closed = self._pairs.get(start)
        return self._closed(start, *closed) if closed else None

    def _closed(self, start: int, tag: str, closed: int) -> _Found | None:
        end = self._lines.from_place(closed)
        place = self._lines.start(end)
        fences = bisect_left(self._fences, place) - bisect_left(self._fences, start)
        if tag in ("script", "style"):
            return _plain(Role.LEFT_OUT, end)
        if fences % 2 or bisect_left(self._headings, place) > bisect_left(self._headings, start):
            return None
        if tag != "table":
            return _plain(Role.CODE if tag == "pre" else Role.TEXT, end)
        row_end = self._lines.text.find("</tr", start, place)
        row = self._lines.text[start : row_end if row_end >= 0 else place]
        heads = row.lower().find("<th")
        cells = [_name(cell) for cell in _CELL_OF_HTML.split(row[heads:])] if heads >= 0 else []
        return Role.HTML_TABLE, end, 0, header_line(cells), start + max(heads, 0)

    def _table(self, number: int, line: str) -> _Found | None:
        headed = self._heads_a_table(number, line)
        if not headed and not line.lstrip().startswith("|"):
            return None
        header = header_line([_name(cell) for cell in _CELL_END.split(line)]) if headed else ""
        end = number + 1
        while end < len(self._lines) and not self._lines.blank(end):
            row = self._lines[end]
            if not row.lstrip().startswith("|") and (not headed or "|" not in row or self._ends_a_paragraph(end, row)):
                break
            end += 1
        return Role.TABLE, end, 0, header, self._lines.start(number)

    def _heads_a_table(self, number: int, line: str) -> bool:
        if "|" not in line or len(line) > _LONGEST_ROW:
            return False
        below = self._lines[number + 1]
        return "|" in below and len(below) <= _LONGEST_ROW and bool(_DELIMITERS.match(below))

    def _item(self, number: int, line: str) -> _Found | None:
        """Return an item of a list, with the items, paragraphs and fences inside of it."""
        if not _ITEM.match(line) or _RULE.match(line):
            return None
        return _plain(Role.ITEM, self._inside_end(number + 1, indentation(line)))

    def _inside_end(self, number: int, base: int) -> int:
        """Return the line after the last that belongs to what began, indented by `base`, on the line before this one."""
        end = number
        while number < len(self._lines):
            if self._lines.blank(number):
                number = self._lines.filled_from(number)
                if indentation(self._lines[number]) <= base + 1:
                    break
            line = self._lines[number]
            inside = indentation(line) > base + 1
            if not inside and (self._ends_a_paragraph(number, line) or _DEFINITION.match(line)):
                break
            opened = fence(line)
            number = end = self._fence_end(number, opened[1]) if opened else number + 1
        return end

    def _text(self, number: int, line: str) -> _Found:
        if indentation(line) >= 4:
            return _plain(Role.CODE, self._lines.indented_end(number, 4))
        end = number + 1
        while (
            end < len(self._lines) and not self._lines.blank(end) and not self._ends_a_paragraph(end, self._lines[end])
        ):
            end += 1
        below = self._lines.filled_from(end)
        if end - number > 2 or below > end + 1 or not _DEFINITION.match(self._lines[below]):
            return _plain(Role.TEXT, end)
        while below < len(self._lines) and _DEFINITION.match(self._lines[below]):
            end = self._inside_end(below + 1, 0)
            below = self._lines.filled_from(end)
        return _plain(Role.TEXT, end)

    def _ends_a_paragraph(self, number: int, line: str) -> bool:
        if line[:1] == "#" and len(line) <= _LONGEST_LINE and ATX.match(line):
            return True
        if _ENDS_A_PARAGRAPH.match(line):
            return not (line[0] == ">" and self._lines[number - 1][:1] == ">")
        return self._heads_a_table(number, line)

    def _blank_from(self, number: int) -> int:
        while number < len(self._lines) and not self._lines.blank(number):
            number += 1
        return number


def _pairs(text: str) -> dict[int, tuple[str, int]]:
    """Return, per place where a container or an HTML element begins, its name and where what closes it ends."""
    pairs: dict[int, tuple[str, int]] = {}
    opened: dict[str, list[int]] = {}
    for found in _PAIRS.finditer(text) if ":::" in text or "<" in text else ():
        tag = (found["tag"] or ":::").lower()
        begins = found["end"] == "" if found["tag"] else bool(found["name"])
        places = opened.setdefault(tag, [])
        if begins:
            places.append(found.end() - len(found[0].lstrip()))
        elif places:
            pairs[places.pop()] = (tag, found.end())
    return pairs


def _name(line: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", line)).split())[:LONGEST_HEADING]

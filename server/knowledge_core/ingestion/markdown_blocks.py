"""Markdown to blocks under headings. Reads line by line; a heading inside a fence or a comment is none.

Not a Markdown parser: it finds what matters for cutting (headings, fences, tables, lists, paragraphs, front matter)
and is linear whatever the text. Headings are ATX (`# x`) and setext (a line, then a line of = or -).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from knowledge_core.ingestion.blocks import JOIN_UP_TO, Block, Kind, Outline, Section
from knowledge_core.ingestion.front_matter import front_matter

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t](.*))?$")
_CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
_SETEXT = re.compile(r" {0,3}(?:(=+)|-{2,})[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(`{3,}|~{3,})([^\n]*)")
_NO_PARAGRAPH = re.compile(r"\s*(?:[-*+>|#]|\d{1,9}[.)]\s)|(?: {4}|\t)")
_LIST_OR_TABLE = re.compile(r"\s*(?:[-*+][ \t]|\d{1,9}[.)][ \t]|\|)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_MARKUP = re.compile(r"[*`]|<[^<>]*>|\{[#.][^{}]*\}\s*$")
_LONGEST_HEADING = 200  # characters, as a name in a heading path
_LONGEST_LINE = 2000  # characters; a longer line is no heading


class _Role:
    """What a line is for the cutting. Values are compared by identity only."""

    EMPTY, TEXT, ROWS, FENCE, HEADING, FRONT = range(6)


def markdown_blocks(text: str) -> list[Block]:
    """Return the blocks of a Markdown text, each under the headings above it."""
    blocks: list[Block] = []
    outline = Outline()
    section = Section()
    for role, start, end, level, name in _runs(text):
        if role == _Role.HEADING:
            section = outline.enter(level, name)
        kind = Kind.LINES if role in (_Role.ROWS, _Role.FENCE, _Role.FRONT) else Kind.PROSE
        last = blocks[-1] if blocks else None
        if last and last.section is section and end - last.start <= JOIN_UP_TO:
            kind = Kind.LINES if Kind.LINES in (kind, last.kind) else Kind.PROSE
            blocks[-1] = Block(last.start, end, section, kind)
        else:
            blocks.append(Block(start, end, section, kind))
    return blocks


def first_heading(text: str) -> str:
    """Return the first heading that has words, without its markup; "" where there is none."""
    return next((name for role, _, _, _, name in _runs(text) if role == _Role.HEADING and name), "")


def _runs(text: str) -> Iterator[tuple[int, int, int, int, str]]:
    """Yield runs of lines of one role: role, start, end, and level and name of a heading. Empty lines yield nothing."""
    for (role, _, level, name), lines in groupby(_lines(text), key=lambda line: line[0]):
        if role != _Role.EMPTY:
            spans = [line[1] for line in lines]
            yield role, spans[0][0], spans[-1][1], level, name


_Line = tuple[tuple[int, int, int, str], tuple[int, int]]


def _lines(text: str) -> Iterator[_Line]:
    """Yield each line's (role, number of its run, heading level, heading name) and its span."""
    position = front_matter(text)[1]
    if position:
        yield (_Role.FRONT, 0, 0, ""), (0, position)
    run = 1
    role = _Role.EMPTY
    fence = ""
    in_comment = False
    end_of_text = len(text)
    while position < end_of_text:
        end = text.find("\n", position) + 1 or end_of_text
        line = text[position : min(end, position + _LONGEST_LINE)].rstrip("\n")
        span = (position, end)
        position = end
        if fence or in_comment:
            yield (role, run, 0, ""), span
            if fence and _closes(line, fence):
                fence, role, run = "", _Role.EMPTY, run + 1
            elif in_comment and "-->" in text[span[0] : end]:
                in_comment, role, run = False, _Role.EMPTY, run + 1
            continue
        if not line.strip() and not text[span[0] : end].strip():
            role = _Role.EMPTY
            yield (role, run, 0, ""), span
            run += 1
            continue
        if heading := _heading(text, span, end, role):
            level, name, end = heading
            run += 1
            yield (_Role.HEADING, run, level, name), (span[0], end)
            position, role, run = end, _Role.EMPTY, run + 1
            continue
        opened = _FENCE.match(line)
        if opened and not (opened[1][0] == "`" and "`" in opened[2]):
            fence, role, run = opened[1], _Role.FENCE, run + 1
        elif line.lstrip().startswith("<!--"):
            in_comment = "-->" not in text[span[0] : end]
            role, run = _Role.TEXT, run + 1
        else:
            now = _Role.ROWS if _LIST_OR_TABLE.match(line) else _Role.TEXT
            # A line below a list item or a row belongs to it, until an empty line.
            if role == _Role.EMPTY or (role == _Role.TEXT and now == _Role.ROWS):
                role, run = now, run + 1
        yield (role, run, 0, ""), span


def _heading(text: str, span: tuple[int, int], end: int, role: int) -> tuple[int, str, int] | None:
    """Return level, name and end of the heading that begins with this line, if one does."""
    start, line_end = span
    if line_end - start > _LONGEST_LINE:
        return None
    line = text[start:line_end].rstrip("\n")
    if found := _ATX.match(line):
        return len(found[1]), _name(_CLOSING.sub("", (found[2] or "").rstrip())), end
    if role != _Role.EMPTY or line_end >= len(text) or _NO_PARAGRAPH.match(line):
        return None
    after_end = text.find("\n", line_end, line_end + _LONGEST_LINE) + 1 or len(text)
    under = _SETEXT.match(text[line_end : min(after_end, line_end + _LONGEST_LINE)].rstrip("\n"))
    return (1 if under[1] else 2, _name(line), after_end) if under else None


def _closes(line: str, fence: str) -> bool:
    rest = line.strip()
    return len(rest) >= len(fence) and rest == fence[0] * len(rest)


def _name(line: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", line)).split())[:_LONGEST_HEADING]

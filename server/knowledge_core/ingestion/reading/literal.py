"""What people typed, as part of a Markdown text: its lines stay lines, and none becomes structure by accident.

No character of a word is changed, nothing is escaped, and nothing that nobody sees is added: people search for what was
written, and copy it. All that is added is spaces. Four stand before a line that would be read as a heading, as the line
under one, as a rule above front matter, or as an import of MDX: so Markdown has code. One stands inside the mark that
opens a fence which nothing closes, a comment, or a script, because these count with any indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from knowledge_core.ingestion.cutting.markdown_lines import ATX, MODULE_LINE, SETEXT, closes, fence
from knowledge_core.ingestion.front_matter import front_matter
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.types import Span

_INDENT = "    "
_HIDES = re.compile(r"([ \t]*)(<(?=!--|(?:script|style)\b)|\{(?=/\*))", re.IGNORECASE)
_RULES = ("---", "+++", ";;;")  # above front matter


def literal(text: str) -> str:
    r"""Return a text whose lines are read as text, lists, tables or fenced code, and nothing else.

    >>> literal("# 1\nAnn\n-- \nBob")
    '    # 1\nAnn\n    -- \nBob'
    >>> literal("~~~~ Ann\n<!-- Bob")
    '~ ~~~ Ann\n< !-- Bob'
    """
    source = text.split("\n")
    below = _marks_below(source) if "```" in text or "~~~" in text else {}
    lines: list[str] = []
    mark = ""
    for number, line in enumerate(source):
        if mark:
            mark = "" if closes(line, mark) else mark
        elif opened := fence(line):
            mark = opened[1] if len(opened[1]) <= below[opened[1][0]][number] else ""
            at = opened.start(1) + 1
            line = line if mark else f"{line[:at]} {line[at:]}"
        elif _is_structure(line, under=not lines or bool(lines[-1].strip())):
            line = _INDENT + line
        else:
            line = _HIDES.sub(r"\1\2 ", line, count=1) if _HIDES.match(line) else line
        lines.append(line)
    return "\n".join(lines)


def _marks_below(lines: Sequence[str]) -> dict[str, list[int]]:
    """Return, for both signs of fences and each line, the length of the longest mark that stands alone below the line."""
    below = {sign: [0] * len(lines) for sign in "`~"}
    for sign, longest in below.items():
        for number in range(len(lines) - 1, 0, -1):
            alone = lines[number].strip()
            length = len(alone) if alone.startswith(sign * 3) and closes(alone, sign) else 0
            longest[number - 1] = max(longest[number], length)
    return below


def _is_structure(line: str, *, under: bool) -> bool:
    """Say whether a line counts as structure until it is indented. under: it stands under text, or at the beginning."""
    return bool(
        ATX.match(line) or MODULE_LINE.match(line) or (under and (SETEXT.match(line) or line.startswith(_RULES)))
    )


def begun_as_text(parsed: Parsed) -> Parsed:
    """Return a text that is no note without front matter: an empty line stands before what would be read as that."""
    if parsed.media_type != "text/markdown" or not front_matter(parsed.text)[1]:
        return parsed
    pages = tuple(Span(page.start + 1, page.end + 1) for page in parsed.pages)
    headings = tuple(replace(heading, start=heading.start + 1) for heading in parsed.headings)
    return replace(parsed, text=f"\n{parsed.text}", pages=pages, headings=headings)


def closed(text: str) -> str:
    """Return a Markdown text whose fences are all closed, so that another text can follow."""
    *_, (_, _, end) = _lines(text)
    return f"{text}\n{end}" if end else text


def deeper(text: str, by: int) -> str:
    """Return a Markdown text whose headings, outside of fences, lie so many levels deeper; the sixth is the deepest."""
    lines: list[str] = []
    for line, fenced_in, _ in _lines(text):
        if not fenced_in and (heading := re.match(r"(#{1,6}) ", line)):
            line = "#" * min(6, len(heading[1]) + by) + line[len(heading[1]) :]
        lines.append(line)
    return "\n".join(lines)


def fenced(code: str, language: str = "") -> str:
    """Return code in a fence that nothing in it closes; "" where there is none.

    >>> fenced("x = 1", "python")
    '```python\\nx = 1\\n```'
    """
    code = code.strip("\n")
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    mark = "`" * (longest + 1)
    return f"{mark}{language}\n{code}\n{mark}" if code.strip() else ""


def _lines(text: str) -> Iterator[tuple[str, bool, str]]:
    """Yield each line, whether it belongs to a fence, and the fence that is open after it ("" for none)."""
    mark = ""
    for line in text.split("\n"):
        inside = bool(mark)
        if inside:
            mark = "" if closes(line, mark) else mark
        elif opened := fence(line):
            mark, inside = opened[1], True
        yield line, inside, mark

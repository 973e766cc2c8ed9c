"""Prose that people typed, as part of a Markdown text: its lines stay lines, and none becomes a heading by accident.

No character of a word is changed, and nothing is escaped: people search for what was written. A line that would be read as
a heading, or as the line under one, is indented by four spaces, as code is; a comment's opening mark gets a space inside; a
fence that is still open at the end is closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(`{3,}|~{3,})([^\n]*)")


def literal(text: str) -> str:
    r"""Return a text whose lines are read as text, lists, tables or fenced code, and nothing else.

    >>> literal("# 1\nAnn\n-- \nBob")
    '    # 1\nAnn\n    -- \nBob'
    """
    lines: list[str] = []
    end = ""
    for line, fenced_in, fence in _lines(text):
        end = fence
        if not fenced_in:
            if _HEADING.match(line) or (_UNDERLINE.match(line) and lines and lines[-1].strip()):
                line = "    " + line
            elif line.lstrip().startswith("<!--"):
                line = line.replace("<!--", "< !--", 1)
        lines.append(line)
    return "\n".join([*lines, end] if end else lines)


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


def _lines(text: str) -> Iterator[tuple[str, bool, str]]:
    """Yield each line, whether it belongs to a fence, and the fence that is open after it ("" for none)."""
    fence = ""
    for line in text.split("\n"):
        inside = bool(fence)
        if inside:
            rest = line.strip()
            fence = "" if len(rest) >= len(fence) and rest == fence[0] * len(rest) else fence
        elif (opened := _FENCE.match(line)) and not (opened[1][0] == "`" and "`" in opened[2]):
            fence, inside = opened[1], True
        yield line, inside, fence


def fenced(code: str, language: str = "") -> str:
    """Return code in a fence that nothing in it closes; "" where there is none.

    >>> fenced("x = 1", "python")
    '```python\\nx = 1\\n```'
    """
    code = code.strip("\n")
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    mark = "`" * (longest + 1)
    return f"{mark}{language}\n{code}\n{mark}" if code.strip() else ""

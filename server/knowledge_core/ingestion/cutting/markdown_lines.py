"""How a line of Markdown begins: the patterns by which runs are found, and by which readers keep other texts from them."""

from __future__ import annotations

import re

ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t](.*))?$")
SETEXT = re.compile(r" {0,3}(?:(=+)|-{2,})[ \t]*$")
MODULE_LINE = re.compile(
    r"""import[ \t]+(?:[\w*{][^"'\n]*[ \t}]from[ \t]+)?["'][^"'\n]+["'];?[ \t]*$"""
    r"|export[ \t]+(?:(?:const|let|var)[ \t]+[\w{]+|(?:default[ \t]+)?(?:async[ \t]+)?function\b|default[ \t]*[({]|[{*])"
)
_FENCE = re.compile(r"[ \t]*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?(`{3,}|~{3,})([^\n]*)")


def fence(line: str) -> re.Match[str] | None:
    """Return what a line that opens a fence holds: (1) its mark and (2) the words after it; None where it opens none."""
    opened = _FENCE.match(line)
    return opened if opened and not (opened[1][0] == "`" and "`" in opened[2]) else None


def closes(line: str, mark: str) -> bool:
    """Say whether a line ends the fence that this mark opened."""
    rest = line.strip()
    return len(rest) >= len(mark) and rest == mark[0] * len(rest)

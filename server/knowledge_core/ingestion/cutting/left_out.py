"""What goes into no chunk: it is no text for people, and would fill an index with what nobody asks for.

A format's own blocks of this sort (front matter, queries, drawings) are left out by its block function, as blocks of the
kind `LEFT_OUT`; here is what is left out of any text.
"""

from __future__ import annotations

import re

from knowledge_core.types import Span

FENCES_LEFT_OUT = frozenset({"dataview", "dataviewjs", "compressed-json"})
"""First words of the fences in Markdown that are queries or data of a program, in small letters."""

_SHORTEST_PAYLOAD = 200  # characters; shorter ones, as of a dot of one pixel, are not worth a cut
_DATA_URI = re.compile(
    rf"\bdata:[\w.+-]{{1,40}}/[\w.+-]{{1,80}}(?:;[\w.=-]{{1,40}}){{0,4}};base64,[A-Za-z0-9+/=%]{{{_SHORTEST_PAYLOAD},}}"
)


def payloads(text: str) -> list[Span]:
    """Return where bytes written as letters stand in a text, in order: data URIs in base64."""
    return [Span(*found.span()) for found in _DATA_URI.finditer(text)] if ";base64," in text else []

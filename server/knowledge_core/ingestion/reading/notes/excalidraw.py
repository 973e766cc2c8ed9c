"""Drawings of Excalidraw that are kept as Markdown: the texts in them, without the ids and the drawing's data.

The file has, in this order: front matter with `excalidraw-plugin`, what the person wrote on the back of the drawing,
"# Excalidraw Data" (older files lack it), "## Text Elements", sections of links and embedded files, and the drawing as
JSON, compressed or not, under "## Drawing" or "# Drawing".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HEADING = re.compile(r"#{1,2} (Excalidraw Data|Text Elements|Element Links|Embedded Files|Drawing)\s*\Z")
_HINT = re.compile(r"==.*(?:Switch to|switch to).*==|\*\*\*.*Switch to.*\*\*\*|.*the \*Text Elements\*")
_ID = re.compile(r"\s*\^[A-Za-z0-9_-]{4,40}[ \t]*\Z")


def is_drawing(fields: Mapping[str, object], name: str) -> bool:
    """Say whether a Markdown file is a drawing, by its front matter or its name."""
    return "excalidraw-plugin" in fields or name.lower().endswith(".excalidraw.md")


def labels_of_drawing(text: str, start: int) -> str:
    """Return the text with empty lines for all that is not front matter or written by a person.

    start: where the front matter ends.
    """
    kept: list[str] = []
    section = ""
    for line in text[start:].split("\n"):
        if found := _HEADING.match(line):
            section = found[1]
            kept.append("")
        elif section in ("", "Text Elements") and line.strip() != "%%" and not _HINT.match(line):
            kept.append(_ID.sub("", line) if section else line)
        else:
            kept.append("")
    return text[:start] + "\n".join(kept)

"""Org mode (`.org`) as Markdown, line by line: headings, blocks of code, links, tags; no line moves.

What is for the program goes: drawers with properties and clocks, planning lines, settings. A text that is no Org file
comes out almost as it went in.
"""

from __future__ import annotations

import re

from knowledge_core.ingestion.cutting.payloads import without_payloads
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.notes.links import bounded
from knowledge_core.ingestion.reading.parsed import Parsed, facts

_HEADING = re.compile(
    r"(?P<stars>\*+)[ \t]+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)[ \t]+)?(?:\[#\w\][ \t]+)?"
    r"(?P<name>.*?)(?P<tags>[ \t]+:[\w@#%:]+:)?[ \t]*\Z"
)
_KEYWORD = re.compile(r"[ \t]*#\+(?P<key>[\w-]+):[ \t]*(?P<value>.*)\Z")
_BLOCK = re.compile(r"[ \t]*#\+(?P<end>begin|end)_(?P<kind>\w+)(?:[ \t]+(?P<language>[\w+-]+))?.*\Z", re.I)
_DRAWER, _DRAWER_END = re.compile(r"[ \t]*:[\w-]+:[ \t]*\Z"), re.compile(r"[ \t]*:END:[ \t]*\Z", re.I)
_PLANNING = re.compile(r"[ \t]*(?:SCHEDULED|DEADLINE|CLOSED|CLOCK):[ \t]*[<\[]")
_LINK = re.compile(r"\[\[(?P<target>[^\[\]\n]{1,500})\](?:\[(?P<shown>[^\[\]\n]{1,500})\])?\]")
_SCHEME = re.compile(r"[a-z+]{2,12}:", re.I)
_CODE = frozenset({"src", "example", "export", "verse"})
_ABOUT = {"author": "author", "date": "date", "description": "description", "language": "language"}
_DEEPEST = 6  # levels of headings that Markdown has


def read_org(text: str, name: str) -> Parsed:
    """Return an Org file as Markdown, under its `#+TITLE`, else the heading that it begins with."""
    reading = _Reading()
    shown = "\n".join([reading.shown(line) for line in without_payloads(text).split("\n")])
    found = {own: reading.said[key] for key, own in _ABOUT.items() if key in reading.said}
    about = facts(**found, tags=bounded(reading.tags), links=bounded(reading.links))
    title = reading.said.get("title", "") or reading.first
    return Parsed(shown, title, from_file(about, {"format": "org"}), lines_of_file=True)


class _Reading:
    """The block or drawer that is open, and what was told so far."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.tags: list[str] = []
        self.links: list[str] = []
        self.first = ""  # the heading of the first level that the text begins with
        self._begun = False
        self._block = ""
        self._drawer = False

    def shown(self, line: str) -> str:
        block = _BLOCK.match(line)
        if self._block:
            ends = block and block["end"].lower() == "end" and block["kind"].lower() == self._block
            self._block = "" if ends else self._block
            return "```" if ends else line
        if self._drawer:
            self._drawer = not (_DRAWER_END.match(line) or line.startswith("*"))
            if self._drawer or not line.startswith("*"):
                return ""
        if block:
            return self._opened(block)
        if _DRAWER.match(line) and not _DRAWER_END.match(line):
            self._drawer = True
            return ""
        return self._line(line)

    def _opened(self, block: re.Match[str]) -> str:
        self._begun = True
        kind = block["kind"].lower()
        if kind not in _CODE or block["end"].lower() == "end":
            return ""  # of a quotation, a centred text: the text in it is text
        self._block = kind
        return f"```{block['language'] or ''}" if kind == "src" else "```"

    def _line(self, line: str) -> str:
        if keyword := _KEYWORD.match(line):
            key, value = keyword["key"].lower(), keyword["value"].strip()
            if key == "filetags":
                self.tags += [tag for tag in re.split(r"[:\s]+", value) if tag]
            elif value:
                self.said.setdefault(key, value)
            return value if key == "caption" else ""
        if _PLANNING.match(line) or line.startswith("# ") or line.strip() == "#":
            return ""
        heading = _HEADING.match(line)
        if not heading:
            self._begun = self._begun or bool(line.strip())
            return _LINK.sub(self._link, line)
        self.tags += [tag for tag in (heading["tags"] or "").strip().split(":") if tag]
        name = _LINK.sub(self._link, heading["name"])
        if not self._begun and len(heading["stars"]) == 1:
            self.first = name
        self._begun = True
        return f"{'#' * min(len(heading['stars']), _DEEPEST)} {name}"

    def _link(self, found: re.Match[str]) -> str:
        target = found["target"]
        if not _SCHEME.match(target) or target.startswith("file:"):
            page = re.sub(r"\.org\Z", "", target.removeprefix("file:").partition("::")[0].lstrip("*#"))
            self.links += [page, page.rpartition("/")[2]]
        elif target.startswith(("id:", "fuzzy:")):
            return found["shown"] or ""
        return found["shown"] or target.removeprefix("file:")

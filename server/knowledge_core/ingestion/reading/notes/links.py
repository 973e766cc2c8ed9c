"""What stands inside the lines of a note: wikilinks, tags, fields, comments. Obsidian's rules, and Logseq's where they differ.

A line is changed to what is shown of it; what it says beside that is told. Nothing is read in code spans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote

from knowledge_core.ingestion.front_matter import value_of

MOST_BYTES = 6000  # of all links of a note, and of all its tags: metadata have room for 16,384
MOST_FIELDS = 30
_LONGEST_VALUE = 500  # characters

_WORTH_A_LOOK = re.compile(r"\[\[|%%|<%|::|\^|#|`\$?=|\.md|\{\{|\(\(")
_TICKS = re.compile(r"`+")
_WIKILINK = re.compile(r"(?P<tag>(?<![^\s(,])#)?(?P<embed>!)?\[\[(?P<inner>[^\s\[\]][^\[\]\n]{0,500})\]\](?![(\[])")
_PAGE_LINK = re.compile(
    r"\]\(<?(?P<page>[^()\s<>:]{1,300}?\.mdx?)(?:#[^()<>\n]{0,300})?>?(?:[ \t][^()\n]{0,200})?\)", re.I
)
_SIZE = re.compile(r"\d+(?:x\d+)?\Z")
_TAG = re.compile(r"(?:(?<![^\s|,;(])(?<!\]\())#([\w/-]{1,100})(?![\w#])")
_COLOUR = re.compile(r"(?:[0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})\Z", re.I)
_COMMENT = re.compile(r"(?<![\w%])%%(?!%).*?(?<!%)%%(?!%)")
_TEMPLATE = re.compile(
    r"<%(?!=)(?:(?!<%|%>).)*%>|\{\{(?:query|embed|renderer)\b[^{}\n]*\}\}|\(\([0-9a-f]{8}-[0-9a-f-]{27}\)\)"
)
_BLOCK_ID = re.compile(r"(?:^|[ \t])\^[A-Za-z0-9_-]{4,40}[ \t]*\Z")
_INLINE_QUERY = re.compile(r"\$?=[ \t]?(?:this|dv)\b")  # a code span of Dataview
_LINE_FIELD = re.compile(
    r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[.\][ \t]+)?)?"
    r"(?P<mark>\*\*|__|\*|_)?(?P<key>[^\W\d_][\w -]{0,39}?)(?(mark)(?P=mark))::[ \t]+(?P<value>\S.*)\Z"
)
_BRACKET_FIELD = re.compile(r"[\[(](?P<key>[^\W\d_][\w -]{0,39})::[ \t]+(?P<value>[^\[\]()\n]{1,500})[\])]")
_OF_BLOCKS = re.compile(
    r"[ \t]*(?:-[ \t]+)?(?:id|collapsed|heading|background-color|ls-type|hl-(?:page|color|stamp)|logseq\.[\w.-]+):: ?\S*[ \t]*\Z"
)
"""Properties that Logseq writes under a block for itself."""


@dataclass
class Told:
    """What the lines of a note say beside their text, in the order of the text."""

    links: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    fields: dict[str, object] = field(default_factory=dict)

    def link(self, page: str) -> None:
        """Take a link to a page: under its name, and under its path where it has one."""
        whole = re.sub(r"\.mdx?\Z", "", page.strip(), flags=re.I)
        self.links += [whole, PurePosixPath(whole).name]

    def say(self, key: str, value: str) -> None:
        """Take a field; of several of one name all values count."""
        said = value_of(value.strip()[:_LONGEST_VALUE])
        if key in self.fields:
            earlier = self.fields[key]
            several = earlier if isinstance(earlier, list) else [str(earlier)]
            self.fields[key] = [*several, str(said)] if len(several) < MOST_FIELDS else several
        elif len(self.fields) < MOST_FIELDS and said is not None:
            self.fields[key] = said


def bounded(names: Iterable[str]) -> list[str]:
    """Return the names, each once, as many from the first as there is room for."""
    kept: dict[str, None] = {}
    room = MOST_BYTES
    for name in names:
        cost = len(json.dumps(name)) + 2
        if name and name not in kept and cost <= room:
            room -= cost
            kept[name] = None
    return list(kept)


def shown_line(line: str, told: Told) -> str:
    """Return what is shown of a line that is no code, and tell what else it says."""
    if not _WORTH_A_LOOK.search(line):
        return line
    if _OF_BLOCKS.match(line):
        return ""
    kept: list[str] = []
    for part, is_code in _parts(line):
        if not is_code:
            kept.append(_shown(part, told))
        elif not _INLINE_QUERY.match(part.strip("`")):
            kept.append(part)
    text = "".join(kept)
    if "::" in text:
        _fields(text, told)
    return _BLOCK_ID.sub("", text) if "^" in text else text


def shown_text(text: str, told: Told | None = None) -> str:
    """Return a text with its wikilinks as they are shown."""
    return _WIKILINK.sub(lambda found: _link(found, told or Told()), text) if "[[" in text else text


def _shown(part: str, told: Told) -> str:
    part = _TEMPLATE.sub("", _COMMENT.sub("", part))
    for found in _PAGE_LINK.finditer(part):
        told.link(unquote(found["page"]))
    for found in _TAG.finditer(_WIKILINK.sub("", part) if "[[" in part else part):
        name = found[1]
        if re.search(r"[^\W\d_]", name) and not (
            _COLOUR.match(name) and (re.search(r"\d", name) or len(set(name)) == 1)
        ):
            told.tags.append(name.strip("/"))
    return shown_text(part, told)


def _link(found: re.Match[str], told: Told) -> str:
    target, _, alias = found["inner"].replace("\\|", "|").partition("|")
    page, *headings = (part.strip() for part in target.split("#"))
    if found["tag"]:
        told.tags.append(page)
        return f"#{page}"
    told.link(page)
    alias = alias.strip().lstrip("#").strip()
    if alias and not (found["embed"] and _SIZE.match(alias)):
        return alias
    return " > ".join(part for part in (page, *headings) if part and not part.startswith("^"))


def _fields(line: str, told: Told) -> None:
    if found := _LINE_FIELD.match(line):
        told.say(found["key"], found["value"])
        return
    for found in _BRACKET_FIELD.finditer(line):
        told.say(found["key"], found["value"])


def _parts(line: str) -> Iterator[tuple[str, bool]]:
    """Yield the code spans of a line, with their ticks, and what is between them."""
    runs = [found.span() for found in _TICKS.finditer(line)]
    places: dict[int, list[int]] = {}
    for number in range(len(runs) - 1, -1, -1):
        places.setdefault(runs[number][1] - runs[number][0], []).append(number)
    at = number = 0
    while number < len(runs):
        start, end = runs[number]
        later = places[end - start]
        while later and later[-1] <= number:
            later.pop()
        if not later:
            number += 1
            continue
        close = later.pop()
        yield line[at:start], False
        yield line[start : runs[close][1]], True
        at, number = runs[close][1], close + 1
    yield line[at:], False

"""What the styles of an OpenDocument file say about its text: headings, code, numbered lists, what is hidden."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

_OASIS = "{urn:oasis:names:tc:opendocument:xmlns:"
OFFICE, TEXT, TABLE, DRAW = (f"{_OASIS}{each}:1.0}}" for each in ("office", "text", "table", "drawing"))
STYLE, META, PRESENTATION = (f"{_OASIS}{each}:1.0}}" for each in ("style", "meta", "presentation"))
SVG = f"{_OASIS}svg-compatible:1.0}}"
MANIFEST = f"{_OASIS}manifest:1.0}}"
DC = "{http://purl.org/dc/elements/1.1/}"
XLINK = "{http://www.w3.org/1999/xlink}"
MATH = "{http://www.w3.org/1998/Math/MathML}"

_HEADING = re.compile(r"heading[ _](\d{1,2})", re.IGNORECASE)
_CODE = re.compile(r"preformatted text|source code|source text|code block|code", re.IGNORECASE)
_HEX = re.compile(r"_([0-9a-fA-F]{2,4})_")  # as names of styles write what is no letter: "Heading_20_1"
_LONGEST_CHAIN = 32  # styles that inherit from each other


class Styles:
    """The styles of one file, automatic and named ones; of two with the same name the first counts."""

    def __init__(self, trees: Iterable[etree._Element]) -> None:
        self._styles: dict[tuple[str, str], etree._Element] = {}
        self._lists: dict[str, dict[int, int]] = {}  # of each list style: numbered level -> its first number
        self._headings: dict[str, int] = {}
        self._codes: dict[str, bool] = {}
        for tree in trees:
            for style in tree.iter(f"{STYLE}style"):
                key = style.get(f"{STYLE}family", ""), style.get(f"{STYLE}name", "")
                self._styles.setdefault(key, style)
            for style in tree.iter(f"{TEXT}list-style"):
                self._lists.setdefault(style.get(f"{STYLE}name", ""), _numbered_levels(style))

    def heading(self, name: str) -> int:
        """Return the level of the headings that paragraphs of this style are; 0 where they are none."""
        if name not in self._headings:
            self._headings[name] = next(
                (level for each in self._chain("paragraph", name) if (level := _level(each))), 0
            )
        return self._headings[name]

    def code(self, name: str) -> bool:
        """Say whether paragraphs of this style are lines of code."""
        if name not in self._codes:
            names = (_shown(each) for each in self._chain("paragraph", name))
            self._codes[name] = any(_CODE.fullmatch(each) for each in names) or bool(_CODE.fullmatch(_decoded(name)))
        return self._codes[name]

    def hidden(self, family: str, name: str) -> bool:
        """Say whether text of this style is hidden."""
        for style in self._chain(family, name):
            properties = style.find(f"{STYLE}text-properties")
            shown = properties.get(f"{TEXT}display") if properties is not None else None
            if shown is not None:
                return bool(shown == "none")
        return False

    def list_of(self, name: str) -> str:
        """Return the list style that a paragraph style brings with it; "" where none."""
        return next(
            (found for each in self._chain("paragraph", name) if (found := each.get(f"{STYLE}list-style-name"))), ""
        )

    def first_number(self, name: str, depth: int) -> int | None:
        """Return the first number of a list of this style at this depth, from 1; None where it has no numbers."""
        return self._lists.get(name, {}).get(depth)

    def _chain(self, family: str, name: str) -> list[etree._Element]:
        """Return the style and those that it inherits from. A circle ends at the bound."""
        found: list[etree._Element] = []
        while name and len(found) < _LONGEST_CHAIN and (style := self._styles.get((family, name))) is not None:
            found.append(style)
            name = style.get(f"{STYLE}parent-style-name", "")
        return found


def _level(style: etree._Element) -> int:
    named = _HEADING.fullmatch(_shown(style))
    level = style.get(f"{STYLE}default-outline-level", "")
    if named or (level.isdecimal() and int(level[:3])):
        return int(named[1]) if named else int(level[:3])
    return 1 if _shown(style).casefold() == "title" else 0


def _shown(style: etree._Element) -> str:
    return str(style.get(f"{STYLE}display-name") or _decoded(style.get(f"{STYLE}name", "")))


def _decoded(name: str) -> str:
    return _HEX.sub(lambda found: chr(int(found[1], 16)), name)


def _numbered_levels(style: etree._Element) -> dict[int, int]:
    levels = {}
    for level in style.iter(f"{TEXT}list-level-style-number"):
        depth, start = level.get(f"{TEXT}level", ""), level.get(f"{TEXT}start-value", "1")
        if depth.isdecimal() and level.get(f"{STYLE}num-format"):
            levels[int(depth[:3])] = int(start[:6]) if start.isdecimal() else 1
    return levels

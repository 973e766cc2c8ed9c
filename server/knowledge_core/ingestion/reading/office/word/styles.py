"""What a paragraph's style makes of it: heading, title, list, code, hidden text. word/styles.xml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.package import W, integer

BODY = 9  # the outline level (w:outlineLvl) of what is no heading
# Word writes "heading 1" into every file, whatever its own language; other programs, and ids, have their own word.
_HEADING = re.compile(
    r"(?:heading|überschrift|berschrift|titre|título|titulo|ttulo|titolo|kop|rubrik|overskrift|otsikko|nagłówek|nagwek|"
    r"nadpis|címsor|cmsor|заголовок|başlık|balk|επικεφαλίδα|encabezado|intestazione|titel|naslov|antraštė|virsraksts|"
    r"pealkiri|標題|标题|見出し|제목|כותרת|عنوان)[\s_-]{0,2}([1-9])(?: char| zchn)?",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"title|titel|titre|título|titulo|titolo|tytuł|название|заголовок|表題|标题|標題|제목", re.IGNORECASE
)
_CONTENTS = re.compile("toc ?heading", re.IGNORECASE)  # above a table of contents; it says itself that it is no heading
_CODE = re.compile(
    r"(?:source ?code|preformatted(?: text)?|code(?: ?block)?|listing|verbatim|"
    r"program ?listing|quelltext|vorformatierter text|macro text)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Style:
    names: tuple[str, str]
    above: str
    outline: int | None
    numbered: tuple[str | None, int | None] | None
    hidden: bool | None


def on(element: etree._Element | None) -> bool | None:
    """Return what a switch such as `w:vanish` says; None where it is not there."""
    return None if element is None else element.get(f"{W}val", "1").lower() not in ("0", "false", "off")


def list_of(properties: etree._Element) -> tuple[str | None, int | None] | None:
    """Return the list (w:numId) and the level (w:ilvl) of a paragraph, as far as its properties give them."""
    found = properties.find(f"{W}numPr")
    if found is None:
        return None
    number, level = found.find(f"{W}numId"), found.find(f"{W}ilvl")
    return (
        None if number is None else number.get(f"{W}val", ""),
        None if level is None else integer(level.get(f"{W}val")),
    )


def outline_of(properties: etree._Element) -> int | None:
    """Return the outline level of a paragraph, from 0, as far as its properties give it."""
    found = properties.find(f"{W}outlineLvl")
    return None if found is None else integer(found.get(f"{W}val"), BODY)


class Styles:
    """The styles of a document by their ids. tree: of word/styles.xml; None where there is none."""

    def __init__(self, tree: etree._Element | None) -> None:
        self._styles: dict[str, _Style] = {}
        self._usual = ""
        for each in [] if tree is None else tree.iterchildren(f"{W}style"):
            id = each.get(f"{W}styleId", "")
            self._styles.setdefault(id, _read(each, id))
            if on_by_default(each):
                self._usual = id
        self.level = lru_cache(maxsize=None)(self._level)
        self.hidden = lru_cache(maxsize=None)(self._hidden)
        self.listed = lru_cache(maxsize=None)(self._listed)
        self.is_code = lru_cache(maxsize=None)(self._is_code)

    def _chain(self, id: str) -> list[_Style]:
        """Return a style and those that it is based on; one that is not defined says no more than its name."""
        chain: list[_Style] = []
        seen: set[str] = set()
        id = id or self._usual
        while id and id not in seen:
            seen.add(id)
            style = self._styles.get(id) or _Style((id, id), "", None, None, None)
            chain.append(style)
            id = style.above
        return chain

    def _level(self, id: str) -> int:
        """Return the level of a heading of this style, from 1; 0 for what is no heading."""
        for style in self._chain(id):
            if style.outline is not None and not any(map(_CONTENTS.fullmatch, style.names)):
                return 0 if style.outline >= BODY else max(style.outline, 0) + 1
            found = next(filter(None, map(_HEADING.fullmatch, style.names)), None)
            if found:
                return int(found[1])
        return 0

    def is_title(self, id: str) -> bool:
        """Say whether the style is that of the document's title."""
        return any(_TITLE.fullmatch(name) for style in self._chain(id)[:2] for name in style.names)

    def _is_code(self, id: str) -> bool:
        return any(_CODE.fullmatch(name) for style in self._chain(id)[:2] for name in style.names)

    def _hidden(self, id: str) -> bool:
        return next((style.hidden for style in self._chain(id) if style.hidden is not None), False)

    def _listed(self, id: str) -> tuple[str | None, int | None]:
        """Return the list and level that a style puts its paragraphs into."""
        number: str | None = None
        level: int | None = None
        for style in self._chain(id):
            if style.numbered:
                number = style.numbered[0] if number is None else number
                level = style.numbered[1] if level is None else level
        return number, level


def on_by_default(style: etree._Element) -> bool:
    """Say whether a style is that of paragraphs which name none."""
    return style.get(f"{W}type") == "paragraph" and style.get(f"{W}default", "0").lower() in ("1", "true", "on")


def _read(style: etree._Element, id: str) -> _Style:
    name, above = style.find(f"{W}name"), style.find(f"{W}basedOn")
    properties = style.find(f"{W}pPr")
    hidden = style.find(f"{W}rPr/{W}vanish")
    names = ("" if name is None else name.get(f"{W}val", "").strip(), id)
    return _Style(
        names,
        "" if above is None else above.get(f"{W}val", ""),
        None if properties is None else outline_of(properties),
        None if properties is None else list_of(properties),
        on(hidden),
    )

"""Lists of Word: which number or bullet stands before a paragraph. word/numbering.xml (ISO/IEC 29500-1, 17.9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import BULLET
from knowledge_core.ingestion.reading.office.ooxml.numbers import letters, ordinal, roman
from knowledge_core.ingestion.reading.office.ooxml.package import W, integer

_PLACE = re.compile("%([1-9])")
_DEEPEST = 9
_LARGEST = 1_000_000_000


@dataclass(frozen=True)
class _Level:
    """One level of a list.

    text: with %1 to %9 for the numbers of the levels.
    style: whose paragraphs are on it.
    restart: the level, from 1, after which it begins anew; None: any that is less deep.
    legal: its label shows the numbers of all levels as digits.
    """

    form: str = "bullet"
    text: str = ""
    start: int = 1
    style: str = ""
    restart: int | None = None
    legal: bool = False


@dataclass(frozen=True)
class _List:
    """A `w:num`. counted: lists with the same value go on with each other's numbers. begins: what a level starts anew with."""

    counted: str
    levels: Mapping[int, _Level]
    begins: Mapping[int, int]


class Numbering:
    """The lists of a document, and where each stands. tree: of word/numbering.xml; None where there is none."""

    def __init__(self, tree: etree._Element | None) -> None:
        self._lists = {} if tree is None else _lists(tree)
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()

    def level_of_style(self, number: str, style: str) -> int:
        """Return the level of a list on which a style's paragraphs are; 0 where none is named."""
        found = self._lists.get(number)
        levels = found.levels.items() if found else ()
        return next((level for level, each in levels if each.style and each.style == style), 0)

    def label(self, number: str, level: int) -> str:
        """Count a paragraph, and return what stands before it: "3.", "b)", "1.2", or `BULLET`; "" for nothing.

        number: the list, as a paragraph names it. A list that is not defined has bullets.
        """
        found = self._lists.get(number)
        level = min(max(level, 0), _DEEPEST - 1)
        if found is None:
            return BULLET
        counts = self._count(number, found, level)
        form = found.levels.get(level, _Level())
        if form.form == "bullet":
            return BULLET
        return _PLACE.sub(lambda each: _number(found, counts, int(each[1]) - 1, form.legal), form.text).strip()

    def _count(self, number: str, found: _List, level: int) -> Mapping[int, int]:
        counts = self._counts.setdefault(found.counted, {})
        begins = found.begins.get(level)
        if begins is not None and (number, level) not in self._begun:
            self._begun.add((number, level))
            counts[level] = begins
        elif level in counts:
            counts[level] += 1
        else:
            counts[level] = found.levels.get(level, _Level()).start
        for above in range(level):
            counts.setdefault(above, found.levels.get(above, _Level()).start)
        for deeper in range(level + 1, _DEEPEST):
            restart = found.levels.get(deeper, _Level()).restart
            if restart is None or level < restart:
                counts.pop(deeper, None)
        return counts


def _number(found: _List, counts: Mapping[int, int], level: int, legal: bool) -> str:
    form = found.levels.get(level, _Level("decimal"))
    if legal:
        return str(counts.get(level, form.start))
    return _FORMS.get(form.form, str)(counts.get(level, form.start))


def _lists(tree: etree._Element) -> dict[str, _List]:
    definitions: dict[str, dict[int, _Level]] = {}
    named: dict[str, str] = {}  # by the name of a list's style, where its definition is
    linked: dict[str, str] = {}
    for each in tree.iterchildren(f"{W}abstractNum"):
        id = each.get(f"{W}abstractNumId", "")
        definitions[id] = dict(_level(level) for level in each.iterchildren(f"{W}lvl"))
        for tag, found in (("styleLink", named), ("numStyleLink", linked)):
            link = each.find(W + tag)
            if link is not None and tag == "styleLink":
                found.setdefault(link.get(f"{W}val", ""), id)
            elif link is not None:
                found[id] = link.get(f"{W}val", "")
    lists: dict[str, _List] = {}
    for each in tree.iterchildren(f"{W}num"):
        abstract = each.find(f"{W}abstractNumId")
        id = "" if abstract is None else abstract.get(f"{W}val", "")
        id = named.get(linked.get(id, ""), id)
        levels, begins = dict(definitions.get(id, {})), {}
        for over in each.iterchildren(f"{W}lvlOverride"):
            at, start, level = integer(over.get(f"{W}ilvl")), over.find(f"{W}startOverride"), over.find(f"{W}lvl")
            if level is not None:
                levels[at] = _level(level)[1]
            if start is not None:
                begins[at] = min(integer(start.get(f"{W}val"), 1), _LARGEST)
        lists[each.get(f"{W}numId", "")] = _List(id, levels, begins)
    return lists


def _level(level: etree._Element) -> tuple[int, _Level]:
    def said(tag: str, otherwise: str = "") -> str:
        found = level.find(W + tag)
        if found is None:  # newer forms stand in a branch for programs that know them, beside one for all others
            found = next(level.iter(W + tag), None)
        return otherwise if found is None else found.get(f"{W}val", otherwise)

    restart = said("lvlRestart")
    start = min(integer(said("start", "0")), _LARGEST)
    return integer(level.get(f"{W}ilvl")), _Level(
        said("numFmt", "decimal"),
        said("lvlText"),
        start,
        said("pStyle"),
        integer(restart) if restart else None,
        level.find(f"{W}isLgl") is not None,
    )


_FORMS: Mapping[str, Callable[[int], str]] = {
    "lowerRoman": roman, "upperRoman": lambda number: roman(number).upper(), "lowerLetter": letters,
    "upperLetter": lambda number: letters(number).upper(), "decimalZero": lambda number: f"{number:02}",
    "ordinal": ordinal, "none": lambda number: "",
}  # fmt: skip

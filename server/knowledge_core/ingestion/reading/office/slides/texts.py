"""The paragraphs of a shape: a list's items with their numbers, or text. Bullets come from layout and master too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import BULLET, Block, Kind, marker, paragraph_block
from knowledge_core.ingestion.reading.office.ooxml.drawing_text import depth, paragraph_text
from knowledge_core.ingestion.reading.office.ooxml.numbers import letters, roman
from knowledge_core.ingestion.reading.office.ooxml.package import A, P, integer
from knowledge_core.ingestion.reading.office.slides.shapes import TITLES, Shape

_FORM = re.compile(r"(arabic|alphaLc|alphaUc|romanLc|romanUc)(Period|ParenR|ParenBoth|Plain)")
_AROUND = {"Period": ("", "."), "ParenR": ("", ")"), "ParenBoth": ("(", ")"), "Plain": ("", "")}
_BULLETS = {A + name for name in ("buNone", "buChar", "buAutoNum", "buBlip")}


def blocks_of(shape: Shape, styles: etree._Element | None) -> Iterator[Block]:
    """Yield the paragraphs of a shape that have text. styles: `p:txStyles` of the master."""
    body = shape.element.find(f"{P}txBody")
    if body is None:
        return
    sources = _sources(shape, body, styles)
    counts: dict[int, int] = {}
    for paragraph in body.iterchildren(f"{A}p"):
        text = paragraph_text(paragraph)
        if not text:
            continue
        level = depth(paragraph)
        bullet = _bullet(paragraph, sources, level)
        counts = {each: count for each, count in counts.items() if each < level or (each == level and _counts(bullet))}
        if bullet is None or bullet.tag == f"{A}buNone":
            yield paragraph_block(text)
            continue
        label = BULLET
        if _counts(bullet):
            counts[level] = counts.get(level, integer(bullet.get("startAt"), 1) - 1) + 1
            label = _label(bullet.get("type", ""), counts[level])
        yield Block(text, Kind.ITEM, level, marker(label))


def _counts(bullet: etree._Element | None) -> bool:
    return bullet is not None and bullet.tag == f"{A}buAutoNum"


def _label(form: str, number: int) -> str:
    found = _FORM.match(form)
    if not found:
        return f"{number}."
    shown = letters(number) if "alpha" in found[1] else roman(number) if "roman" in found[1] else str(number)
    before, after = _AROUND[found[2]]
    return before + (shown.upper() if found[1].endswith("Uc") else shown) + after


def _sources(shape: Shape, body: etree._Element, styles: etree._Element | None) -> Sequence[etree._Element]:
    """Return where a paragraph's bullet is looked for, after the paragraph itself."""
    bodies = [body, *(found for each in shape.above if (found := each.find(f"{P}txBody")) is not None)]
    sources = [found for each in bodies if (found := each.find(f"{A}lstStyle")) is not None]
    if styles is not None and shape.kind:
        usual = styles.find(f"{P}titleStyle" if shape.kind in TITLES else f"{P}bodyStyle")
        sources += [] if usual is None else [usual]
    return sources


def _bullet(paragraph: etree._Element, sources: Sequence[etree._Element], level: int) -> etree._Element | None:
    own = paragraph.find(f"{A}pPr")
    said = [own] if own is not None else []
    said += [found for each in sources if (found := each.find(f"{A}lvl{level + 1}pPr")) is not None]
    return next((each for properties in said for each in properties.iterchildren(*_BULLETS)), None)

"""What a paragraph of Word is: a heading, a list's item with its number, code, or text."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import (
    BULLET,
    TITLE,
    Block,
    Kind,
    marker,
    one_line,
    paragraph_block,
    plain,
)
from knowledge_core.ingestion.reading.office.ooxml.package import W
from knowledge_core.ingestion.reading.office.word.numbering import Numbering
from knowledge_core.ingestion.reading.office.word.styles import BODY, Styles, list_of, outline_of

_LONGEST_HEADING = 250  # characters; a longer paragraph in a heading's style is a numbered clause


@dataclass
class Paragraph:
    """A paragraph that is being read.

    level: of a heading, from 1; 0 for none.
    label: what its list puts before it; depth: how deep it lies in the list.
    initial: it is the large first letter of the next paragraph.
    beside: what stands in it and is read behind it: text boxes, charts. notes: those that it refers to.
    """

    style: str = ""
    level: int = 0
    label: str = ""
    depth: int = 0
    initial: bool = False
    parts: list[str] = field(default_factory=list)
    beside: list[Block] = field(default_factory=list)
    notes: list[Block] = field(default_factory=list)


def begun(element: etree._Element, styles: Styles, numbering: Numbering) -> Paragraph:
    """Return a `w:p` without its text; it is counted in its list."""
    properties = element.find(f"{W}pPr")
    if properties is None:
        properties = etree.Element(f"{W}pPr")
    named = properties.find(f"{W}pStyle")
    style = "" if named is None else named.get(f"{W}val", "")
    outline = outline_of(properties)
    level = styles.level(style) if outline is None else (outline + 1 if 0 <= outline < BODY else 0)
    paragraph = Paragraph(style, level)
    frame = properties.find(f"{W}framePr")
    paragraph.initial = frame is not None and frame.get(f"{W}dropCap", "none") != "none"
    place = _place(properties, style, styles, numbering)
    if place and not _deleted(element, properties):
        number, paragraph.depth = place
        paragraph.label = numbering.label(number, paragraph.depth)
    return paragraph


def _place(properties: etree._Element, style: str, styles: Styles, numbering: Numbering) -> tuple[str, int] | None:
    """Return the list and the level of a paragraph, by its own properties or by its style's; None for none."""
    number, level = list_of(properties) or (None, None)
    if number is None:
        number, of_style = styles.listed(style)
        if level is None:
            level = of_style
        if level is None and number:
            level = numbering.level_of_style(number, style)
    return (number, max(level or 0, 0)) if number and number != "0" else None


def _deleted(element: etree._Element, properties: etree._Element) -> bool:
    """Say whether a tracked change deletes the whole paragraph: its mark, and every run in it."""
    return properties.find(f"{W}rPr/{W}del") is not None and element.find(f"{W}r") is None


def block_of(paragraph: Paragraph, styles: Styles) -> Block | None:
    """Return a paragraph that has been read; None where it has no text."""
    text = "".join(paragraph.parts)
    if styles.is_code(paragraph.style):
        return Block(text.replace("\u00a0", " ").rstrip(), Kind.CODE)
    text = plain(text)
    if not text:
        return None
    if styles.is_title(paragraph.style) and len(text) <= _LONGEST_HEADING:
        return Block(one_line(text), Kind.HEADING, TITLE)
    if paragraph.level and len(text) <= _LONGEST_HEADING:
        label = "" if paragraph.label == BULLET else paragraph.label
        return Block(one_line(f"{label} {text}"), Kind.HEADING, paragraph.level)
    if paragraph.label:
        return Block(text, Kind.ITEM, paragraph.depth, marker(paragraph.label))
    return paragraph_block(text)

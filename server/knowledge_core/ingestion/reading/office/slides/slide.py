"""One slide as text: its title as a heading, what its shapes say, then its notes and comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import Block, Kind, one_line
from knowledge_core.ingestion.reading.office.ooxml.drawing_text import alt_text, paragraphs_text, table_text
from knowledge_core.ingestion.reading.office.ooxml.graphics import GRAPHICS, graphic
from knowledge_core.ingestion.reading.office.ooxml.package import A, P, Package
from knowledge_core.ingestion.reading.office.slides.reading_order import in_reading_order
from knowledge_core.ingestion.reading.office.slides.shapes import FURNITURE, TITLES, Layout, Shape, shapes_of
from knowledge_core.ingestion.reading.office.slides.texts import blocks_of

NOTES = "Notes:"
IMAGE = "Image: "


class Slides:
    """Reads the slides of one package; layouts and masters are kept for all that use them."""

    def __init__(self, package: Package, authors: Mapping[str, str]) -> None:
        self._package, self._authors = package, authors
        self._layouts: dict[str, Sequence[Layout]] = {}

    def read(self, part: str) -> tuple[str, list[Block]]:
        """Return the title of a slide, "" for none, and its blocks with the title among them."""
        tree = self._package.xml(part)
        if tree is None:
            return "", []
        layouts = self._above(part)
        styles = layouts[-1].styles if layouts else None
        shapes = [each for each in shapes_of(tree, layouts) if each.kind not in FURNITURE]
        named = next((each for each in shapes if each.kind in TITLES and paragraphs_text(each.element)), None)
        title = "" if named is None else paragraphs_text(named.element)
        # What has no words is not in the way: a frame around all of them would be.
        said = {id(each): list(self._of_shape(part, each, styles)) for each in shapes if each is not named}
        speaking = in_reading_order([each for each in shapes if said.get(id(each))])
        blocks = [Block(title, Kind.HEADING, 1)] if title else []
        blocks += _once(block for shape in speaking for block in said[id(shape)])
        return title, [*blocks, *self._notes(part), *self._comments(part)]

    def _above(self, part: str) -> Sequence[Layout]:
        """Return a slide's layout, and that layout's master."""
        layout = next(
            (each.target for each in self._package.relations(part).values() if each.kind == "slideLayout"), ""
        )
        if layout not in self._layouts:
            related = self._package.relations(layout).values() if layout else ()
            master = next((each.target for each in related if each.kind == "slideMaster"), "")
            trees = (self._package.xml(each) for each in (layout, master))
            self._layouts[layout] = [Layout(tree) for tree in trees if tree is not None]
        return self._layouts[layout]

    def _of_shape(self, part: str, shape: Shape, styles: etree._Element | None) -> Iterator[Block]:
        element = shape.element
        blocks = list(blocks_of(shape, styles))
        if element.tag == f"{P}graphicFrame":
            for each in element.iter(f"{A}tbl", *GRAPHICS):
                if each.tag == f"{A}tbl":
                    blocks += [Block(said, Kind.MARKDOWN)] if (said := table_text(each)) else []
                else:
                    blocks += graphic(self._package, part, each)
        yield from blocks
        about = next(element.iter(f"{P}cNvPr"), None)
        if about is not None and not (blocks and element.tag == f"{P}sp") and (said := alt_text(about)):
            yield Block(f"{IMAGE}{said}")

    def _notes(self, part: str) -> list[Block]:
        notes = next((each.target for each in self._package.relations(part).values() if each.kind == "notesSlide"), "")
        tree = self._package.xml(notes)
        if tree is None:
            return []
        blocks = [
            block for each in shapes_of(tree, ()) if each.kind not in FURNITURE for block in blocks_of(each, None)
        ]
        return [Block(NOTES), *blocks] if blocks else []

    def _comments(self, part: str) -> Iterator[Block]:
        for relation in self._package.relations(part).values():
            tree = self._package.xml(relation.target) if relation.kind == "comments" else None
            for each in [] if tree is None else tree.iter("{*}cm", "{*}reply"):
                said = one_line(each.findtext(f"{P}text") or "")
                body = each.find("{*}txBody")
                if said := said or ("" if body is None else paragraphs_text(body)):
                    who = self._authors.get(each.get("authorId", ""), "")
                    yield Block(f"Comment ({who}): {said}" if who else f"Comment: {said}")


def _once(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks; what pictures show only once: a sign that stands in five places says it five times."""
    shown: set[str] = set()
    for block in blocks:
        if not (block.text.startswith(IMAGE) and block.text in shown):
            yield block
        shown.add(block.text)

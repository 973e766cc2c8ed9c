"""The text of an OpenDocument part as blocks: paragraphs, headings, lists, tables, notes, comments, boxes.

What a paragraph holds beside its text (notes, comments, text boxes, charts) stands after it, in its order; what the cells
of a table hold beside it stands after the table. Left out: tables of contents and indexes, which repeat headings;
deleted text of tracked changes; hidden text; pictures, save their description. A bibliography is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.formulas import formula
from knowledge_core.ingestion.reading.office.markdown_text import Blocks, is_layout
from knowledge_core.ingestion.reading.office.odf_places import OpenList, OpenTable, Place
from knowledge_core.ingestion.reading.office.odf_styles import (
    DC,
    DRAW,
    MATH,
    OFFICE,
    PRESENTATION,
    SVG,
    TABLE,
    TEXT,
    XLINK,
    Styles,
)  # fmt: skip
from knowledge_core.ingestion.reading.properties import day

_SPACES = re.compile(r"[ \t\r\n]+")
_MOST_SPACES = 1000  # that one element stands for
_COPIES = 200_000  # characters that repeated cells and rows may add to a text
_LEFT_OUT = frozenset(
    {
        *(f"{TEXT}{each}-index" for each in ("illustration", "table", "object", "user", "alphabetical")),
        *(f"{TEXT}{each}" for each in ("table-of-content", "bibliography-source", "tracked-changes", "number", "script")),
        *(f"{OFFICE}{each}" for each in ("forms", "binary-data", "scripts", "event-listeners")),
        *(f"{TEXT}{each}-decls" for each in ("sequence", "variable", "user-field")), f"{TEXT}note-citation",
        f"{TABLE}covered-table-cell", f"{TABLE}shapes", f"{DC}creator", f"{DC}date", f"{TEXT}ruby-text",
        f"{SVG}title", f"{SVG}desc", f"{DRAW}page-thumbnail", f"{PRESENTATION}notes", f"{DRAW}layer-set",
        *(f"{OFFICE}{each}" for each in ("meta", "settings", "styles", "automatic-styles", "master-styles")),
        f"{TEXT}alphabetical-index-auto-mark-file",
    }
)  # fmt: skip
_SKIPPED_YET_ENDED = frozenset({f"{TABLE}covered-table-cell", f"{TEXT}ruby-text"})
_FURNITURE = frozenset({"header", "footer", "date-time", "page-number", "page", "handout"})  # of every slide


class Writer:
    """Writes a tree's text. Not recursive: documents nest deep.

    embedded: returns the tree of an object by its address, or None; called once for an object.
    """

    def __init__(self, styles: Styles, embedded: Callable[[str], etree._Element | None]) -> None:
        self._styles, self._embedded = styles, embedded
        self._places = [Place()]
        self._tables: list[OpenTable] = []
        self._boxes: list[etree._Element] = []  # elements that opened a place inside of a paragraph
        self._last_numbers: dict[tuple[str, int], int] = {}
        self._notes = 0
        self._room = _COPIES
        self._seen: set[str] = set()
        self._start: dict[str, Callable[[etree._Element], bool | None]] = {
            f"{TEXT}p": self._begin_paragraph, f"{TEXT}h": self._begin_paragraph, f"{TEXT}list": self._begin_list,
            f"{TEXT}list-item": self._begin_item, f"{TEXT}note": self._begin_note, f"{OFFICE}annotation": self._begin_note,
            f"{TABLE}table": self._begin_table, f"{TABLE}table-header-rows": self._header,
            f"{TABLE}table-cell": self._begin_cell, f"{TEXT}s": self._space, f"{TEXT}tab": self._space,
            f"{TEXT}line-break": self._space, f"{TEXT}span": self._span, f"{TEXT}section": self._section,
            f"{TEXT}hidden-text": self._section, f"{TEXT}hidden-paragraph": self._section, f"{DRAW}frame": self._frame,
            f"{DRAW}object": self._object, f"{MATH}math": self._math,
        }  # fmt: skip
        self._end: dict[str, Callable[[etree._Element], None]] = {
            f"{TEXT}p": self._end_paragraph, f"{TEXT}h": self._end_paragraph, f"{TEXT}list": self._end_list,
            f"{TEXT}note": self._end_note, f"{OFFICE}annotation": self._end_comment, f"{TABLE}table": self._end_table,
            f"{TABLE}table-header-rows": self._header, f"{TABLE}table-cell": self._end_cell,
            f"{TABLE}covered-table-cell": self._covered, f"{TABLE}table-row": self._end_row,
            f"{TEXT}ruby-text": self._ruby,
        }  # fmt: skip

    @property
    def _place(self) -> Place:
        return self._places[-1]

    def write(self, root: etree._Element, without: Iterable[etree._Element] = ()) -> Blocks:
        """Return the blocks below an element. without: elements that are passed over."""
        self._places, self._tables, self._boxes = [Place()], [], []
        passed, left = set(without), set[etree._Element]()
        walk = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = element.tag
            if event == "start":
                begin = self._start.get(tag)
                if tag in _LEFT_OUT or element in passed or _is_furniture(element) or (begin and begin(element)):
                    walk.skip_subtree()
                    left.add(element)
                else:
                    self._inline(element.text)
                continue
            end = self._end.get(tag)
            if end and (element not in left or tag in _SKIPPED_YET_ENDED):
                end(element)
            if element is not root:
                self._inline(element.tail)
        self._flush()
        return self._places[0].blocks

    def write_below(self, root: etree._Element) -> Blocks:
        """Return the blocks below an element that is itself left out by `write`."""
        written = Blocks()
        for child in root.iterchildren():
            if child.tag not in _LEFT_OUT and not _is_furniture(child):
                written.extend(self.write(child))
        return written

    def _inline(self, text: str | None) -> None:
        if text and self._place.line is not None:
            self._place.line.append(_SPACES.sub(" ", text))

    # Paragraphs, and what begins inside of one -----------------------------------------------------------------------

    def _begin_paragraph(self, element: etree._Element) -> bool | None:
        if self._styles.hidden("paragraph", element.get(f"{TEXT}style-name", "")):
            return True
        self._open_box(element)
        self._place.line = []
        return None

    def _open_box(self, element: etree._Element) -> None:
        """Open a place where a block begins inside of a paragraph: it is in a box that hangs there."""
        if self._place.line is not None:
            self._boxes.append(element)
            self._places.append(Place())

    def _close_box(self, element: etree._Element) -> None:
        if self._boxes and self._boxes[-1] is element:
            self._boxes.pop()
            place = self._places.pop()
            self._place.after += [place.blocks, *place.after]

    def _end_paragraph(self, element: etree._Element) -> None:
        place = self._place
        text, place.line = "".join(place.line or ()), None
        style = element.get(f"{TEXT}style-name", "")
        level = self._level(element, style)
        if level:
            place.blocks.heading(level, text)
        elif place.lists:
            self._item(text)
        elif self._styles.code(style):
            for line in text.split("\n"):
                place.blocks.code(line)
        else:
            place.blocks.paragraph(text)
        self._flush()
        self._close_box(element)

    def _level(self, element: etree._Element, style: str) -> int:
        if element.tag == f"{TEXT}h":
            level = element.get(f"{TEXT}outline-level", "1")
            return max(1, int(level[:3])) if level.isdecimal() else 1
        return 0 if self._place.lists else self._styles.heading(style)

    def _flush(self) -> None:
        """Write what was to stand after a paragraph. In a cell it waits for the end of the table."""
        place = self._place
        if not place.is_cell:
            for blocks in place.after:
                place.blocks.extend(blocks)
            place.after.clear()

    # Parts of a line ---------------------------------------------------------------------------------------------------

    def _space(self, element: etree._Element) -> None:
        if self._place.line is None:
            return
        if element.tag == f"{TEXT}s":
            count = element.get(f"{TEXT}c", "1")
            self._place.line.append(" " * (min(int(count[:5]), _MOST_SPACES) if count.isdecimal() else 1))
        else:
            self._place.line.append("\t" if element.tag == f"{TEXT}tab" else "\n")

    def _span(self, element: etree._Element) -> bool:
        return self._styles.hidden("text", element.get(f"{TEXT}style-name", ""))

    def _section(self, element: etree._Element) -> bool:
        return bool(element.get(f"{TEXT}display") == "none" or element.get(f"{TEXT}is-hidden") == "true")

    def _ruby(self, element: etree._Element) -> None:
        self._inline(f" ({''.join(element.itertext())})")

    def _math(self, element: etree._Element) -> bool:
        text = formula(element)
        if self._place.line is None:
            self._place.blocks.paragraph(text)
        else:
            self._place.line.append(f" {text} ")
        return True

    def _frame(self, element: etree._Element) -> None:
        """Write what describes a picture or an object."""
        said = [
            " ".join("".join(each.itertext()).split()) for each in element.iterchildren(f"{SVG}title", f"{SVG}desc")
        ]
        pictures = element.iterchildren(f"{DRAW}image", f"{DRAW}object", f"{DRAW}plugin")
        words = ". ".join(dict.fromkeys(filter(None, said)))
        if words and next(pictures, None) is not None:
            self._beside(f"[{words}]")

    def _beside(self, text: str) -> None:
        blocks = Blocks()
        blocks.paragraph(text)
        if self._place.line is None and not self._place.is_cell:
            self._place.blocks.extend(blocks)
        else:
            self._place.after.append(blocks)

    def _object(self, element: etree._Element) -> None:
        """Write an embedded formula in the line, and an embedded chart, table or text after the paragraph, once."""
        address = element.get(f"{XLINK}href", "")
        if not address or address in self._seen:
            return
        self._seen.add(address)
        tree = self._embedded(address)
        if tree is None:
            return
        math = next(tree.iter(f"{MATH}math"), None)
        if math is not None:
            self._math(math)
            return
        inner = Writer(Styles([tree]), lambda _: None)
        blocks = inner.write(tree)
        if self._place.line is None and not self._place.is_cell:
            self._place.blocks.extend(blocks)
        else:
            self._place.after.append(blocks)

    # Lists -------------------------------------------------------------------------------------------------------------

    def _begin_list(self, element: etree._Element) -> None:
        self._open_box(element)
        lists = self._place.lists
        style = (
            element.get(f"{TEXT}style-name", "") or (lists[-1].style if lists else "") or self._style_within(element)
        )
        depth = len(lists) + 1
        goes_on = element.get(f"{TEXT}continue-numbering") == "true" or element.get(f"{TEXT}continue-list")
        first = self._styles.first_number(style, depth)
        number = self._last_numbers.get((style, depth), 0) if goes_on else (first or 1) - 1
        lists.append(OpenList(style, first is not None, number))

    def _style_within(self, element: etree._Element) -> str:
        """Return the list style that the first paragraph of a list without a style brings with it."""
        item = next(element.iterchildren(f"{TEXT}list-item"), None)
        paragraph = next(item.iterchildren(f"{TEXT}p"), None) if item is not None else None
        return self._styles.list_of(paragraph.get(f"{TEXT}style-name", "")) if paragraph is not None else ""

    def _begin_item(self, element: etree._Element) -> None:
        if lists := self._place.lists:
            start = element.get(f"{TEXT}start-value", "")
            lists[-1].number = int(start[:6]) if start.isdecimal() else lists[-1].number + 1
            lists[-1].item_open = True

    def _item(self, text: str) -> None:
        """Write a paragraph of a list: the first of an item with its mark, further ones below it."""
        lists = self._place.lists
        marker = ""
        if lists[-1].item_open and text.strip():
            marker = f"{lists[-1].number}. " if lists[-1].numbered else "- "
            lists[-1].item_open = False
        self._place.blocks.item(len(lists), marker, text)

    def _end_list(self, element: etree._Element) -> None:
        lists = self._place.lists
        if lists:
            self._last_numbers[lists[-1].style, len(lists)] = lists[-1].number
            lists.pop()
        self._close_box(element)

    # Notes and comments ------------------------------------------------------------------------------------------------

    def _begin_note(self, element: etree._Element) -> None:
        if element.tag == f"{TEXT}note":
            self._notes += 1
            self._inline(f"[{_mark(element) or self._notes}]")
        self._places.append(Place())

    def _end_note(self, element: etree._Element) -> None:
        self._close_note(f"[{_mark(element) or self._notes}]")

    def _end_comment(self, element: etree._Element) -> None:
        author = " ".join(element.findtext(f"{DC}creator", "").split())
        about = ", ".join(filter(None, (author, day(element.findtext(f"{DC}date", "")))))
        self._close_note(f"Comment ({about}):" if about else "Comment:")

    def _close_note(self, words: str) -> None:
        place = self._places.pop()
        if place.blocks:
            place.blocks.prefix(words)
            self._place.after.append(place.blocks)
            if self._place.line is None:
                self._flush()

    # Tables ------------------------------------------------------------------------------------------------------------

    def _begin_table(self, element: etree._Element) -> None:
        self._open_box(element)
        self._tables.append(OpenTable())

    def _header(self, element: etree._Element) -> None:
        if self._tables:
            self._tables[-1].in_header = not self._tables[-1].in_header

    def _begin_cell(self, element: etree._Element) -> None:
        self._places.append(Place(is_cell=True))

    def _covered(self, element: etree._Element) -> None:
        if self._tables:
            self._tables[-1].cells += [""] * self._times(element, "columns", 0)

    def _end_cell(self, element: etree._Element) -> None:
        place = self._places.pop()
        if not self._tables:
            return
        if place.blocks:
            self._tables[-1].parts.append(place.blocks)
        self._tables[-1].after += place.after
        text = place.blocks.plain()
        self._tables[-1].cells += [text] * self._times(element, "columns", len(text))

    def _end_row(self, element: etree._Element) -> None:
        if not self._tables:
            return
        table = self._tables[-1]
        cells, table.cells = table.cells, []
        if any(cells):
            times = self._times(element, "rows", sum(len(each) + 1 for each in cells))
            table.rows += [cells] * times
            table.headers += times if table.in_header else 0

    def _times(self, element: etree._Element, what: str, size: int) -> int:
        """Return how often a cell or row of this many characters is written: as it says, as long as there is room."""
        said = element.get(f"{TABLE}number-{what}-repeated", "1")
        wanted = int(said[:7]) if said.isdecimal() else 1
        copies = max(0, min(wanted - 1, self._room // (size + 1)))
        self._room -= copies * (size + 1)
        return 1 + copies

    def _end_table(self, element: etree._Element) -> None:
        if not self._tables:
            return
        table, place = self._tables.pop(), self._place
        rows = table.finished()
        if rows and is_layout(rows):
            for part in table.parts:
                place.blocks.extend(part)
        else:
            place.blocks.table(rows)
        place.after += table.after
        if place.line is None:
            self._flush()
        self._close_box(element)


def _mark(note: etree._Element) -> str:
    return " ".join("".join(note.findtext(f"{TEXT}note-citation", "")).split())[:20]


def _is_furniture(element: etree._Element) -> bool:
    """Say whether it is what every slide repeats, or a place for text that nobody wrote."""
    return element.get(f"{PRESENTATION}class") in _FURNITURE or element.get(f"{PRESENTATION}placeholder") == "true"

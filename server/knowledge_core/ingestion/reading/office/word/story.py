"""The text of Word's markup (ISO/IEC 29500-1, chapter 17) in the order of reading: a body, a footnote, a comment.

One walk over the tree with stacks of its own: nothing recurses, however deep a document nests. Deleted and hidden text,
field codes and the second variant of what is stored twice (a text box for older programs) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.ooxml.blocks import MOST_COLUMNS, Block, Kind, one_line, plain
from knowledge_core.ingestion.reading.office.ooxml.drawing_text import alt_text, paragraph_text, raised, table_text
from knowledge_core.ingestion.reading.office.ooxml.equations import equation
from knowledge_core.ingestion.reading.office.ooxml.graphics import GRAPHICS
from knowledge_core.ingestion.reading.office.ooxml.package import MC, A, M, R, W, integer, skipped_variant
from knowledge_core.ingestion.reading.office.word.numbering import Numbering
from knowledge_core.ingestion.reading.office.word.paragraphs import Paragraph, begun, block_of
from knowledge_core.ingestion.reading.office.word.styles import Styles, on
from knowledge_core.ingestion.reading.office.word.symbols import symbol
from knowledge_core.ingestion.reading.office.word.tables import Row, row_of, table_blocks, width_of

_DEEPEST = 20  # tables, text boxes or fields within each other; what lies deeper is read as part of what is around it
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_V = "{urn:schemas-microsoft-com:vml}"
_FILE = re.compile(r"[/\\]|\.(?:png|jpe?g|gif|bmp|[ew]mf)$", re.IGNORECASE)


class Around(Protocol):
    """What a story needs of its document."""

    styles: Styles
    numbering: Numbering

    def note(self, kind: str, id: str) -> tuple[str, list[Block]]:
        """Return the mark of a note or comment in the text, and the blocks to put after the paragraph."""

    def graphic(self, element: etree._Element) -> list[Block]:
        """Return the words of a chart or diagram."""

    def other_part(self, id: str) -> list[Block]:
        """Return what is in a part of another format that stands in the text."""


@dataclass
class _Flow:
    """Blocks one below the other: a body, a cell, a text box. waiting: notes that stand after the list that they are in."""

    blocks: list[Block] = field(default_factory=list)
    waiting: list[Block] = field(default_factory=list)

    def add(self, block: Block) -> None:
        in_list = block.kind is Kind.ITEM and self.blocks and self.blocks[-1].kind is Kind.ITEM
        if self.waiting and not in_list:
            self.close()
        self.blocks.append(block)

    def close(self) -> None:
        self.blocks += self.waiting
        self.waiting = []


@dataclass
class _Table:
    """A table that is being read. own: else it is too deep, and its cells are part of what is around it."""

    own: bool
    rows: list[Row] = field(default_factory=list)
    notes: list[Block] = field(default_factory=list)


class Story:
    """One reading of one tree. Methods that begin an element say whether all that is in it is done with."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._flows = [_Flow()]
        self._paragraphs: list[Paragraph] = []
        self._tables: list[_Table] = []
        self._cells: list[tuple[_Table, Row, int] | None] = []  # of each open cell: where it belongs; None: too deep
        self._boxes: list[bool] = []  # of each open text box: whether it has a flow of its own
        self._fields: list[bool] = []  # of each open field: whether its code is read now, not its result
        self._initial = ""
        self._raised = False  # whether the run stands above the line

    def read(self, root: etree._Element) -> list[Block]:
        """Return the blocks of a tree."""
        walk = etree.iterwalk(root, events=("start", "end"), tag=_TOLD)
        for event, element in walk:
            if event == "end":
                if end := _ENDS.get(element.tag):
                    end(self)
            elif element.tag in _LEFT_OUT or ((start := _STARTS.get(element.tag)) and start(self, element)):
                walk.skip_subtree()
        while self._paragraphs:
            self._end_paragraph()
        self._flows[0].close()
        return self._flows[0].blocks

    def _say(self, text: str) -> None:
        if any(self._fields):
            return
        if self._paragraphs:
            self._paragraphs[-1].parts.append(text)
        elif text.strip():
            self._flows[-1].add(Block(plain(text)))

    def _beside(self, blocks: Sequence[Block]) -> None:
        if self._paragraphs:
            self._paragraphs[-1].beside += blocks
        else:
            for block in blocks:
                self._flows[-1].add(block)

    def _paragraph(self, element: etree._Element) -> bool:
        paragraph = begun(element, self._around.styles, self._around.numbering)
        paragraph.parts.append(self._initial)
        self._initial = ""
        self._paragraphs.append(paragraph)
        return False

    def _end_paragraph(self) -> None:
        if not self._paragraphs:
            return
        paragraph = self._paragraphs.pop()
        self._fields = [False] * len(self._fields)  # a code that goes on behind its paragraph has lost its end
        flow = self._flows[-1]
        if paragraph.initial:
            self._initial = "".join(paragraph.parts).strip()
        elif block := block_of(paragraph, self._around.styles):
            flow.add(block)
        for block in paragraph.beside:
            flow.add(block)
        flow.waiting += paragraph.notes

    def _run(self, element: etree._Element) -> bool:
        """Begin a run; one that is hidden, by itself or by its styles, is left out."""
        properties = element.find(f"{W}rPr")
        styles = self._around.styles
        self._raised = False
        if properties is not None:
            place = properties.find(f"{W}vertAlign")
            self._raised = place is not None and place.get(f"{W}val") == "superscript"
            hidden = on(properties.find(f"{W}vanish"))
            if hidden is not None:
                return hidden
            style = properties.find(f"{W}rStyle")
            if style is not None and styles.hidden(style.get(f"{W}val", "")):
                return True
        return bool(self._paragraphs) and styles.hidden(self._paragraphs[-1].style)

    def _text(self, element: etree._Element) -> bool:
        text = element.text or ""
        self._say(raised(text) if self._raised else text)
        return True

    def _symbol(self, element: etree._Element) -> bool:
        self._say(symbol(element.get(f"{W}font", ""), element.get(f"{W}char", "")))
        return True

    def _field(self, element: etree._Element) -> bool:
        kind = element.get(f"{W}fldCharType")
        if kind == "begin":
            self._say(_chosen(element))
            self._fields += [True] if len(self._fields) < _DEEPEST else []
        elif kind == "separate" and self._fields:
            self._fields[-1] = False
        elif kind == "end" and self._fields:
            self._fields.pop()
        return True

    def _reference(self, element: etree._Element) -> bool:
        kind = element.tag[len(W) :].removesuffix("Reference")
        mark, blocks = self._around.note(kind, element.get(f"{W}id", ""))
        self._say(mark)
        notes = self._paragraphs[-1].notes if self._paragraphs else self._flows[-1].waiting
        notes += blocks
        return True

    def _equation(self, element: etree._Element) -> bool:
        self._say(equation(element))
        return True

    def _ruby(self, element: etree._Element) -> bool:
        """Take a word with the way to say it above: 漢字(かんじ)."""
        said = _texts(element.find(f"{W}rt"))
        self._say(_texts(element.find(f"{W}rubyBase")) + (f"({said})" if said else ""))
        return True

    def _picture(self, element: etree._Element) -> bool:
        if said := alt_text(element):
            self._beside([Block(f"Image: {said}")])
        return False

    def _older_shape(self, element: etree._Element) -> bool:
        said = one_line(element.get("alt", ""))
        if said and not _FILE.search(said):
            self._beside([Block(f"Image: {said}")])
        return False

    def _lettering(self, element: etree._Element) -> bool:
        if said := plain(element.get("string", "")):
            self._beside([Block(said)])
        return False

    def _graphic(self, element: etree._Element) -> bool:
        self._beside(self._around.graphic(element))
        return True

    def _drawn_paragraph(self, element: etree._Element) -> bool:
        if said := paragraph_text(element):
            self._beside([Block(said)])
        return True

    def _drawn_table(self, element: etree._Element) -> bool:
        if said := table_text(element):
            self._beside([Block(said, Kind.MARKDOWN)])
        return True

    def _other_part(self, element: etree._Element) -> bool:
        self._beside(self._around.other_part(element.get(f"{R}id", "")))
        return True

    def _variant(self, element: etree._Element) -> bool:
        return skipped_variant(element)

    def _box(self, _: etree._Element) -> bool:
        own = len(self._flows) <= _DEEPEST and bool(self._paragraphs)
        self._boxes.append(own)
        if own:
            self._flows.append(_Flow())
        return False

    def _end_box(self) -> None:
        if self._boxes.pop():
            flow = self._flows.pop()
            flow.close()
            self._beside(flow.blocks)

    def _table(self, _: etree._Element) -> bool:
        self._tables.append(_Table(own=len(self._flows) <= _DEEPEST))
        return False

    def _end_table(self) -> None:
        table = self._tables.pop()
        for block in table_blocks(table.rows):
            self._flows[-1].add(block)
        self._flows[-1].waiting += table.notes

    def _row(self, element: etree._Element) -> bool:
        row = row_of(element.find(f"{W}trPr"))
        if row is not None and self._tables and self._tables[-1].own:
            self._tables[-1].rows.append(row)
        return row is None

    def _cell(self, element: etree._Element) -> bool:
        table = self._tables[-1] if self._tables else None
        if table is None or not table.rows:
            self._cells.append(None)
            return False
        row = table.rows[-1]
        # In a row that is too long, the text of further cells is added to the last.
        width = min(width_of(element.find(f"{W}tcPr")), MOST_COLUMNS - len(row.cells))
        row.cells += [[] for _ in range(width)]
        self._cells.append((table, row, len(row.cells) - max(width, 1)))
        self._flows.append(_Flow())
        return False

    def _end_cell(self) -> None:
        if place := self._cells.pop():
            table, row, at = place
            flow = self._flows.pop()
            row.cells[at] += flow.blocks
            table.notes += flow.waiting


def _texts(element: etree._Element | None) -> str:
    return "" if element is None else "".join(each.text or "" for each in element.iter(f"{W}t")).strip()


def _chosen(begin: etree._Element) -> str:
    """Return what a person chose in a field of a form: an entry of its list, or a box."""
    boxes, entries = begin.find(f".//{W}checkBox"), begin.find(f".//{W}ddList")
    if boxes is not None:
        state = on(boxes.find(f"{W}checked"))
        return "☒" if (on(boxes.find(f"{W}default")) if state is None else state) else "☐"
    if entries is None:
        return ""
    result = entries.find(f"{W}result")
    texts = [each.get(f"{W}val", "") for each in entries.iterchildren(f"{W}listEntry")]
    at = 0 if result is None else integer(result.get(f"{W}val"))
    return texts[at] if 0 <= at < len(texts) else ""


def _saying(text: str) -> Callable[[Story, etree._Element], bool]:
    def say(story: Story, _: etree._Element) -> bool:
        story._say(text)
        return True

    return say


_LEFT_OUT = frozenset(
    [W + name for name in ("pPr", "rPr", "tblPr", "tblPrEx", "tblGrid", "trPr", "tcPr", "sectPr", "sdtPr", "sdtEndPr",
                           "instrText", "delText", "delInstrText", "del", "moveFrom", "fldData")]
)  # fmt: skip
_STARTS: Mapping[str, Callable[[Story, etree._Element], bool]] = {
    f"{W}p": Story._paragraph, f"{W}r": Story._run, f"{W}t": Story._text, f"{W}tab": _saying("\t"),
    f"{W}ptab": _saying("\t"), f"{W}br": _saying("\n"), f"{W}cr": _saying("\n"), f"{W}noBreakHyphen": _saying("-"),
    f"{W}sym": Story._symbol, f"{W}fldChar": Story._field, f"{W}footnoteReference": Story._reference,
    f"{W}endnoteReference": Story._reference, f"{W}commentReference": Story._reference, f"{M}oMath": Story._equation,
    f"{W}ruby": Story._ruby, f"{_WP}docPr": Story._picture, f"{_V}shape": Story._older_shape,
    f"{_V}textpath": Story._lettering, f"{A}p": Story._drawn_paragraph, f"{A}tbl": Story._drawn_table,
    f"{W}altChunk": Story._other_part, f"{MC}Choice": Story._variant, f"{MC}Fallback": Story._variant,
    f"{W}txbxContent": Story._box, f"{W}tbl": Story._table, f"{W}tr": Story._row, f"{W}tc": Story._cell,
    **dict.fromkeys(GRAPHICS, Story._graphic),
}  # fmt: skip
_ENDS: Mapping[str, Callable[[Story], None]] = {
    f"{W}p": Story._end_paragraph, f"{W}txbxContent": Story._end_box, f"{W}tbl": Story._end_table,
    f"{W}tc": Story._end_cell,
}  # fmt: skip
_TOLD = (*_LEFT_OUT, *_STARTS)  # all other elements are passed through

"""Word 97 to 2003 (MS-DOC), Word 6 and 95: paragraphs with headings, lists, tables, footnotes and comments.

The text is a list of pieces (MS-DOC 2.4.1). How a paragraph looks is found by its place in the file; where that is damaged,
paragraphs are plain.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.legacy.compound import Compound
from knowledge_core.ingestion.reading.legacy.paragraph_properties import Look, looks
from knowledge_core.ingestion.reading.legacy.summary import summary
from knowledge_core.ingestion.reading.literal import literal
from knowledge_core.ingestion.reading.parsed import Parsed, table
from knowledge_core.ingestion.unreadable import Unreadable

_ENCRYPTED, _OTHER_TABLE, _COMPLEX = 0x0100, 0x0200, 0x0004  # of the head's flags
_WORD_97, _WORD_6 = 0xC1, 0x65  # versions of the format
_FAR_EAST = (0xA697, 0xA698, 0xA699)  # Word 95 of these languages writes two bytes a character
# Language of the program to the encoding of its 8-bit texts, before Unicode; cp1252 for all others.
_ENCODINGS = {
    0x0419: "cp1251", 0x0422: "cp1251", 0x0402: "cp1251", 0x0408: "cp1253", 0x041F: "cp1254", 0x040D: "cp1255",
    0x0401: "cp1256", 0x0405: "cp1250", 0x0415: "cp1250", 0x040E: "cp1250", 0x041A: "cp1250", 0x041B: "cp1250",
    0x0411: "cp932", 0x0804: "cp936", 0x0404: "cp950", 0x0412: "cp949",
}  # fmt: skip
_PLACES = {"Clx": 0x1A2, "Papx": 0x102, "Stsh": 0xA2, "footnotes": 0xAA, "endnotes": 0x20A}  # in the head
_PARAGRAPH = re.compile("[\r\x07\x0c]")
_PAIR, _HALF = re.compile("[\U00010000-\U0010ffff]"), re.compile("[\ud800-\udfff]")
_ITEM = re.compile(r" {0,16}- ")
_FIELD = re.compile("[\x13\x14\x15]")
_IN_CODE = re.compile(
    "\x13[ ]?(?:EQ [^\x13-\x15]{0,500},|MACROBUTTON[ ]+[^\x13-\x15 ]{1,100}[ ])([^,()\x13-\x15]{1,300})\\)?[ \r]?\x15"
)
_SPECIAL = str.maketrans({
    "\x0b": "\n", "\x0e": "\n", "\x1e": "-", "\xa0": " ",
    **dict.fromkeys("\x00\x01\x02\x03\x04\x05\x06\x08\x13\x14\x15\x1f\xad", None),
})  # fmt: skip
_MAIN, _FOOTNOTES, _HEADERS, _MACROS, _COMMENTS, _ENDNOTES, _BOXES = range(7)


@dataclass(frozen=True)
class _Piece:
    """Characters start to end of the text, at `offset` of the stream in bytes. wide: two bytes each."""

    start: int
    end: int
    offset: int
    wide: bool


@dataclass
class _Words:
    """All texts of a document, one behind the other: main text, footnotes, headers, macros, comments, endnotes, boxes.

    ends: where in `text` each of them ends.
    marks: of the characters that refer to a footnote or endnote.
    looks: as of `looks`.
    """

    text: str
    pieces: list[_Piece]
    ends: list[int]
    marks: frozenset[int] = frozenset()
    looks: list[tuple[int, Look]] = field(default_factory=list)

    def part(self, which: int) -> tuple[int, int]:
        return (self.ends[which - 1] if which else 0), min(self.ends[which], len(self.text))

    def look(self, character: int) -> Look:
        if not self.looks:
            return Look()
        piece = self.pieces[max(0, bisect_right(self.pieces, character, key=lambda each: each.start) - 1)]
        place = piece.offset + (character - piece.start) * (2 if piece.wide else 1)
        at = bisect_right(self.looks, place, key=lambda each: each[0]) - 1
        return self.looks[at][1] if at >= 0 else Look()


def read_doc(data: bytes, name: str) -> Parsed:
    """Return a document of an older Word as Markdown.

    Raises:
        Unreadable: "encrypted"; "damaged"; "unsupported" where it is of a Word before 6.
    """
    file = Compound(data, name)
    stream = file.read("WordDocument")
    if len(stream) < 0x60:
        raise Unreadable("damaged", f"{name} is not a sound Word document. Open it and save it anew.")
    magic, version, _, language, _, flags = struct.unpack_from("<6H", stream)
    if flags & _ENCRYPTED:
        raise Unreadable("encrypted", f"{name} needs a password. Save a copy without one.")
    if version < _WORD_6:
        raise Unreadable("unsupported", f"{name} is of a Word before version 6. Save it as DOCX.")
    if version >= _WORD_97:
        words = _of_97(stream, file.read("1Table" if flags & _OTHER_TABLE else "0Table"), file.read("Data"))
    else:
        wide = magic in _FAR_EAST
        words = _of_95(stream, flags, "utf-16-le" if wide else _ENCODINGS.get(language, "cp1252"))
    title, about = summary(file)
    text = clean_text(_joined(_tight(_document(words))))
    heading = re.match("# ([^\n]+)", text)
    return Parsed(text, title or (heading[1] if heading else ""), from_file(about, {"format": "doc"}))


def _of_97(stream: bytes, tables: bytes, more: bytes) -> _Words:
    def part(what: str) -> bytes:
        if len(stream) < _PLACES[what] + 8:
            return b""
        at, size = struct.unpack_from("<II", stream, _PLACES[what])
        return tables[at : at + size]

    pieces = _pieces(part("Clx"), wide=True) or _one_piece(stream)
    marks = frozenset(_positions(part("footnotes")) + _positions(part("endnotes")))
    return _Words(
        _without_codes(_text(stream, pieces, "cp1252")), pieces, _ends(stream, 0x4C), marks,
        looks(stream, part("Papx"), part("Stsh"), more),
    )  # fmt: skip


def _of_95(stream: bytes, flags: int, encoding: str) -> _Words:
    wide = encoding == "utf-16-le"
    pieces: list[_Piece] = []
    if flags & _COMPLEX and len(stream) >= 0x168:
        at, size = struct.unpack_from("<II", stream, 0x160)
        pieces = _pieces(stream[at : at + size], wide=False)
    pieces = [replace(each, wide=wide) for each in pieces or _one_piece(stream)]
    return _Words(_without_codes(_text(stream, pieces, encoding)), pieces, _ends(stream, 0x34))


def _ends(stream: bytes, at: int) -> list[int]:
    lengths = struct.unpack_from("<8i", stream.ljust(at + 32, b"\0"), at)
    return [sum(max(0, each) for each in lengths[: number + 1]) for number in range(8)]


def _one_piece(stream: bytes) -> list[_Piece]:
    start, end = struct.unpack_from("<II", stream, 0x18)
    return [_Piece(0, max(0, min(end, len(stream)) - start), start, wide=False)]


def _pieces(table_of_pieces: bytes, *, wide: bool) -> list[_Piece]:
    """Return the pieces of the text. wide: a piece may have two bytes a character, as of Word 97."""
    data, at = table_of_pieces, 0
    while at + 5 <= len(data) and data[at] == 1:  # changes that pieces refer to
        at += 3 + struct.unpack_from("<H", data, at + 1)[0]
    if at + 5 > len(data) or data[at] != 2:
        return []
    data = data[at + 5 : at + 5 + struct.unpack_from("<I", data, at + 1)[0]]
    count = max(0, (len(data) - 4) // 12)
    starts = struct.unpack_from(f"<{count + 1}I", data) if count else ()
    pieces: list[_Piece] = []
    for number in range(count):
        (place,) = struct.unpack_from("<I", data, (count + 1) * 4 + number * 8 + 2)
        two = wide and not place & 0x40000000
        offset = place if not wide else place & 0x3FFFFFFF if two else (place & 0x3FFFFFFF) // 2
        if starts[number] == (pieces[-1].end if pieces else 0) and starts[number + 1] > starts[number]:
            pieces.append(_Piece(starts[number], starts[number + 1], offset, two))
    return pieces


def _text(stream: bytes, pieces: Sequence[_Piece], encoding: str) -> str:
    """Return the text; a piece that lies outside of the stream counts as NULs up to its length, within the stream's size."""
    parts: list[str] = []
    room = 2 * len(stream)  # characters: pieces may lie one over the other
    for piece in pieces:
        length = min(piece.end - piece.start, room)
        room -= length
        raw = stream[piece.offset : piece.offset + length * (2 if piece.wide else 1)]
        text = _units(raw) if piece.wide else raw.decode(encoding, "replace")
        parts.append(text.ljust(length, "\0") if encoding == "cp1252" or piece.wide else text)
    return "".join(parts)


def _units(raw: bytes) -> str:
    """Decode UTF-16 to one character a unit: places in the text count units, so pairs stay two halves until the end."""
    text = raw[: len(raw) // 2 * 2].decode("utf-16-le", "surrogatepass")
    return _PAIR.sub(lambda found: "".join(map(chr, struct.unpack("<HH", found[0].encode("utf-16-le")))), text)


def _joined(text: str) -> str:
    """Return a text whose halves of pairs are characters again."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if _HALF.search(text) else text


def _positions(part: bytes) -> list[int]:
    """Return the characters that a table of references, with two bytes for each, speaks of."""
    count = max(0, (len(part) - 4) // 6)
    return list(struct.unpack_from(f"<{count}I", part)) if count else []


def _without_codes(text: str) -> str:
    """Return a text of the same length with NULs in place of the codes of fields, of which only the results are read.

    What stands in the code of a field without a result is kept: words with their reading above them, and words to click on.
    """
    text = _IN_CODE.sub(lambda found: found[1].rjust(len(found[0]), "\0"), text)
    parts: list[str] = []
    in_code: list[bool] = []  # of the open fields, outermost first
    hidden = begin = 0
    for found in _FIELD.finditer(text):
        run = text[begin : found.start()]
        parts.append("\0" * len(run) if hidden else run)
        begin = found.start()
        if found[0] == "\x13":
            in_code.append(True)
            hidden += 1
        elif in_code:
            hidden -= in_code[-1]
            if found[0] == "\x14":
                in_code[-1] = False
            else:
                in_code.pop()
    return "".join([*parts, text[begin:]])


def _document(words: _Words) -> Iterator[str]:
    """Yield the main text, each footnote behind the block that refers to it, then text boxes and comments."""
    notes = [*_pieces_of(words, _FOOTNOTES), *_pieces_of(words, _ENDNOTES)]
    start, end = words.part(_MAIN)
    shown = 0
    for block, count in _blocks(words, start, end or len(words.text)):
        if block.strip():
            yield block
        for number in range(shown, min(count, len(notes))):
            yield f"[{number + 1}] {notes[number]}"
        shown = count
    yield from (f"[{number + 1}] {note}" for number, note in enumerate(notes) if number >= shown)
    yield from (literal(text) for text in _lines(words, _BOXES))
    yield from (f"Comment: {text}" for text in _lines(words, _COMMENTS))
    if not words.text[start:end].translate(_SPECIAL).strip():
        yield from (literal(text) for text in _lines(words, _HEADERS))


def _tight(blocks: Iterator[str]) -> str:
    """Return the blocks with empty lines between them, save between the items of a list."""
    parts: list[str] = []
    for block in blocks:
        item = _ITEM.match(block) is not None
        if parts:
            parts.append("\n" if item and _ITEM.match(parts[-1]) else "\n\n")
        parts.append(block)
    return "".join(parts)


def _blocks(words: _Words, start: int, end: int) -> Iterator[tuple[str, int]]:
    """Yield paragraphs and tables, each with the number of footnotes referred to so far."""
    count = 0
    rows: list[list[str]] = []
    row: list[str] = []
    cell: list[str] = []
    for begin, stop in _paragraph_spans(words.text, start, end):
        text, count = _marked(words, begin, stop, count)
        mark, look = words.text[stop : stop + 1], words.look(stop)
        if mark == "\x07":
            before = words.text[begin - 1 : begin] if begin > start else ""
            # A cell that does not know of its table: the looks are damaged, and an empty cell behind a cell ends the row.
            if look.ends_row or (not look.in_table and not text and before == "\x07"):
                rows.append(row)
                row, cell = [], []
            else:
                row.append(" ".join([*cell, text]))
                cell = []
        elif look.in_table:
            cell.append(text)
        else:
            if rows or row:
                yield table([each for each in [*rows, row] if any(each)]), count
                rows, row, cell = [], [], []
            yield _written(text, look), count
    yield table([each for each in [*rows, row] if any(each)]), count


def _paragraph_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in _PARAGRAPH.finditer(text, start, end):
        yield start, found.start()
        start = found.end()
    if start < end:
        yield start, end


def _marked(words: _Words, begin: int, stop: int, count: int) -> tuple[str, int]:
    """Return a paragraph's text with numbers for its footnotes, and how many there were so far."""
    parts: list[str] = []
    place = begin - 1
    for run in words.text[begin:stop].split("\x02"):
        if place in words.marks:
            count += 1
            parts.append(f"[{count}]")
        parts.append(run)
        place += len(run) + 1
    return "".join(parts).translate(_SPECIAL).strip(), count


def _written(text: str, look: Look) -> str:
    if not text:
        return ""
    if look.heading:
        return f"{'#' * min(6, look.heading)} {' '.join(text.split())}"
    if look.list_level >= 0:
        return f"{'  ' * look.list_level}- {' '.join(text.split())}"
    return literal("\n".join(line.strip() for line in text.split("\n")))


def _lines(words: _Words, which: int) -> Iterator[str]:
    start, end = words.part(which)
    for begin, stop in _paragraph_spans(words.text, start, end):
        if text := words.text[begin:stop].translate(_SPECIAL).strip():
            yield " ".join(text.split())


def _pieces_of(words: _Words, which: int) -> list[str]:
    """Return the notes of a part; each begins with its mark."""
    start, end = words.part(which)
    found = words.text[start:end].replace("\r", "\n").split("\x02")
    return [" ".join(text.translate(_SPECIAL).split()) for text in found[1:]]

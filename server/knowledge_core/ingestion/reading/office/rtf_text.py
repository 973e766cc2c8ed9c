"""The text of a rich text file as blocks, by its control words (Rich Text Format 1.9.1).

What a group is for is said by its first word, its destination. Those that hold no text of the document are passed over:
pictures, objects, headers and footers, properties. Hidden text, text that was deleted, and tables of contents are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.office.markdown_text import Blocks
from knowledge_core.ingestion.reading.office.rtf_places import Paragraph, Place
from knowledge_core.ingestion.reading.office.rtf_tokens import (
    Tokens,
    codec_of_charset,
    codec_of_page,
    decoded,
)

_PASSED_OVER = word_set(
    "colortbl pict objdata objclass objname header headerf headerl headerr footer footerf footerl footerr themedata "
    "colorschememapping latentstyles listtable listoverridetable rsidtbl generator xmlnstbl pgptbl datastore filetbl "
    "revtbl ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn bkmkstart bkmkend xe tc tcn nonshppict shprslt sp template "
    "mmathPr falt panose fontemb pn pnseclvl private formfield ffname ffdeftext datafield docvar userprops nesttableprops "
    "nonesttables background passwordhash mailmerge buptim printim operator company manager category hlinkbase comment "
    "atrfstart atrfend atnref atntime atndate atnid atnicn atnparent rxe txe mctrlPr mmathPict"
)
_CONTAINERS = frozenset({"shpinst", "do", "upr", "info", "stylesheet", "fonttbl", "creatim", "revtim"})
_COLLECTED = frozenset(
    {"title", "author", "subject", "keywords", "doccomm", "fldinst", "listtext", "pntext", "atnauthor"}
)
_PLACES = frozenset({"footnote", "annotation", "shptxt", "dptxbxtext"})
_BACK = frozenset({"ud", "moMath"})  # starred groups of text
_WORDS = {
    "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "qmspace": " ", "bullet": "•", "lquote": "‘",
    "rquote": "’", "ldblquote": "“", "rdblquote": "”", "tab": "\t", "line": "\n", "nestcell": " ", "nestrow": "; ",
    "lbr": "\n", "softline": " ",
}  # fmt: skip
_SYMBOLS = {"~": " ", "_": "-", "-": "", "\t": "\t"}
_PROPERTIES = frozenset({"v", "deleted", "uc", "s", "outlinelevel", "intbl", "itap", "ls", "ilvl", "yr", "mo", "dy"})
_NAMED = re.compile(r"heading (\d)", re.IGNORECASE)
_DEEPEST = 2000  # groups in groups; files have about 20
_DEEPEST_LEVEL = 9  # an outline level of 9 is text


@dataclass
class _Group:
    """What holds for an open group, and what its end is for."""

    line: list[str] | None = None  # where its text goes; None: nowhere
    place: Place = field(default_factory=Place)
    purpose: str = ""  # the destination that begins with this group
    within: str = ""  # the destination that it is in
    hidden: bool = False
    deleted: bool = False
    ucs: int = 1  # characters that stand for one given by its number, for readers that do not know it
    font: int = -1
    style: int = 0
    outline: int = _DEEPEST_LEVEL
    in_table: bool = False
    list_id: int = 0
    list_level: int = 0
    field: list[str] = field(default_factory=list)  # what the field around says it shows

    def inner(self) -> _Group:
        """Return a group in this one, in which all of it still holds; by hand, because a file has very many."""
        made = object.__new__(_Group)
        made.__dict__.update(self.__dict__)
        made.purpose = ""
        return made


class RichText:
    """A file's text once it was read. about: what it says about itself, by destination."""

    def __init__(self, text: str) -> None:
        self.about: dict[str, str] = {}
        self._tokens = Tokens(text)
        self._fonts: dict[int, str] = {}
        self._font, self._default_font, self._codec = -1, -1, codec_of_page(None)
        self._levels: dict[int, int] = {}  # of headings, by style
        self._author = ""
        self._notes = 0
        self._raw = bytearray()  # of text, not yet decoded
        self._skip = 0  # characters that only stand for one
        self._starred = self._first = False
        place = Place()
        self._group = _Group(line=place.line, place=place)
        self._open: list[_Group] = []
        self._do: dict[str, Callable[[int | None], None]] = {
            "par": self._paragraph, "sect": self._paragraph, "page": self._paragraph, "cell": self._cell,
            "row": self._row, "pard": self._plain_paragraph, "plain": self._plain_text, "bin": self._binary,
            "u": self._unicode, "ansicpg": self._codepage, "deff": self._set_default_font, "f": self._set_font,
            "fcharset": self._font_charset, "cpg": self._font_page, "mac": self._macintosh,
        }  # fmt: skip
        self.blocks = self._read()

    def _read(self) -> Blocks:
        for word, number, byte, symbol, brace, text in self._tokens:
            if text:
                self._text(text)
            elif byte:
                self._byte(int(byte, 16))
            elif word:
                self._word(word, int(number) if number else None)
            elif symbol:
                self._symbol(symbol)
            elif brace == "{":
                self._begin()
            elif brace:
                if self._open:
                    self._end()
                if not self._open:
                    break  # what stands after the document is no part of it
        self._decode()
        while self._open:
            self._end()
        return self._group.place.finished(self._about_paragraph())

    # Text ------------------------------------------------------------------------------------------------------------

    def _text(self, text: str) -> None:
        self._starred = self._first = False
        if self._skip:
            self._skip, text = max(0, self._skip - len(text)), text[self._skip :]
        if text.isascii() or self._raw:
            self._raw += text.encode("latin-1")
            return
        data = text.encode("latin-1")
        try:  # some programs write UTF-8, which no codepage of the format is
            self._put(data.decode("utf-8"))
        except UnicodeDecodeError:
            self._raw += data

    def _byte(self, byte: int) -> None:
        self._first = False
        if self._skip:
            self._skip -= 1
        else:
            self._raw.append(byte)

    def _decode(self) -> None:
        """Write the bytes that were gathered. A character of two bytes may be written as a byte and a letter."""
        if self._raw:
            data = bytes(self._raw)
            self._raw.clear()
            font = self._fonts.get(self._group.font, "")
            self._put(data.decode("ascii") if data.isascii() else decoded(data, font or self._codec, self._codec))

    def _put(self, text: str) -> None:
        group = self._group
        if group.line is not None and not (group.hidden or group.deleted):
            group.line.append(text)

    def _unicode(self, number: int | None) -> None:
        if number is not None:
            code = number + 0x10000 if number < 0 else number
            if 0 < code <= 0x10FFFF:
                self._put(chr(code))
        self._skip = self._group.ucs

    # Groups ----------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._decode()
        self._skip = 0
        if len(self._open) >= _DEEPEST:
            self._tokens.pass_group()
        self._open.append(self._group)
        self._group = self._group.inner()
        self._first, self._starred = True, False

    def _end(self) -> None:
        self._decode()
        self._skip = 0
        ended, self._group = self._group, self._open.pop()
        purpose = ended.purpose
        if purpose in _PLACES:
            self._end_place(ended)
        elif purpose in ("listtext", "pntext"):
            self._group.place.label = " ".join("".join(ended.line or ()).split())
        elif purpose == "fldinst":
            self._group.field.append("".join(ended.line or ()))
        elif purpose == "atnauthor":
            self._author = " ".join("".join(ended.line or ()).split())
        elif purpose in _COLLECTED:
            self.about.setdefault(purpose, " ".join("".join(ended.line or ()).split()))
        elif purpose == "style":
            self._levels[ended.style] = _level(ended, "".join(ended.line or ()))

    def _destination(self, word: str) -> bool:
        """Begin what the first word of a group says it is for; say whether it is a destination."""
        group = self._group
        if word == "field":
            group.field = []
        elif word == "fldrslt":
            if re.match(r"\s*TOC\b", "".join(group.field)):
                self._tokens.pass_group()
        elif word in _PASSED_OVER or (self._starred and word not in _CONTAINERS | _COLLECTED | _PLACES | _BACK):
            self._tokens.pass_group()
        elif word in _CONTAINERS:
            group.within, group.line = word, None
        elif word in _BACK:
            group.line = group.place.line
        elif word in _COLLECTED:
            group.purpose, group.line, group.hidden = word, [], False
        elif word in _PLACES:
            self._begin_place(word)
        else:
            return False
        return True

    def _begin_place(self, word: str) -> None:
        if self._group.hidden or self._group.deleted:
            self._tokens.pass_group()
            return
        if word == "footnote":
            self._notes += 1
            self._put(f"[{self._notes}]")
        place = Place()
        self._group.purpose, self._group.place, self._group.line = word, place, place.line
        self._plain_paragraph(None)

    def _end_place(self, ended: _Group) -> None:
        blocks = ended.place.finished(Paragraph())
        if ended.purpose == "footnote":
            blocks.prefix(f"[{self._notes}]")
        elif ended.purpose == "annotation":
            blocks.prefix(f"Comment ({self._author}):" if self._author else "Comment:")
        if blocks:
            self._group.place.after.append(blocks)

    # Control words -----------------------------------------------------------------------------------------------------

    def _symbol(self, symbol: str) -> None:
        first, self._first = self._first, False
        if symbol == "*" and first:
            self._starred = self._first = True
        elif symbol in "\\{}":
            self._raw += symbol.encode()  # may be the second byte of a character
        elif symbol in "\r\n":
            self._decode()
            self._paragraph(None)
        elif symbol in _SYMBOLS:
            self._decode()
            self._put(_SYMBOLS[symbol])

    def _word(self, word: str, number: int | None) -> None:
        first, self._first = self._first, False
        if self._raw:
            self._decode()
        if first and self._destination(word):
            return
        if do := self._do.get(word):
            do(number)
        elif word in _WORDS:
            self._put(_WORDS[word])
        elif word in _PROPERTIES:
            self._property(word, number)

    def _property(self, word: str, number: int | None) -> None:
        group, value = self._group, number or 0
        if word == "v":
            group.hidden = number != 0
        elif word == "deleted":
            group.deleted = number != 0
        elif word == "uc":
            group.ucs = max(0, min(value, 10))
        elif word == "s":
            group.style = value
            if group.within == "stylesheet":
                group.purpose, group.line = "style", []
        elif word == "outlinelevel":
            group.outline = value
        elif word in ("intbl", "itap"):
            group.in_table = number != 0
        elif word == "ls":
            group.list_id = value
        elif word == "ilvl":
            group.list_level = value
        elif word in ("yr", "mo", "dy") and group.within in ("creatim", "revtim"):
            self.about[f"{group.within} {word}"] = str(value)

    def _paragraph(self, _: int | None) -> None:
        if self._group.line is self._group.place.line:
            self._group.place.end_paragraph(self._about_paragraph())
        else:
            self._put(" ")

    def _about_paragraph(self) -> Paragraph:
        group = self._group
        level = group.outline + 1 if group.outline < _DEEPEST_LEVEL else self._levels.get(group.style, 0)
        return Paragraph(level, min(group.list_level, 8) + 1 if group.list_id else 0, group.in_table)

    def _cell(self, _: int | None) -> None:
        if self._group.line is self._group.place.line:
            self._group.place.end_cell()

    def _row(self, _: int | None) -> None:
        self._group.place.end_row()

    def _plain_paragraph(self, _: int | None) -> None:
        group = self._group
        group.style, group.outline, group.in_table, group.list_id, group.list_level = 0, _DEEPEST_LEVEL, False, 0, 0

    def _plain_text(self, _: int | None) -> None:
        self._group.hidden, self._group.deleted, self._group.font = False, False, self._default_font

    def _binary(self, number: int | None) -> None:
        self._tokens.pass_bytes(number or 0)

    # Encodings ---------------------------------------------------------------------------------------------------------

    def _codepage(self, number: int | None) -> None:
        self._codec = codec_of_page(number)

    def _macintosh(self, _: int | None) -> None:
        self._codec = codec_of_page(10000)

    def _set_default_font(self, number: int | None) -> None:
        self._default_font = self._group.font = -1 if number is None else number

    def _set_font(self, number: int | None) -> None:
        self._group.font = -1 if number is None else number

    def _font_charset(self, number: int | None) -> None:
        if self._group.within == "fonttbl" and number is not None:
            self._fonts[self._group.font] = codec_of_charset(number)

    def _font_page(self, number: int | None) -> None:
        if self._group.within == "fonttbl" and number:
            self._fonts[self._group.font] = codec_of_page(number)


def _level(style: _Group, name: str) -> int:
    """Return the level of headings of a style; 0 where it is none."""
    named = _NAMED.match(name.strip())
    if named:
        return int(named[1])
    if style.outline < _DEEPEST_LEVEL:
        return style.outline + 1
    return 1 if name.strip(" ;").casefold() == "title" else 0

"""The tokens of a rich text file, and its encodings. Linear in the file's length, whatever is in it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\\(?:([a-zA-Z]{1,32})(-?[0-9]{1,10})?[ ]?|'([0-9a-fA-F]{2})|([^a-zA-Z]))|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\", re.S
)
# What of a group that is passed over matters: its braces, and where bytes of another kind begin.
_PASSED = re.compile(r"[^\\{}]+|\\bin([0-9]{1,10})[ ]?|\\.|[{}]|\\", re.S)
# \\fcharset of a font -> the codepage that its bytes are in. 1 and 2 stand for the file's own, and for symbols.
_CHARSETS = {
    0: 1252, 77: 10000, 78: 932, 80: 949, 83: 10006, 84: 10007, 88: 10029, 128: 932, 129: 949, 130: 1361, 134: 936,
    136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250,
    254: 437, 255: 850,
}  # fmt: skip
_CODECS = {10000: "mac_roman", 10001: "shift_jis", 10006: "mac_greek", 10007: "mac_cyrillic", 10029: "mac_latin2",
           65001: "utf-8", 936: "gb18030", 950: "big5hkscs", 1361: "johab"}  # fmt: skip
_DEFAULT = "cp1252"


# One of: a control word with its number ("" where it has none), a byte as two digits, a control symbol, a brace, plain
# text; the others are "". A tuple, because a file has millions.
Token = tuple[str, str, str, str, str, str]


class Tokens:
    """The tokens of a text one after the other; line ends of the file are none."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def __iter__(self) -> Iterator[Token]:
        match = _TOKEN.match
        while found := match(self._text, self._at):
            self._at = found.end()
            yield found.groups("")  # type: ignore[misc]  # as many as the pattern has groups

    def pass_bytes(self, count: int) -> None:
        """Go over bytes that are no text."""
        self._at += max(0, count)

    def pass_group(self) -> None:
        """Go on before the brace that ends the open group."""
        depth = 0
        while found := _PASSED.match(self._text, self._at):
            if found[0] == "}":
                if not depth:
                    return
                depth -= 1
            self._at = found.end() + int(found[1] or 0)
            depth += found[0] == "{"


def codec_of_page(page: int | None) -> str:
    """Return the codec of a codepage by its number; that of Western Windows where there is none."""
    try:
        return codecs.lookup(_CODECS.get(page or 0, f"cp{page}")).name
    except LookupError:
        return _DEFAULT


def codec_of_charset(charset: int) -> str:
    """Return the codec of a font by its character set; "" where it has that of the file."""
    return codec_of_page(_CHARSETS[charset]) if charset in _CHARSETS else ""


def decoded(data: bytes, *encodings: str) -> str:
    """Decode by the first encoding in which the bytes are sound, else by the first with marks for what is lost."""
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode(encodings[0], "replace")

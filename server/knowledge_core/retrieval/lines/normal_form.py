"""Whether a text is in Unicode's composed form (NFC), told for most texts by their bytes alone. Pure.

`unicodedata.is_normalized` looks every character up, 130 MB a second, and that was more than half of the time of a search for
lines. A text can only be in another form where it has a character that is exchanged or may join the one before it (Unicode
Standard Annex 15, "NFC_Quick_Check" other than "yes", or a combining class). None of those is below U+0300, and above they
lie together: the first bytes of a character in UTF-8 tell most scripts from them.
"""

from __future__ import annotations

import re
import unicodedata

# First bytes of characters none of which, or only those of `_OTHERS`, can be exchanged or join the one before: below U+0300;
# Greek, Cyrillic; marks and symbols; kana; Han; Hangul; emoji. With them all that is no first byte.
_FIRST = bytes([*range(0xCC), 0xCE, 0xCF, 0xD0, 0xD1, 0xE2, 0xE3, *range(0xE4, 0xEA), 0xEB, 0xEC, 0xF0])
_OTHERS = re.compile(
    rb"\xce\x87"  # a point that is another one
    rb"|\xe2(?:\x80[\x80\x81]|\x83[\x90-\xbf]|\x84[\xa6\xaa\xab]|\x8c[\xa9\xaa]|\xab\x9c|[\xb0-\xbf])"
    rb"|\xe3(?:\x80[\xaa-\xaf]|\x82[\x99\x9a])"  # marks of kana
    rb"|\xf0[^\x9f]"  # beyond the emoji
)


def is_composed(data: bytes) -> bool:
    """Return whether a text is in the composed form. data: in UTF-8; what is none stands for U+FFFD."""
    if _surely(data):
        return True
    # A line end joins nothing: only the lines that hold such characters are looked up.
    return all(_surely(line) or _is_normalized(line) for line in data.split(b"\n"))


def _surely(data: bytes) -> bool:
    return data.isascii() or (not data.translate(None, _FIRST) and not _OTHERS.search(data))


def _is_normalized(line: bytes) -> bool:
    return unicodedata.is_normalized("NFC", line.decode("utf-8", "replace"))

"""Bytes to text: by the byte order mark, else by what the text declares, else as UTF-8, and only then by a guess.

Rules kept here: no bytes make it raise; the time is linear in the bytes (the guess sees a sample); the same bytes give
the same text.
"""

from __future__ import annotations

import codecs
import re

# Longest first, because UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""(?:charset|encoding|coding)\s{0,4}[=:]\s{0,4}["']?([A-Za-z0-9_.:+-]{2,40})""", re.I)
_DECLARED_WITHIN = 2048  # bytes; browsers look for a declaration in the first 1024
# Declared encoding to the one that pages with this declaration really use (encoding.spec.whatwg.org has the full table).
_MEANT = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Names that `codecs` knows, but that are no encodings of files. Two of them take time quadratic in the length.
_NO_FILES = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
# Control characters that no text has. Tab, line ends, form feed, backspace and escape do occur, in logs and terminals.
_CONTROLS = bytes(c for c in range(32) if c not in b"\b\t\n\v\f\r\x1b") + b"\x7f"
_CONTROLS_AT_MOST = 0.02  # of the bytes; with more, they are no text
_LOOK_FOR_NUL = 8000  # bytes from the start, as git does
# The encodings that files without a declaration are written in. Left to itself, the detector takes three accented letters
# for punched-card codes.
_GUESSES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_5",
    "iso8859_7", "koi8_r", "cp866", "mac_cyrillic", "tis_620", "cp932", "euc_jp", "gb18030", "big5", "cp949",
]  # fmt: skip
_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
_KANA = re.compile("[\u3041-\u30fe]")
_KANA_AT_LEAST = 0.08  # per byte; Japanese has one kana per 4 to 6 bytes
_HIGH = bytes(range(128, 256))
_ACCENTS_AT_MOST = 0.3  # of the bytes; with fewer non-ASCII ones, mostly single, the script is Latin
_SAMPLE = 32_768  # bytes; a guess from more is no better and costs more
_BAD_AT_MOST = 0.02  # of the non-ASCII runs; a UTF-8 file with so little damage is still decoded as UTF-8


def decode(data: bytes) -> str | None:
    """Return the text in the bytes, without its byte order mark; None where the bytes are no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            return None if _looks_binary(text.encode("utf-8", "replace")) else text
    if b"\0" in data[:_LOOK_FOR_NUL]:
        return _two_byte_text(data)
    if _looks_binary(data):
        return None
    return _declared_text(data) or _utf8_text(data) or _guessed_text(data)


def clean_text(text: str) -> str:
    """Return the text as documents hold it: line ends as "\\n", no byte order mark, U+FFFD for NULs and surrogates."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def _looks_binary(data: bytes) -> bool:
    controls = len(data) - len(data.translate(None, _CONTROLS))
    return controls > _CONTROLS_AT_MOST * len(data)


def _two_byte_text(data: bytes) -> str | None:
    """Decode UTF-16 without a byte order mark: its ASCII characters leave NULs in every other byte."""
    start = data[:_LOOK_FOR_NUL]
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if len(data) % 2 or min(even, odd) * 20 > max(even, odd):
        return None
    try:
        text = data.decode("utf-16-le" if odd > even else "utf-16-be")
    except UnicodeDecodeError:
        return None
    return None if _looks_binary(text.encode("utf-8")) else text


def _declared_text(data: bytes) -> str | None:
    """Decode as an HTML, XML or Python declaration says, unless the bytes contradict it."""
    found = _DECLARED.search(data[:_DECLARED_WITHIN])
    try:
        name = codecs.lookup(found[1].decode("ascii")).name if found else ""
        encoding = _MEANT.get(name, name)
        # Non-ASCII bytes that are sound UTF-8 are UTF-8, whatever a stale declaration says: the single-byte encodings
        # accept any bytes, so decoding would not fail. Seven-bit encodings (ISO-2022) are ASCII bytes: there only the
        # declaration tells.
        if not encoding or encoding in _NO_FILES or encoding.startswith(("utf-16", "utf-32")):
            return None
        if not data.isascii() and _is_utf8(data):
            return None
        return data.decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        return None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _utf8_text(data: bytes) -> str | None:
    text = data.decode("utf-8", "replace")
    bad = text.count("\N{REPLACEMENT CHARACTER}")
    if not bad or _is_utf8(data):
        return text
    good = len(re.findall(r"[^\x00-\x7f\ufffd]+", text))
    return text if bad <= _BAD_AT_MOST * good else None


def _guessed_text(data: bytes) -> str:
    from charset_normalizer import from_bytes  # only here: most files never need it

    sample = data[:_SAMPLE]
    for encoding in ("euc_jp", "cp932"):  # kana show that the bytes are Japanese
        seen = sample.decode(encoding, "ignore")
        if len(_KANA.findall(seen)) > _KANA_AT_LEAST * len(sample):
            return data.decode(encoding, "replace")
    matches = from_bytes(sample, cp_isolation=_GUESSES)
    best = matches.best()
    encoding = best.encoding if best else "cp1252"
    high = len(sample) - len(sample.translate(None, _HIGH))
    if high < _ACCENTS_AT_MOST * len(sample) and high < 2 * len(re.findall(rb"[\x80-\xff]+", sample)):
        close = {match.encoding for match in matches if best and match.chaos <= best.chaos + 0.02}
        encoding = _latin(sample, encoding, close)
    return data.decode(_MEANT.get(codecs.lookup(encoding).name, encoding), "replace")


def _latin(sample: bytes, guess: str, close: set[str]) -> str:
    """Choose an encoding for Latin letters with single accented ones between them.

    The detector cannot tell these encodings apart on little text (measured: French taken for cp775, Spanish for Big5).
    So the one wins in which most non-ASCII bytes are letters; of equals, the most common one.
    """
    seen = set(sample.decode("cp1252", "replace"))
    if seen & set("ýþðÝÞÐ") and not seen & set(
        "áéíóúæ"
    ):  # Icelandic has all of these; in Turkish they stand for others
        return "cp1254"
    strangers = {name: _strangers(sample.decode(name, "replace")) for name in ("cp1252", "cp1250", "iso8859-2")}
    choice = min(strangers, key=lambda name: strangers[name])
    return guess if choice == "cp1252" and guess in ("cp1250", "cp1257") and "cp1252" not in close else choice


def _strangers(text: str) -> int:
    """Count the non-ASCII characters between two ASCII letters that are no letters: a wrong encoding has many."""
    return sum(not found[1].isalpha() for found in re.finditer(r"(?<=[a-zA-Z])([^\x00-\x7f’])(?=[a-zA-Z])", text))

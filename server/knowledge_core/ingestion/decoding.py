"""Bytes to text: by the byte order mark, else by what the text declares, else as UTF-8, and only then by a guess.

Rules kept here:
- only a declaration is believed, not any text that says "encoding=", and in it only the name of an encoding of files;
- a stray byte or a cut last character does not make UTF-8 something else;
- no bytes make it raise;
- the time is linear in the bytes (the guess sees a sample);
- the same bytes give the same text.
"""

from __future__ import annotations

import codecs
import re

from knowledge_core.ingestion.encoding_labels import encoding_of

# Longest first, because UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where a text says in which encoding it is written; a text that only speaks of an encoding says nothing.
_NAME = rb"""[ \t]{0,9}["']?[ \t]{0,9}([A-Za-z0-9_.:+-]{2,40})"""
_DECLARED = (
    re.compile(rb"\s{0,99}<\?xml\s[^>]{0,300}?\sencoding\s{0,9}=" + _NAME, re.I),
    re.compile(rb"\s{0,99}@charset" + _NAME, re.I),  # CSS
    re.compile(rb"[^\n]{0,300}(?:\n[^\n]{0,300})??-\*-[^\n]{0,200}?\bcoding[ \t]{0,9}:" + _NAME, re.I),  # Emacs
    re.compile(rb"(?:[ \t\f]*#[^\n]{0,300}\n|[ \t\f]*\n)?[ \t\f]*#[^\n]{0,200}?coding[:=]" + _NAME),  # PEP 263
)
_META = re.compile(rb"<meta\s[^>]{0,500}?charset\s{0,9}=" + _NAME, re.I)
_MODELINE = re.compile(rb"(?:^|\s)(?:vim?|ex):[^\n]{0,200}?\b(?:fileencoding|fenc)=" + _NAME)
_MODELINES_WITHIN = 5  # lines from the start and from the end, as Vim looks by default
_DECLARED_WITHIN = 2048  # bytes; browsers look for a declaration in the first 1024
# Control characters that no text has. Tab, line ends, form feed, backspace and escape do occur, in logs and terminals.
_CONTROLS = bytes(c for c in range(32) if c not in b"\b\t\n\v\f\r\x1b") + b"\x7f"
_CONTROLS_AT_MOST = 0.02  # of the bytes; with more, they are no text
_NULS_IN_ENGLISH = 0.4  # of the bytes of UTF-16 at least; so many show that an odd number of bytes is a cut text
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
# Invalid bytes per sound character beyond ASCII. Of 4,200 pieces of the Declaration of Human Rights in 20 older
# encodings 2 have as few as 1 (four bytes of Japanese and of Chinese), none has 0.5.
_BAD_AT_MOST = 0.5
_CUT = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")  # begins a character


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


def decode_as(data: bytes, label: str) -> str:
    """Return the text in bytes whose encoding is said elsewhere, as in the head of an e-mail; what is said may be wrong.

    label: as it is written there; "" for none.
    """
    encoding = encoding_of(label)
    if encoding and not any(data.startswith(mark) for mark, _ in _MARKS):
        text = _as_declared(data, encoding)
        if text is not None:
            return text
    text = decode(data)
    return data.decode(encoding or "cp1252", "replace") if text is None else text


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
    if min(even, odd) * 20 > max(even, odd) or (len(data) % 2 and even + odd < len(start) * _NULS_IN_ENGLISH):
        return None
    whole = data[: len(data) - len(data) % 2]  # the last character may be cut
    try:
        text = whole.decode("utf-16-le" if odd > even else "utf-16-be")
    except UnicodeDecodeError:
        return None
    return None if _looks_binary(text.encode("utf-8")) else text


def _declared_text(data: bytes) -> str | None:
    """Decode as a declaration in the text says, unless the bytes contradict it."""
    encoding = encoding_of(_declaration(data))
    return _as_declared(data, encoding) if encoding else None


def _declaration(data: bytes) -> str:
    """Return the encoding that a text declares, as it is written there; "" where it declares none."""
    head = data[:_DECLARED_WITHIN].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found = next((found for pattern in _DECLARED if (found := pattern.match(head))), None) or _META.search(head)
    if not found:
        ends = [*head.split(b"\n")[:_MODELINES_WITHIN], *data[-_DECLARED_WITHIN:].split(b"\n")[-_MODELINES_WITHIN:]]
        found = next((found for line in ends if (found := _MODELINE.search(line))), None)
    return found[1].decode("ascii") if found else ""


def _as_declared(data: bytes, encoding: str) -> str | None:
    # Non-ASCII bytes that are UTF-8 are UTF-8, whatever a stale declaration says: the single-byte encodings accept any
    # bytes, so decoding would not fail. Seven-bit encodings (ISO-2022) are ASCII bytes: there only the declaration tells.
    if not data.isascii() and _utf8_text(data) is not None:
        return None
    try:
        return data.decode(encoding)
    except (UnicodeError, ValueError):
        return None


def _utf8_text(data: bytes) -> str | None:
    """Decode as UTF-8; None where more than stray bytes and a cut end say that it is something else."""
    text = data.decode("utf-8", "replace")
    if not (bad := text.count("\N{REPLACEMENT CHARACTER}") - data.count(b"\xef\xbf\xbd")):
        return text
    good = len(text) - bad - len(data.translate(None, _HIGH))
    cut = good > 0 and text.endswith("\N{REPLACEMENT CHARACTER}") and _CUT.search(data[-4:]) is not None
    return text if bad - cut <= _BAD_AT_MOST * good else None


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
    return data.decode(encoding_of(encoding) or encoding, "replace")


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

"""The rich text of Outlook's messages (MS-OXRTFCP): unpacked, and as text."""

from __future__ import annotations

import re
import struct

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.reading.literal import literal
from knowledge_core.ingestion.reading.mail.bodies import whole_page
from knowledge_core.ingestion.reading.office.rtf import read_rtf
from knowledge_core.ingestion.unreadable import Unreadable

_PACKED, _PLAIN = 0x75465A4C, 0x414C454D
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans "
    b"SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_RING = 4096
_MOST = 50_000_000  # bytes, unpacked
_HTML_TAG = re.compile(r"\{\\\*\\htmltag\d* ?([^{}]*)\}")


def rtf_text(data: bytes) -> str:
    """Return the text of a message's compressed rich text; "" where there is none, or it is damaged."""
    rtf = unpacked(data).decode("latin-1")
    if not rtf.startswith("{\\rtf"):
        return ""
    if "\\fromhtml" in rtf[:500]:
        page = re.sub(r"\\htmlrtf\b ?.*?\\htmlrtf0 ?", "", _HTML_TAG.sub(lambda tag: _escaped(tag[1]), rtf), flags=re.S)
        marked = _plain(page)
        return whole_page(marked) if "<" in marked else literal(clean_text(marked))
    return literal(clean_text(_plain(rtf)))


def _plain(rtf: str) -> str:
    try:
        return read_rtf(rtf.encode("latin-1"), "").text
    except Unreadable:
        return ""


def _escaped(tag: str) -> str:
    return tag.replace("\\par", "\n").replace("\\tab", "\t")


def unpacked(data: bytes) -> bytes:
    """Return the bytes that compressed rich text stands for; b"" where it is none. Stops where it is cut."""
    if len(data) < 16:
        return b""
    _, size, kind, _ = struct.unpack_from("<IIII", data)
    if kind == _PLAIN:
        return data[16 : 16 + size]
    if kind != _PACKED:
        return b""
    ring = bytearray(_DICTIONARY.ljust(_RING, b"\0"))
    write = len(_DICTIONARY)
    result = bytearray()
    at = 16
    while at < len(data) and len(result) < min(size, _MOST):
        control = data[at]
        at += 1
        for bit in range(8):
            if at + (control >> bit & 1) >= len(data):
                return bytes(result)
            if not control >> bit & 1:
                run = data[at : at + 1]
                at += 1
                ring[write] = run[0]
                write = (write + 1) % _RING
                result += run
                continue
            reference = data[at] << 8 | data[at + 1]
            at += 2
            read, length = reference >> 4, (reference & 0xF) + 2
            if read == write:
                return bytes(result)
            for step in range(length):
                byte = ring[(read + step) % _RING]
                ring[write] = byte
                write = (write + 1) % _RING
                result.append(byte)
    return bytes(result)

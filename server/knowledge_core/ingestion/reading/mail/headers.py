"""The head of an e-mail: what it says about people, date and subject, whatever its encoding. Pure, linear, bounded.

The standard library's parser of structured headers is recursive and slow on hostile ones, so headers are read as plain
text, and encoded words (RFC 2047) are decoded here, also where mailers break the rules: raw 8-bit characters, a character
cut between two words, wrong names of encodings.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from datetime import datetime
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime

from knowledge_core.ingestion.decoding import clean_text, decode_as

LONGEST = 20_000  # characters of one header; a line to a thousand people has 40,000, which are cut
_MOST_PEOPLE = 200
_WORD = re.compile(r"=\?([\w.:+-]{1,60})(?:\*[\w-]{0,20})?\?([BbQq])\?([^?]{0,20000})\?=")
_ADDRESS = re.compile(r"[^\s<>\"(),;:]{1,200}@[^\s<>\"(),;:]{1,200}")


def header(message: Message, name: str) -> str:
    """Return a header's text on one line; "" where there is none."""
    found = message.get(name)
    return "" if found is None else decoded(str(found))


def header_field(headers: str, name: str) -> str:
    """Return a field of headers given as one text, on one line; "" where there is none."""
    found = re.search(rf"^{name}:[ \t]*([^\n]{{0,1000}})", headers[:200_000], re.M | re.I)
    return found[1].strip() if found else ""


def decoded(value: str) -> str:
    """Return the text of a header in which words may be encoded.

    >>> decoded("=?utf-8?Q?Gr=C3=BC?= =?utf-8?Q?=C3=9Fe?= an alle")
    'Grüße an alle'
    """
    value = value[:LONGEST]
    parts: list[tuple[str, bytes]] = []  # label of the encoding, bytes; neighbours of one encoding are one text
    end = 0
    for found in _WORD.finditer(value):
        between = value[end : found.start()]
        if between.strip() or not parts or end == 0:
            parts.append(("", between.encode("utf-8", "surrogateescape")))
        data = _word_bytes(found[2].lower(), found[3])
        if parts[-1][0] == found[1].lower() and parts[-1][0]:
            parts[-1] = (parts[-1][0], parts[-1][1] + data)
        else:
            parts.append((found[1].lower(), data))
        end = found.end()
    parts.append(("", value[end:].encode("utf-8", "surrogateescape")))
    text = "".join(decode_as(data, label) for label, data in parts if data)
    return " ".join(clean_text(text).split())


def _word_bytes(kind: str, text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if kind == "q":
        return quopri.decodestring(raw.replace(b"_", b" ").replace(b"\n", b""))
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return raw


def people(value: str) -> list[tuple[str, str]]:
    """Return the names and addresses in a header, both "" where they are not given; encoded words are decoded."""
    found: list[tuple[str, str]] = []
    try:
        pairs = getaddresses([value[:LONGEST].replace("\r", "").replace("\n", " ")])
    except (ValueError, IndexError, RecursionError):
        pairs = []
    for name, address in pairs[:_MOST_PEOPLE]:
        name, address = decoded(name).strip("'\" "), decoded(address)
        if name or address:
            found.append((name, address))
    if not any(_ADDRESS.fullmatch(address) for _, address in found):  # written in a way of its own
        text = decoded(value)
        found = [("", address) for address in _ADDRESS.findall(text)[:_MOST_PEOPLE]] or ([(text, "")] if text else [])
    return found


def shown(person: tuple[str, str]) -> str:
    """Return one of `people` as a mail program shows it.

    >>> shown(("Ann Lee", "ann@example.org"))
    'Ann Lee <ann@example.org>'
    """
    name, address = person
    return f"{name} <{address}>" if name and address and name != address else name or address


def date_of(value: str) -> str:
    """Return a date and time as ISO text; "" where a header holds none."""
    try:
        when: datetime = parsedate_to_datetime(value[:200])
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    return when.isoformat() if 1970 <= when.year <= 2999 else ""

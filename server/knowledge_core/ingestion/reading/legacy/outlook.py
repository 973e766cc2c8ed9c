"""Outlook's messages (MS-OXMSG): the same text and metadata as of e-mail. What is attached is named, not read.

Every property is a stream whose name has its number and type; a few stand in one table. A message attached to the message is
a storage of its own, and a section here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from knowledge_core.ingestion.decoding import clean_text, decode_as
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.legacy.compound import Compound
from knowledge_core.ingestion.reading.legacy.compressed_rtf import rtf_text
from knowledge_core.ingestion.reading.legacy.summary import time_of
from knowledge_core.ingestion.reading.literal import deeper, literal
from knowledge_core.ingestion.reading.mail.bodies import tidy, whole_page
from knowledge_core.ingestion.reading.mail.headers import date_of, header_field, shown
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.unreadable import Unreadable

_SUBJECT, _BODY, _HTML, _RTF, _CLASS, _HEADERS = "0037", "1000", "1013", "1009", "001A", "007D"
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP, _FOR, _FOR_ADDRESS = "0C1A", "0C1F", "5D01", "0042", "0065"
_NAME, _ADDRESS, _SMTP = "3001", "3003", "39FE"
_LONG_NAME, _SHORT_NAME, _MESSAGE = "3707", "3704", "3701000D"
_SUBMITTED, _DELIVERED, _RECIPIENT_KIND, _CODE_PAGE, _INTERNET_CODE_PAGE = 0x0039, 0x0E06, 0x0C15, 0x3FFD, 0x3FDE
_FIELDS = {1: "To", 2: "Cc", 3: "Bcc"}
_CARD = {
    "3A16": "Company", "3A17": "Job title", "3A18": "Department", "3A08": "Business phone", "3A1C": "Mobile phone",
    "3A09": "Home phone", "3A15": "Address", "3A51": "Business page", "3A45": "Prefix", "3A06": "Given name", "3A11": "Surname",
}  # fmt: skip
_DEEPEST = 10  # messages within messages
_MOST = 500  # recipients or attachments


@dataclass(frozen=True)
class _Item:
    """The properties of a message, a recipient or an attachment, in the storage `place` ("" or "name/").

    head: bytes before the table of its fixed properties.
    label: encoding of texts that are not Unicode; "" where unknown.
    """

    file: Compound
    place: str
    head: int
    label: str = ""

    def text(self, number: str) -> str:
        for kind in ("001F", "001E"):
            raw = self.file.read(f"{self.place}__substg1.0_{number}{kind}")
            if raw:
                if kind == "001F":
                    text = raw[: len(raw) // 2 * 2].decode("utf-16-le", "replace")
                else:
                    text = decode_as(raw.rstrip(b"\0"), self.label)
                return clean_text(text.rstrip("\0"))
        return ""

    def data(self, number: str) -> bytes:
        return self.file.read(f"{self.place}__substg1.0_{number}0102")

    def number(self, wanted: int) -> int:
        """Return a fixed property as a whole number; 0 where it is not given."""
        table = self.file.read(f"{self.place}__properties_version1.0")
        for at in range(self.head, len(table) - 15, 16):
            kind, number = struct.unpack_from("<HH", table, at)
            if number == wanted:
                return int(struct.unpack_from("<Q" if kind == 0x40 else "<I", table, at + 8)[0])
        return 0

    def inner(self, prefix: str) -> list[str]:
        """Return the storages in this one whose names begin so, in order."""
        start = len(self.place)
        found = {name[: name.index("/", start) + 1] for name in self.file.names
                 if name.startswith(self.place + prefix) and "/" in name[start:]}  # fmt: skip
        return sorted(found)[:_MOST]


def read_msg(data: bytes, name: str) -> Parsed:
    """Return a message, note, appointment or contact of Outlook as Markdown.

    Raises:
        Unreadable: "encrypted" where its text is only in an encrypted part; "damaged".
    """
    message = _with_label(_Item(Compound(data, name), "", 32))
    text = _written(message, 0)
    attachments = [_attachment_name(each) for each in _attachments(message)]
    if (
        "SMIME" in message.text(_CLASS).upper()
        and not _body(message).strip()
        and "MultipartSigned" not in message.text(_CLASS)
    ):
        raise Unreadable("encrypted", f"{name} is an encrypted message. Open it in Outlook and save its text.")
    people = list(_people(message))
    sender = _sender(message)
    about = facts(
        author=sender[0] or sender[1],
        date=_date(message),
        to=[address or person for field, (person, address) in people if field != "Bcc"],
        attachments=attachments,
        **{"from": sender[1]},
    )
    return Parsed(text, " ".join(message.text(_SUBJECT).split()), from_file(about, {"format": "msg"}))


def _with_label(item: _Item) -> _Item:
    page = item.number(_CODE_PAGE) or item.number(_INTERNET_CODE_PAGE)
    label = (
        "utf-8"
        if page == 65001
        else {936: "gbk", 950: "big5", 932: "shift_jis", 949: "euc-kr"}.get(page, f"windows-{page}")
    )
    return _Item(item.file, item.place, item.head, label if page else "")


def _written(message: _Item, level: int) -> str:
    blocks = [_head_lines(message), deeper(_body(message), level)]
    card = [f"{label}: {' '.join(text.split())}" for number, label in _CARD.items() if (text := message.text(number))]
    blocks.append("\n".join(card) if "contact" in message.text(_CLASS).lower() else "")
    names: list[str] = []
    sections: list[str] = []
    for each in _attachments(message):
        place = f"{each.place}__substg1.0_{_MESSAGE}/"
        if f"{place}__properties_version1.0" in each.file and level < _DEEPEST:
            inner = _with_label(_Item(each.file, place, 24))
            title = " ".join(inner.text(_SUBJECT).split()) or "(no subject)"
            sections.append(f"{'#' * min(6, level + 2)} {title}\n\n{_written(inner, level + 1)}".rstrip())
        else:
            names.append(_attachment_name(each))
    if names:
        blocks.append("Attachments, not read: " + "; ".join(names))
    return "\n\n".join(block for block in [*blocks, *sections] if block.strip())


def _head_lines(message: _Item) -> str:
    lines = [f"From: {shown(_sender(message))}"] if any(_sender(message)) else []
    people = list(_people(message))
    for field in _FIELDS.values():
        if found := [shown(person) for its, person in people if its == field]:
            lines.append(f"{field}: {', '.join(found)}")
    if when := _date(message):
        lines.append(f"Date: {when.replace('T', ' ')}")
    return "\n".join(lines)


def _sender(message: _Item) -> tuple[str, str]:
    name = message.text(_SENDER) or message.text(_FOR)
    addresses = (message.text(_SENDER_SMTP), message.text(_SENDER_ADDRESS), message.text(_FOR_ADDRESS))
    return name, next((address for address in addresses if "@" in address), "")


def _people(message: _Item) -> Iterator[tuple[str, tuple[str, str]]]:
    for place in message.inner("__recip_version1.0_#"):
        person = _Item(message.file, place, 8, message.label)
        address = next((text for number in (_SMTP, _ADDRESS) if "@" in (text := person.text(number))), "")
        name = person.text(_NAME).strip("'")
        if name or address:
            yield _FIELDS.get(person.number(_RECIPIENT_KIND) & 0xF, "To"), ("" if name == address else name, address)


def _attachments(message: _Item) -> list[_Item]:
    return [_Item(message.file, place, 8, message.label) for place in message.inner("__attach_version1.0_#")]


def _attachment_name(attachment: _Item) -> str:
    names = (attachment.text(number) for number in (_LONG_NAME, _SHORT_NAME, _NAME))
    return " ".join((next(filter(None, names), "") or "unnamed").split())


def _date(message: _Item) -> str:
    ticks = message.number(_SUBMITTED) or message.number(_DELIVERED)
    return date_of(header_field(message.text(_HEADERS), "Date")) or time_of(ticks)


def _body(message: _Item) -> str:
    text = message.text(_BODY)
    if text.strip():
        return tidy(literal(text))
    page = message.data(_HTML)
    html = (
        decode_as(page, message.label if not re.search(rb"charset", page[:2000], re.I) else "")
        if page
        else message.text(_HTML)
    )
    if html.strip():
        return whole_page(html)
    return tidy(rtf_text(message.data(_RTF)))

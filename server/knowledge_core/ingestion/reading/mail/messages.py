"""E-mail: one message, or the messages of a mailbox, as Markdown. What is attached is named, not read.

A single message has its subject as title, and its people and date as metadata and as the first lines of its text. In a
mailbox every message is a section under its subject; so is a message that is attached to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath

from knowledge_core.ingestion.decoding import clean_text, decode
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.literal import deeper
from knowledge_core.ingestion.reading.mail.bodies import Body, body_of
from knowledge_core.ingestion.reading.mail.headers import date_of, header, people, shown
from knowledge_core.ingestion.reading.mail.mime import DEEPEST, Part, part_of
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.language.printable import one_line

MOST_MESSAGES = 50_000  # of a mailbox
_NO_SUBJECT = "(no subject)"
# A line between two messages of a mailbox: with a time and a year, or after an empty line; a head follows.
_TIMED = rb"[^\n]{0,300}?(?:\d:\d\d[^\n]{0,60}\b\d{4}|\b\d{4}\b[^\n]{0,40}\d:\d\d)[^\n]{0,100}\n"
_FIELD = rb"[!-9;-~]{1,100}[ \t]{0,9}:"
_FROM = re.compile(
    rb"(?:\A|\n)From "
    + _TIMED
    + rb"(?=>?From |"
    + _FIELD
    + rb")|(?:\A|\n\r?\n)From (?:"
    + _TIMED
    + rb"|[^\n]{0,300}\n(?="
    + _FIELD
    + rb"[ \t]))"
)
_ESCAPED = re.compile(r"^(>*)>From ", re.M)
_HEADS = ("From", "To", "Cc", "Date", "Subject", "Message-ID", "Received", "Content-Type")


def read_mail(data: bytes, name: str) -> Parsed:
    """Return a message, or the messages of a mailbox, as Markdown.

    Raises:
        Unreadable: "encrypted" where nothing but an encrypted part is in a message; "damaged"; "empty".
    """
    data = _plain_bytes(data, name)
    messages = list(_messages(data))
    if len(messages) > 1 or (messages and PurePath(name).suffix.lower() in (".mbox", ".mbx")):
        return _mailbox(data, messages)
    return _single(part_of(data, *(messages[0] if messages else (0, len(data)))), name)


def _plain_bytes(data: bytes, name: str) -> bytes:
    """Return a message without what programs write around it: Apple's byte count and list, UTF-16, old line ends."""
    if PurePath(name).suffix.lower() == ".emlx" and (found := re.match(rb"\s{0,20}(\d{1,10})\s{0,20}\n", data)):
        data = data[found.end() : found.end() + int(found[1])]
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        data = clean_text(decode(data) or "").encode("utf-8", "replace")
    return data.replace(b"\r", b"\n") if b"\n" not in data else data


def _messages(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each message of a mailbox begins and ends; nothing where the bytes are no mailbox."""
    begin = -1
    if not data[:1000].lstrip().startswith(b"From "):
        return
    for count, found in enumerate(_FROM.finditer(data, len(data) - len(data.lstrip()))):
        if begin >= 0:
            yield begin, found.start() + 1
        if count >= MOST_MESSAGES:
            return
        begin = found.end()
    if begin >= 0:
        yield begin, len(data)


def _single(message: Part, name: str) -> Parsed:
    body = body_of(message)
    if body.sealed and not body.texts:
        raise Unreadable("encrypted", f"{name} is an encrypted message. Open it in its mail program and save its text.")
    known = any(message.head.get(each) for each in _HEADS)
    if not known and decode(message.data) is None:
        raise Unreadable("damaged", f"{name} is not a sound e-mail. Save it anew from its mail program.")
    text = _written(message, body, 0)
    return Parsed(text, header(message.head, "Subject"), from_file(_about(message, body), {"format": "email"}))


def _mailbox(data: bytes, messages: list[tuple[int, int]]) -> Parsed:
    sections: list[str] = []
    for start, end in messages:
        message = part_of(data, start, end)
        sections.append(_ESCAPED.sub(r"\1From ", _section(message, 1)))
    if len(messages) == MOST_MESSAGES:
        sections.append(f"# Not read\n\nThe mailbox goes on; its first {MOST_MESSAGES} messages are read.")
    return Parsed("\n\n".join(sections), "", {"format": "email", "messages": len(messages)})


def _section(message: Part, level: int) -> str:
    title = header(message.head, "Subject") or _NO_SUBJECT
    text = _written(message, body_of(message), level)
    return f"{'#' * level} {title}\n\n{text}".rstrip()


def _written(message: Part, body: Body, level: int) -> str:
    """Return a message's text: people and date, the passages, the names of what is attached.

    level: of the heading above it; 0 where there is none. Attached messages come below it, as deep as messages nest.
    """
    blocks = [_head_lines(message)]
    attached: list[str] = []
    for each in body.texts:
        if isinstance(each, str):
            blocks.append(deeper(each, level))
        elif each.depth < DEEPEST:
            attached.append(_section(each, min(6, max(2, level + 1))))
    if body.sealed:
        blocks.append("(A part of this message is encrypted and not read.)")
    if body.attachments:
        blocks.append("Attachments, not read: " + "; ".join(one_line(name) for name in body.attachments))
    return "\n\n".join(block for block in [*blocks, *attached] if block.strip())


def _head_lines(message: Part) -> str:
    lines = []
    for name in ("From", "To", "Cc", "Bcc"):
        if found := [shown(each) for each in people(str(message.head.get(name, "") or ""))]:
            lines.append(f"{name}: {', '.join(found)}")
    if when := _date(message):
        lines.append(f"Date: {when.replace('T', ' ')}")
    return "\n".join(lines)


def _date(message: Part) -> str:
    received = str(message.head.get("Received", "") or "").rpartition(";")[2]
    return date_of(str(message.head.get("Date", "") or "").strip()) or date_of(received.strip())


def _about(message: Part, body: Body) -> dict[str, object]:
    senders = people(str(message.head.get("From", "") or ""))
    to = [each for name in ("To", "Cc") for each in people(str(message.head.get(name, "") or ""))]
    return dict(
        facts(
            author=next((name or address for name, address in senders), ""),
            date=_date(message),
            to=[address or name for name, address in to],
            attachments=body.attachments,
            **{"from": next((address for _, address in senders), "")},
        )
    )

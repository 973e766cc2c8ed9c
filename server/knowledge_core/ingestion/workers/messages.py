"""What goes over the pipes between the owner and a process that parses: a header in JSON and a body of bytes.

What a child answers is not trusted: a hostile file may have taken the child over. So an answer holds values only, of types
and sizes that are checked here, and spans that lie in the text.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import IO, Any, get_args

from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.unreadable import Reason, Unreadable
from knowledge_core.types import Heading, MetadataValue, Span

_SIZES = struct.Struct(">QQ")  # bytes of the header, bytes of the body
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,50}/[a-z0-9.+-]{1,100}")
_OWN = ("format", "language", "pages", "pages_without_text")  # metadata that the readers alone may set, see `metadata`
_MOST_MESSAGE = 2000  # characters
_MOST_NAME = 10_000  # characters of a title or a heading
_MOST_NUMBERS = 100  # in a list of metadata
_DEEPEST = 1000  # level of a heading


class BadMessage(Exception):
    """What came over the pipe is no answer."""


def write(file: IO[bytes], header: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one message, whole."""
    head = json.dumps(header).encode("ascii")
    file.write(_SIZES.pack(len(head), len(body)) + head)
    file.write(body)
    file.flush()


def read(file: IO[bytes], most_header: int, most_body: int) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message; None where the other side has ended.

    most_header, most_body: bytes.

    Raises:
        BadMessage: it is larger, or no JSON.
    """
    sizes = file.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        return None
    head_size, body_size = _SIZES.unpack(sizes)
    if head_size > most_header or body_size > most_body:
        raise BadMessage("it is too large")
    head, body = file.read(head_size), file.read(body_size)
    if len(head) < head_size or len(body) < body_size:
        return None
    try:
        header = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise BadMessage("it is no JSON") from error
    if not isinstance(header, dict):
        raise BadMessage("it is no object")
    return header, body


def answer_of(parsed: Parsed) -> tuple[dict[str, Any], bytes]:
    """Return a reader's outcome as header and body of a message."""
    header = {
        "title": parsed.title,
        "metadata": dict(parsed.metadata),
        "media_type": parsed.media_type,
        "pages": [[span.start, span.end] for span in parsed.pages],
        "headings": [[each.start, each.level, each.name[:_MOST_NAME]] for each in parsed.headings],
        "pictures": list(parsed.pictures),
        "lines_of_file": parsed.lines_of_file,
    }
    # What no text may hold is exchanged, a character for a character: spans stay right.
    return header, parsed.text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


def parsed_of(header: Mapping[str, Any], body: bytes) -> Parsed:
    """Return what `answer_of` wrote.

    Raises:
        BadMessage: a value is missing, of another type, or out of its bounds.
        Unreadable: the answer is that the file cannot be read.
    """
    if "unreadable" in header:
        raise _unreadable(header["unreadable"])
    try:
        text = body.decode("utf-8")
        _must("\0" not in text)
        pages = tuple(Span(_number(start), _number(end)) for start, end in header["pages"])
        headings = tuple(
            Heading(_number(start), _number(level), _text(name, _MOST_NAME))
            for start, level, name in header["headings"]
        )
        pictures = tuple(_number(page) for page in header["pictures"])
        _must(all(span.start <= span.end <= len(text) for span in pages))
        _must(all(before.end <= after.start for before, after in pairwise(pages)))
        _must(all(each.start <= len(text) and 1 <= each.level <= _DEEPEST for each in headings))
        _must(all(before.start <= after.start for before, after in pairwise(headings)))
        _must(all(1 <= page <= len(pages) for page in pictures))
        media_type, lines = header["media_type"], header["lines_of_file"]
        _must(_MEDIA_TYPE.fullmatch(media_type) is not None and isinstance(lines, bool))
        about = _metadata(header["metadata"])
        return Parsed(text, _text(header["title"]), about, media_type, pages, headings, pictures, lines)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadMessage("a value of it is not allowed") from error


def _must(true: bool) -> None:
    if not true:
        raise BadMessage("a value of it is not allowed")


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadMessage("a number of it is not allowed")
    return value


def _text(value: object, most: int | None = None) -> str:
    if not isinstance(value, str) or (most is not None and len(value) > most):
        raise BadMessage("a text of it is not allowed")
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def _metadata(found: object) -> dict[str, MetadataValue]:
    """Return metadata within the bounds that hold for all metadata of files, whatever the child sent."""
    if not isinstance(found, dict):
        raise BadMessage("its metadata are no object")
    own: dict[str, MetadataValue] = {}
    for name in _OWN:
        value = found.get(name)
        if isinstance(value, str):
            own[name] = _text(value, 100)
        elif isinstance(value, list):
            own[name] = [_number(each) for each in value[:_MOST_NUMBERS]]
        elif value is not None:
            own[name] = _number(value)
    return from_file({name: value for name, value in found.items() if name not in _OWN}, own)


def _unreadable(said: object) -> Unreadable:
    match said:
        case [str(reason), str(message)] if reason in get_args(Reason):
            return Unreadable(reason, _text(message[:_MOST_MESSAGE]))  # type: ignore[arg-type]  # it is one of them
    raise BadMessage("its reason is not known")

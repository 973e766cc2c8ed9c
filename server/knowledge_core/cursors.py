"""Cursors: which request an answer belongs to, how many items it has shown, and from what state of the data. Pure.

A cursor is opaque to its holder and carries a digest of the request in place of the request's text. Its holder repeats
the request beside the cursor; a cursor of another request is refused. A cursor is short, however long the request and
however many its collections, because it has to fit at the end of an answer that is full.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge_core.errors import CursorExpired

VERSION = 2  # of a cursor's fields; cursors of other versions are refused
FURTHEST = 1_000_000  # items; this program writes no cursor with a larger offset
OF_ANOTHER_REQUEST = (
    "The cursor belongs to another request. Repeat the other arguments exactly, or ask again without the cursor."
)
LONGEST = 20_000  # characters; a document's id, which a cursor may hold, has 4 KB at most on any file system


@dataclass(frozen=True)
class Cursor:
    """The place in an answer from which the next page continues.

    request: digest of the request, by `request_digest`.
    offset: how many items earlier pages have shown, 0 to `FURTHEST`.
    state: digest of the data that the request was answered from.
    """

    request: str
    offset: int
    state: str


def request_digest(request: object) -> str:
    """Return a digest of a value's JSON form, 16 hexadecimal digits. The order of keys does not count."""
    canonical = json.dumps(request, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()[:16]


def pack(content: object) -> str:
    """Return a JSON value as URL-safe text, for a cursor of any form."""
    packed = json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def unpack(text: str) -> object:
    """Return the value that `pack` made this text from; None where `pack` made no such text."""
    try:
        if len(text) > LONGEST:
            return None
        made: object = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError, binascii.Error):
        return None
    return made


def encode(cursor: Cursor) -> str:
    """Return the cursor as URL-safe text."""
    return pack({"v": VERSION, "r": cursor.request, "o": cursor.offset, "s": cursor.state})


def decode(text: str, request: str) -> Cursor:
    """Return the cursor that `encode` made this text from.

    request: digest of the present request, by `request_digest`.

    Raises:
        CursorExpired: the text is no cursor of this program, or the cursor belongs to another request.
    """
    content = unpack(text)
    cursor = _cursor(content) if isinstance(content, dict) and content.get("v") == VERSION else None
    if cursor is None:
        raise CursorExpired("The cursor cannot be read. Pass it exactly as given, or ask again without it.")
    if cursor.request != request:
        raise CursorExpired(OF_ANOTHER_REQUEST)
    return cursor


def encode_after(id: str, request: str) -> str:
    """Return the cursor of a list that goes on after an id. request: its digest, or its name if it has no arguments.

    >>> decode_after(encode_after("solar", "list_all"), "list_all")
    'solar'
    """
    return pack([request, id])


def decode_after(text: str, request: str) -> str:
    """Return the id that `encode_after` was given, for the same request.

    Raises:
        CursorExpired: it is no such cursor, or one of another request.
    """
    match unpack(text):
        case [of, str(id)] if of == request:
            return id
    raise CursorExpired(OF_ANOTHER_REQUEST)


def moved(collections: Sequence[str], then: str, now: str) -> list[str]:
    """Return a notice for the holder of a cursor whose data has changed since; an empty list where it has not.

    collections: the names of the request's collections, at least one.
    then: the state in the cursor.
    now: the present state.
    """
    if then == now:
        return []
    what = f"Collection {collections[0]!r}" if len(collections) == 1 else "A collection"
    return [
        f"{what} changed since the first page: what is listed may have gaps, or come twice. Ask again without the cursor "
        "for a whole list."
    ]


def _cursor(content: dict[str, object]) -> Cursor | None:
    request, offset, state = content.get("r"), content.get("o"), content.get("s")
    if not isinstance(request, str) or not isinstance(state, str) or type(offset) is not int:
        return None
    return Cursor(request, offset, state) if 0 <= offset <= FURTHEST else None

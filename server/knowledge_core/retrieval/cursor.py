"""Where a search goes on: which request, how many hits were shown, and the generation of each collection then. Pure.

A cursor is opaque to its holder and carries no text of the request, only a digest: whoever sends it repeats the
request, and a cursor of another request is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from knowledge_core.errors import CursorExpired

VERSION = 1
FURTHEST = 1_000_000  # hits; beyond it nobody wrote this cursor but a fuzzer
LONGEST = 100_000  # characters; room for the generations of a thousand collections


@dataclass(frozen=True)
class Cursor:
    """The place after `offset` hits of the request with this digest. generations: collection name to generation."""

    request: str
    offset: int
    generations: Mapping[str, int]


def request_digest(request: object) -> str:
    """Return a short digest of a request's JSON form: equal requests, whatever the order of their keys, share it."""
    canonical = json.dumps(request, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()[:16]


def encode(cursor: Cursor) -> str:
    """Return the cursor as URL-safe text."""
    content = {"v": VERSION, "r": cursor.request, "o": cursor.offset, "g": dict(cursor.generations)}
    packed = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def decode(text: str, request: str) -> Cursor:
    """Return what `encode` made, for the request with this digest.

    Raises:
        CursorExpired: it is no cursor of this program, or one of another request.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError
        content = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        cursor = Cursor(content["r"], content["o"], content["g"])
        if content["v"] != VERSION or not _well_formed(cursor):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        raise CursorExpired(
            "The cursor cannot be read. Pass it exactly as given, or search again without it."
        ) from None
    if cursor.request != request:
        raise CursorExpired(
            "The cursor belongs to another search. Repeat its query, mode, filter and collections exactly, "
            "or search again without the cursor."
        )
    return cursor


def _well_formed(cursor: Cursor) -> bool:
    return (
        isinstance(cursor.request, str)
        and type(cursor.offset) is int
        and 0 <= cursor.offset <= FURTHEST
        and isinstance(cursor.generations, dict)
        and all(type(generation) is int for generation in cursor.generations.values())
    )

"""Whether what the record holds of documents is what was stored: texts by their SHA-256, chunks by that of what was embedded.

Everything is read as bytes: a byte that changed may have made a text that no longer decodes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from knowledge_core.contract import EmbeddingContract
from knowledge_core.storage.record.snapshot import GIVEN, RecordSnapshot, json_list
from knowledge_core.storage.values import MARKED, Keys, Unsound, is_as_stored
from knowledge_core.types import Document, Heading, titled

_TEXT = ", ".join(
    f"CAST({column} AS BLOB)"
    for column in (
        "id",
        "text",
        "title",
        "uri",
        "metadata",
        "media_type",
        "headings",
        "embedded_title",
        "digest",
        "path",
    )
)


def document_numbers(record: RecordSnapshot) -> Keys:
    """Return the numbers of all documents, ascending: (n,)."""
    return np.array([row[0] for row in record.rows("SELECT number FROM documents ORDER BY number")], np.int64)


def marked(record: RecordSnapshot) -> Keys:
    """Return the numbers of the documents that are marked to be read again, ascending: (n,)."""
    found = record.rows("SELECT number FROM documents WHERE substr(digest, 1, ?) = ?", (len(MARKED), MARKED))
    return np.array(sorted(row[0] for row in found), np.int64)


def documents_of_keys(record: RecordSnapshot, keys: Sequence[int] | Keys) -> list[int]:
    """Return the numbers of the documents that have a chunk with one of these keys, ascending."""
    found = record.rows(f"SELECT DISTINCT document FROM chunks WHERE key IN {GIVEN} ORDER BY 1", (json_list(keys),))
    return [row[0] for row in found]


def unsound(record: RecordSnapshot, contract: EmbeddingContract, numbers: Sequence[int] | Keys) -> list[Unsound]:
    """Return those of these documents that are not as they were stored, in the order of their numbers."""
    given = (json_list(numbers),)
    rows = record.rows(f"SELECT number, {_TEXT} FROM documents WHERE number IN {GIVEN} ORDER BY number", given)
    chunks: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in record.rows(
        "SELECT c.document, c.start, c.end, CAST(c.heading AS BLOB), v.digest FROM chunks c "
        f"LEFT JOIN vectors v ON v.key = c.key WHERE c.document IN {GIVEN}",
        given,
    ):
        chunks[row[0]].append(row[1:])
    found = []
    for number, id, *columns, path in rows:
        text_is_sound = chunks_are_sound = False
        try:
            text, title, uri, metadata, media_type, headings = [column.decode() for column in columns[:6]]
            under, digest = title if columns[6] is None else columns[6].decode(), columns[7].decode()
            outline = tuple(Heading(*each) for each in json.loads(headings))
            document = Document("", text, title, uri, json.loads(metadata), media_type, headings=outline)
            text_is_sound = is_as_stored(document, digest.removeprefix(MARKED))
            chunks_are_sound = not digest.startswith(MARKED) and _chunks_are_sound(
                contract, document, under, chunks[number]
            )
        except (ValueError, TypeError, AttributeError):  # no UTF-8, no JSON or JSON of another form, or a NULL
            pass
        if not (text_is_sound and chunks_are_sound):
            decoded = [None if each is None else each.decode("utf-8", "replace") for each in (id, path)]
            found.append(Unsound(number, decoded[0] or "", decoded[1], text_is_sound))
    return found


def _chunks_are_sound(
    contract: EmbeddingContract, document: Document, under: str, chunks: Sequence[tuple[Any, ...]]
) -> bool:
    """Return whether each chunk has the vector of what is embedded of it. under: the title under which it is embedded."""
    return all(
        contract.digest(document.text[start:end], titled(under, json.loads(heading))) == (digest or b"").hex()
        for start, end, heading, digest in chunks
    )

"""What is read of the record as it was at one moment: values out of a `RecordSnapshot`.

This is the SQL behind `View`, one function per question. It remembers nothing, and knows nothing of the indexes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

import numpy as np

from knowledge_core.storage.record.filters import MODIFIED, Condition
from knowledge_core.storage.record.overview import NEWEST
from knowledge_core.storage.record.snapshot import GIVEN, RecordSnapshot, json_list
from knowledge_core.storage.record.sqlite import known_digests, parsed, unit
from knowledge_core.storage.sorted_keys import among
from knowledge_core.storage.values import (
    Allowed,
    Calibration,
    Counts,
    FileState,
    Keys,
    Moments,
    Place,
    StoredChunk,
    StoredDocument,
)
from knowledge_core.types import Document, Heading, Lines, Span, Vectors

_CHUNK = (
    "c.number, c.key, d.id, d.title, d.uri, d.metadata, c.position, c.start, c.end, c.first_line, c.last_line, "
    "c.heading, c.page, d.lines_of_file, c.document"
)
_PLACE = "c.number, c.key, d.id, c.position, c.first_line, c.last_line, c.text_digest"
_JOINED = "chunks c JOIN documents d ON d.number = c.document WHERE"
_DOCUMENT = (
    "d.id, {text}, d.title, d.uri, d.metadata, d.media_type, d.pages, d.headings, d.lines_of_file, d.digest, d.source, d.path, "
    f"d.size, d.mtime_ns, d.ctime_ns, d.unreadable, d.embedded_title, {MODIFIED}, d.indexed_at, "
    "(SELECT count(*) FROM chunks c WHERE c.document = d.number)"
)
DATES = ("updated", "modified", "date", "published", "created")  # metadata fields that date a text, the first that does
_DATED = re.compile(r"\d{4}-\d\d-\d\d")
MOST_OF_TEXTS = 4_096  # places that are looked at for copies of one page's texts
_STATE = "digest, source, path, size, mtime_ns, ctime_ns, unreadable"
_MOST_TEXTS = 2_000  # that are joined, however small the files are which they were read from
# Without reading the text: of the file, or, where a document was given by its text, where its last chunk ends.
_ABOUT_SIZE = (
    "CASE d.size WHEN 0 THEN "
    "(SELECT c.end FROM chunks c WHERE c.document = d.number ORDER BY c.position DESC LIMIT 1) ELSE d.size END"
)
_FORMER = "BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
Order = Literal["id", "modified", "indexed_at"]

_WAITING = (
    "SELECT count(DISTINCT p.document) FROM plan p JOIN jobs j ON j.id = p.job WHERE p.state = 'waiting' AND "
    "p.action = 'add' AND j.state IN ('running', 'interrupted') AND p.document NOT IN (SELECT id FROM documents)"
)


@dataclass(frozen=True)
class StoredTexts:
    """Texts of some documents, in the order of their ids.

    data: the texts in UTF-8, a line end between one and the next. sizes: of each in bytes.
    """

    ids: list[str]
    sizes: list[int]
    data: bytes


# -- what there is -----------------------------------------------------------------------------------------------------


def calibration(record: RecordSnapshot) -> Calibration | None:
    """Return how well the model reads the collection; None before that was measured."""
    stored = record.rows("SELECT value FROM meta WHERE name = 'calibration'")
    return Calibration.from_json(stored[0][0]) if stored else None


def read_by(record: RecordSnapshot) -> str:
    """Return the version of reading and cutting by which all documents were read, as far as they could be; "" if unknown."""
    stored = record.rows("SELECT value FROM meta WHERE name = 'read_by'")
    return str(stored[0][0]) if stored else ""


def of_other_versions(record: RecordSnapshot, version: str) -> list[tuple[str, str | None]]:
    """Return id and path of the documents whose digest begins otherwise, in id order; no path: given by their text."""
    rows = record.rows(
        "SELECT id, path FROM documents WHERE substr(digest, 1, ?) != ? ORDER BY id", (len(version), version)
    )
    return [(str(id), path) for id, path in rows]


def counts(record: RecordSnapshot) -> Counts:
    """Return how much there is."""
    there = [_number(record, f"SELECT count(*) FROM {table}") for table in ("documents", "chunks", "vectors")]
    return Counts(there[0], there[0] + _number(record, _WAITING), there[1], there[2])


def last_indexed(record: RecordSnapshot) -> str | None:
    """Return when a document was last indexed: ISO 8601, UTC; None while there is none."""
    found = record.rows(NEWEST)
    return str(found[0][0]) if found else None


# -- chunks ------------------------------------------------------------------------------------------------------------


def chunks(record: RecordSnapshot, numbers: Iterable[int]) -> dict[int, StoredChunk]:
    """Return chunks by their numbers; those that are not there are left out."""
    rows = record.packed(_CHUNK, f"{_JOINED} c.number IN {GIVEN}", numbers)
    return {chunk.number: chunk for chunk in _chunks(record, rows)}


def chunks_of_document(record: RecordSnapshot, id: str) -> list[StoredChunk]:
    """Return a document's chunks in text order; none if there is no such document."""
    return _chunks(record, record.rows(f"SELECT {_CHUNK} FROM {_JOINED} d.id = ? ORDER BY c.position", (id,)))


def places_of_document(record: RecordSnapshot, id: str) -> list[Place]:
    """Return where a document's chunks lie, in text order; none if there is no such document."""
    return [_place(row) for row in record.rows(f"SELECT {_PLACE} FROM {_JOINED} d.id = ? ORDER BY c.position", (id,))]


def places_of_keys(record: RecordSnapshot, keys: Iterable[int], allowed: Allowed | None) -> dict[int, list[Place]]:
    """Return where the chunks lie that have each of these keys, ascending by number."""
    found: dict[int, list[Place]] = {}
    for place in _places(record, f"c.key IN {GIVEN}", keys, allowed):
        found.setdefault(place.key, []).append(place)
    return found


def places_of_texts(record: RecordSnapshot, digests: Iterable[int], allowed: Allowed | None) -> list[Place]:
    """Return where the chunks lie whose texts have one of these digests, ascending by number; `MOST_OF_TEXTS` at most."""
    limited = (
        f"c.number IN (SELECT number FROM chunks WHERE text_digest IN {GIVEN} ORDER BY number LIMIT {MOST_OF_TEXTS})"
    )
    return _places(record, limited, digests, allowed)


def _places(record: RecordSnapshot, where: str, given: Iterable[int], allowed: Allowed | None) -> list[Place]:
    rows = sorted(record.packed(_PLACE, f"{_JOINED} {where}", given), key=itemgetter(0))
    if allowed is not None and rows:
        inside = among(allowed.chunks, np.array([row[0] for row in rows], np.int64))[1]
        rows = [row for row, is_inside in zip(rows, inside, strict=True) if is_inside]
    return [_place(row) for row in rows]


def keys_of_chunks(record: RecordSnapshot, numbers: Iterable[int]) -> dict[int, int]:
    """Return the key of each of these chunks, by their numbers."""
    return dict(record.packed("number, key", f"chunks WHERE number IN {GIVEN}", numbers))


def all_chunk_numbers(record: RecordSnapshot) -> Keys:
    """Return the numbers of all chunks, ascending: (n,)."""
    return np.array([row[0] for row in record.rows("SELECT number FROM chunks ORDER BY number")], np.int64)


# -- documents ---------------------------------------------------------------------------------------------------------


def document(record: RecordSnapshot, id: str) -> StoredDocument | None:
    """Return one document with its text; None if it is not there."""
    rows = record.rows(f"SELECT {_DOCUMENT.format(text='d.text')} FROM documents d WHERE d.id = ?", (id,))
    return _document(rows[0]) if rows else None


def documents(
    record: RecordSnapshot, condition: Condition, limit: int, order: Order, after: tuple[str, str] | None
) -> list[StoredDocument]:
    """Return documents without their text: in the order of their ids, or the latest by a time first, ties by id.

    after: time ("" where ids order) and id of the document that the first one follows; None: from the beginning.
    """
    fields = _DOCUMENT.format(text="''")
    moment = {"id": "''", "modified": MODIFIED, "indexed_at": "d.indexed_at"}[order]
    where, given = (
        ("1", ()) if after is None else (f"({moment} < ? OR ({moment} = ? AND d.id > ?))", (after[0], *after))
    )
    rows = record.rows(
        f"SELECT {fields} FROM documents d WHERE {where} AND ({condition.sql}) "
        f"ORDER BY {'' if order == 'id' else moment + ' DESC, '}d.id LIMIT ?",
        (*given, *condition.parameters, limit),
    )
    return [_document(row) for row in rows]


def document_ids(record: RecordSnapshot, condition: Condition) -> list[str]:
    """Return the ids of all documents that a condition allows, in order."""
    rows = record.rows(f"SELECT d.id FROM documents d WHERE {condition.sql} ORDER BY d.id", condition.parameters)
    return [row[0] for row in rows]


def first_document_ids(record: RecordSnapshot, limit: int) -> list[str]:
    """Return the first `limit` ids, in order."""
    return [row[0] for row in record.rows("SELECT id FROM documents ORDER BY id LIMIT ?", (limit,))]


def texts(record: RecordSnapshot, condition: Condition, begin: str, *, included: bool, room: int) -> StoredTexts:
    """Return the texts of documents that a condition allows, in the order of the ids, about as many as have room.

    SQLite joins them, so that no other thread waits meanwhile. begin: the id from which on. included: whether that id is one
    of them. room: bytes, by the sizes of their files, or where their last chunks end; the first text is there in any case.
    """
    # By the index of the ids: in any other way SQLite would sort the texts themselves.
    source = "documents d INDEXED BY sqlite_autoindex_documents_1"
    where, given = f"d.id {'>=' if included else '>'} ? AND ({condition.sql})", (begin, *condition.parameters)
    first = f"SELECT d.id AS id, {_ABOUT_SIZE} AS size FROM {source} WHERE {where} ORDER BY d.id LIMIT {_MOST_TEXTS}"
    before = f"SELECT id, coalesce(sum(size) OVER (ORDER BY id ROWS {_FORMER}), 0) AS total FROM ({first})"
    ((last,),) = record.rows(f"SELECT max(id) FROM ({before}) WHERE total <= ?", (*given, room))
    if last is None:
        return StoredTexts([], [], b"")
    some = f"SELECT d.id AS id, d.text AS text FROM {source} WHERE {where.replace('?', '? AND d.id <= ?', 1)} ORDER BY d.id"
    ((ids, sizes, data),) = record.rows(
        "SELECT json_group_array(id), json_group_array(length(CAST(text AS BLOB))), "
        f"CAST(group_concat(text, char(10)) AS BLOB) FROM ({some})",
        (begin, last, *condition.parameters),
    )
    return StoredTexts(json.loads(ids), json.loads(sizes), data)


def one_of(ids: Sequence[str]) -> Condition:
    """Return the condition that a document's id is one of these."""
    return Condition(f"d.id IN {GIVEN}", (json.dumps(ids),))


def document_keys(record: RecordSnapshot, condition: Condition) -> dict[str, list[int]]:
    """Return for each document that a condition allows, in the order of the ids, the keys of its chunks."""
    rows = record.rows(
        f"SELECT d.id, c.key FROM documents d JOIN chunks c ON c.document = d.number WHERE {condition.sql} "
        "ORDER BY d.id, c.position",
        condition.parameters,
    )
    found: dict[str, list[int]] = {}
    for id, key in rows:
        found.setdefault(id, []).append(key)
    return found


def files(record: RecordSnapshot, ids: Iterable[str]) -> dict[str, FileState]:
    """Return what is remembered of the files that these documents were read from, by id; inline ones are left out."""
    rows = record.rows(
        f"SELECT id, {_STATE} FROM documents WHERE path IS NOT NULL AND id IN {GIVEN}", (json.dumps(list(ids)),)
    )
    return {id: FileState(*state) for id, *state in rows}


def moments(record: RecordSnapshot, ids: Iterable[str]) -> dict[str, Moments]:
    """Return what documents say of their own times, by id."""
    dates = ", ".join(
        f"iif(json_type(d.metadata, '$.{name}') = 'text', d.metadata ->> '$.{name}', NULL)" for name in DATES
    )
    rows = record.rows(
        f"SELECT d.id, {MODIFIED}, iif(json_type(d.metadata, '$.status') = 'text', d.metadata ->> '$.status', ''), {dates} "
        "FROM documents d WHERE d.id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    found = {}
    for id, modified, status, *own in rows:
        dated = next((each for each in own if each and _DATED.match(each)), modified)
        found[id] = Moments(dated, status)
    return found


def documents_by_source(record: RecordSnapshot) -> dict[str, int]:
    """Return how many documents each source has, by its name."""
    return dict(record.rows("SELECT source, count(*) FROM documents WHERE source NOT NULL GROUP BY source"))


def of_size(record: RecordSnapshot, size: int, limit: int) -> list[str]:
    """Return the ids of up to `limit` documents whose files had this many bytes, in order."""
    rows = record.rows(
        "SELECT id FROM documents WHERE size = ? AND path IS NOT NULL ORDER BY id LIMIT ?", (size, limit)
    )
    return [row[0] for row in rows]


def holds_below(record: RecordSnapshot, under: str) -> bool:
    """Say whether there is a document whose id begins so."""
    rows = record.rows("SELECT id FROM documents WHERE id >= ? ORDER BY id LIMIT 1", (under,))
    return bool(rows) and str(rows[0][0]).startswith(under)


def state(record: RecordSnapshot, id: str) -> FileState | None:
    """Return what is remembered of one document, to see whether it changed; None if it is not there."""
    rows = record.rows(f"SELECT {_STATE} FROM documents WHERE id = ?", (id,))
    return FileState(*rows[0]) if rows else None


# -- vectors -----------------------------------------------------------------------------------------------------------


def vectors(record: RecordSnapshot, keys: Sequence[int] | Keys, dimensions: int) -> Vectors:
    """Return (n, dimensions) float32, norm 1, in the order of the keys.

    Raises:
        KeyError: a key is not there.
    """
    return unit(record.vectors(keys), dimensions)


def missing(record: RecordSnapshot, digests: Sequence[str]) -> set[str]:
    """Return which of these embedded texts have no vector."""
    return set(digests) - known_digests(record.rows, digests)


def keys_by_digest(record: RecordSnapshot, limit: int) -> Keys:
    """Return up to `limit` keys, those of the smallest digests, in their order: (n,)."""
    rows = record.rows("SELECT key FROM vectors ORDER BY digest LIMIT ?", (limit,))
    return np.array([row[0] for row in rows], np.int64)


def key_digests(record: RecordSnapshot, keys: Sequence[int] | Keys) -> dict[int, str]:
    """Return the digest (hex) of the embedded text of each key; those that are not there are left out."""
    rows = record.packed("key, hex(digest)", f"vectors WHERE key IN {GIVEN}", keys)
    return {key: digest.lower() for key, digest in rows}


# -- rows to values ----------------------------------------------------------------------------------------------------


def _number(record: RecordSnapshot, sql: str) -> int:
    return int(record.rows(sql)[0][0])


def _chunks(record: RecordSnapshot, rows: Sequence[Sequence[Any]]) -> list[StoredChunk]:
    # Each document's text once, and cut here: SQLite's substr would read the whole document for each of its chunks.
    texts = dict(
        record.rows(
            f"SELECT number, text FROM documents WHERE number IN {GIVEN}", (json_list({row[-1] for row in rows}),)
        )
    )
    sizes = _sizes(record, texts)
    return [_chunk(row, texts[row[-1]], sizes[row[-1]]) for row in rows]


def _sizes(record: RecordSnapshot, texts: Mapping[int, str]) -> dict[int, int]:
    """Return how many bytes of UTF-8 the text of each document has, by the documents' numbers."""
    sizes = {number: len(text) for number, text in texts.items()}
    # SQLite says the length of what it has stored in a tenth of the time that Python takes to encode the text.
    if wide := [number for number, text in texts.items() if not text.isascii()]:
        sizes |= dict(
            record.rows(
                f"SELECT number, length(CAST(text AS BLOB)) FROM documents WHERE number IN {GIVEN}", (json_list(wide),)
            )
        )
    return sizes


def _place(row: Sequence[Any]) -> Place:
    number, key, document, position, first, last, text = row
    return Place(number, key, document, position, Lines(first, last), text)


def _chunk(row: Sequence[Any], text: str, size: int) -> StoredChunk:
    (number, key, document, title, uri, metadata, position, start, end, first, last, heading, page, own, _) = row
    return StoredChunk(
        number, key, document, title, uri, parsed(metadata, {}), position, Span(start, end), Lines(first, last),
        tuple(parsed(heading, [])), page, text[start:end], bool(own), size,
    )  # fmt: skip


def _document(row: tuple[Any, ...]) -> StoredDocument:
    (id, text, title, uri, metadata, media_type, pages, headings, own, *state) = row
    spans = tuple(Span(start, end) for start, end in parsed(pages, []))
    outline = tuple(Heading(*each) for each in parsed(headings, []))
    document = Document(id, text, title, uri, parsed(metadata, {}), media_type, spans, outline, bool(own))
    return StoredDocument(document, *state)

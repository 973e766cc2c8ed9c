"""What a collection holds at a glance: read from the record alone, without opening the collection.

So it is quick whatever state the collection's derived indexes are in, and however many collections there are: no text and
no vector is read, and what needs a look at every document is remembered until the collection changes.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath

from knowledge_core.storage.record.sqlite import FILE, connect, refuse_without_record, translated

MOST_KINDS = 50  # the most frequent ones
MOST_COUNTED = 200_000  # documents whose kinds are counted; 100,000 take 0.1 s
NEWEST = "SELECT indexed_at FROM documents ORDER BY number DESC LIMIT 1"
"""SQL: when a document was last indexed. Numbers only grow, so nothing else has to be read."""


@dataclass(frozen=True)
class Overview:
    """What a collection holds at a glance.

    documents: how many.
    sources: names of the folders that it was indexed from.
    kinds: number of documents by the suffix of their ids (".md"), the 50 most frequent; empty where there are too many
        documents to count. Any suffix of an id is one here: which of them name a kind is for the caller to say.
    newest: when a document was last indexed, ISO 8601, UTC; None while there is none.
    """

    documents: int
    sources: tuple[str, ...]
    kinds: Mapping[str, int]
    newest: str | None


class Overviews:
    """The overviews taken so far, by collection. Several threads may call it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of the table; nothing is read under it
        self._known: dict[Path, tuple[tuple[str, ...], Overview]] = {}

    def of(self, folder: Path) -> Overview:
        """Return what the collection in a folder holds now.

        Raises:
            CollectionNotFound: there is none.
            StorageDamaged, StorageError: its record is gone, or cannot be read.
        """
        refuse_without_record(folder)
        with translated(folder.name), closing(connect(folder / FILE, read_only=True)) as connection:
            rows = connection.execute("SELECT value FROM meta WHERE name IN ('identity', 'generation') ORDER BY name")
            version = tuple(value for (value,) in rows)
            with self._guard:
                known = self._known.get(folder)
            if known is not None and known[0] == version:
                return known[1]
            connection.execute("BEGIN")
            (documents,) = connection.execute("SELECT count(*) FROM documents").fetchone()
            sources = connection.execute("SELECT name FROM sources ORDER BY name").fetchall()
            newest = connection.execute(NEWEST).fetchone()
            # Read from the index on the ids: the rows, which hold the texts, are not touched.
            ids = "[]"
            if documents <= MOST_COUNTED:
                (ids,) = connection.execute("SELECT json_group_array(id) FROM documents").fetchone()
        taken = Overview(documents, tuple(name for (name,) in sources), _kinds(json.loads(ids)), newest and newest[0])
        with self._guard:
            self._known[folder] = version, taken
        return taken


def _kinds(ids: list[str]) -> dict[str, int]:
    return dict(Counter(PurePath(id[-16:]).suffix.lower() for id in ids).most_common(MOST_KINDS))

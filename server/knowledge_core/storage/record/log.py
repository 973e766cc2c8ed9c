"""What the derived indexes and `kcore doctor` read of the record: what each generation changed, and whether it is sound.

The log names chunks and keys that came and went, by generation; their rows are read where they lie now.
"""

from __future__ import annotations

import json
import sqlite3

import numpy as np

from knowledge_core.storage.lexical_text import lexical_text
from knowledge_core.storage.record.sqlite import VECTOR_TYPE, all_rows, parsed, transaction, translated, unit
from knowledge_core.storage.values import Keys, LexicalText
from knowledge_core.types import Vectors


class RecordLog:
    """The log of what each generation changed, and the rows that it names, on the record's writing connection."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def generation(self) -> int:
        """Return the number of the latest change; 0 before the first."""
        with translated(self._name):
            (value,) = self._connection.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
        return int(value)

    def complete_since(self) -> int:
        """Return the generation since which the log is complete: of later changes it names every row."""
        with translated(self._name):
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'log_from'").fetchone()
        return int(row[0]) if row else 0

    def keys_since(self, generation: int) -> Keys:
        """Return the keys that came after a generation and are still there, (n,), ascending; since 0: all keys."""
        return self._numbers(
            "SELECT key FROM vectors ORDER BY key" if not generation else
            "SELECT DISTINCT v.key FROM log l JOIN vectors v ON v.key = l.number WHERE l.kind = '+k' AND l.generation > ? "
            "ORDER BY v.key",
            generation,
        )  # fmt: skip

    def chunks_since(self, generation: int) -> Keys:
        """Return the chunks that came after a generation and are still there, by number, (n,), ascending; since 0: all."""
        return self._numbers(
            "SELECT number FROM chunks ORDER BY number" if not generation else
            "SELECT DISTINCT c.number FROM log l JOIN chunks c ON c.number = l.number WHERE l.kind = '+c' AND "
            "l.generation > ? ORDER BY c.number",
            generation,
        )  # fmt: skip

    def chunks_after(self, number: int, most: int) -> Keys:
        """Return the numbers of up to `most` chunks that are greater than a number, (n,), ascending."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT number FROM chunks WHERE number > ? ORDER BY number LIMIT ?", (number, most)
            ).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def removed_keys_since(self, generation: int) -> list[int]:
        """Return the keys that went after a generation, ascending; since 0: none, for nothing was there."""
        return self._removed_since("-k", generation)

    def removed_chunks_since(self, generation: int) -> list[int]:
        """Return the numbers of the chunks that went after a generation, ascending; since 0: none."""
        return self._removed_since("-c", generation)

    def _removed_since(self, kind: str, generation: int) -> list[int]:
        if not generation:
            return []
        numbers = self._numbers(
            f"SELECT DISTINCT number FROM log WHERE kind = '{kind}' AND generation > ? ORDER BY number", generation
        )
        return [int(number) for number in numbers]

    def vectors(self, keys: Keys, dimensions: int, *, normalised: bool = True) -> Vectors:
        """Return (n, dimensions) float32 in the order of `keys`, which ascend and are all there.

        normalised: scaled to norm 1; else as they are stored, whatever a damaged record has there.
        """
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT vector FROM vectors WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key",
                (json.dumps(keys.tolist()),),
            ).fetchall()
        blobs = [row[0] for row in rows]
        if not normalised:
            return np.frombuffer(b"".join(blobs), VECTOR_TYPE).astype(np.float32).reshape(len(blobs), dimensions)
        return unit(blobs, dimensions)

    def lexical_texts(self, numbers: Keys) -> list[LexicalText]:
        """Return what the words of chunks are read from, ascending by number."""
        with translated(self._name):
            rows = all_rows(
                self._connection,
                "SELECT number, document, start, end, heading FROM chunks "
                "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number",
                (json.dumps(numbers.tolist()),),
            )
            # Each text once, and cut here: SQLite's substr would read the whole document for each of its chunks.
            found = all_rows(
                self._connection,
                "SELECT number, id, path, title, media_type, text FROM documents "
                "WHERE number IN (SELECT value FROM json_each(?))",
                (json.dumps(list({row[1] for row in rows})),),
            )
        documents = {row[0]: row[1:] for row in found}
        texts = []
        for number, document, start, end, heading in rows:
            id, path, title, media_type, text = documents[document]
            texts.append(lexical_text(number, id, path, title, media_type, parsed(heading, []), text[start:end]))
        return texts

    def integrity(self) -> list[str]:
        """Return what SQLite's own checks find wrong; nothing if all is well."""
        with translated(self._name):
            found = [row[0] for row in self._connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
            dangling = self._connection.execute("PRAGMA foreign_key_check").fetchall()
        return found + ([f"{len(dangling)} dangling references"] if dangling else [])

    def wrong_chunks(self) -> int:
        """Return how many chunks lie outside their document, or are not numbered through from 0."""
        with translated(self._name):
            (outside,) = self._connection.execute(
                # Each text is measured once, not once per chunk.
                "WITH sizes AS MATERIALIZED (SELECT number, length(text) AS size FROM documents) "
                "SELECT count(*) FROM chunks c JOIN sizes s ON s.number = c.document "
                "WHERE c.start < 0 OR c.end <= c.start OR c.end > s.size"
            ).fetchone()
            (gaps,) = self._connection.execute(
                "SELECT count(*) FROM (SELECT document FROM chunks GROUP BY document "
                "HAVING max(position) <> count(*) - 1 OR min(position) <> 0)"
            ).fetchone()
        return int(outside) + int(gaps)

    def _numbers(self, sql: str, generation: int) -> Keys:
        with translated(self._name):
            rows = self._connection.execute(sql, (generation,) if "?" in sql else ()).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def prune(self, generation: int, keep: int) -> None:
        """Forget the changes up to a generation that all derived indexes have reached, once there are more than `keep` rows."""
        with transaction(self._connection, self._name):
            (length,) = self._connection.execute("SELECT count(*) FROM log").fetchone()
            if length > keep:
                self._connection.execute("DELETE FROM log WHERE generation <= ?", (generation,))
                self._connection.execute(
                    "INSERT INTO meta VALUES ('log_from', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (str(generation),),
                )

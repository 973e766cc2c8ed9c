"""Folders that were indexed, what a person wants of them, and the documents that were deleted and stay out."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from knowledge_core.contract import text_digest
from knowledge_core.storage.gil_pauses import with_pauses
from knowledge_core.storage.record.sqlite import parsed, transaction, translated
from knowledge_core.storage.values import KeptOut, Patterns, Source
from knowledge_core.types import composed


class SourceTable:
    """The tables `sources` and `kept_out`, on the record's writing connection."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def all(self) -> list[Source]:
        """Return the folders that were indexed, by name."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT name, path, patterns, by_person, watch, whole, mounts FROM sources ORDER BY name"
            ).fetchall()
        return [
            Source(
                name, path, _patterns(patterns), bool(by_person), bool(watch), bool(whole), tuple(parsed(mounts, []))
            )
            for name, path, patterns, by_person, watch, whole, mounts in rows
        ]

    def set(self, sources: Sequence[Source], forget: Sequence[str] = ()) -> None:
        """Forget sources by name, and record others, each as a whole; one whose name is there is replaced."""
        with transaction(self._connection, self._name):
            self._connection.executemany("DELETE FROM sources WHERE name = ?", ((name,) for name in forget))
            self.set_within(sources)

    def set_within(self, sources: Sequence[Source]) -> None:
        """Do what `set` does, within a transaction that is open."""
        self._connection.executemany(
            "INSERT INTO sources (name, path, indexed_at, patterns, by_person, watch, whole, mounts) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET path = excluded.path, "
            "indexed_at = excluded.indexed_at, patterns = excluded.patterns, by_person = excluded.by_person, "
            "watch = excluded.watch, whole = excluded.whole, mounts = excluded.mounts",
            (
                (
                    each.name, each.path, _now(), json.dumps([asdict(some) for some in each.patterns]), each.by_person,
                    each.watch, each.whole, json.dumps(each.mounts),
                )
                for each in sources
            ),
        )  # fmt: skip

    def kept_out(self) -> list[KeptOut]:
        """Return the documents that were deleted and stay out, by id."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT id, path, text_digest, deleted_at FROM kept_out ORDER BY id"
            ).fetchall()
        return [KeptOut(*row) for row in rows]

    def keep_out(self, ids: Iterable[str]) -> None:
        """Note documents that are about to be deleted, within that transaction; those given by their text are passed over."""
        for id in with_pauses(list(ids)):
            row = self._connection.execute(
                "SELECT id, path, text FROM documents WHERE id = ? AND path IS NOT NULL", (composed(id),)
            ).fetchone()
            if row is not None:
                self._connection.execute(
                    "INSERT OR REPLACE INTO kept_out VALUES (?, ?, ?, ?)", (row[0], row[1], text_digest(row[2]), _now())
                )

    def let_in_within(self, ids: Iterable[str]) -> None:
        """Let the files of deleted documents be indexed again, within a transaction that is open."""
        self._connection.executemany("DELETE FROM kept_out WHERE id = ?", ((composed(id),) for id in ids))


def _patterns(text: str) -> tuple[Patterns, ...]:
    return tuple(Patterns(each["base"], tuple(each["include"]), tuple(each["exclude"])) for each in parsed(text, []))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

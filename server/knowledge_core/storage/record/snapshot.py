"""The record as it was at one moment, to be read by several threads at once.

Python's sqlite3 lets go of the interpreter's lock at every row, and then waits for it. Threads that read hundreds of rows
hindered each other so much that two answered fewer searches than one (docs/decisions/readers.md). So where a search reads
many rows, SQLite packs them as JSON into one row, while other threads work.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from knowledge_core.storage.record.sqlite import all_rows, connect, translated
from knowledge_core.storage.values import Keys

log = logging.getLogger(__name__)

CONNECTIONS = 4  # so that three filters that take a second each to evaluate keep no other search waiting
VECTORS_AT_ONCE = 1_000  # packed in one value of SQLite, which holds 1 GB at most

GIVEN = "(SELECT value FROM json_each(?))"
"""SQL: the values of a parameter that is a JSON list, to compare with by IN."""


class RecordSnapshot:
    """Documents, chunks and vectors as they were when it was made. Several threads may read.

    Connections that are opened later show the same generation, or are not used. Jobs are recorded without a new generation,
    so what is read of jobs may be newer.

    generation: of the record.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Pin what is committed now. name: of the collection, for messages.

        Raises:
            StorageDamaged, StorageError: the record cannot be read.
        """
        self._path, self._name = path, name
        self._turn = threading.Condition()  # of `_free` and `_more`; no statement runs under it
        with translated(name):
            connection, self.generation = _pinned(path)
        self._free = [connection]
        self._more = CONNECTIONS - 1

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a statement.

        Raises:
            StorageDamaged, StorageError: SQLite refused.
        """
        with self._connection() as connection, translated(self._name):
            return all_rows(connection, sql, parameters)

    def packed(self, columns: str, source: str, numbers: Iterable[int]) -> list[list[Any]]:
        """Return rows of texts and numbers, in any order.

        source: what stands after FROM, with `GIVEN` in it once.
        numbers: what `GIVEN` stands for.
        """
        sql = f"SELECT json_group_array(json_array({columns})) FROM {source}"
        ((found,),) = self.rows(sql, (json_list(numbers),))
        rows: list[list[Any]] = json.loads(found)
        return rows

    def table(self, columns: Sequence[str], source: str, parameters: Sequence[Any]) -> Keys:
        """Return columns of whole numbers, (n, len(columns)) int64, in any order. source: what stands after FROM."""
        packed = ", ".join(f"json_group_array({column})" for column in columns)
        (found,) = self.rows(f"SELECT {packed} FROM {source}", parameters)
        return np.array([json.loads(each) for each in found], np.int64).T

    def vectors(self, keys: Sequence[int] | Keys) -> list[bytes]:
        """Return vectors as they are stored, in the order of their keys.

        Raises:
            KeyError: a key is not there.
        """
        found: dict[int, bytes] = {}
        for begin in range(0, len(keys), VECTORS_AT_ONCE):
            ((some, digits),) = self.rows(
                f"SELECT json_group_array(key), group_concat(hex(vector), '') FROM vectors WHERE key IN {GIVEN}",
                (json_list(keys[begin : begin + VECTORS_AT_ONCE]),),
            )
            there, together = json.loads(some), bytes.fromhex(digits or "")
            size = len(together) // max(len(there), 1)
            found |= {key: together[at * size : (at + 1) * size] for at, key in enumerate(there)}
        return [found[int(key)] for key in keys]

    def close(self) -> None:
        """Let go, so that SQLite can reuse what only this snapshot needed. Nobody may read it after that."""
        with self._turn:
            for connection in self._free:
                connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to this moment that no other thread uses; wait where all are in use."""
        with self._turn:
            while not self._free:
                if self._more:
                    self._open_another()
                else:
                    self._turn.wait()
            connection = self._free.pop()
        try:
            yield connection
        finally:
            with self._turn:
                self._free.append(connection)
                self._turn.notify()

    def _open_another(self) -> None:
        """Open one more connection, if the record has not changed since the first one."""
        try:
            connection, generation = _pinned(self._path)
        except sqlite3.Error as error:
            log.info("a further connection was refused, readers wait for each other: %s", error)
            self._more = 0
            return
        if generation == self.generation:
            self._more -= 1
            self._free.append(connection)
        else:
            self._more = 0  # the record has moved on: no later connection will show this generation
            connection.close()


def json_list(numbers: Iterable[int]) -> str:
    """Return numbers as JSON, for `GIVEN`."""
    return json.dumps([int(number) for number in numbers])


def _pinned(path: Path) -> tuple[sqlite3.Connection, int]:
    """Return a connection to what is committed now, and its generation."""
    connection = connect(path, read_only=True)
    try:
        connection.execute("BEGIN")
        # The first read pins it.
        (generation,) = connection.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection, int(generation)

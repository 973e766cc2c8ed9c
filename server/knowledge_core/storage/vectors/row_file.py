"""The int8 rows of a collection on the disk, mapped into memory: opening a million costs a checksum and no copy.

Rules it keeps:
- rows are only ever appended; a byte that was published never changes, so a mapping of it stays true;
- `vectors.head` says how many rows count, their keys, which of them are dead, and a checksum. It is replaced last: after a
  crash the rows behind the published ones do not count, and are overwritten;
- when most of the rows are dead, the others are written to a file of another number.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knowledge_core.files import storage_refusal
from knowledge_core.quantising import Rows
from knowledge_core.storage.sorted_keys import runs, spread
from knowledge_core.storage.values import Keys
from knowledge_core.storage.vectors.checksummed_header import UnusableFileError, checksum_of
from knowledge_core.storage.vectors.versioned_file import VersionedFile

LAYOUT = 1  # of the head and of the rows; a file of another layout is rebuilt


@dataclass(frozen=True)
class SavedRows:
    """What is published.

    generation: of the record, up to which it holds everything.
    keys: (n,) int64, ascending.
    dead: (m,) int64, places among the keys that do not count, ascending.
    matrix: (n, d) int8, mapped from the file.
    """

    generation: int
    keys: Keys
    dead: Keys
    matrix: Rows


class RowFile:
    """The published rows of one collection. One thread at a time calls it."""

    def __init__(self, folder: Path, *, dimensions: int, tag: str, record: str = "") -> None:
        self._files = VersionedFile(
            folder, "vectors", "int8", layout=LAYOUT, dimensions=dimensions, tag=tag, record=record
        )
        self._dimensions = dimensions
        self._number = 0
        self._size = self._checksum = 0

    @property
    def claimed(self) -> int:
        """Return the generation that the files claim to hold: see `VersionedFile.claimed`."""
        return self._files.claimed

    def read(self) -> SavedRows | None:
        """Return what is published, every byte checked; None where there is nothing.

        Raises:
            UnusableFileError: a file is missing, damaged, or made for another record or contract.
            StorageError: the file cannot be mapped.
        """
        head = self._files.read_head()
        if head is None:
            return None
        facts, (starts, lengths, dead) = head
        path = self._files.path(facts["number"])
        size, checksum = facts["size"], facts["checksum"]
        try:
            good = checksum_of(path, size * self._dimensions) == checksum
        except UnusableFileError as reason:
            raise UnusableFileError(f"{path.name}: {reason}") from reason
        if not good:
            raise UnusableFileError(f"{path.name}: damaged (its checksum differs)")
        self._files.sweep(path)
        self._number, self._size, self._checksum = facts["number"], size, checksum
        return SavedRows(facts["generation"], spread(starts, lengths), dead, self._map(path, size))

    def is_sound(self) -> bool:
        """Say whether every byte of what is published is still as it was written."""
        if not self._size:
            return True
        try:
            return checksum_of(self._files.path(self._number), self._size * self._dimensions) == self._checksum
        except UnusableFileError:
            return False

    def append(self, generation: int, keys: Keys, dead: Keys, more: Rows) -> Rows:
        """Publish `more` behind the rows that there are; return all rows, mapped.

        keys: (n,) of all rows, ascending.
        dead: places among them that do not count, ascending.
        more: (m, d).

        Raises:
            StorageFull, StorageError: what was published before stays.
        """
        self._number = self._number or self._files.next_number()
        path = self._files.path(self._number)
        size = self._size + len(more)
        checksum = self._checksum
        if len(more):
            checksum = self._write(path, more)
        elif not size:
            self._write(path, more)
        facts = {"generation": generation, "number": self._number, "size": size, "checksum": checksum}
        self._files.write_head(facts, [*runs(keys), dead])
        self._size, self._checksum = size, checksum
        self._files.sweep(path)
        return self._map(path, size)

    def rewrite(self, generation: int, keys: Keys, rows: Rows) -> Rows:
        """Publish these rows alone, in a new file; return them, mapped. keys: (n,), ascending. rows: (n, d).

        Raises:
            StorageFull, StorageError: what was published before stays.
        """
        before = self._number, self._size, self._checksum
        self._number, self._size, self._checksum = self._files.next_number(), 0, 0
        try:
            return self.append(generation, keys, np.empty(0, np.int64), rows)
        except BaseException:
            self._number, self._size, self._checksum = before
            raise

    def remove(self) -> None:
        """Forget everything.

        Raises:
            StorageError: the disk refused.
        """
        self._files.remove()
        self._number = self._size = self._checksum = 0

    def _write(self, path: Path, more: Rows) -> int:
        """Write rows behind those that count, through to the disk; return the checksum of all."""
        content = np.ascontiguousarray(more).data.cast("B") if more.size else b""
        try:
            # Not truncated: an older mapping of the published rows must stay whole, and Windows refuses to truncate it.
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+b") as file:
                file.seek(self._size * self._dimensions)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise storage_refusal(error, path.name) from error
        return zlib.crc32(content, self._checksum)

    def _map(self, path: Path, size: int) -> Rows:
        if not size:
            return np.empty((0, self._dimensions), np.int8)
        try:
            return np.asarray(np.memmap(path, np.int8, "r", shape=(size, self._dimensions)))
        except OSError as error:
            raise storage_refusal(error, path.name) from error

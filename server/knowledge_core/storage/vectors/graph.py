"""USearch: the graph (HNSW) that finds nearly what comparing all rows finds. The only file that imports it.

Rules it keeps:
- rows are int8 of `quantising`, the metric is their inner product, and only products leave: higher is better;
- a published graph is never changed. Its file is opened only after its checksum was compared: in a damaged one USearch reads
  beyond its memory (a flipped bit ended the process in 18 of 40 trials);
- an index of USearch serves one call at a time, so each searching thread has a view of its own, all of one mapping of the
  file;
- equal rows ruin a graph (5 % copies of one row: recall 0.585): of equal rows it holds one, and remembers the others' keys;
- its file begins with the rows themselves, in the order in which they were added. They are read from there, so that a
  search need not touch a second copy of them. Where a file does not look like that, it is only searched.

It knows nothing of which keys are alive or allowed, and nothing of threads that build.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from usearch.compiled import MetricKind, ScalarKind
from usearch.index import Index

from knowledge_core.errors import StorageError
from knowledge_core.files import TEMPORARY, no_descriptor, out_of_descriptors, storage_refusal
from knowledge_core.quantising import Rows
from knowledge_core.storage.sorted_keys import NO_KEYS, among, runs, spread
from knowledge_core.storage.values import Keys
from knowledge_core.storage.vectors.checksummed_header import UnusableFileError, checksum_of
from knowledge_core.storage.vectors.int8_scan import Products
from knowledge_core.storage.vectors.versioned_file import VersionedFile

Slots = npt.NDArray[np.int32]

LAYOUT = 2  # of the head; a graph of another layout is rebuilt

REMEDY = "Run `kcore doctor --repair`: graphs are made from the record."
CONNECTIVITY = 16  # edges per row and level (HNSW's M)
EXPANSION_ADD = 128  # candidates that are looked at when a row is added (HNSW's ef of construction)
ONE_THREAD = 1  # per call of USearch: callers bring threads of their own
VIEWS = max(
    2, os.cpu_count() or 1
)  # of one graph; each takes about 17 bytes per vector, and more could not run at once
BEFORE_ROWS = 8  # bytes of a graph's file: two u32, the number of rows and the bytes per row (USearch 2)
ROWS_TRIED = 64  # rows that are looked up to see whether they lie where they are expected


@dataclass(frozen=True)
class GraphFacts:
    """What is known of a graph.

    generation: of the record, when it was built.
    last: it covers every key up to this one.
    entries: how many distinct rows it holds.
    expansion: how many candidates a search looks at (HNSW's ef), as tuned when it was built.
    """

    generation: int
    last: int
    entries: int
    expansion: int


class Graph:
    """A published graph, open to be searched by several threads at once.

    path: of its file.
    facts: what is known of it.
    copies: (m, 2) int64, ascending: a key that it holds, and a key with the same row that it does not hold.
    matrix: (n, d) int8, its rows as they lie in its file, mapped; None where the file looks otherwise than expected. Whoever
        holds a part of it keeps the mapping alive, even after the graph was replaced and its file deleted.
    """

    def __init__(
        self, path: Path, facts: GraphFacts, held: tuple[Keys, Keys], copies: Keys, *, size: int, checksum: int
    ) -> None:
        """Use `GraphFile`. held: runs of the keys in it, as of `sorted_keys.runs`."""
        self.path, self.facts, self.copies = path, facts, copies
        self._held, self._bytes, self._checksum = held, size, checksum
        self._mapped = _mapped(path)
        self._free = [self._view()]
        self._opened = 1
        self._turn = threading.Condition()  # of `_free` and `_opened`; nothing is searched under it
        self.matrix = self._rows_in_file()

    @property
    def covered(self) -> int:
        """Return how many keys it finds, those that were removed since it was built included."""
        return self.facts.entries + len(self.copies)

    @property
    def held(self) -> Keys:
        """Return the keys in it, ascending: (n,)."""
        return spread(*self._held)

    def slots(self, keys: Keys) -> Slots:
        """Return in which row of `matrix` each key's row lies: (n,) int32; -1 where it is not there."""
        slots, there = among(self.held, self._standing_for(keys))
        there &= self.matrix is not None
        return np.where(there, slots, -1).astype(np.int32)

    def nearest(self, query: Rows, count: int, *, least: int = 0) -> tuple[Keys, Products]:
        """Return keys and inner products of nearly the best `count` rows, best first, keys of equal rows included.

        Keys may have been removed since the graph was built.

        query: (1, d) int8.
        least: bound of the expansion from below, where a search needs more than the graph is tuned for.
        """
        with self._one_view() as view:
            view.expansion_search = max(self.facts.expansion, count, least)  # type: ignore[misc]  # its stubs lack the setter
            found = view.search(query, count, threads=ONE_THREAD)
        products = (1 - found.distances.reshape(-1)).astype(np.int32)  # exact as float32, being far below 2**24
        return self._with_copies(found.keys.reshape(-1).astype(np.int64), products)

    def lacking(self, blocks: Iterable[tuple[Keys, Rows]]) -> int:
        """Return how many of these keys the graph does not find, or has another row for. blocks: keys (n,), rows (n, d)."""
        view, lacking = self._view(lookups=True), 0
        for keys, rows in blocks:
            held = self._standing_for(keys)
            there = np.asarray(view.contains(held), bool) if len(held) else np.empty(0, bool)
            same = np.zeros(len(held), bool)
            if there.any():
                same[there] = (np.array(view.get(held[there])) == rows[there]).all(axis=1)
            lacking += int((~same).sum())
        return lacking

    def is_sound(self) -> bool:
        """Say whether every byte of the file is still as it was published."""
        try:
            return checksum_of(self.path, self._bytes) == self._checksum
        except UnusableFileError:
            return False

    def _standing_for(self, keys: Keys) -> Keys:
        """Return for each key the one that stands for it in the graph: of keys with equal rows only one is there."""
        if not len(self.copies):
            return keys
        pairs = self.copies[np.argsort(self.copies[:, 1])]
        places, is_copy = among(pairs[:, 1], keys)
        return np.where(is_copy, pairs[np.minimum(places, len(pairs) - 1), 0], keys)

    def _rows_in_file(self) -> Rows | None:
        """Return the rows in the mapped file; None where a trial finds others: another USearch may write otherwise."""
        held, view = self.held, self._view(lookups=True)
        count, dimensions = len(held), view.ndim
        end = BEFORE_ROWS + count * dimensions
        if end > len(self._mapped) or self._mapped[:BEFORE_ROWS].view("<u4").tolist() != [count, dimensions]:
            return None
        matrix = self._mapped[BEFORE_ROWS:end].view(np.int8).reshape(count, dimensions)
        tried = np.linspace(0, count - 1, ROWS_TRIED).astype(np.int64)
        there = bool(np.all(view.contains(held[tried])))
        return matrix if there and np.array_equal(np.array(view.get(held[tried])), matrix[tried]) else None

    def _view(self, *, lookups: bool = False) -> Index:
        return _opened(self.path, self._mapped, view=True, lookups=lookups)

    def _with_copies(self, keys: Keys, products: Products) -> tuple[Keys, Products]:
        if not len(self.copies):
            return keys, products
        begin = np.searchsorted(self.copies[:, 0], keys, "left")
        more = np.searchsorted(self.copies[:, 0], keys, "right") - begin
        if not more.any():
            return keys, products
        places = np.concatenate([np.arange(at, at + size) for at, size in zip(begin, more, strict=True)])
        keys = np.concatenate([keys, self.copies[places, 1]])
        products = np.concatenate([products, np.repeat(products, more)])
        order = np.lexsort((keys, -products))
        return keys[order], products[order]

    @contextmanager
    def _one_view(self) -> Iterator[Index]:
        with self._turn:
            self._turn.wait_for(lambda: bool(self._free) or self._opened < VIEWS)
            view = self._free.pop() if self._free else None
            self._opened += view is None
        try:
            if view is None:
                view = self._view()
            yield view
        finally:
            with self._turn:
                if view is None:
                    self._opened -= 1
                else:
                    self._free.append(view)
                self._turn.notify()


class Draft:
    """A graph that is being built, in memory, by one thread."""

    def __init__(self, dimensions: int, base: Graph | None) -> None:
        """Start from nothing, or from a copy of a published graph.

        Raises:
            StorageError: the copy cannot be read.
        """
        if base is None:
            self._held: list[Keys] = []
            self._index = Index(
                ndim=dimensions, metric=MetricKind.IP, dtype=ScalarKind.I8, connectivity=CONNECTIVITY,
                expansion_add=EXPANSION_ADD,
            )  # fmt: skip
        else:
            self._held = [base.held]
            self._index = _opened(base.path, os.fspath(base.path), view=False, lookups=True)
            self._index.expansion_add = EXPANSION_ADD  # type: ignore[misc]  # its stubs lack the setter; is not restored

    def add(self, keys: Keys, rows: Rows) -> None:
        """Add rows that are not there yet.

        keys: (n,), from 1 on, ascending, above all that are there.
        rows: (n, d) int8.
        """
        assert rows.dtype == np.int8, "USearch would convert anything else, and silently"
        self._index.add(keys, rows, copy=True, threads=ONE_THREAD)
        self._held.append(keys)

    @property
    def keys(self) -> Keys:
        """Return the keys that it holds, (n,), ascending: the order in which the file has the rows."""
        return np.concatenate([NO_KEYS, *self._held])

    def __len__(self) -> int:
        return len(self._index)

    def found(self, question: Rows, count: int, expansion: int) -> set[int]:
        """Return the keys of nearly the best `count` rows. question: (d,) int8."""
        self._index.expansion_search = max(expansion, count)  # type: ignore[misc]  # its stubs lack the setter
        return set(self._index.search(question[np.newaxis], count, threads=ONE_THREAD).keys.reshape(-1).tolist())

    def truth(self, question: Rows, of: int) -> set[int]:
        """Return the keys of the best `of` rows, by comparing all. question: (d,) int8."""
        found = self._index.search(question[np.newaxis], of, exact=True, threads=ONE_THREAD)
        return set(found.keys.reshape(-1).tolist())

    def write(self, path: Path) -> None:
        """Write the graph to a file, and flush it to the disk.

        Raises:
            StorageFull, StorageError: the disk refused; no file is left.
        """
        try:
            try:
                self._index.save(os.fspath(path))
            except RuntimeError as error:  # whatever the disk said, USearch raises this
                raise OSError(errno.ENOSPC if _full(path) else errno.EIO, str(error)) from error
            if path.stat().st_size < self._index.serialized_length:
                raise OSError(errno.ENOSPC, "the file is too short")
            descriptor = os.open(path, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise storage_refusal(error, path.name) from error


class GraphFile:
    """The published graph of one collection: at most one counts."""

    def __init__(self, folder: Path, *, dimensions: int, tag: str, record: str = "") -> None:
        self._files = VersionedFile(
            folder, "graph", "usearch", layout=LAYOUT, dimensions=dimensions, tag=tag, record=record
        )

    @property
    def claimed(self) -> int:
        """Return the generation at which the head says that it was built: see `VersionedFile.claimed`."""
        return self._files.claimed

    def read(self) -> Graph | None:
        """Open what is published, every byte checked; None where there is nothing.

        Raises:
            UnusableFileError: a file is missing, damaged, or made for another record or contract.
            StorageError: too many files are open; this one may be sound.
        """
        head = self._files.read_head()
        if head is None:
            return None
        facts, (starts, lengths, copies) = head
        path = self._files.path(facts["number"])
        try:
            if checksum_of(path, facts["bytes"]) != facts["checksum"]:
                raise UnusableFileError("damaged (its checksum differs)")
            graph = Graph(
                path,
                GraphFacts(**facts["graph"]),
                (starts, lengths),
                copies.reshape(-1, 2),
                size=facts["bytes"],
                checksum=facts["checksum"],
            )
        except (UnusableFileError, StorageError) as reason:
            if isinstance(reason, StorageError) and out_of_descriptors(reason.__cause__ or reason):
                raise
            raise UnusableFileError(f"{path.name}: {reason}") from reason
        self._files.sweep(path)
        return graph

    def beside(self) -> Path:
        """Return the path at which the next graph is written before it is published."""
        path = self._files.path(self._files.next_number())
        return path.with_name(path.name + TEMPORARY)

    def publish(self, written: Path, checksum: int, facts: GraphFacts, held: Keys, copies: Keys) -> Graph:
        """Make a written graph the one that counts, and return it open; older ones are deleted.

        written: its path, as of `beside`.
        checksum: CRC-32 of the file.
        held: (n,) its keys, ascending.
        copies: as in `Graph`.

        Raises:
            StorageFull, StorageError: the disk refused; the graph before still counts.
        """
        path = written.with_name(written.name.removesuffix(TEMPORARY))
        number, size = int(path.stem.rpartition("-")[2]), written.stat().st_size
        try:
            written.rename(path)
        except OSError as error:
            raise storage_refusal(error, path.name) from error
        in_runs = runs(held)
        graph = Graph(path, facts, in_runs, copies, size=size, checksum=checksum)
        about = {"number": number, "bytes": size, "checksum": checksum, "graph": asdict(facts)}
        self._files.write_head(about, [*in_runs, copies.reshape(-1)])
        self._files.sweep(path)
        return graph

    def remove(self) -> None:
        """Forget the graph.

        Raises:
            StorageError: the disk refused.
        """
        self._files.remove()


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    """Map a graph's file into memory. The mapping lives as long as someone holds it, even if the file is deleted.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return np.asarray(np.memmap(path, np.uint8, "r"))
    except (ValueError, OSError) as error:
        raise _cannot_open(path, error) from error


def _opened(path: Path, source: Any, *, view: bool, lookups: bool) -> Index:
    """Open a graph whose checksum was compared, from its file or from a mapping of it.

    view: the file is read in place; else it is copied into memory, and can be added to.
    lookups: rows can be looked up by their keys, which takes 34 bytes per vector.

    Raises:
        StorageError: it is not a graph of ours.
    """
    try:
        index = Index.restore(source, view=view, enable_key_lookups=lookups)  # of a missing file: None
    except (RuntimeError, ValueError, OSError) as error:
        raise _cannot_open(path, error) from error
    if index is None or index.metric_kind != MetricKind.IP or index.dtype != ScalarKind.I8:
        raise StorageError(f"{path.name} is not there, or not a graph of this program. {REMEDY}")
    return index


def _cannot_open(path: Path, error: Exception) -> StorageError:
    if out_of_descriptors(error):
        return StorageError(no_descriptor(f"to open {path.name}"))
    return StorageError(f"{path.name} cannot be opened: {error}. {REMEDY}")


def _full(path: Path) -> bool:
    try:
        at = os.statvfs(path.parent)
    except (OSError, AttributeError):
        return False
    return at.f_bavail * at.f_frsize < 2**20

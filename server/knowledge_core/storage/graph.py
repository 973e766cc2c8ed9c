"""USearch: the graph (HNSW) that finds nearly what comparing all rows finds. The only file that imports it.

Rules it keeps:
- rows are int8 of `quantising`, the metric is their inner product, and only products leave: higher is better;
- a published graph is never changed; its file is opened only after its checksum, for USearch follows a damaged one off
  the memory (a flipped bit ended the process in 18 of 40 trials);
- USearch serves one call at a time, so each searching thread has a view of its own; they share the file's pages;
- equal rows hollow a graph out (5 % copies of one row: recall 0.585): it holds one of them, and knows the others.

It knows nothing of what is alive or allowed, and nothing of threads that build.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from usearch.compiled import MetricKind, ScalarKind
from usearch.index import Index

from knowledge_core.errors import StorageError
from knowledge_core.storage.atomic import TEMPORARY, refusal
from knowledge_core.storage.published import Published
from knowledge_core.storage.quantising import Rows
from knowledge_core.storage.scanning import Products
from knowledge_core.storage.sealed import UnusableFileError, checksum_of
from knowledge_core.storage.values import Keys

REMEDY = "Run `kcore doctor --repair`: graphs are made from the record."
CONNECTIVITY = 16
EXPANSION_ADD = 128
ONE_THREAD = 1  # of a search: others wait for none of them
VIEWS = max(2, os.cpu_count() or 1)  # of one graph; each takes about 40 bytes a vector, and more could not run at once


@dataclass(frozen=True)
class GraphFacts:
    """What is known of a graph. last: it covers every key up to this. entries: how many distinct rows it holds.

    generation: of the record, when it was built. expansion: of a search, as it was tuned when there were `tuned` entries.
    """

    generation: int
    last: int
    entries: int
    expansion: int
    tuned: int


class Graph:
    """A published graph, open to be searched by several threads at once."""

    def __init__(self, path: Path, facts: GraphFacts, copies: Keys, *, size: int, checksum: int) -> None:
        """Use `GraphFile`. copies: (m, 2), a key in the graph and one with the same row, ascending."""
        self.path, self.facts, self.copies = path, facts, copies
        self._bytes, self._checksum = size, checksum
        self._free = [_view(path)]
        self._opened = 1
        self._turn = threading.Condition()

    @property
    def covered(self) -> int:
        """Return how many keys it finds, those included that were removed since it was built."""
        return self.facts.entries + len(self.copies)

    def nearest(self, query: Rows, count: int, *, least: int = 0) -> tuple[Keys, Products]:
        """Return keys and inner products of nearly the best `count` rows, best first, keys of equal rows included.

        query: (1, d). least: of the expansion. Keys may have been removed since.
        """
        with self._one_view() as view:
            view.expansion_search = max(self.facts.expansion, count, least)  # type: ignore[misc]  # its stubs lack the setter
            found = view.search(query, count, threads=ONE_THREAD)
        products = (1 - found.distances.reshape(-1)).astype(np.int32)  # as float32 they were exact: far below 2**24
        return self._with_copies(found.keys.reshape(-1).astype(np.int64), products)

    def lacking(self, keys: Keys, rows: Rows) -> int:
        """Return how many of these keys the graph does not hold, or with another row; those of equal rows are known."""
        stands_for = dict(self.copies[:, ::-1].tolist())
        held = np.array([stands_for.get(key, key) for key in keys.tolist()], np.int64)
        with self._one_view() as view:
            there = np.asarray(view.contains(held), bool) if len(held) else np.empty(0, bool)
            same = np.zeros(len(held), bool)
            if there.any():
                same[there] = (np.array(view.get(held[there])) == rows[there]).all(axis=1)
        return int((~same).sum())

    def is_sound(self) -> bool:
        """Say whether every byte of the file is still as it was published."""
        try:
            return checksum_of(self.path, self._bytes) == self._checksum
        except UnusableFileError:
            return False

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
                view = _view(self.path)
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
            self._index = Index(
                ndim=dimensions, metric=MetricKind.IP, dtype=ScalarKind.I8, connectivity=CONNECTIVITY,
                expansion_add=EXPANSION_ADD,
            )  # fmt: skip
        else:
            self._index = _opened(base.path, view=False)
            self._index.expansion_add = EXPANSION_ADD  # type: ignore[misc]  # its stubs lack the setter; is not restored

    def add(self, keys: Keys, rows: Rows) -> None:
        """Add rows that are not there yet. keys: (n,), from 1 on, new. rows: (n, d)."""
        assert rows.dtype == np.int8, "USearch would convert anything else, and silently"
        self._index.add(keys, rows, copy=True, threads=ONE_THREAD)

    def __len__(self) -> int:
        return len(self._index)

    def found(self, question: Rows, count: int, expansion: int) -> set[int]:
        """Return the keys of nearly the best `count` rows. question: (d,)."""
        self._index.expansion_search = max(expansion, count)  # type: ignore[misc]  # its stubs lack the setter
        return set(self._index.search(question[np.newaxis], count, threads=ONE_THREAD).keys.reshape(-1).tolist())

    def truth(self, question: Rows, of: int) -> set[int]:
        """Return the keys of the best `of` rows, by comparing all. question: (d,)."""
        found = self._index.search(question[np.newaxis], of, exact=True, threads=ONE_THREAD)
        return set(found.keys.reshape(-1).tolist())

    def write(self, path: Path) -> None:
        """Write the graph to a file, through to the disk.

        Raises:
            StorageFull, StorageError: the disk refused; nothing is left.
        """
        try:
            try:
                self._index.save(os.fspath(path))
            except RuntimeError as error:  # all that USearch says of a refusing disk
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
            raise refusal(error, path.name) from error


class GraphFile:
    """The published graph of one collection: at most one counts."""

    def __init__(self, folder: Path, *, dimensions: int, tag: str) -> None:
        self._files = Published(folder, "graph", "usearch", dimensions=dimensions, tag=tag)

    def read(self) -> Graph | None:
        """Open what is published, every byte checked; None where there is nothing.

        Raises:
            UnusableFileError: something is missing, damaged, or made for another record or contract.
        """
        head = self._files.read_head()
        if head is None:
            return None
        facts, (copies,) = head
        path = self._files.path(facts["number"])
        try:
            if checksum_of(path, facts["bytes"]) != facts["checksum"]:
                raise UnusableFileError("damaged (its checksum differs)")
            graph = Graph(
                path,
                GraphFacts(**facts["graph"]),
                copies.reshape(-1, 2),
                size=facts["bytes"],
                checksum=facts["checksum"],
            )
        except (UnusableFileError, StorageError) as reason:
            raise UnusableFileError(f"{path.name}: {reason}") from reason
        self._files.sweep(path)
        return graph

    def beside(self) -> Path:
        """Return where the next graph is written before it is published."""
        path = self._files.path(self._files.next_number())
        return path.with_name(path.name + TEMPORARY)

    def publish(self, written: Path, checksum: int, facts: GraphFacts, copies: Keys) -> Graph:
        """Let a written graph be the one that counts, and return it open; older ones go.

        Raises:
            StorageFull, StorageError: the one before counts still.
        """
        path = written.with_name(written.name.removesuffix(TEMPORARY))
        number, size = int(path.stem.rpartition("-")[2]), written.stat().st_size
        try:
            written.rename(path)
        except OSError as error:
            raise refusal(error, path.name) from error
        graph = Graph(path, facts, copies, size=size, checksum=checksum)
        about = {"number": number, "bytes": size, "checksum": checksum, "graph": asdict(facts)}
        self._files.write_head(about, [copies.reshape(-1)])
        self._files.sweep(path)
        return graph

    def remove(self) -> None:
        """Forget the graph.

        Raises:
            StorageError: the disk refused.
        """
        self._files.remove()


def _view(path: Path) -> Index:
    return _opened(path, view=True)


def _opened(path: Path, *, view: bool) -> Index:
    """Open a graph's file, which was checked.

    Raises:
        StorageError: it is not a graph of ours.
    """
    try:
        index = Index.restore(os.fspath(path), view=view)  # of a missing file: None
    except (RuntimeError, ValueError, OSError) as error:
        raise StorageError(f"{path.name} cannot be opened: {error}. {REMEDY}") from error
    if index is None or index.metric_kind != MetricKind.IP or index.dtype != ScalarKind.I8:
        raise StorageError(f"{path.name} is not there, or not a graph of this program. {REMEDY}")
    return index


def _full(path: Path) -> bool:
    try:
        at = os.statvfs(path.parent)
    except (OSError, AttributeError):
        return False
    return at.f_bavail * at.f_frsize < 2**20

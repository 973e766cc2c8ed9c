"""The vectors of one collection: published rows and graph in a folder, and what came since in memory.

Rules it keeps:
- Derived: everything here comes from the record and can be deleted. A file that does not check out is discarded.
- One writer at a time calls `apply`, `save`, `take` and `clear`; readers hold snapshots.
- No distance leaves this index: scores are cosines, higher is better.

It knows nothing of texts, chunks or SQL. Its cosines are approximate (int8): callers rescore with the record's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from knowledge_core.quantising import Rows, quantise
from knowledge_core.storage.sorted_keys import NO_KEYS, among
from knowledge_core.storage.values import Keys
from knowledge_core.storage.vectors.checksummed_header import UnusableFileError
from knowledge_core.storage.vectors.graph import Graph, GraphFile
from knowledge_core.storage.vectors.row_file import RowFile
from knowledge_core.storage.vectors.snapshot import NO_SLOTS, Asked, VectorSnapshot
from knowledge_core.types import Vectors

SMALLEST_CAPACITY = 256  # rows; fewer would only be doubled again at once
MOSTLY_DEAD = 2  # the rows that are alive are written to a new file when more than one in so many is dead

Number = TypeVar("Number", np.int8, np.int64)


class VectorIndex:
    """The vectors of one collection: what is published in a folder, and what came since, in memory.

    graphs: the files of the published graph.
    discarded: why a file that was there is not used, in one line; None where there was none, or it is used.
    claimed: the generation of this record that the files said they had reached when they were opened, used or not.
    """

    def __init__(self, folder: Path, *, dimensions: int, tag: str, record: str = "") -> None:
        """Use `load`."""
        self.graphs = GraphFile(folder, dimensions=dimensions, tag=tag, record=record)
        self._file = RowFile(folder, dimensions=dimensions, tag=tag, record=record)
        nothing = np.empty((0, dimensions), np.int8)
        self._keys, self._tail = NO_KEYS, nothing  # with room behind what counts
        self._current = VectorSnapshot(0, NO_KEYS, NO_KEYS, nothing, nothing, None, NO_SLOTS, Asked(dimensions))
        self._published = -1  # the generation on the disk
        self.discarded: str | None = None
        self.claimed = 0

    @classmethod
    def load(cls, folder: Path, *, dimensions: int, tag: str, record: str = "") -> Self:
        """Open what is published, or start empty at generation 0 and say in `discarded` why.

        tag: names whatever must not have changed for the rows to be of use (the contract, the record's identity).
        record: names the record, whatever its contract.

        Raises:
            StorageError: a sound file cannot be mapped.
        """
        index = cls(folder, dimensions=dimensions, tag=tag, record=record)
        reasons = []
        try:
            saved = index._file.read()
            if saved is not None:
                index._keys, index._published = saved.keys, saved.generation
                index._current = replace(
                    index._current,
                    generation=saved.generation,
                    all_keys=saved.keys,
                    dead=saved.dead,
                    saved=saved.matrix,
                )
        except UnusableFileError as reason:
            reasons.append(str(reason))
        try:
            index._current = index._current.with_graph(index.graphs.read())
        except UnusableFileError as reason:
            reasons.append(str(reason))
        index.discarded = "; ".join(reasons) or None
        index.claimed = max(index._file.claimed, index.graphs.claimed)
        return index

    @property
    def generation(self) -> int:
        """Return the record's generation up to which this holds everything."""
        return self._current.generation

    @property
    def newest(self) -> int:
        """Return the latest generation at which anything here was made, the graph included."""
        graph = self._current.graph
        return max(self.generation, 0 if graph is None else graph.facts.generation)

    def snapshot(self) -> VectorSnapshot:
        """Return the present generation. Costs nothing, and stays as it is while the index changes."""
        return self._current

    def rows_are_sound(self) -> bool:
        """Say whether every byte of the published rows is still as it was written."""
        return self._file.is_sound()

    def apply(self, generation: int, keys: Keys, vectors: Vectors, removed: Sequence[int]) -> None:
        """Remove and add vectors, in memory, and be at `generation`.

        A change may be applied again: a vector that is there stays, and a key that is not there may be removed.

        keys: (n,), each once, in any order.
        vectors: (n, d) float32, norm 1, finite (the record checks that).
        removed: keys; one that is in `keys`, too, stays.

        Raises:
            ValueError: keys and vectors do not fit together.
        """
        now = self._current
        if vectors.shape != (len(keys), now.dimensions):
            raise ValueError(f"{len(keys)} keys with vectors of shape {vectors.shape}")
        order = np.argsort(keys, kind="stable")
        added = np.asarray(keys, np.int64)[order]
        places, there = among(now.all_keys, added)
        gone, known = among(now.all_keys, np.setdiff1d(np.asarray(removed, np.int64), added))
        dead = np.union1d(np.setdiff1d(now.dead, places[there]), gone[known])
        new, rows = added[~there], quantise(vectors[order][~there])
        if len(new) and len(now.all_keys) and new[0] < now.all_keys[-1]:
            self._insert(generation, new, rows, dead)
        else:
            self._append(generation, new, rows, dead)

    def save(self) -> None:
        """Publish the rows that are there now, unless they are published already.

        Raises:
            StorageFull: no space is left; what was published before stays.
            StorageError: the disk refused for another reason.
        """
        now = self._current
        if self._published == now.generation:
            return
        in_new_file = not len(now.saved) or len(now.dead) * MOSTLY_DEAD > len(now.all_keys)
        if in_new_file:
            keys = now.keys
            matrix = self._file.rewrite(now.generation, keys, now.rows(keys))
            self._keys = keys
            now = replace(now, all_keys=keys, dead=NO_KEYS)
        else:
            matrix = self._file.append(now.generation, now.all_keys, now.dead, now.tail)
        self._tail = np.empty((0, now.dimensions), np.int8)
        now = replace(now, saved=matrix, tail=self._tail)
        # The rows' places in the graph are looked up again where places changed, or where rows came back that it holds.
        moved = in_new_file or len(now.slots) <= now.first_since_graph
        self._current = now.with_graph(now.graph) if moved else now
        self._published = now.generation

    def take(self, graph: Graph) -> None:
        """Search with this graph from now on."""
        self._current = self._current.with_graph(graph)

    def clear(self, *, keep_graph: bool = False) -> None:
        """Forget everything, the files too, and be at generation 0. keep_graph: but for the graph.

        Raises:
            StorageError: the disk refused; what is in memory stays.
        """
        self._file.remove()
        if not keep_graph:
            self.graphs.remove()
        nothing = np.empty((0, self._current.dimensions), np.int8)
        self._keys, self._tail, self._published = NO_KEYS, nothing, -1
        graph = self._current.graph if keep_graph else None
        self._current = VectorSnapshot(0, NO_KEYS, NO_KEYS, nothing, nothing, graph, NO_SLOTS, self._current.asked)

    def _append(self, generation: int, added: Keys, rows: Rows, dead: Keys) -> None:
        """Write behind the last row, where no snapshot reads; where there is no room, copy to an array of twice the size."""
        now = self._current
        size, end = len(now.all_keys), len(now.all_keys) + len(added)
        if len(added):
            self._keys = _with_room(self._keys, size, end)
            self._keys[size:end] = added
            tail = len(now.tail)
            self._tail = _with_room(self._tail, tail, tail + len(rows))
            self._tail[tail : tail + len(rows)] = rows
        tail_end = len(now.tail) + len(rows)
        self._current = replace(
            now, generation=generation, all_keys=self._keys[:end], dead=dead, tail=self._tail[:tail_end]
        )

    def _insert(self, generation: int, added: Keys, rows: Rows, dead: Keys) -> None:
        """Add keys below the last one, which the record never does: all rows come to memory, and there is no graph."""
        now = replace(self._current, dead=dead).with_graph(None)
        keys = np.concatenate([now.keys, added])
        order = np.argsort(keys, kind="stable")
        matrix = np.concatenate([now.rows(now.keys), rows])[order]
        self._keys, self._tail = keys[order], matrix
        self._current = replace(
            now, generation=generation, all_keys=self._keys, dead=NO_KEYS, saved=matrix[:0], tail=matrix
        )


def _with_room(array: npt.NDArray[Number], size: int, end: int) -> npt.NDArray[Number]:
    """Return the array if it has room for `end` items, else a larger copy of its first `size` items."""
    if end <= len(array):
        return array
    larger = np.empty((max(2 * size, end, SMALLEST_CAPACITY), *array.shape[1:]), array.dtype)
    larger[:size] = array[:size]
    return larger

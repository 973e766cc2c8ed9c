"""One generation of the vectors, to search in: every row compared where they are few, a graph and what came since else.

Rules it keeps:
- nothing in a snapshot ever changes, and searching one never waits for the writer;
- a key's vector never changes, and keys only grow; so a graph that is behind is not wrong: it covers the keys up to
  its last, those that went since are passed over, and those that came since are compared one by one;
- a row that the graph holds is read from the graph's own file, whose pages a search touches anyway: those of the row
  file would come on top.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from knowledge_core.quantising import Rows, quantise, scale
from knowledge_core.storage.sorted_keys import NO_KEYS, among
from knowledge_core.storage.values import Keys
from knowledge_core.storage.vectors.graph import Graph, Slots
from knowledge_core.storage.vectors.int8_scan import Products, largest
from knowledge_core.types import Vectors

EXACT_UP_TO = 20_000  # rows; beyond, the graph is faster at the same recall
# So many rows of a filter are compared too if they are so small a share of all: the graph would be asked for so much that
# it takes hardly less (a tenth of a million: 6.6 instead of 9.3 ms), and what is found is exact (recall .9935 then).
COMPARED_UP_TO, COMPARED_SHARE = 100_000, 1 / 8
GATHERED_AT_ONCE = 16_384  # rows of a filter that are copied together to be compared
# A filter that allows a share of the graph is asked for 1.5 times what that needs, with an expansion of four times what
# the first forty need: what is allowed lies far down the list, where a graph is less sure. Too few mean that it lies away
# from the query: then all that it allows is compared. docs/decisions/graph.md has the measurements.
ASKED_LEAST, ASKED_BEYOND, ASKED_MOST, CARE, FRONT = 100, 1.5, 6_400, 4, 40
ASKED_KEPT = 128  # questions that are remembered, to tune a graph by
NO_SLOTS: Slots = np.array([-1], np.int32)
NOT_STORED = 0.95  # cosine of the best; nearer than that, a stored text was asked, which would flatter the graph


@dataclass(frozen=True)
class Nearest:
    """What is nearest to one query: keys and approximate cosines, best first, ties by key. exact: all were compared."""

    found: list[tuple[int, float]]
    exact: bool


class Asked:
    """The latest questions, as int8 rows: in memory only, and only those that are not stored texts."""

    def __init__(self, dimensions: int) -> None:
        self._rows: dict[bytes, Rows] = {}
        self._dimensions = dimensions
        self._guard = threading.Lock()

    def note(self, row: Rows) -> None:
        """Remember a question (d,), once."""
        with self._guard:
            self._rows.setdefault(row.tobytes(), row)
            if len(self._rows) > ASKED_KEPT:
                del self._rows[next(iter(self._rows))]

    def rows(self) -> Rows:
        """Return what is remembered, oldest first: (n, d)."""
        with self._guard:
            return np.array(list(self._rows.values()), np.int8).reshape(len(self._rows), self._dimensions)


@dataclass(frozen=True)
class VectorSnapshot:
    """One generation of the vectors, for as long as someone holds it. Nothing in it is ever written to again.

    all_keys: (n,) ascending, a row each. dead: places among them that count for nothing, ascending.
    saved, tail: the rows, (m, d) int8 mapped from the disk and (n - m, d) in memory.
    slots: (c + 1,), where the rows of the first c places lie in the graph's matrix; -1 of those that do not, and last.
    """

    generation: int
    all_keys: Keys
    dead: Keys
    saved: Rows
    tail: Rows
    graph: Graph | None
    slots: Slots
    asked: Asked = field(compare=False)

    @property
    def dimensions(self) -> int:
        """Return how many dimensions a row has."""
        return int(self.saved.shape[1])

    @property
    def size(self) -> int:
        """Return how many keys there are."""
        return len(self.all_keys) - len(self.dead)

    @property
    def keys(self) -> Keys:
        """Return the keys there are, ascending."""
        return np.delete(self.all_keys, self.dead) if len(self.dead) else self.all_keys

    def with_graph(self, graph: Graph | None) -> VectorSnapshot:
        """Return the same, searched by this graph, with the rows read from its file as far as it holds them."""
        now = replace(self, graph=graph, slots=NO_SLOTS)
        if graph is None or graph.matrix is None:
            return now
        return replace(now, slots=np.append(graph.slots(self.all_keys[: now.first_since_graph]), NO_SLOTS))

    def without_slots(self) -> VectorSnapshot:
        """Return the same, with all rows read from the row file, which the graph is compared with."""
        return replace(self, slots=NO_SLOTS)

    @property
    def first_since_graph(self) -> int:
        """Return the first place whose key came since the graph was built; without one, 0."""
        return 0 if self.graph is None else int(np.searchsorted(self.all_keys, self.graph.facts.last, "right"))

    @property
    def since_graph(self) -> int:
        """Return how many keys came since the graph was built; without one, all."""
        first = self.first_since_graph
        gone = len(self.dead) - int(np.searchsorted(self.dead, first))
        return len(self.all_keys) - first - gone

    def nearest(self, queries: Vectors, limit: int, allowed: Keys | None = None) -> list[Nearest]:
        """Return for each query the keys of the largest int8 inner products, as approximate cosines.

        queries: (q, d) float32, rows of norm 1. allowed: ascending keys to choose from; those unknown are passed over.
        Best first, ties by key; where all were compared, the cut included. Fewer than `limit` where there are no more.
        """
        if limit < 1 or not self.size or (allowed is not None and not len(allowed)):
            return [Nearest([], exact=True) for _ in queries]
        cosine = scale(self.dimensions) ** -2
        answers = []
        for row in quantise(queries):
            query = row[np.newaxis]
            by_graph = self._by_graph(query, limit, allowed)
            keys, products = by_graph or self._compared(query, limit, 0, allowed)
            found = [(int(key), float(product) * cosine) for key, product in zip(keys, products, strict=True)]
            if by_graph and found and found[0][1] < NOT_STORED:
                self.asked.note(row)
            answers.append(Nearest(found, exact=by_graph is None))
        return answers

    def rows(self, keys: Sequence[int] | Keys) -> Rows:
        """Return the rows of these keys, in their order: (n, d) int8.

        Raises:
            KeyError: a key is not there.
        """
        wanted = np.asarray(keys, dtype=np.int64)
        places, there = self._places(wanted)
        if not there.all():
            raise KeyError(int(wanted[~there][0]))
        return self._gathered(places)

    def blocks(self, size: int) -> Iterator[tuple[Keys, Rows]]:
        """Yield keys and rows in the order of the keys, up to `size` together; what is dead is left out."""
        for begin in range(0, len(self.all_keys), size):
            end = min(begin + size, len(self.all_keys))
            here = self.dead[np.searchsorted(self.dead, begin) : np.searchsorted(self.dead, end)]
            places = np.delete(np.arange(begin, end), here - begin)
            yield self.all_keys[places], self._gathered(places)

    # -- within ----------------------------------------------------------------------------------------------------

    def _by_graph(self, query: Rows, limit: int, allowed: Keys | None) -> tuple[Keys, Products] | None:
        """Return nearly the best `limit`, by the graph and what came since; None where all are to be compared."""
        graph = self.graph
        if graph is None or self._few(self.size if allowed is None else len(allowed)):
            return None
        inside = self.size - self.since_graph
        if allowed is not None:
            inside = int(np.searchsorted(allowed, graph.facts.last, "right"))
        count, least = limit, 0
        if inside < graph.covered:
            beyond = ASKED_BEYOND * graph.covered / max(inside, 1)
            count, least = max(ASKED_LEAST, int(limit * beyond)), CARE * int(min(limit, FRONT) * beyond)
        if count > ASKED_MOST:
            return None
        keys, products = graph.nearest(query, count, least=least)
        kept = self._places(keys)[1]
        if allowed is not None:
            kept &= among(allowed, keys)[1]
        if kept.sum() < min(limit, inside):
            return None
        since = self._compared(query, limit, self.first_since_graph, allowed)
        return _best([(keys[kept], products[kept]), since], limit)

    def _few(self, count: int) -> bool:
        """Say whether so many of the rows are compared about as fast as a graph is asked for them."""
        return count <= EXACT_UP_TO or count <= min(COMPARED_UP_TO, COMPARED_SHARE * self.size)

    def _compared(self, query: Rows, limit: int, first: int, allowed: Keys | None) -> tuple[Keys, Products]:
        """Return the best `limit` of the rows from a place on, by comparing all of them."""
        if allowed is None:
            found = []
            for begin, matrix in self._slices(first):
                dead = self.dead[slice(*np.searchsorted(self.dead, (begin, begin + len(matrix))))]
                places, products = largest(matrix, query, limit, dead - begin)
                found.append((self.all_keys[places + begin], products))
            return _best(found, limit)
        if first:
            allowed = allowed[np.searchsorted(allowed, self.all_keys[first - 1], "right") :]
        places, there = self._places(allowed)
        places, found = places[there], []
        for begin in range(0, len(places), GATHERED_AT_ONCE):
            some = places[begin : begin + GATHERED_AT_ONCE]
            best, products = largest(self._gathered(some), query, limit, NO_KEYS)
            found.append((self.all_keys[some[best]], products))
        return _best(found, limit)

    def _slices(self, first: int) -> Iterator[tuple[int, Rows]]:
        """Yield the rows from a place on, as far as they lie together, with the place of the first of each."""
        covered = len(self.slots) - 1
        for begin in range(first, covered, GATHERED_AT_ONCE):
            yield begin, self._gathered(np.arange(begin, min(begin + GATHERED_AT_ONCE, covered)))
        for start, matrix in ((0, self.saved), (len(self.saved), self.tail)):
            begin = max(first, covered, start)
            if begin < start + len(matrix):
                yield begin, matrix[begin - start :]

    def _places(self, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Return where keys lie, and which of them are there."""
        places, there = among(self.all_keys, keys)
        if len(self.dead):
            there &= ~among(self.dead, places)[1]
        return places, there

    def _gathered(self, places: Keys) -> Rows:
        """Return the rows at these places, in their order."""
        saved, slots = len(self.saved), self.slots[np.minimum(places, len(self.slots) - 1)].astype(np.int64)
        in_graph, on_disk = slots >= 0, places < saved
        parts = [(self.saved, places, on_disk & ~in_graph), (self.tail, places - saved, ~on_disk & ~in_graph)]
        if self.graph is not None and self.graph.matrix is not None:
            parts.append((self.graph.matrix, slots, in_graph))
        for matrix, at, here in parts:
            if here.all():
                return _picked(matrix, at)
        rows = np.empty((len(places), self.dimensions), np.int8)
        for matrix, at, here in parts:
            rows[here] = matrix.take(at[here], axis=0)
        return rows


def _picked(matrix: Rows, at: Keys) -> Rows:
    """Return these rows of a matrix; without a copy where they follow one another."""
    if len(at) and (np.diff(at) == 1).all():
        return matrix[at[0] : at[-1] + 1]
    return matrix.take(at, axis=0)  # 10,000 of 100,000 x 384: 0.37 ms; by matrix[at] 0.85


def _best(found: Sequence[tuple[Keys, Products]], limit: int) -> tuple[Keys, Products]:
    """Return the best `limit` of several lists together: largest products first, ties by key."""
    keys = np.concatenate([each for each, _ in found]) if found else NO_KEYS
    products = np.concatenate([each for _, each in found]) if found else np.empty(0, np.int32)
    order = np.lexsort((keys, -products))[:limit]
    return keys[order], products[order]

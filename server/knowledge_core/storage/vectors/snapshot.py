"""One generation of the vectors, to search in: few rows are all compared; of many, a graph finds the nearest.

Rules it keeps:
- nothing in a snapshot ever changes, and searching one never waits for the writer;
- a key's vector never changes, and new keys are above all older ones. So a graph that is behind is not wrong: it covers the
  keys up to its last one, those that went since are left out, and those that came since are compared one by one;
- a row that the graph holds is read from the graph's own file, whose pages a search touches anyway: the pages of the row
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
# More rows are all compared where a filter allows no more than a small share of the collection. The graph would have to
# return so many candidates that it is hardly faster (a tenth of a million: 6.6 instead of 9.3 ms, at a recall of 0.9935),
# and comparing is exact.
COMPARED_UP_TO = 100_000  # rows that a filter allows
COMPARED_SHARE = 1 / 8  # of all rows
GATHERED_AT_ONCE = 16_384  # rows of a filter that are copied together to be compared
# Filtered graph search over-fetches: if the filter keeps 1/s of the graph, it is asked for OVERFETCH * s * limit candidates.
# Fewer than `limit` survivors mean that the allowed rows lie far from the query; then all of them are compared.
# docs/decisions/graph.md has the measurements.
OVERFETCH = 1.5
FEWEST_CANDIDATES = 100
MOST_CANDIDATES = 6_400  # beyond, comparing all allowed rows is faster
# Candidates far down the list are less reliable: the expansion is this factor times the candidates for the first FRONT hits.
EXPANSION_FACTOR = 4
FRONT = 40
QUESTIONS_KEPT = 128  # latest questions that are remembered, to tune a graph with
NO_SLOTS: Slots = np.array([-1], np.int32)  # of a snapshot none of whose rows is read from a graph's file
STORED_TEXT_COSINE = 0.95  # a query this close to a row is probably a stored text: tuning with it overstates recall


@dataclass(frozen=True)
class Nearest:
    """What is nearest to one query. found: keys and approximate cosines, best first, ties by key. exact: all were compared."""

    found: list[tuple[int, float]]
    exact: bool


class Asked:
    """The latest questions, as int8 rows, in memory only. Several threads may call it."""

    def __init__(self, dimensions: int) -> None:
        self._rows: dict[bytes, Rows] = {}
        self._dimensions = dimensions
        self._guard = threading.Lock()  # of `_rows`

    def note(self, row: Rows) -> None:
        """Remember a question, (d,) int8, unless it is remembered already."""
        with self._guard:
            self._rows.setdefault(row.tobytes(), row)
            if len(self._rows) > QUESTIONS_KEPT:
                del self._rows[next(iter(self._rows))]

    def rows(self) -> Rows:
        """Return the remembered questions, oldest first: (n, d) int8."""
        with self._guard:
            return np.array(list(self._rows.values()), np.int8).reshape(len(self._rows), self._dimensions)


@dataclass(frozen=True)
class VectorSnapshot:
    """One generation of the vectors, for as long as someone holds it. Nothing in it is ever written to again.

    generation: of the record, up to which it holds everything.
    all_keys: (n,) ascending, one row per key.
    dead: places among them that do not count, ascending.
    saved: (m, d) int8, the rows of the first places, mapped from the disk.
    tail: (n - m, d) int8, the rows of the others, in memory.
    graph: that finds the nearest; None where there is none.
    slots: (c + 1,) int32, where the rows of the first c places lie in the graph's matrix; -1 for those that do not lie there,
        and as the last item.
    asked: the latest questions; shared by all snapshots of an index.
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
        """Return how many keys there are, dead ones not counted."""
        return len(self.all_keys) - len(self.dead)

    @property
    def keys(self) -> Keys:
        """Return the keys there are, ascending, without dead ones."""
        return np.delete(self.all_keys, self.dead) if len(self.dead) else self.all_keys

    def with_graph(self, graph: Graph | None) -> VectorSnapshot:
        """Return the same generation, searched by this graph, and with the rows that it holds read from its file."""
        now = replace(self, graph=graph, slots=NO_SLOTS)
        if graph is None or graph.matrix is None:
            return now
        return replace(now, slots=np.append(graph.slots(self.all_keys[: now.first_since_graph]), NO_SLOTS))

    def without_slots(self) -> VectorSnapshot:
        """Return the same generation, with all rows read from the row file: what a graph is compared with."""
        return replace(self, slots=NO_SLOTS)

    @property
    def first_since_graph(self) -> int:
        """Return the first place whose key came since the graph was built; without one, 0."""
        return 0 if self.graph is None else int(np.searchsorted(self.all_keys, self.graph.facts.last, "right"))

    @property
    def since_graph(self) -> int:
        """Return how many keys that are alive came since the graph was built; without a graph, all."""
        first = self.first_since_graph
        gone = len(self.dead) - int(np.searchsorted(self.dead, first))
        return len(self.all_keys) - first - gone

    def nearest(self, queries: Vectors, limit: int, allowed: Keys | None = None) -> list[Nearest]:
        """Return for each query the keys of the largest int8 inner products, as approximate cosines.

        Best first, ties by key; where all rows were compared, ties at the cut, too. Fewer than `limit` where there are no
        more.

        queries: (q, d) float32, rows of norm 1.
        allowed: (n,) ascending keys to choose from; unknown ones are passed over. None allows all.
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
            if by_graph and found and found[0][1] < STORED_TEXT_COSINE:
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
        """Yield keys (n,) and rows (n, d) in the order of the keys, up to `size` together, without dead ones."""
        for begin in range(0, len(self.all_keys), size):
            end = min(begin + size, len(self.all_keys))
            here = self.dead[np.searchsorted(self.dead, begin) : np.searchsorted(self.dead, end)]
            places = np.delete(np.arange(begin, end), here - begin)
            yield self.all_keys[places], self._gathered(places)

    # -- within ----------------------------------------------------------------------------------------------------

    def _by_graph(self, query: Rows, limit: int, allowed: Keys | None) -> tuple[Keys, Products] | None:
        """Return nearly the best `limit`, by the graph and the rows that came since; None where all are to be compared."""
        graph = self.graph
        if graph is None or self._few(self.size if allowed is None else len(allowed)):
            return None
        inside = self.size - self.since_graph
        if allowed is not None:
            inside = int(np.searchsorted(allowed, graph.facts.last, "right"))
        count, least = limit, 0
        if inside < graph.covered:
            per_hit = OVERFETCH * graph.covered / max(inside, 1)
            count = max(FEWEST_CANDIDATES, int(limit * per_hit))
            least = EXPANSION_FACTOR * int(min(limit, FRONT) * per_hit)
        if count > MOST_CANDIDATES:
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
        """Say whether comparing so many of the rows is about as fast as searching the graph."""
        return count <= EXACT_UP_TO or count <= min(COMPARED_UP_TO, COMPARED_SHARE * self.size)

    def _compared(self, query: Rows, limit: int, first: int, allowed: Keys | None) -> tuple[Keys, Products]:
        """Return the best `limit` of the rows from the place `first` on, by comparing all of them."""
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
        """Yield the rows from the place `first` on, in matrices, each with the place of its first row."""
        covered = len(self.slots) - 1
        for begin in range(first, covered, GATHERED_AT_ONCE):
            yield begin, self._gathered(np.arange(begin, min(begin + GATHERED_AT_ONCE, covered)))
        for start, matrix in ((0, self.saved), (len(self.saved), self.tail)):
            begin = max(first, covered, start)
            if begin < start + len(matrix):
                yield begin, matrix[begin - start :]

    def _places(self, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Return the places of keys, and which of the keys are there and alive."""
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
    """Return these rows of a matrix, in this order; without a copy where they follow one another."""
    if len(at) and (np.diff(at) == 1).all():
        return matrix[at[0] : at[-1] + 1]
    return matrix.take(at, axis=0)  # 10,000 of 100,000 x 384: 0.37 ms; by matrix[at] 0.85


def _best(found: Sequence[tuple[Keys, Products]], limit: int) -> tuple[Keys, Products]:
    """Return the best `limit` of several lists together: largest products first, ties by key."""
    keys = np.concatenate([each for each, _ in found]) if found else NO_KEYS
    products = np.concatenate([each for _, each in found]) if found else np.empty(0, np.int32)
    order = np.lexsort((keys, -products))[:limit]
    return keys[order], products[order]

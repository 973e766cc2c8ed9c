"""Topics without a given number: communities of the nearest-neighbour graph, found by the Leiden algorithm.

Traag, Waltman & van Eck 2019, "From Louvain to Leiden", doi:10.1038/s41598-019-41695-z. Density-based clustering calls
most short texts noise (V-measure .42 on Banking77 against .77 here; `benchmarks/clustering.py`).
"""

from __future__ import annotations

import graspologic_native
import numpy as np
import numpy.typing as npt

from knowledge_core.grouping.neighbours import Places, Rows, nearest

NEIGHBOURS = 15  # of each row in the graph
SMALLEST = 3  # rows of a topic; the rows of a smaller community are outliers
SEED = 1  # of Leiden's random moves; with any fixed number, the same rows give the same clusters
ITERATIONS = 3  # of Leiden, each on the result of the one before: a choice between speed and quality


def communities(rows: Rows, scale: float) -> Places:
    """Return the community of each row (n,), numbered from 0; -1 for rows of no community of at least `SMALLEST`.

    scale: the factor that turned unit vectors into rows, so that products can become cosines. Where the order of the rows
    depends on their content alone, so do the communities.
    """
    size = len(rows)
    if size <= SMALLEST:
        return np.zeros(size, np.int64)
    places, values = nearest(rows, min(NEIGHBOURS, size - 1))
    begins, ends, weights = _graph(places, np.clip(values / (scale * scale), 0, 1))
    if not len(ends):
        return np.full(size, -1, np.int64)
    _, found = graspologic_native.leiden_csr(
        begins, ends, weights, size, seed=SEED, iterations=ITERATIONS, resolution=1.0
    )
    labels = np.array([found.get(node, -1) for node in range(size)], np.int64)
    sizes = np.bincount(labels[labels >= 0])
    labels[(labels >= 0) & (sizes[labels] < SMALLEST)] = -1
    return renumbered(labels)


def _graph(
    places: Places, weights: npt.NDArray[np.float32]
) -> tuple[Places, npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Return the graph of neighbours in compressed sparse rows: where each row begins (n + 1,), the ends of its edges, their
    weights.

    The graph is symmetric; a mutual pair has the sum of both weights. Edges of weight 0 are left out.
    """
    size, count = places.shape
    here, there = np.repeat(np.arange(size), count), places.ravel()
    both = np.concatenate([here * size + there, there * size + here])
    pairs, where = np.unique(both, return_inverse=True)
    summed = np.bincount(where, weights=np.tile(weights.ravel().astype(np.float64), 2))
    pairs, summed = pairs[summed > 0], summed[summed > 0]
    begins = np.searchsorted(pairs // size, np.arange(size + 1))
    return begins.astype(np.int64), (pairs % size).astype(np.int32), summed.astype(np.float64)


def renumbered(labels: Places) -> Places:
    """Return labels numbered from 0 in the order in which they first appear; -1 stays."""
    seen: dict[int, int] = {}
    return np.array([-1 if label < 0 else seen.setdefault(int(label), len(seen)) for label in labels], np.int64)

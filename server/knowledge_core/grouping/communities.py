"""Topics as communities of the nearest-neighbour graph (Leiden), where their number is found from the data.

Traag, Waltman & van Eck 2019, "From Louvain to Leiden", doi:10.1038/s41598-019-41695-z. Density-based clustering calls
most short texts noise (V-measure .42 on Banking77 against .77 here; `benchmarks/clustering.py`).
"""

from __future__ import annotations

import graspologic_native
import numpy as np
import numpy.typing as npt

from knowledge_core.grouping.neighbours import Places, Rows, nearest

NEIGHBOURS = 15  # of each row in the graph
SMALLEST = 3  # rows of a topic; what is smaller is an outlier
SEED = 1  # of Leiden's random moves; any fixed number gives the same clusters every time
ITERATIONS = 3  # of Leiden, each from the last one's result: a choice between one quick pass and many


def communities(rows: Rows, scale: float) -> Places:
    """Return the community of each row (n,), numbered from 0; -1 for rows of no community of at least `SMALLEST`.

    scale: what a component of norm 1 was multiplied by, so that products become cosines. Rows in an order that depends
    on their content alone give communities that do.
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
    """Return the graph of neighbours in compressed rows: where each row begins, ends of its edges, their weights.

    Symmetric; a pair that is mutual has both weights. Edges without weight are left out.
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

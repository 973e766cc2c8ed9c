"""A given number of topics: spherical k-means in integers, deterministic for rows in the order of their content.

Centroids are rounded to integers like the rows, so that assignment compares exact integers. Of several starts, drawn by
k-means++ with fixed seeds (Arthur & Vassilvitskii 2007, "k-means++: the advantages of careful seeding"), the partition
with the largest sum of products wins.
"""

from __future__ import annotations

import numpy as np

from knowledge_core.grouping.neighbours import Floats, Places, Rows

STARTS = 4  # draws of the first centroids
ROUNDS = 50  # at most; a start ends as soon as no row changes its cluster


def kmeans(rows: Rows, k: int) -> Places:
    """Return the cluster of each row (n,), 0..k-1; every cluster has at least one row. 1 <= k <= n."""
    floats = rows.astype(np.float32)
    length = float(np.linalg.norm(floats, axis=1).mean())
    best: tuple[float, Places] | None = None
    for start in range(STARTS):
        labels, total = _settled(floats, _seeds(floats, k, start), length)
        if best is None or total > best[0]:
            best = total, labels
    assert best is not None
    return best[1]


def _seeds(floats: Floats, k: int, start: int) -> Floats:
    """Draw k rows (k, dim), each with a chance that grows with its squared distance to the nearest one drawn before."""
    draw = np.random.Generator(np.random.PCG64(start))
    chosen = [int(draw.random() * len(floats))]
    norms = (floats.astype(np.float64) ** 2).sum(axis=1)
    away = np.full(len(floats), np.inf)
    while len(chosen) < k:
        last = floats[chosen[-1]]
        away = np.minimum(away, norms + norms[chosen[-1]] - 2 * (floats @ last).astype(np.float64))
        away[chosen] = 0
        heap = np.cumsum(np.maximum(away, 0))
        if heap[-1] <= 0:  # only copies of chosen rows are left: take the first one that is not chosen
            chosen.append(next(row for row in range(len(floats)) if row not in set(chosen)))
        else:
            chosen.append(int(np.searchsorted(heap, draw.random() * heap[-1], side="right")))
    return floats[chosen]


def _settled(floats: Floats, centroids: Floats, length: float) -> tuple[Places, float]:
    """Return the clusters (n,) once no row changes any more, and the sum of all rows' products with their centroids."""
    k = len(centroids)
    labels = np.full(len(floats), -1, np.int64)
    for _ in range(ROUNDS):
        scores = floats @ centroids.T  # (n, k), integers
        found = _none_empty(scores.argmax(axis=1), scores, k)
        if np.array_equal(found, labels):
            break
        labels = found
        centroids = _centroids(floats, labels, k, length)
    scores = floats @ centroids.T
    return labels, float(scores[np.arange(len(labels)), labels].astype(np.float64).sum())


def _centroids(floats: Floats, labels: Places, k: int, length: float) -> Floats:
    # Rows of one cluster lie side by side, for reduceat. Sums of integers below 2**24 are exact in float32, in any order:
    # up to 130,000 rows of 127.
    order = np.argsort(labels, kind="stable")
    begins = np.searchsorted(labels[order], np.arange(k))
    sums = np.add.reduceat(floats[order], begins, axis=0).astype(np.float64)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.rint(sums / np.where(norms > 0, norms, 1) * length).astype(np.float32)


def _none_empty(labels: Places, scores: Floats, k: int) -> Places:
    """Give each empty cluster the row with the smallest product with its own centroid, out of a cluster of several rows."""
    labels = labels.astype(np.int64)
    sizes = np.bincount(labels, minlength=k)
    for empty in np.flatnonzero(sizes == 0):
        own = scores[np.arange(len(labels)), labels].astype(np.float64)
        own[sizes[labels] < 2] = np.inf
        row = int(own.argmin())
        sizes[labels[row]] -= 1
        labels[row] = empty
        sizes[empty] = 1
    return labels

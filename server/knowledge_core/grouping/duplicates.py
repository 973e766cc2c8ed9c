"""Groups of near-identical rows: every member has a cosine of at least `similarity` to the row at the group's centre.

Around a centre rather than by chains, so that A and C do not join only because B is like both.
"""

from __future__ import annotations

import numpy as np

from knowledge_core.grouping.neighbours import Floats, Places


def duplicates(vectors: Floats, similarity: float) -> Places:
    """Return the group of each row (n,), numbered from 0; -1 for a row that has no near row left to join.

    vectors: (n, dim) of norm 1. similarity: a cosine. Rows with the most neighbours become centres first, ties by place.
    """
    size = len(vectors)
    near: list[Places] = []
    for begin in range(0, size, 512):
        block = vectors[begin : begin + 512] @ vectors.T
        # With a margin for rounding, so that equal texts are found at similarity 1.
        near += [np.flatnonzero(row >= similarity - 1e-6) for row in block]
    labels = np.full(size, -1, np.int64)
    taken = np.zeros(size, bool)
    group = 0
    for row in sorted(range(size), key=lambda each: (-len(near[each]), each)):
        free = [int(other) for other in near[row] if not taken[other]]
        if taken[row] or len(free) < 2:
            continue
        labels[free] = group
        taken[free] = True
        group += 1
    return labels

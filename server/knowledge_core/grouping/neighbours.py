"""Exact nearest neighbours by integer products, the same on every machine and with any number of threads.

Rows are int8. Their products are computed as float32 matrix products, which are exact here: every partial sum is at
most |a||b| in size, about 645 * dimensions for rows of the VectorIndex, far below the 2**24 up to which float32 holds
every integer. So the order of summation, and with it the number of threads, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

BLOCK = 512  # rows whose products are in memory together: 512 * 20,000 * 4 bytes are 41 MB


def products(rows: Rows) -> Iterator[tuple[int, Floats]]:
    """Yield block by block: the number of its first row, and its products with all rows, (up to BLOCK, n)."""
    floats = rows.astype(np.float32)
    for begin in range(0, len(rows), BLOCK):
        yield begin, floats[begin : begin + BLOCK] @ floats.T


def nearest(rows: Rows, count: int) -> tuple[Places, Floats]:
    """Return for each row the `count` other rows with the largest products: places and products, both (n, count).

    Largest first, ties by place. count < n.
    """
    size = len(rows)
    places = np.empty((size, count), np.int64)
    values = np.empty((size, count), np.float32)
    order = np.arange(size, dtype=np.float64) / (size + 1)
    for begin, block in products(rows):
        here = np.arange(len(block))
        block[here, begin + here] = -np.inf  # nothing is its own neighbour
        # Products are integers: subtracting a fraction below 1 that grows with the place decides ties, and only ties.
        ranked = block.astype(np.float64) - order
        best = np.argpartition(-ranked, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(ranked, best, 1), axis=1), 1)
        places[begin : begin + len(block)] = best
        values[begin : begin + len(block)] = np.take_along_axis(block, best, 1)
    return places, values

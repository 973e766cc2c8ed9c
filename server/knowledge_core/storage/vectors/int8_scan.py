"""NumKong: inner products of int8 rows with one query. The only file that imports it.

USearch, which depends on NumKong, has an exact search of its own. It takes Python's lock for every row: it is seven times
slower, and two threads together get less from it than one (docs/decisions/readers.md).
"""

from __future__ import annotations

import numkong
import numpy as np
import numpy.typing as npt

from knowledge_core.quantising import Rows
from knowledge_core.storage.values import Keys

Products = npt.NDArray[np.int32]

_LEAST = np.iinfo(np.int32).min  # below every product


def inner_products(matrix: Rows, query: Rows) -> Products:
    """Return the exact inner product of each row with a query: (n, d) and (1, d) int8 to (n,) int32.

    Python's lock is free meanwhile. 10,000 rows of 384 take 0.1 ms of one core.
    """
    assert matrix.dtype == query.dtype == np.int8, "anything else would be converted, and silently"
    if not len(matrix):
        return np.empty(0, np.int32)
    return np.asarray(numkong.dots_packed(matrix, numkong.dots_pack(query))).reshape(len(matrix))


def largest(matrix: Rows, query: Rows, limit: int, dead: Keys) -> tuple[Keys, Products]:
    """Return the places of the `limit` largest inner products, and these products: best first, ties by place.

    There are fewer where the matrix has no more.

    matrix: (n, d) int8.
    query: (1, d) int8.
    dead: places that are left out, ascending.
    """
    products = inner_products(matrix, query)
    products[dead] = _LEAST
    limit = min(limit, len(products) - len(dead))
    if limit < 1:
        return np.empty(0, np.int64), products[:0]
    lowest = np.partition(products, len(products) - limit)[len(products) - limit]
    places = np.flatnonzero(products >= lowest)  # all that tie with the last one included
    found = products[places]
    order = np.lexsort((places, -found))[:limit]
    return places[order], found[order]

"""Ascending keys, and where others lie among them: n log m, where NumPy's own `isin` would sort both each time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from knowledge_core.storage.values import Keys

NO_KEYS: Keys = np.empty(0, np.int64)


def among(ascending: Keys, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return where each key lies among ascending ones, and whether it does.

    >>> [each.tolist() for each in among(np.array([2, 5, 9]), np.array([9, 1]))]
    [[2, 0], [True, False]]
    """
    places = np.searchsorted(ascending, keys)
    if not len(ascending):
        return places, np.zeros(len(keys), bool)
    return places, ascending[np.minimum(places, len(ascending) - 1)] == keys

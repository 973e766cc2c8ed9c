"""Ascending keys: where other keys lie among them, and how they are written as runs.

Looking up n keys among m takes n log m; NumPy's `isin` would sort both each time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from knowledge_core.storage.values import Keys

NO_KEYS: Keys = np.empty(0, np.int64)


def among(ascending: Keys, keys: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return where each key lies among ascending ones, or would be put in, and whether it is there.

    ascending: (m,) int64, each once. keys: (n,) int64, in any order. Returns (n,) int64 and (n,) bool.

    >>> [each.tolist() for each in among(np.array([2, 5, 9]), np.array([9, 1]))]
    [[2, 0], [True, False]]
    """
    if not len(ascending):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
    if ascending[-1] - ascending[0] == len(ascending) - 1:  # without a gap, as keys mostly are: nothing to search
        places = np.clip(keys - ascending[0], 0, len(ascending))
    else:
        places = np.searchsorted(ascending, keys)
    return places, ascending[np.minimum(places, len(ascending) - 1)] == keys


def runs(keys: Keys) -> tuple[Keys, Keys]:
    """Return the first key of each run of consecutive keys, and the runs' lengths: few, as keys are counted upwards.

    >>> [each.tolist() for each in runs(np.array([1, 2, 3, 7, 8]))]
    [[1, 7], [3, 2]]
    """
    if not len(keys):
        return keys, keys
    begins = np.flatnonzero(np.diff(keys, prepend=keys[0] - 2) != 1)
    return keys[begins], np.diff(begins, append=len(keys)).astype(np.int64)


def spread(starts: Keys, lengths: Keys) -> Keys:
    """Return the keys of runs: what `runs` took.

    >>> spread(np.array([1, 7]), np.array([3, 2])).tolist()
    [1, 2, 3, 7, 8]
    """
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(starts, lengths) + within

"""Arithmetic on vectors of norm 1. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from knowledge_core.types import Vectors

LEAST_NORM = 1e-3  # of a mean; what is shorter is what rounding left over of vectors that cancel each other out


def mean_vector(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Return the unit vector nearest to all rows: their mean, scaled back to norm 1.

    vectors: (n, dim) float32, rows of norm 1, n >= 1. Returns (dim,), summed in float64. Rows that cancel each other out
    have no direction: a mean shorter than `LEAST_NORM` is not brought to norm 1, but stays near 0.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), LEAST_NORM))

"""Unit vectors as int8 rows, the same bits on every machine. Pure: no file, no index."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from knowledge_core.types import Vectors

Rows = npt.NDArray[np.int8]

TURNED_AT_ONCE = 256  # rows, which stay in the processor's cache: 10,000 x 768 take 0.24 s; all at once 0.33 s


def quantise(vectors: Vectors) -> Rows:
    """Turn, scale and round unit vectors to int8, the same bits on every machine: (n, d) float32 to (n, d) int8.

    The turn spreads what a model packs into few dimensions over all of them, so that one scale fits: a component of
    a turned unit vector is about normal with deviation 1/sqrt(d), and the scale puts five deviations at 127.

    The turn is one fixed orthogonal matrix per d, made of additions, subtractions and fixed signs: those round the same
    way everywhere, while a product with a dense matrix depends on the BLAS, its threads and how the matrix was found. It
    is a Hadamard transform under random signs, which needs a power of two. For other d (384, 768) it is done twice: over
    the first 2**k dimensions, then over the last 2**k, where 2**k is the largest power of two below d.
    """
    if len(vectors) == 1:
        return _query(np.ascontiguousarray(vectors, dtype=np.float32).tobytes())
    return _quantised(vectors)


@lru_cache(64)
def _query(vector: bytes) -> Rows:
    """Cached `quantise` for a single vector: one search quantises its query several times.

    vector: the bytes of (d,) float32. Returns (1, d) int8, not writeable.
    """
    rows = _quantised(np.frombuffer(vector, np.float32)[np.newaxis])
    rows.setflags(write=False)
    return rows


def _quantised(vectors: Vectors) -> Rows:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    rows = np.empty(vectors.shape, dtype=np.int8)
    for start in range(0, len(vectors), TURNED_AT_ONCE):
        part = slice(start, start + TURNED_AT_ONCE)
        turned = _turn(vectors[part])
        turned *= np.float32(scale(vectors.shape[1]))
        rows[part] = np.clip(np.rint(turned, out=turned), -127, 127)
    return rows


def _turn(vectors: Vectors) -> Vectors:
    """Return the vectors under the fixed matrix: (n, d) to (n, d)."""
    dimensions = vectors.shape[1]
    width = 1 << (dimensions.bit_length() - 1)
    turned = vectors * _signs(dimensions)
    turned[:, :width] = _hadamard(turned[:, :width])
    if width < dimensions:
        turned *= _signs(-dimensions)
        turned[:, -width:] = _hadamard(turned[:, -width:])
    return turned


def _hadamard(vectors: Vectors) -> Vectors:
    """Return the orthonormal Hadamard transform of each row: (n, 2**k) to (n, 2**k)."""
    count, width = vectors.shape
    step = 1
    while step < width:
        pairs = vectors.reshape(count, width // (2 * step), 2, step)
        vectors = np.empty_like(pairs)
        np.add(pairs[:, :, 0], pairs[:, :, 1], out=vectors[:, :, 0])
        np.subtract(pairs[:, :, 0], pairs[:, :, 1], out=vectors[:, :, 1])
        step *= 2
    return vectors.reshape(count, width) * np.float32(1 / math.sqrt(width))


@lru_cache
def _signs(seed: int) -> Vectors:
    """Return +1 or -1 per dimension, (|seed|,) float32, by a hash: no library promises that its random numbers stay."""
    bits = hashlib.shake_256(f"knowledge core {seed}".encode()).digest((abs(seed) + 7) // 8)
    return 1 - 2 * np.unpackbits(np.frombuffer(bits, np.uint8), count=abs(seed)).astype(np.float32)


def scale(dimensions: int) -> float:
    """Return what a turned unit vector is multiplied by; an inner product of rows is a cosine times the square of it."""
    return 127 * math.sqrt(dimensions) / 5

"""Nearest keys to a vector: int8 rows in memory, searched exactly by USearch. The only file that imports it.

Rules it keeps:
- Derived: everything here comes from the record and can be deleted. A file that does not check out is discarded.
- One writer calls `apply`, `save` and `clear`; readers hold snapshots, which never change and never block.
- A published file is never changed: a new one is written beside it, flushed, renamed, and only then the old one goes.
- A distance never leaves: scores are cosines, higher is better.

It knows nothing of texts, chunks or SQL. Its cosines are approximate (int8): callers rescore with the record's vectors.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from usearch.compiled import MetricKind
from usearch.index import search as scan

from knowledge_core.storage.atomic import TEMPORARY, remove_file, replace_file
from knowledge_core.types import Vectors

Keys = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int8]

NAME = "vectors-{generation}.int8"
PATTERN = "vectors-*.int8"
MAGIC = b"KCVEC\x00\x01\n"
HEADER = struct.Struct("<8sIIqq32s")  # magic, CRC-32 of all after it, dimensions, generation, rows, SHA-256 of the tag
CHECKED_FROM = 12  # bytes: where what the CRC-32 covers begins
SMALLEST_CAPACITY = 256  # rows; below it doubling is only churn
TURNED_AT_ONCE = 256  # rows; they stay in the cache: 10,000 x 768 take 0.24 s, 0.33 all at once
SCANNED_AT_ONCE = 64  # queries; USearch takes 8 bytes for each of them and each row
ONE_THREAD = 1  # 10,000 x 768: 1.14 ms (p95 1.17); two threads on 2 cores 1.35 (p95 2.0), and other searches wait


def quantise(vectors: Vectors) -> Rows:
    """Turn, scale and round unit vectors to int8, the same bits on every machine: (n, d) float32 to (n, d) int8.

    The turn spreads what a model packs into few dimensions over all of them, so that one scale fits: a component of
    a turned unit vector is about normal with deviation 1/sqrt(d), and the scale puts five deviations at 127.

    The turn is one fixed orthogonal matrix for each d, made of additions, subtractions and fixed signs: those round
    the same way everywhere, while a product with a dense matrix depends on the BLAS, its threads and how the matrix
    was found. It is a Hadamard transform under random signs; that wants a power of two, so for other d (384, 768) one
    turns the first and then one the last 2**k dimensions, 2**k being the largest below d.
    """
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
    """Return +1 or -1 for each of |seed| dimensions, by a hash: no library's random numbers are promised to stay."""
    bits = hashlib.shake_256(f"knowledge core {seed}".encode()).digest((abs(seed) + 7) // 8)
    return 1 - 2 * np.unpackbits(np.frombuffer(bits, np.uint8), count=abs(seed)).astype(np.float32)


def scale(dimensions: int) -> float:
    """Return what a turned unit vector is multiplied by; an inner product of rows is a cosine times its square."""
    return 127 * math.sqrt(dimensions) / 5


@dataclass(frozen=True)
class VectorSnapshot:
    """One generation of the vectors, for as long as someone holds it.

    keys: (n,) int64, ascending. matrix: (n, d) int8, one row a key. Neither is ever written to again.
    """

    generation: int
    keys: Keys
    matrix: Rows

    def nearest(self, queries: Vectors, limit: int, allowed: Keys | None = None) -> list[list[tuple[int, float]]]:
        """Return for each query the keys of the largest int8 inner products, as approximate cosines.

        queries: (q, d) float32, rows of norm 1. allowed: ascending keys to choose from; those unknown are passed over.
        Best first, ties by key, the cut included: the answer depends on nothing but the rows. Fewer than `limit`
        where there are no more.
        """
        if allowed is None:
            keys, matrix = self.keys, self.matrix
        else:
            places = self._places(allowed)
            keys, matrix = self.keys[places], self.matrix[places]
        if limit < 1 or not len(keys):
            return [[] for _ in queries]
        cosine = scale(self.matrix.shape[1]) ** -2
        found = []
        for places, products in _largest(matrix, quantise(queries), limit):
            found.append([(int(keys[p]), float(s) * cosine) for p, s in zip(places, products, strict=True)])
        return found

    def rows(self, keys: Sequence[int] | Keys) -> Rows:
        """Return the rows of these keys, in their order: (n, d) int8.

        Raises:
            KeyError: a key is not there.
        """
        wanted = np.asarray(keys, dtype=np.int64)
        places = np.searchsorted(self.keys, wanted)
        there = _at(self.keys, places) == wanted
        if not there.all():
            raise KeyError(int(wanted[~there][0]))
        return self.matrix[places]

    def _places(self, allowed: Keys) -> npt.NDArray[np.intp]:
        places = np.searchsorted(self.keys, allowed)
        there: npt.NDArray[np.intp] = places[_at(self.keys, places) == allowed]
        return there


class VectorIndex:
    """The vectors of one collection: what is published in a folder, and what came since, in memory.

    discarded: why a file that was there is not used, in one line; None when there was none, or it was good.
    """

    def __init__(self, folder: Path, *, dimensions: int, tag: str) -> None:
        self._folder = folder
        self._tag = tag
        self._empty = VectorSnapshot(0, np.empty(0, np.int64), np.empty((0, dimensions), np.int8))
        self._take(self._empty)
        self._published: VectorSnapshot | None = None
        self.discarded: str | None = None

    @classmethod
    def load(cls, folder: Path, *, dimensions: int, tag: str) -> Self:
        """Open the newest published file, or start empty at generation 0 and say in `discarded` why.

        tag: whatever must not have changed for the rows to be of use (the contract, the record's identity).
        """
        index = cls(folder, dimensions=dimensions, tag=tag)
        for leftover in folder.glob(PATTERN + TEMPORARY):
            leftover.unlink(missing_ok=True)
        published = _files(folder)
        if published:
            try:
                index._take(_read(published[-1], dimensions, tag))
                index._published = index._current
            except _UnusableFileError as reason:
                index.discarded = f"{published[-1].name}: {reason}"
        return index

    @property
    def generation(self) -> int:
        """Return the record's generation up to which this holds everything."""
        return self._current.generation

    def snapshot(self) -> VectorSnapshot:
        """Return the generation of now. Costs nothing, and holds while the index changes."""
        return self._current

    def apply(self, generation: int, keys: Keys, vectors: Vectors, removed: Sequence[int]) -> None:
        """Take `removed` out, put `keys` with their vectors in, and be at `generation`.

        keys: distinct, in any order. vectors: (n, d) float32, norm 1, finite (the record checks that).
        What is there already is replaced, and what is not there need not be removed: a change may be applied again.
        A key in both lists stays.
        """
        if vectors.shape != (len(keys), self._current.matrix.shape[1]):
            raise ValueError(f"{len(keys)} keys with vectors of shape {vectors.shape}")
        order = np.argsort(keys, kind="stable")
        added, rows = np.asarray(keys, np.int64)[order], quantise(vectors)[order]
        kept = self._current.keys
        gone = np.isin(kept, np.concatenate([np.asarray(removed, np.int64), added]))
        if gone.any() or (len(added) and len(kept) and added[0] < kept[-1]):
            together = np.concatenate([kept[~gone], added])
            matrix = np.concatenate([self._current.matrix[~gone], rows])
            order = np.argsort(together, kind="stable")
            if not np.array_equal(order, np.arange(len(order))):  # a key came back below the last: rare
                together, matrix = together[order], matrix[order]
            self._take(VectorSnapshot(generation, together, matrix))
        else:
            self._append(generation, added, rows)

    def save(self) -> None:
        """Publish what is there now, unless that is published already; older files go.

        Raises:
            StorageFull: no space is left; what was published before stays.
            StorageError: the disk refused for another reason.
        """
        now = self._current
        if self._published is now:
            return
        path = self._folder / NAME.format(generation=now.generation)
        replace_file(path, _parts(now, self._tag))
        self._published = now
        for other in _files(self._folder):
            if other != path:
                remove_file(other)

    def clear(self) -> None:
        """Forget everything, the files too, and be at generation 0."""
        for path in _files(self._folder):
            remove_file(path)
        self._take(self._empty)
        self._published = None

    def _take(self, snapshot: VectorSnapshot) -> None:
        self._keys, self._matrix = snapshot.keys, snapshot.matrix  # room for more only after the next append
        self._current = snapshot

    def _append(self, generation: int, added: Keys, rows: Rows) -> None:
        """Write behind the last row, where no snapshot looks; copy to twice the room when there is none."""
        size = len(self._current.keys)
        end = size + len(added)
        if end > len(self._keys):
            room = max(2 * size, end, SMALLEST_CAPACITY)
            keys, matrix = np.empty(room, np.int64), np.empty((room, rows.shape[1]), np.int8)
            keys[:size], matrix[:size] = self._current.keys, self._current.matrix
            self._keys, self._matrix = keys, matrix
        if len(added):  # what was read from a file is not writable, and need not be
            self._keys[size:end], self._matrix[size:end] = added, rows
        self._current = VectorSnapshot(generation, self._keys[:end], self._matrix[:end])


class _UnusableFileError(Exception):
    """A published file is not what it should be; the text says why in a few words."""


def _at(keys: Keys, places: npt.NDArray[np.intp]) -> Keys:
    """Return keys[places], with 0, which no key is, for places behind the last."""
    if not len(keys):
        return np.zeros(len(places), np.int64)
    return np.where(places < len(keys), keys[np.minimum(places, len(keys) - 1)], 0)


def _largest(matrix: Rows, queries: Rows, limit: int) -> Iterator[tuple[Keys, npt.NDArray[np.float32]]]:
    """Yield for each query the places of the `limit` largest inner products and these; ties in the order of places."""
    for start in range(0, len(queries), SCANNED_AT_ONCE):
        some = queries[start : start + SCANNED_AT_ONCE]
        for query, (places, products) in zip(some, _scan(matrix, some, limit + 1), strict=True):
            asked = limit + 1
            # USearch leaves open which of several equal rows it finds, so ask until the cut is not among equals.
            while len(places) > limit and products[limit - 1] == products[-1] and asked < len(matrix):
                asked *= 4
                places, products = _scan(matrix, query[np.newaxis], asked)[0]
            order = np.lexsort((places, -products))[:limit]
            yield places[order], products[order]


def _scan(matrix: Rows, queries: Rows, count: int) -> list[tuple[Keys, npt.NDArray[np.float32]]]:
    """Return places and inner products of the best `count` rows for each query, best first, ties in any order.

    The products are exact integers: USearch gives 1 - product as float32, and |product| stays far below 2**24.
    """
    count = min(count, len(matrix))  # it refuses to be asked for more
    found = scan(matrix, queries, count, MetricKind.IP, exact=True, threads=ONE_THREAD)
    shape = (len(queries), count)  # one query comes back without the first dimension
    places = found.keys.reshape(shape).astype(np.int64)
    return list(zip(places, 1 - found.distances.reshape(shape), strict=True))


def _files(folder: Path) -> list[Path]:
    """Return the published files, oldest generation first."""
    numbered = [(path.name.removeprefix("vectors-").removesuffix(".int8"), path) for path in folder.glob(PATTERN)]
    return [path for _, path in sorted((int(number), path) for number, path in numbered if number.isdecimal())]


def _parts(snapshot: VectorSnapshot, tag: str) -> list[bytes | memoryview]:
    """Return what a published file holds: header, keys, rows; little-endian."""
    keys = np.ascontiguousarray(snapshot.keys, "<i8")
    size, dimensions = snapshot.matrix.shape
    rest = HEADER.pack(MAGIC, 0, dimensions, snapshot.generation, size, _seal(tag))[CHECKED_FROM:]
    body = [rest, keys.data.cast("B") if size else b"", snapshot.matrix.data.cast("B") if snapshot.matrix.size else b""]
    checksum = 0
    for part in body:
        checksum = zlib.crc32(part, checksum)
    return [MAGIC + struct.pack("<I", checksum), *body]


def _read(path: Path, dimensions: int, tag: str) -> VectorSnapshot:
    """Return what a published file holds, checked; raise _UnusableFileError otherwise."""
    try:
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise _UnusableFileError(error.strerror or "cannot be read") from error
    if len(content) < HEADER.size or content[: len(MAGIC)] != MAGIC:
        raise _UnusableFileError("not a file of vectors, or of another version")
    _, checksum, width, generation, size, seal = HEADER.unpack_from(content)
    if zlib.crc32(content[CHECKED_FROM:]) != checksum or len(content) != HEADER.size + size * (8 + width):
        raise _UnusableFileError("damaged (its checksum differs)")
    if path.name != NAME.format(generation=generation):
        raise _UnusableFileError(f"holds generation {generation}")
    if width != dimensions:
        raise _UnusableFileError(f"holds vectors of {width} dimensions, not {dimensions}")
    if seal != _seal(tag):
        raise _UnusableFileError("made for another record or under another contract")
    keys = np.frombuffer(content, "<i8", size, HEADER.size).astype(np.int64)
    matrix = np.frombuffer(content, np.int8, size * width, HEADER.size + 8 * size).reshape(size, width)
    return VectorSnapshot(generation, keys, matrix)


def _seal(tag: str) -> bytes:
    return hashlib.sha256(tag.encode()).digest()

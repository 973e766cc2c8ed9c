"""Texts as one matrix of tokens, and the row work between products that both generations of EmbeddingGemma share.

Rules kept here:
- texts lie one behind the other, shortest first: no product computes padding, and only attention and the mean, which go by
  runs of texts of equal length, know where a text ends;
- the residual stream, norms and rotations are float32;
- an RMS norm is split in two: the gain of a column goes into a weight where one follows, and a row's factor is never
  multiplied in where the next norm would take it out again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from knowledge_core.types import Vectors

if TYPE_CHECKING:
    from torch import Tensor


def step_of(tokens: int) -> int:
    """Return the number to a multiple of which a number of tokens is rounded up, with rows that nobody reads.

    oneDNN prepares its products once per number of rows, which costs time and memory (`embedding/local/__init__.py`). So
    there are 28 numbers up to 1,024, and the unread rows cost a sixteenth on average at 128 tokens, a thirtieth at 1,024.
    """
    return 16 if tokens <= 128 else 32 if tokens <= 512 else 64


@dataclass(frozen=True)
class Run:
    """Texts of equal length that lie one behind the other: rows `start` to `end` of the matrix of tokens."""

    start: int
    texts: int
    length: int

    @property
    def end(self) -> int:
        """Return the row behind the last one."""
        return self.start + self.texts * self.length


def runs_of(lengths: Sequence[int]) -> list[Run]:
    """Return the runs of equal lengths that follow each other.

    >>> runs_of([3, 3, 5])
    [Run(start=0, texts=2, length=3), Run(start=6, texts=1, length=5)]
    """
    runs: list[Run] = []
    for length, group in groupby(lengths):
        runs.append(Run(runs[-1].end if runs else 0, len(list(group)), length))
    return runs


@dataclass(frozen=True)
class Packed:
    """Texts as rows of a matrix of tokens.

    ids, places: of each row, its token and its place in its text: (tokens,) int64, rounded up by `step_of`.
    runs: which rows are texts.
    """

    ids: Tensor
    places: Tensor
    runs: Sequence[Run]

    def means(self, x: Tensor) -> Tensor:
        """Return the mean of each text's rows: (texts, width)."""
        import torch

        return torch.cat([x[run.start : run.end].view(run.texts, run.length, -1).mean(1) for run in self.runs])


def vectors_of(texts: Sequence[Sequence[int]], pooled: Callable[[Packed], Tensor], last: Tensor) -> Vectors:
    """Return one vector per text, in the texts' order: (n, dimensions) float32, not scaled to norm 1.

    texts: token ids, special tokens included; one or more per text.
    pooled: the forward pass, from texts that are sorted by length to the mean of each.
    last: the matrix behind the mean: (dimensions, width) float32.
    """
    import torch

    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    ids = [token for i in order for token in texts[i]]
    places = [place for i in order for place in range(len(texts[i]))]
    unread = [0] * (-len(ids) % step_of(len(ids)))
    with torch.inference_mode():
        runs = runs_of([len(texts[i]) for i in order])
        packed = Packed(torch.tensor(ids + unread), torch.tensor(places + unread), runs)
        vectors: Vectors = torch.nn.functional.linear(pooled(packed), last).numpy()
    result = np.empty_like(vectors)
    result[order] = vectors
    return result


# -- norms (Zhang & Sennrich 2019, arXiv:1910.07467) -------------------------------------------------------------------
#
# An RMS norm is row / sqrt(mean(row ** 2) + epsilon) * gain. Written by lengths it is row / hypot(|row|, floor), times the
# gain and the root of the width, both of which are known at load; floor is sqrt(epsilon * width). These are three passes
# over a column of lengths instead of five, and a floor may differ from row to row.


def floor_of(epsilon: float, width: int) -> Tensor:
    """Return the least length of a row of this width in a norm with this epsilon: ()."""
    import torch

    return torch.tensor(math.sqrt(epsilon * width))


def lengths_of(x: Tensor, floor: Tensor) -> Tensor:
    """Return the lengths that a norm divides rows by: (..., 1). x: (..., width) float32; floor: () or (..., 1)."""
    import torch

    lengths: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).hypot_(floor)
    return lengths


def add_normed(x: Tensor, y: Tensor, gain: Tensor, floor: Tensor) -> None:
    """Add the norm of y to x, in place. x: (tokens, width) float32; y: the same shape, any dtype.

    gain: times the root of the width.
    """
    y = y.float()
    lengths = lengths_of(y, floor)
    x.addcdiv_(y.mul_(gain), lengths)


# -- rotations (Su et al. 2021, arXiv:2104.09864) ----------------------------------------------------------------------


def interleaved(rows: Tensor, heads: int) -> Tensor:
    """Return the rows of heads in another order: partners of a rotation, which lie half a head apart, side by side.

    q and k are multiplied with each other only, so the order within a head does not matter as long as both have it; side by
    side, a pair is one complex number, and a rotation one product. rows: (heads * head, ...).
    """
    halves = rows.view(heads, 2, -1, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)


def rotations(longest: int, head: int, base: float) -> Tensor:
    """Return the turn of every pair of a head at every place, as complex numbers of size 1: (longest, 1, head / 2)."""
    import torch

    frequencies = 1.0 / base ** (torch.arange(0, head, 2, dtype=torch.float) / head)
    angles = torch.outer(torch.arange(longest, dtype=torch.float), frequencies)
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def rotate(x: Tensor, rotation: Tensor) -> None:
    """Turn the interleaved pairs of each head, in place. x: (tokens, heads, head) float32; rotation: (tokens, 1, head / 2)."""
    import torch

    torch.view_as_complex(x.view(*x.shape[:-1], -1, 2)).mul_(rotation)

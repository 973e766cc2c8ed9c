"""Attention over runs of texts of equal length, in both directions, of all tokens or of those in a window.

Rules kept here: scores are never a whole matrix, neither here (a window's blocks of queries see only the keys within
reach) nor in torch (its fused attention goes by blocks); no key or value is copied for the heads that share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from knowledge_core.embedding.local.packed.packing import Run

if TYPE_CHECKING:
    from torch import Tensor


class Window:
    """The tokens that a token of a sliding layer sees: those at most `radius` places away.

    Queries are computed in blocks as long as the radius, so a block's keys are three blocks at most.
    """

    def __init__(self, radius: int, dtype: Any) -> None:
        import torch

        self.radius = radius
        places = torch.arange(-radius, 2 * radius) - torch.arange(radius)[:, None]
        far = places.abs() > radius
        # What is added to the scores of a block's queries and of the keys from `radius` before it to `radius` behind it.
        self._mask = torch.zeros(far.shape, dtype=dtype).masked_fill_(far, -torch.inf)

    def blocks(self, length: int) -> Iterator[tuple[slice, slice, Tensor | None]]:
        """Yield the queries, the keys that they see, and the mask of both (None: no mask), for a text of this length."""
        if length <= self.radius + 1:
            yield slice(0, length), slice(0, length), None
            return
        for start in range(0, length, self.radius):
            end = min(start + self.radius, length)
            first, last = max(0, start - self.radius), min(length, end + self.radius)
            shift = self.radius - start
            yield slice(start, end), slice(first, last), self._mask[: end - start, first + shift : last + shift]


def attended(q: Tensor, k: Tensor, v: Tensor, runs: Sequence[Run], window: Window | None) -> Tensor:
    """Return, per token and head, the weighted mean of the values that it attends to: (tokens, heads * head).

    q: (tokens, heads, head); k and v: (tokens, key/value heads, head), each serving as many query heads, in order. The
    scores are not scaled: the scale is in q.
    window: None: every token sees its whole text.
    """
    import torch

    result = torch.empty_like(q)
    result[runs[-1].end :] = 0  # the rows of no text stay finite
    for run in runs:
        # (texts, heads, length, head), views
        parts = [
            each[run.start : run.end].view(run.texts, run.length, *each.shape[1:]).transpose(1, 2)
            for each in (q, k, v, result)
        ]
        whole = slice(0, run.length)
        for queries, keys, mask in window.blocks(run.length) if window else [(whole, whole, None)]:
            parts[3][:, :, queries] = torch.nn.functional.scaled_dot_product_attention(
                parts[0][:, :, queries], parts[1][:, :, keys], parts[2][:, :, keys], mask, scale=1.0, enable_gqa=True
            )
    return result.flatten(1)

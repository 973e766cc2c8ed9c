"""Which texts go through the model together. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def pack(lengths: Sequence[int], budget: int = 8192, most: int = 64) -> list[list[int]]:
    """Return batches of indices such that little is padded, longest texts first; equal lengths in index order.

    lengths: of the texts, in tokens. budget: tokens of a batch after padding, number of texts times the longest of
    them; a text that exceeds it alone is a batch of its own. most: texts of a batch.

    Longest first: memory and patience run out at the start of the work, not at its end.

    >>> pack([3, 9, 4, 4], budget=10)
    [[1], [2, 3], [0]]
    """
    batches: list[list[int]] = []
    room = 0  # texts of the open batch's longest length that still fit
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room == 0:
            batches.append([])
            room = max(1, min(most, budget // max(1, lengths[index])))
        batches[-1].append(index)
        room -= 1
    return batches

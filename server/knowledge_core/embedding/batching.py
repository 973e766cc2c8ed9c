"""Which texts go through the model together: those of like length, so that little is padded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.types import Task


def pack(lengths: Sequence[int], budget: int = 8192, most: int = 64) -> list[list[int]]:
    """Return batches of indices such that little is padded, longest texts first; equal lengths in index order.

    lengths: in tokens, one per text.
    budget: most tokens per batch after padding, which is its number of texts times the longest of them. A text that
        exceeds the budget alone is a batch of its own.
    most: most texts per batch.

    Longest first: if memory or time does not suffice, that shows at the start of the work, not at its end.

    >>> pack([3, 9, 4, 4], budget=10)
    [[1], [2, 3], [0]]
    """
    batches: list[list[int]] = []
    room = 0  # texts, at the length of the open batch's longest, that still fit into it
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room == 0:
            batches.append([])
            room = max(1, min(most, budget // max(1, lengths[index])))
        batches[-1].append(index)
        room -= 1
    return batches


def embed_packed(
    embedder: Embedder,
    texts: Mapping[str, tuple[str, str]],
    *,
    before: Callable[[], None],
    after: Callable[[int], None],
) -> dict[str, npt.NDArray[np.float32]]:
    """Embed the texts of documents in batches of like length, and return one vector per key: (dim,), norm 1.

    texts: key -> (text, title).
    before: called before every batch; an exception that it raises ends the work.
    after: called once a batch is embedded, with its number of tokens; titles do not count.

    Raises:
        ModelUnavailable, ContractMismatch, Busy: see `Embedder.embed`.
    """
    keys = list(texts)
    lengths = embedder.count_tokens([texts[key][0] for key in keys])
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    for batch in pack(lengths):
        before()
        chosen = [keys[i] for i in batch]
        made = embedder.embed([texts[key][0] for key in chosen], Task.DOCUMENT, [texts[key][1] for key in chosen])
        vectors.update(zip(chosen, made, strict=True))
        after(sum(lengths[i] for i in batch))
    return vectors

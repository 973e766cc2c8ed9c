"""Which texts go through the model together: those of like length, so that little is padded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.types import Task, Vectors

BUDGET = 4096  # tokens of a batch of `embed_packed`: what a cancelled job waits for is `AT_ONCE` of them
AT_ONCE = 2  # batches under way: with one, a core stood still whenever the other had the last part of a batch


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
    lengths: Mapping[str, int] | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Embed the texts of documents in batches of like length, and return one vector per key: (dim,), norm 1.

    While a batch is embedded the next one is made ready and waits behind it, so that no core of the model stands still
    between two. The caller's thread alone calls `before` and `after`, and no batch is under way once this returns.

    texts: key -> (text, title).
    before: called before every batch; an exception that it raises ends the work.
    after: called once a batch is embedded, with its number of tokens; titles do not count.
    lengths: key -> tokens of its text, as of `Embedder.count_tokens`, for those that are known; the others are counted.

    Raises:
        ModelUnavailable, ContractMismatch, Busy: see `Embedder.embed`.
    """
    tokens = _counted(embedder, texts, lengths or {})
    keys = list(texts)
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    waiting: deque[tuple[list[str], Future[Vectors]]] = deque()

    def settle() -> None:
        chosen, made = waiting.popleft()
        vectors.update(zip(chosen, made.result(), strict=True))
        after(sum(tokens[key] for key in chosen))

    with ThreadPoolExecutor(AT_ONCE, "embed-batch") as running:
        for batch in pack([tokens[key] for key in keys], BUDGET):
            if len(waiting) == AT_ONCE:
                settle()
            before()
            chosen = [keys[i] for i in batch]
            parts = [texts[key] for key in chosen]
            made = running.submit(
                embedder.embed, [text for text, _ in parts], Task.DOCUMENT, [title for _, title in parts]
            )
            waiting.append((chosen, made))
        while waiting:
            settle()
    return vectors


def _counted(embedder: Embedder, texts: Mapping[str, tuple[str, str]], known: Mapping[str, int]) -> dict[str, int]:
    """Return the tokens of each text by its key; what is not known is counted."""
    unknown = [key for key in texts if key not in known]
    counted = embedder.count_tokens([texts[key][0] for key in unknown]) if unknown else []
    return {**{key: known[key] for key in texts if key in known}, **dict(zip(unknown, counted, strict=True))}

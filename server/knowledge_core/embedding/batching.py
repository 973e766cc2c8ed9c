"""Which texts go through the model together: those of like length, so that little is padded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.types import Task, Vectors

MOST = 64  # texts per batch
AT_ONCE = 2  # batches under way: with one, a core stood still whenever the other had the last part of a batch
SECONDS = 2.0  # that a batch of `embed_packed` takes, about: a cancelled job waits for `AT_ONCE` of them
SMALLEST, FIRST, LARGEST = 1024, 4096, 16_384  # tokens of such a batch; the first ones come before the pace is known


def pack(lengths: Sequence[int], budget: int = 8192, most: int = MOST) -> list[list[int]]:
    """Return batches of indices such that little is padded, longest texts first; equal lengths in index order.

    lengths: in tokens, one per text.
    budget: most tokens per batch after padding, which is its number of texts times the longest of them. A text that
        exceeds the budget alone is a batch of its own.
    most: most texts per batch.

    Longest first: if memory or time does not suffice, that shows at the start of the work, not at its end.

    >>> pack([3, 9, 4, 4], budget=10)
    [[1], [2, 3], [0]]
    """
    return list(_packed(lengths, lambda: budget, most))


def even_budget(lengths: Sequence[int], budget: int, threads: int, smallest: int) -> int:
    """Return a budget for `pack`, at most this one, by which about as many batches come about as threads can share evenly.

    lengths: in tokens, one per text.
    threads: that take a batch each.
    smallest: fewer tokens per batch are not worth a thread of their own.

    Three batches of equal size keep two threads busy for as long as four: 128 queries of 21 tokens took an eighth longer.

    >>> [len(batch) for batch in pack([21] * 128, even_budget([21] * 128, 1024, 2, 64))]
    [32, 32, 32, 32]
    """
    total = sum(lengths)
    if total < smallest * threads:
        return budget
    wanted = -(-len(pack(lengths, budget)) // threads) * threads
    even = -(-total // wanted)
    while even < budget and len(pack(lengths, even)) > wanted:
        even += max(*lengths, budget // 16)
    return min(even, budget)


def _packed(lengths: Sequence[int], budget: Callable[[], int], most: int) -> Iterator[list[int]]:
    """Yield what `pack` returns. budget: asked before each batch."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    start = 0
    while start < len(order):
        end = start + max(1, min(most, budget() // max(1, lengths[order[start]])))
        yield order[start:end]
        start = end


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
    with ThreadPoolExecutor(AT_ONCE, "embed-batch") as running:
        under_way = _UnderWay(embedder, texts, tokens, running, after)
        for batch in _packed(list(tokens.values()), under_way.budget, MOST):
            if under_way.is_full():
                under_way.settle()
            before()
            under_way.begin([keys[i] for i in batch])
        while under_way.batches:
            under_way.settle()
    return under_way.vectors


class _UnderWay:
    """The batches of one `embed_packed` that were begun and are not settled, oldest first, and what came of the others."""

    def __init__(
        self,
        embedder: Embedder,
        texts: Mapping[str, tuple[str, str]],
        tokens: Mapping[str, int],
        running: ThreadPoolExecutor,
        after: Callable[[int], None],
    ) -> None:
        self._embedder, self._texts, self._tokens, self._running, self._after = embedder, texts, tokens, running, after
        self.batches: deque[tuple[list[str], Future[Vectors]]] = deque()
        self.vectors: dict[str, npt.NDArray[np.float32]] = {}
        self._began, self._done = time.monotonic(), 0

    def budget(self) -> int:
        """Return how many tokens a batch may have at the pace so far."""
        pace = self._done / max(time.monotonic() - self._began, 1e-3)
        return int(np.clip(pace * SECONDS, SMALLEST, LARGEST)) if self._done else FIRST

    def is_full(self) -> bool:
        return len(self.batches) == AT_ONCE

    def begin(self, keys: list[str]) -> None:
        texts, titles = zip(*(self._texts[key] for key in keys), strict=True)
        self.batches.append((keys, self._running.submit(self._embedder.embed, texts, Task.DOCUMENT, titles)))

    def settle(self) -> None:
        """Wait for the oldest batch and take its vectors."""
        keys, made = self.batches.popleft()
        self.vectors.update(zip(keys, made.result(), strict=True))
        tokens = sum(self._tokens[key] for key in keys)
        self._done += tokens
        self._after(tokens)


def _counted(embedder: Embedder, texts: Mapping[str, tuple[str, str]], known: Mapping[str, int]) -> dict[str, int]:
    """Return the tokens of each text by its key; what is not known is counted."""
    unknown = [key for key in texts if key not in known]
    counted = embedder.count_tokens([texts[key][0] for key in unknown]) if unknown else []
    found = {**known, **dict(zip(unknown, counted, strict=True))}
    return {key: found[key] for key in texts}

"""Which texts go through the model together, and what happens where they are too many for the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task, Vectors

_T = TypeVar("_T")


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


def embed_packed(
    embedder: Embedder,
    texts: Mapping[str, tuple[str, str]],
    *,
    before: Callable[[], None],
    after: Callable[[int], None],
) -> dict[str, npt.NDArray[np.float32]]:
    """Embed documents' texts, those of like length together, and return their vectors by the texts' own keys.

    texts: key -> (text, title). before: called before every batch; what it raises ends the work. after: told every
    batch's tokens, titles not counted, once it is embedded.

    Raises:
        ModelUnavailable: the model cannot be used.
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


def halving(work: Callable[[list[_T]], Vectors], batch: list[_T]) -> Vectors:
    """Return `work(batch)`; where a device's memory does not suffice, of its halves, one behind the other.

    Raises:
        ModelUnavailable: a single text is too much.
    """
    try:
        return work(batch)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; Apple's devices raise a bare RuntimeError
        if not out_of_memory(error):
            raise
        if len(batch) == 1:
            raise ModelUnavailable(
                "The device has not enough free memory to embed even one text. Close what else uses it, or set "
                "embedding.device to cpu."
            ) from error
    _forget_freed_memory()
    middle = len(batch) // 2
    return np.concatenate([halving(work, batch[:middle]), halving(work, batch[middle:])])


def out_of_memory(error: RuntimeError) -> bool:
    """Say whether torch raised this because a device's memory was full."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error)


def _forget_freed_memory() -> None:
    """Give back what torch keeps of a device's memory, so that smaller pieces find room."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()

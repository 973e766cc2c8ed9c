"""What happens where a batch is too much for a device's memory: it is computed in halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Vectors

_T = TypeVar("_T")


def halving(work: Callable[[list[_T]], Vectors], batch: list[_T]) -> Vectors:
    """Return `work(batch)`; where the device's memory does not suffice, compute the halves one after the other.

    work: one row per item of what it is given, in its order. The rows of the halves are joined in the batch's order.

    Raises:
        ModelUnavailable: memory does not suffice for a single item.
        RuntimeError: `work` raised it for another reason.
    """
    try:
        return work(batch)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; Apple's devices raise a bare RuntimeError
        if not _out_of_memory(error):
            raise
        if len(batch) == 1:
            raise ModelUnavailable(
                "The device has not enough free memory to embed even one text. Close what else uses it, or set "
                "embedding.device to cpu."
            ) from error
    _free_cached_memory()
    middle = len(batch) // 2
    return np.concatenate([halving(work, batch[:middle]), halving(work, batch[middle:])])


def _out_of_memory(error: RuntimeError) -> bool:
    """Say whether torch raised this because a device's memory was full."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error)


def _free_cached_memory() -> None:
    """Give the memory that torch caches back to the device, so that the halves find room."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()

"""The seam between texts and vectors: what every engine promises, and nothing of how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowledge_core.contract import EmbeddingContract
from knowledge_core.types import Task, Vectors


class Embedder(Protocol):
    """Texts to vectors, under one contract."""

    @property
    def contract(self) -> EmbeddingContract:
        """Return the contract that its vectors are made under. The first use may load the model (seconds)."""
        ...

    @property
    def static_contract(self) -> EmbeddingContract:
        """Return the contract as far as it is known without the model: all but the probe. Never loads it."""
        ...

    @property
    def loaded(self) -> bool:
        """Say whether the model is in memory."""
        ...

    @property
    def engine(self) -> str:
        """Return what computes, as "packed bfloat16"; "" where that is not told, or not yet."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the dimensions that its vectors may be cut to, its own first; never loads the model."""
        ...

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        """Return one vector a text, in the order given: (n, dim) float32, norm 1, finite.

        titles: one a text, for `Task.DOCUMENT` only; "" where there is none.
        A text longer than the contract's max_length is cut there (`count_tokens` tells). No text gives (0, dim).
        Callers that want progress or cancellation pass slices, packed by `batching.pack`.

        Raises:
            ModelUnavailable: the model cannot be loaded.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in the model's own tokens, prompts and special tokens not counted.

        Does not load the model, only its tokenizer.
        """
        ...

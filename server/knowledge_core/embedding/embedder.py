"""The seam between texts and vectors: what every embedder promises, and nothing about how it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from knowledge_core.contract import EmbeddingContract
from knowledge_core.types import Task, Vectors


class Embedder(Protocol):
    """Texts to vectors, under one contract. Any number of threads may call at once."""

    @property
    def contract(self) -> EmbeddingContract:
        """Return the contract that the vectors are made under, probe included. The first use may load the model (seconds).

        Raises:
            ModelUnavailable: the model cannot be loaded.
            ContractMismatch: the embedder is held to another contract than its model has now (`CheckedEmbedder`).
        """
        ...

    @property
    def static_contract(self) -> EmbeddingContract:
        """Return the contract without its probe, which needs the model. Never loads the model."""
        ...

    @property
    def loaded(self) -> bool:
        """Say whether the model is in memory."""
        ...

    @property
    def engine(self) -> str:
        """Return what computes the vectors, as in "packed bfloat16"; "" where that is unknown, or not known yet."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the dimensions that the vectors may be truncated to, largest first: the contract's own. Never loads."""
        ...

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        """Return one vector per text, in the order given: (n, dim) float32, norm 1, finite; (0, dim) for no text.

        A text longer than the contract's max_length is cut there; `tokens.truncation_of` says how much that is.
        Callers that want progress or cancellation pass slices, packed by `batching.pack`.

        titles: one per text, "" for a text without one; None: no text has one. They count for `Task.DOCUMENT` only.

        Raises:
            ModelUnavailable: the model cannot be loaded, or gives no usable vector.
            ContractMismatch: the model makes other vectors than before, or than the embedder is held to.
            Busy: too many callers wait for the model already.
            ValueError: there are not as many titles as texts.
        """
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in the model's own tokens, prompts and special tokens not counted.

        An estimate where the tokenizer is not on this machine. Loads the tokenizer at most, never the model.

        Raises:
            ModelUnavailable: the tokenizer cannot be read.
        """
        ...

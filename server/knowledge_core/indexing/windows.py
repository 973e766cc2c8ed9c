"""Documents to the texts that are embedded of them: one rule for indexing and for re-embedding.

A text is named by the digest of the exact string that the model sees, so that equal texts of a window, or of the record,
are embedded once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.batching import embed_packed
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.types import Chunk

Texts = dict[str, tuple[str, str]]
"""Text and title of chunks, by the digest of the embedded text (`EmbeddingContract.digest`)."""


class Counting:
    """Counts tokens and remembers the counts, so that what was counted for cutting is not counted again for embedding.

    count: as of `Embedder.count_tokens`.
    """

    def __init__(self, count: Callable[[Sequence[str]], list[int]]) -> None:
        self._count = count
        self._known: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        counts = self._count(texts)
        self._known.update(zip(texts, counts, strict=True))
        return counts

    def taken(self, texts: Texts) -> dict[str, int]:
        """Return the tokens of each text that was counted, by digest, and forget everything."""
        known, self._known = self._known, {}
        return {digest: known[text] for digest, (text, _) in texts.items() if text in known}


def chunk_tokens(contract: EmbeddingContract, chunk_size: int) -> int:
    """Return how many tokens a chunk may have, title included: those that are configured, as far as the model reads."""
    return min(chunk_size, contract.max_length)


def texts_of(contract: EmbeddingContract, title: str, chunks: Sequence[Chunk]) -> Texts:
    """Return what is to be embedded of a document's chunks; of equal texts one. title: the document's."""
    titled = ((part.text, part.title(title)) for part in chunks)
    return {contract.digest(text, title): (text, title) for text, title in titled}


def embed_lacking(
    embedder: Embedder,
    texts: Mapping[str, tuple[str, str]],
    lacking: Container[str],
    *,
    before: Callable[[], None],
    after: Callable[[int], None],
    lengths: Mapping[str, int] | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Embed those of the texts whose digests are in `lacking`, and return their vectors, (dim,) float32, by digest.

    before, after, lengths: as of `embed_packed`.

    Raises:
        ModelUnavailable: the model cannot be used.
    """
    wanted = {digest: text for digest, text in texts.items() if digest in lacking}
    return embed_packed(embedder, wanted, before=before, after=after, lengths=lengths)

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
from knowledge_core.types import Chunk, Document

Texts = dict[str, tuple[str, str]]
"""Text and title of chunks, by the digest of the embedded text (`EmbeddingContract.digest`)."""


def chunk_tokens(contract: EmbeddingContract, chunk_size: int) -> int:
    """Return how many tokens a chunk may have, title included: those that are configured, as far as the model reads."""
    return min(chunk_size, contract.max_length)


def texts_of(contract: EmbeddingContract, document: Document, chunks: Sequence[Chunk]) -> Texts:
    """Return what is to be embedded of a document's chunks; of equal texts one."""
    titled = ((part.text, part.title(document.title)) for part in chunks)
    return {contract.digest(text, title): (text, title) for text, title in titled}


def embed_lacking(
    embedder: Embedder,
    texts: Mapping[str, tuple[str, str]],
    lacking: Container[str],
    *,
    before: Callable[[], None],
    after: Callable[[int], None],
) -> dict[str, npt.NDArray[np.float32]]:
    """Embed those of the texts whose digests are in `lacking`, and return their vectors, (dim,) float32, by digest.

    before, after: as of `embed_packed`.

    Raises:
        ModelUnavailable: the model cannot be used.
    """
    wanted = {digest: text for digest, text in texts.items() if digest in lacking}
    return embed_packed(embedder, wanted, before=before, after=after)

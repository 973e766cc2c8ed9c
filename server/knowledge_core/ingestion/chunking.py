"""A Document to its Chunks. (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from knowledge_core.types import Chunk, Document

CHUNKER_VERSION = 1


def chunk(
    document: Document, count_tokens: Callable[[Sequence[str]], list[int]], *, size: int = 400
) -> list[Chunk]: ...

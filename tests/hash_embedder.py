"""A small deterministic embedder for tests where the model is not the point: a bag of hashed words, no torch.

Texts that share words are near each other, equal texts are equal, and the same text gives the same bytes in every
process. `embedded` holds every string that was embedded, in order, so that a test can say what was embedded again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from knowledge_core.contract import MINILM_PROMPTS, PROBE_TEXTS, EmbeddingContract
from knowledge_core.types import Task, Vectors

_WORD = re.compile(r"\w+")


class HashEmbedder:
    """Implements `Embedder` with `dimensions` signed hash buckets; a token is a word."""

    def __init__(self, *, dimensions: int = 32, model: str = "hash") -> None:
        self.static_contract = EmbeddingContract(model, dimensions, MINILM_PROMPTS, max_length=512)
        self.contract = replace(
            self.static_contract, probe=np.stack([_vector(text, dimensions) for text in PROBE_TEXTS])
        )
        self.loaded = True
        self.engine = ""
        self.sizes: tuple[int, ...] = (dimensions,)
        self.embedded: list[str] = []
        self.documents: list[str] = []  # of these, what was embedded as documents

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        titles = titles if titles is not None else [""] * len(texts)
        formatted = [self.contract.format(text, task, title) for text, title in zip(texts, titles, strict=True)]
        self.embedded += formatted
        self.documents += formatted if task is Task.DOCUMENT else []
        rows = [_vector(text, self.contract.dimensions) for text in formatted]
        return np.stack(rows) if rows else np.empty((0, self.contract.dimensions), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(_WORD.findall(text)) for text in texts]


def _vector(text: str, dimensions: int) -> Vectors:
    vector = np.zeros(dimensions, np.float32)
    for word in _WORD.findall(text.lower()):
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "little") % dimensions] += 1.0 if digest[4] & 1 else -1.0
    norm = float(np.linalg.norm(vector))
    if norm == 0.0:  # no words, or words that cancel out: a fixed direction, so that every row has norm 1
        vector[0] = norm = 1.0
    return (vector / np.float32(norm)).astype(np.float32)

"""One file, or one text given in a call, to one Document. (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.types import Document

READER_VERSION = 1
INLINE_LIMIT = 10_000_000

Reason = Literal["binary", "encrypted", "damaged", "empty", "too large", "unreadable", "unsupported"]


class Unreadable(KnowledgeCoreError):
    """One file cannot become a document; the batch goes on. `reason` is one stable word for counting."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def clean_text(text: str) -> str: ...


def read_file(path: Path, *, document_id: str, limit: int) -> Document: ...


def inline_document(
    id: str,
    text: str,
    title: str = "",
    uri: str = "",
    metadata: Mapping[str, object] | None = None,
    *,
    limit: int = INLINE_LIMIT,
) -> Document: ...


def supported(path: Path) -> bool: ...

"""The one way in which a file fails: with a reason to count it by, and a sentence for the report."""

from __future__ import annotations

from typing import Literal

from knowledge_core.errors import KnowledgeCoreError

Reason = Literal["binary", "encrypted", "damaged", "empty", "too large", "unreadable", "unsupported"]


class Unreadable(KnowledgeCoreError):
    """One file cannot become a document. The rest of its batch goes on."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

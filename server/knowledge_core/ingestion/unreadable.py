"""The one error of reading a file: with a reason, by which files are counted, and a sentence for the report."""

from __future__ import annotations

from typing import Literal

from knowledge_core.errors import KnowledgeCoreError

Reason = Literal[
    "binary", "encrypted", "damaged", "empty", "generated", "secret", "too large", "unreadable", "unsupported"
]


class Unreadable(KnowledgeCoreError):
    """One file cannot become a document. The other files of its batch are not affected."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def not_taken_apart(name: str, error: Exception) -> Unreadable:
    """Return what is told of a file on which a parser raised an error of its own. name: the file's, in messages."""
    return Unreadable("damaged", f"{name} could not be taken apart ({type(error).__name__}). Save it anew.")

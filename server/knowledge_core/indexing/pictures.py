"""Pages that are pictures of text: what an index report says about the documents that have some. Pure values."""

from __future__ import annotations

from collections.abc import Sequence

from knowledge_core.ingestion.walking.left_out import shown
from knowledge_core.types import Document

MOST_NAMED = 3  # documents in a report; the others are counted
_MOST_NUMBERS = 10  # of pages, in one sentence; the document's metadata has fifty


def picture_pages(document: Document) -> str:
    """Return which pages of a document are pictures, as "2 of 5 pages of files/scan.pdf (2, 4)"; "" where none is."""
    numbers = document.metadata.get("pages_without_text")
    if not document.pages or not isinstance(numbers, list):  # a caller may give a text any metadata
        return ""
    count = f"{len(numbers)} or more" if len(numbers) >= 50 else str(len(numbers))
    named = ", ".join(map(str, numbers[:_MOST_NUMBERS])) + (" …" if len(numbers) > _MOST_NUMBERS else "")
    return f"{count} of {len(document.pages)} pages of {shown(document.id)} ({named})"


def pictures_notice(named: Sequence[str], total: int) -> str:
    """Return one sentence about documents some of whose pages were left out because they are pictures.

    named: of the first ones, as of `picture_pages`. total: documents, at least one.

    >>> pictures_notice(["2 of 5 pages of files/scan.pdf (2, 4)"], 1)
    'Pictures without text: 2 of 5 pages of files/scan.pdf (2, 4). Text recognition is not built in, so no search finds them.'
    """
    more = f", and pages of {total - len(named)} more documents" if total > len(named) else ""
    return (
        f"Pictures without text: {'; '.join(named)}{more}. Text recognition is not built in, so no search finds them."
    )

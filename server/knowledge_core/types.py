"""Values that more than one layer speaks of. No behaviour beyond what keeps a value well-formed.

Knows nothing of storage, models or protocols; imports NumPy for the one array type that all share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""(n, dim) float32, every row of norm 1."""

MetadataValue = str | int | float | bool | None | list[str] | list[int] | list[float]
"""What a document's metadata may hold under one name: a scalar, or a list of scalars."""

Metadata = Mapping[str, MetadataValue]


class Task(StrEnum):
    """What a text is embedded for; the values are the names on the wire."""

    QUERY = "query"
    DOCUMENT = "document"
    CLUSTERING = "clustering"
    CLASSIFICATION = "classification"
    SIMILARITY = "similarity"
    QUESTION_ANSWERING = "question_answering"
    FACT_CHECKING = "fact_checking"
    CODE = "code"


@dataclass(frozen=True, order=True)
class Span:
    """Half-open range of characters in a document: text[start:end]."""

    start: int
    end: int


@dataclass(frozen=True, order=True)
class Lines:
    """Lines of a document that a chunk touches, counted from 1, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Document:
    """One source text before cutting.

    id: chosen by the caller; for files `source/relative path` with forward slashes.
    text: line ends are "\\n"; no NUL, no lone surrogates (`ingestion.readers.clean_text` sees to it).
    media_type: what the text reads as, for the chunker: "text/markdown", "text/plain", "text/x-python" ...
    pages: where each page of a paged document lies in `text`, in order; empty where there are no pages.
    """

    id: str
    text: str
    title: str = ""
    uri: str = ""
    metadata: Metadata = field(default_factory=dict)
    media_type: str = "text/plain"
    pages: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Chunk:
    """Contiguous passage of a document: `text == document.text[span.start:span.end]`.

    position: its place among the chunks of its document, from 0, in text order.
    heading: the headings (or code definitions) above it, outermost first.
    page: counted from 1, the page on which it starts; None where the document has no pages.
    """

    position: int
    text: str
    span: Span
    lines: Lines
    heading: tuple[str, ...] = ()
    page: int | None = None

    def title(self, document_title: str) -> str:
        """Return the title under which this chunk is embedded: the document's, then the heading path."""
        return titled(document_title, self.heading)


def titled(document_title: str, heading: Sequence[str]) -> str:
    """Return a document's title and a heading path as one line; a heading that repeats the one above is left out.

    >>> titled("Manual", ("Manual", "Setup"))
    'Manual > Setup'
    """
    parts = [document_title, *heading]
    return " > ".join(part for i, part in enumerate(parts) if part and (i == 0 or part != parts[i - 1]))


JobState = Literal["running", "done", "failed", "cancelled", "interrupted"]
"""How far a job is. "interrupted": its process ended first."""

UNFINISHED: tuple[JobState, ...] = ("running", "interrupted")
"""States of a job that runs or, where it is in the record, goes on in the next process."""


@dataclass(frozen=True)
class Progress:
    """How far long work is. done and total count `unit` (documents, chunks, bytes); total is 0 while unknown.

    chunks: embedded so far. tokens_per_second: of the texts that went through the model, 0 before the first.
    seconds_left: an estimate from the pace so far; None while there is none.
    """

    done: int
    total: int
    message: str
    unit: str = "documents"
    chunks: int = 0
    tokens_per_second: float = 0.0
    seconds_left: float | None = None

    def told(self) -> str:
        """Return the message with the estimate of what is left, for whoever waits.

        >>> Progress(1, 3, "embedding: 1 of 3", seconds_left=8.2).told()
        'embedding: 1 of 3, about 8 s left'
        """
        return self.message if self.seconds_left is None else f"{self.message}, about {self.seconds_left:,.0f} s left"

    def ended(self) -> Progress:
        """Return what is still true once the work has ended: how far it came, and nothing that is yet to come.

        >>> Progress(1, 3, "embedding: 1 of 3", chunks=2, seconds_left=8.2).ended().told()
        '1 of 3 documents, 2 chunks'
        """
        of = f" of {self.total}" if self.total else ""
        chunks = f", {self.chunks} chunks" if self.chunks else ""
        return replace(self, message=f"{self.done}{of} {self.unit}{chunks}", seconds_left=None)


ReportProgress = Callable[[Progress], None]
"""Called often and from the working thread; may raise `Cancelled`, which the work lets through."""


def no_progress(progress: Progress) -> None:
    """Take a report of progress and do nothing with it."""

"""Values that several layers share, with no behaviour beyond what keeps a value well-formed.

Knows nothing of storage, models or protocols. NumPy is imported by whoever computes, not here: the processes that parse
files share these values and need no arrays.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    """(n, dim) float32, every row of norm 1."""
else:
    Vectors = "npt.NDArray[np.float32]"  # for annotations alone

MetadataValue = str | int | float | bool | None | list[str] | list[int] | list[float]
"""The value of one metadata field of a document: a scalar, or a list of scalars of one type."""

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


@dataclass(frozen=True, order=True)
class Heading:
    """Where a section of a document begins, and its name. level: 1 for the outermost."""

    start: int
    level: int
    name: str


@dataclass(frozen=True)
class Document:
    """One source text before it is cut into chunks.

    id: chosen by the caller; for files `source/relative path` with forward slashes.
    text: line ends are "\\n"; no NUL, no lone surrogates (`ingestion.readers.clean_text` removes them).
    title: "" for none.
    uri: where the document came from, for people; "" where that is unknown.
    metadata: what filters can ask for, by name.
    media_type: tells the chunker how to read the text: "text/markdown", "text/plain", "text/x-python" ...
    pages: the span of each page in `text`, in order; empty for a document without pages.
    headings: in text order, where they are not written in the text itself, as a PDF's outline; else empty.
    lines_of_file: whether the lines of `text` are those of its source; not where the text was extracted from a file.
    """

    id: str
    text: str
    title: str = ""
    uri: str = ""
    metadata: Metadata = field(default_factory=dict)
    media_type: str = "text/plain"
    pages: tuple[Span, ...] = ()
    headings: tuple[Heading, ...] = ()
    lines_of_file: bool = True


def composed(id: str) -> str:
    """Return an id as it is stored: in Unicode's composed form (NFC), whichever form a file system or a caller uses."""
    return id if id.isascii() else unicodedata.normalize("NFC", id)


def content_digest(document: Document) -> str:
    """Return the SHA-256 (hex) of everything that a document's chunks are made from, and of what is shown of it."""
    parts = [document.title, document.uri, document.media_type, json.dumps(document.metadata, sort_keys=True)]
    parts += [json.dumps([astuple(each) for each in document.headings])] if document.headings else []
    return hashlib.sha256("\0".join([*parts, document.text]).encode()).hexdigest()


def passage_digest(text: str) -> int:
    """Return 63 bits of the BLAKE2b of a passage, whatever its white space: what copies have in common."""
    plain = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest()) >> 1


@dataclass(frozen=True)
class Chunk:
    """Contiguous passage of a document: `text == document.text[span.start:span.end]`.

    position: the chunk's place among the chunks of its document, counted from 0, in text order.
    text: what is embedded and searched, without the title.
    span: the characters of the document that it holds.
    lines: the lines of the document that it touches.
    heading: the headings (or code definitions) above the chunk, outermost first.
    page: the page on which the chunk starts, counted from 1; None where the document has no pages.
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
    """Return a document's title and a heading path as one line, without headings that repeat the part above them.

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
class Pending:
    """What is known of a collection's files that changed and are not indexed yet.

    files: full paths. catching_up: its folders are being looked through for what changed while no owner ran. working: some of
    it is looked at, or will be in a moment.
    """

    files: frozenset[str] = frozenset()
    catching_up: bool = False
    working: bool = False


@dataclass(frozen=True)
class Progress:
    """How far long work has come.

    done: how much is finished, in units.
    total: how much there is, in units; 0 while unknown.
    message: what the work is doing now, for people.
    unit: what `done` and `total` count, in the plural, as in "documents" or "bytes".
    chunks: how many are embedded so far.
    tokens_per_second: the model's pace over the texts embedded so far; 0 before the first.
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
        """Return the message with the estimate of the time left, for a person who waits.

        >>> Progress(1, 3, "embedding: 1 of 3", seconds_left=8.2).told()
        'embedding: 1 of 3, about 8 s left'
        """
        return self.message if self.seconds_left is None else f"{self.message}, about {self.seconds_left:,.0f} s left"

    def ended(self) -> Progress:
        """Return this for work that has ended: the message says how far it came, and no time is left to estimate.

        >>> Progress(1, 3, "embedding: 1 of 3", chunks=2, seconds_left=8.2).ended().told()
        '1 of 3 documents, 2 chunks'
        """
        of = f" of {self.total}" if self.total else ""
        chunks = f", {self.chunks} chunks" if self.chunks else ""
        return replace(self, message=f"{self.done}{of} {self.unit}{chunks}", seconds_left=None)


ReportProgress = Callable[[Progress], None]
"""A callback for progress, called often and on the working thread. It may raise `Cancelled` to end the work."""


def no_progress(progress: Progress) -> None:
    """Ignore a report of progress."""

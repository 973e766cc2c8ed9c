"""The verb `reembed`: a collection's documents cut and embedded again, under another model, from the record's own text.

Read top to bottom: see that there is room for both sets of vectors; then, window by window, cut, embed what is lacking, and
keep it; when no document is left, switch. The old vectors answer until the switch, which is one transaction. What was made
stays in the record: a job that was cut off goes on where it was, and so does one that follows a cancelled one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import StorageFull
from knowledge_core.indexing.windows import Texts, chunk_tokens, embed_lacking, texts_of
from knowledge_core.ingestion.cutting.chunking import chunk
from knowledge_core.storage.collection import Collection, Waiting
from knowledge_core.types import Chunk, Progress, ReportProgress

WINDOW_CHARACTERS = 200_000  # of text, some 150 chunks, half a minute of a large model: what a crash can cost
ROW_BYTES = 400  # per chunk, beside the vector itself: 24 numbers, a digest, two index entries
INT8_COPIES = 2  # of a vector, one byte per dimension, outside the record: in the rows and in the graph
RESERVE = 64_000_000  # bytes that must stay free, for the write-ahead log and other programs


@dataclass(frozen=True)
class ReembedReport:
    """What was done.

    collection: its name.
    before, after: names of the models.
    dimensions: of the new vectors.
    documents, chunks: in the collection now.
    embedded: texts that went through the model, in the last process that worked on it.
    seconds: of the last process that worked on it.
    """

    collection: str
    before: str
    after: str
    dimensions: int
    documents: int
    chunks: int
    embedded: int
    seconds: float

    def to_json(self) -> str:
        """Return it as the record keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ReembedReport:
        """Return what `to_json` wrote."""
        return cls(**json.loads(text))


def reembed(
    collection: Collection,
    embedder: Embedder,
    *,
    chunk_size: int,
    alone: Callable[[], AbstractContextManager[None]],
    progress: ReportProgress,
) -> ReembedReport:
    """Move a collection to the contract of `embedder`, and return what was done.

    chunk_size: tokens, title included, as configured.
    alone: keeps other jobs of this collection away, for the last step.
    progress: called between batches with documents made and in all; what it raises ends the work, and what was made stays.

    Raises:
        StorageFull: there is no room for both sets of vectors; nothing was begun.
        StorageError, ModelUnavailable, InvalidInput: nothing of the present window was kept, and the old vectors answer.
        Cancelled: from `progress`.
    """
    began = time.monotonic()
    contract = embedder.contract  # with its probe: loads the model
    before = collection.contract.model
    size = chunk_tokens(contract, chunk_size)
    _refuse_without_room(collection, contract.dimensions, size / chunk_tokens(collection.contract, chunk_size))
    collection.reembedding.begin(contract)
    work = _Work(collection, embedder, size, progress)
    work.run()
    with alone():
        work.run()  # what others wrote meanwhile
        collection.switch_contract()
    with collection.view() as view:
        counts = view.counts()
    return ReembedReport(
        collection.name, before, contract.model, contract.dimensions, counts.documents, counts.chunks, work.embedded,
        time.monotonic() - began,
    )  # fmt: skip


def _refuse_without_room(collection: Collection, dimensions: int, longer: float) -> None:
    """Refuse where the disk has no room for both sets of vectors.

    dimensions: of the new vectors.
    longer: how many times as long as under the old model a chunk may be under the new one.
    """
    with collection.view() as view:
        chunks = view.counts().chunks / longer
    needed = int(chunks * (2 * dimensions + INT8_COPIES * dimensions + ROW_BYTES)) + RESERVE
    free = collection.bytes_free()
    if free < needed:
        raise StorageFull(
            f"Re-embedding {collection.name!r} needs about {needed / 1e6:,.0f} MB beside what it has, until the switch; "
            f"{free / 1e6:,.0f} MB are free. Free space and try again; nothing was begun."
        )


class _Work:
    """The steps of one job, and its counters."""

    def __init__(self, collection: Collection, embedder: Embedder, size: int, progress: ReportProgress) -> None:
        self._collection, self._embedder, self._size, self._progress = collection, embedder, size, progress
        self._made = collection.reembedding
        self._started = time.monotonic()
        self._tokens = 0
        self._before = self._left = self._made.left()
        self.embedded = 0

    def run(self) -> None:
        """Make the documents that are left, window by window."""
        self._left = self._made.left()
        while window := self._made.waiting(WINDOW_CHARACTERS):
            self._finish(window)
            self._left = self._made.left()
            self._tell()

    def _finish(self, window: Sequence[Waiting]) -> None:
        contract = self._embedder.contract
        cut: list[tuple[Waiting, list[Chunk]]] = []
        texts: Texts = {}
        for waiting in window:
            self._tell()
            chunks = chunk(waiting.document, self._embedder.count_tokens, size=self._size)
            cut.append((waiting, chunks))
            texts |= texts_of(contract, waiting.document.title, chunks)
        lacking = self._made.missing(list(texts))
        vectors = embed_lacking(self._embedder, texts, lacking, before=self._tell, after=self._count)
        self._made.write(contract, cut, vectors)
        self.embedded += len(vectors)

    def _count(self, tokens: int) -> None:
        self._tokens += tokens

    def _tell(self) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-3)
        with self._collection.view() as view:
            total = view.counts().documents
        now = self._before - self._left
        left = elapsed / now * self._left if now > 0 else None
        message = f"re-embedding: {total - self._left} of {total} documents, {self._tokens / elapsed:,.0f} tokens/s"
        rate = self._tokens / elapsed
        self._progress(Progress(total - self._left, total, message, tokens_per_second=rate, seconds_left=left))

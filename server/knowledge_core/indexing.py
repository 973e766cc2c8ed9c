"""The verb `index`: documents into a collection, so that a search finds them when it is acknowledged.

Read top to bottom: read, compare by identity and content, cut, embed what the record lacks, write, report. Texts are
embedded outside any lock and in windows of several documents, so that short and long texts can be sorted together;
a window is one transaction, and only what a transaction holds is counted as done.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import Cancelled, Interrupted, KnowledgeCoreError
from knowledge_core.ingestion.chunking import CHUNKER_VERSION, chunk
from knowledge_core.ingestion.readers import READER_VERSION, Unreadable, read_file
from knowledge_core.planning import Item, Plan
from knowledge_core.storage.collection import Change, Collection, JobRecord, NewDocument, PlanRow, text_digest
from knowledge_core.types import Document, Progress, ReportProgress, Task

WINDOW_SECONDS = 4.0  # a window is acknowledged about this often: what a crash can cost; shorter ones cost speed
FIRST_WINDOW = 64  # chunks, before the speed is known
LARGEST_WINDOW = 2048  # chunks; bounds the memory of a fast model's window


@dataclass(frozen=True)
class Failure:
    """One document that could not be indexed, and why. reason: one stable word or two, for counting."""

    document: str
    reason: str
    message: str


@dataclass(frozen=True)
class IndexReport:
    """What an index call did.

    indexed: documents new or changed, now found by a search. embedded, reused: distinct texts that went through the
    model, and those whose vector the record had. tokens: of the embedded texts. seconds: wall time.
    """

    indexed: int
    unchanged: int
    removed: int
    failed: tuple[Failure, ...]
    skipped: Mapping[str, int]
    chunks: int
    embedded: int
    reused: int
    tokens: int
    seconds: float


def content_version(chunk_size: int) -> str:
    """Return what a document's digest begins with: it changes when the same file would be cut differently."""
    return f"{READER_VERSION}.{CHUNKER_VERSION}.{chunk_size}:"


def index(
    collection: Collection,
    embedder: Embedder,
    plan: Plan,
    documents: Sequence[Document],
    *,
    job: str,
    chunk_size: int,
    file_limit: int,
    progress: ReportProgress,
) -> IndexReport:
    """Do what the plan says, and index `documents` beside it.

    chunk_size: tokens, title included. file_limit: bytes. progress: called after every acknowledged window with
    documents done and in all, and between batches; what it raises ends the work, and what was acknowledged stays.

    Raises:
        Cancelled: from `progress`.
        StorageError, ModelUnavailable: nothing of the present window was written.
    """
    work = _Work(collection, embedder, plan, job, chunk_size, file_limit, progress, len(documents))
    rows = [PlanRow(item.document, "add", path=str(item.found.path)) for item in plan.items]
    rows += [PlanRow(document.id, "add", inline=_as_json(document)) for document in documents]
    rows += [PlanRow(id, "remove") for id in plan.remove]
    now = time.time()
    # What an interrupted job still had to do in these folders is in this plan, or gone from the folder.
    covered = [source.name + "/" for source in plan.sources]
    collection.start_job(JobRecord(job, "index", "running", now, now), rows, supersedes=covered)
    try:
        work.run(plan, documents)
    except Cancelled as stopped:
        collection.finish_job(job, "interrupted" if isinstance(stopped, Interrupted) else "cancelled", "{}")
        raise
    except KnowledgeCoreError as error:
        collection.finish_job(job, "failed", json.dumps({"error": str(error)}))
        raise
    report = work.report()
    collection.finish_job(job, "done", json.dumps({"indexed": report.indexed, "failed": len(report.failed)}))
    return report


@dataclass(frozen=True)
class _Unchanged:
    """A document whose content is as it was. stat: (size, mtime_ns) that its file has now."""

    document: str
    stat: tuple[int, int] | None


@dataclass
class _Window:
    """Documents that will be written together."""

    documents: list[NewDocument] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    touched: dict[str, tuple[int, int]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    chunks: int = 0


class _Work:
    """The counters of one index call, and its steps."""

    def __init__(
        self,
        collection: Collection,
        embedder: Embedder,
        plan: Plan,
        job: str,
        chunk_size: int,
        file_limit: int,
        progress: ReportProgress,
        inline: int,
    ) -> None:
        self._collection, self._embedder, self._job, self._progress = collection, embedder, job, progress
        self._size = min(chunk_size, embedder.static_contract.max_length)
        self._version = content_version(chunk_size)
        self._file_limit = file_limit
        self._total = len(plan.items) + len(plan.remove) + inline
        self._started = time.monotonic()
        self._window_chunks = FIRST_WINDOW
        self._plan = plan
        self._failures: list[Failure] = []
        self._done = self._indexed = self._unchanged = self._removed = 0
        self._chunks = self._embedded = self._reused = self._tokens = 0

    def run(self, plan: Plan, documents: Sequence[Document]) -> None:
        """Do the removals, then every window."""
        self._tell("reading")
        if plan.sources:
            self._collection.adopt_sources(plan.sources, plan.absorbed, plan.renames)
        if plan.remove:
            self._collection.write(Change(remove=plan.remove, job=self._job, done=plan.remove))
            self._removed += len(plan.remove)
            self._done += len(plan.remove)
        for window in self._windows(plan.items, documents):
            self._finish(window)

    def report(self) -> IndexReport:
        """Return what was done."""
        return IndexReport(
            indexed=self._indexed,
            unchanged=self._unchanged + self._plan.unchanged,
            removed=self._removed,
            failed=tuple(self._failures),
            skipped=self._plan.skipped,
            chunks=self._chunks,
            embedded=self._embedded,
            reused=self._reused,
            tokens=self._tokens,
            seconds=time.monotonic() - self._started,
        )

    def _windows(self, items: Sequence[Item], documents: Sequence[Document]) -> Iterator[_Window]:
        window = _Window()
        for prepared in self._prepared(items, documents):
            if isinstance(prepared, NewDocument):
                window.documents.append(prepared)
                window.chunks += len(prepared.chunks)
            elif isinstance(prepared, Failure):
                self._failures.append(prepared)
                window.failed[prepared.document] = f"{prepared.reason}: {prepared.message}"
            else:
                window.unchanged.append(prepared.document)
                if prepared.stat is not None:
                    window.touched[prepared.document] = prepared.stat
            if window.chunks >= self._window_chunks:
                yield window
                window = _Window()
        yield window

    def _prepared(
        self, items: Sequence[Item], documents: Sequence[Document]
    ) -> Iterator[NewDocument | Failure | _Unchanged]:
        """Read, compare and cut one document after the other."""
        for item in items:
            try:
                document = read_file(item.found.path, document_id=item.document, limit=self._file_limit)
            except Unreadable as error:
                yield Failure(item.document, error.reason, str(error))
                continue
            yield self._cut(document, item)
        for document in documents:
            yield self._cut(document, None)

    def _cut(self, document: Document, item: Item | None) -> NewDocument | Failure | _Unchanged:
        digest = self._version + content_digest(document)
        stored = self._collection.stored_state(document.id)
        source = item.source if item else None
        if stored is not None and stored.source != source:
            whose = f"the folder source {stored.source!r}" if stored.source else "a document given by its text"
            return Failure(
                document.id, "id taken", f"The id {document.id!r} belongs to {whose}; choose another, or delete it."
            )
        if stored is not None and stored.digest == digest:
            return _Unchanged(document.id, (item.found.size, item.found.mtime_ns) if item else None)
        chunks = chunk(document, self._embedder.count_tokens, size=self._size)
        if not chunks:
            return Failure(document.id, "empty", "It holds no text.")
        if item is None:
            return NewDocument(document, chunks, digest)
        found = item.found
        return NewDocument(document, chunks, digest, source, str(found.path), found.size, found.mtime_ns)

    def _finish(self, window: _Window) -> None:
        """Embed what the record lacks of a window, write it, count it."""
        began = time.monotonic()
        texts = self._embedded_texts(window)
        lacking = self._collection.missing(list(texts))
        vectors = self._embed({digest: texts[digest] for digest in texts if digest in lacking})
        done = [new.document.id for new in window.documents] + window.unchanged
        if done or window.failed:
            self._collection.write(
                Change(
                    add=window.documents,
                    vectors=vectors,
                    touched=window.touched,
                    job=self._job,
                    done=done,
                    failed=window.failed,
                )
            )
        self._indexed += len(window.documents)
        self._unchanged += len(window.unchanged)
        self._chunks += window.chunks
        self._embedded += len(vectors)
        self._reused += len(texts) - len(vectors)
        self._done += len(done) + len(window.failed)
        self._tell("indexing")
        rate = window.chunks / max(time.monotonic() - began, 1e-3)
        self._window_chunks = int(np.clip(rate * WINDOW_SECONDS, FIRST_WINDOW, LARGEST_WINDOW))

    def _embedded_texts(self, window: _Window) -> dict[str, tuple[str, str]]:
        """Return text and title of every chunk, by the digest of what is embedded."""
        contract = self._embedder.static_contract
        texts: dict[str, tuple[str, str]] = {}
        for new in window.documents:
            for part in new.chunks:
                title = part.title(new.document.title)
                texts[text_digest(contract.format(part.text, Task.DOCUMENT, title))] = (part.text, title)
        return texts

    def _embed(self, texts: Mapping[str, tuple[str, str]]) -> dict[str, npt.NDArray[np.float32]]:
        digests = list(texts)
        lengths = self._embedder.count_tokens([texts[digest][0] for digest in digests])
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        for batch in pack(lengths):
            self._tell("embedding")
            chosen = [digests[i] for i in batch]
            made = self._embedder.embed(
                [texts[digest][0] for digest in chosen], Task.DOCUMENT, [texts[digest][1] for digest in chosen]
            )
            vectors.update(zip(chosen, made, strict=True))
            self._tokens += sum(lengths[i] for i in batch)
        return vectors

    def _tell(self, doing: str) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-3)
        message = f"{doing}: {self._done} of {self._total} documents, {self._chunks} chunks"
        if self._tokens:
            message += f", {self._tokens / elapsed:,.0f} tokens/s"
        if self._done and self._done < self._total:
            message += f", about {elapsed / self._done * (self._total - self._done):,.0f} s left"
        self._progress(Progress(self._done, self._total, message))


def content_digest(document: Document) -> str:
    """Return the SHA-256 (hex) of all that a document's chunks are made from, and of what is shown of it."""
    parts = [document.title, document.uri, document.media_type, json.dumps(document.metadata, sort_keys=True)]
    return hashlib.sha256("\0".join([*parts, document.text]).encode()).hexdigest()


def _as_json(document: Document) -> str:
    return json.dumps(
        {
            "id": document.id,
            "text": document.text,
            "title": document.title,
            "uri": document.uri,
            "metadata": dict(document.metadata),
        }
    )

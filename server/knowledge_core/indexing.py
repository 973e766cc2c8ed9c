"""The verb `index`: documents into a collection, so that a search finds them when it is acknowledged.

Read top to bottom: write down what is to be done, then row by row read, compare by identity and content, cut, embed
what the record lacks, write, report. The plan is in the record, so that a job goes on where it was. Texts are
embedded outside any lock and in windows of several documents, so that short and long texts can be sorted together;
a window is one transaction, and only what a transaction holds is counted as done.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from knowledge_core.embedding.batching import embed_packed
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.tokens import cut
from knowledge_core.errors import PathNotAllowed
from knowledge_core.ingestion.chunking import CHUNKER_VERSION, chunk
from knowledge_core.ingestion.readers import READER_VERSION, Unreadable, read_file
from knowledge_core.ingestion.walker import Found, allowed
from knowledge_core.planning import Plan
from knowledge_core.storage.collection import Change, Collection, NewDocument, PlanRow, text_digest
from knowledge_core.types import Document, Progress, ReportProgress, Task

WINDOW_SECONDS = 4.0  # a window is acknowledged about this often: what a crash can cost; shorter ones cost speed
FIRST_WINDOW = 64  # chunks, before the speed is known
LARGEST_WINDOW = 2048  # chunks; bounds the memory of a fast model's window
MOST_FAILURES = 100  # that a report holds one by one; the rest is counted


@dataclass(frozen=True)
class Failure:
    """One document that could not be indexed, and why. reason: one stable word or two, for counting."""

    document: str
    reason: str
    message: str


@dataclass(frozen=True)
class IndexReport:
    """What an index job did, over all processes that worked on it.

    indexed: documents new or changed, now found by a search. embedded, reused: distinct texts that went through the
    model, and those whose vector the record had. tokens: of the embedded texts. cut, cut_tokens:
    how many of them were longer with their title than the model reads, and by how much. seconds: of work.
    failed: the first of `failed_total`. planned: the plan is complete, folders included.
    """

    indexed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: tuple[Failure, ...] = ()
    failed_total: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    tokens: int = 0
    cut: int = 0
    cut_tokens: int = 0
    seconds: float = 0.0
    planned: bool = False

    def to_json(self) -> str:
        """Return it as the record keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> IndexReport:
        """Return what `to_json` wrote; an empty report for anything else."""
        try:
            content = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
            return cls(**{**content, "failed": tuple(Failure(**each) for each in content.get("failed", ()))})
        except (ValueError, TypeError, AttributeError):
            return cls()


def content_version(chunk_size: int) -> str:
    """Return what a document's digest begins with: it changes when the same file would be cut differently."""
    return f"{READER_VERSION}.{CHUNKER_VERSION}.{chunk_size}:"


def schedule(collection: Collection, job: str, plan: Plan, report: IndexReport) -> None:
    """Write a plan into the record, as rows that the job has to settle, before any of it is done.

    report: what is known of the job so far. Doing it again after a crash in the middle is harmless.
    """
    if plan.sources:
        collection.adopt_sources(plan.sources, plan.absorbed, plan.renames)
    rows = [PlanRow(id, "remove") for id in plan.remove]
    rows += [PlanRow(item.document, "add", path=str(item.found.path)) for item in plan.items]
    planned = replace(report, unchanged=report.unchanged + plan.unchanged, skipped=plan.skipped, planned=True)
    # What an interrupted job still had to do in these folders is in this plan, or gone from the folder.
    covered = [source.name + "/" for source in plan.sources]
    collection.extend_job(job, rows, planned.to_json(), supersedes=covered)


def index(
    collection: Collection,
    embedder: Embedder,
    *,
    job: str,
    roots: Sequence[Path],
    chunk_size: int,
    file_limit: int,
    progress: ReportProgress,
) -> IndexReport:
    """Settle what the plan of `job` still has waiting, and return the report of the whole job.

    roots: what may be read now. chunk_size: tokens, title included. file_limit: bytes. progress: called after every
    acknowledged window with documents done and in all, and between batches; what it raises ends the work, and what was
    acknowledged stays.

    Raises:
        Cancelled: from `progress`.
        StorageError, ModelUnavailable: nothing of the present window was written.
    """
    so_far = IndexReport.from_json(next(each.report for each in collection.jobs() if each.id == job))
    rows = collection.plan(job)
    work = _Work(collection, embedder, job, so_far, rows, roots, chunk_size, file_limit, progress)
    work.run([row for row in rows if row.state == "waiting"])
    return work.report()


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
    failed: list[Failure] = field(default_factory=list)
    chunks: int = 0


class _Work:
    """The counters of one index job, and its steps."""

    def __init__(
        self,
        collection: Collection,
        embedder: Embedder,
        job: str,
        so_far: IndexReport,
        rows: Sequence[PlanRow],
        roots: Sequence[Path],
        chunk_size: int,
        file_limit: int,
        progress: ReportProgress,
    ) -> None:
        self._collection, self._embedder, self._job, self._progress = collection, embedder, job, progress
        self._size = min(chunk_size, embedder.static_contract.max_length)
        self._version = content_version(chunk_size)
        self._file_limit, self._roots = file_limit, roots
        self._total = len(rows)
        self._done = self._done_before = sum(row.state != "waiting" for row in rows)
        self._started = time.monotonic()
        self._window_chunks = FIRST_WINDOW
        self._counted = so_far
        self._tokens_now = 0  # of the window that is being embedded
        self._tokens_run = 0  # in this process

    def run(self, waiting: Sequence[PlanRow]) -> None:
        """Do the removals, then every window."""
        self._tell("reading")
        remove = [row.document for row in waiting if row.action == "remove"]
        if remove:
            self._count(removed=len(remove))
            self._collection.write(Change(remove=remove, job=self._job, done=remove, report=self.report().to_json()))
            self._done += len(remove)
        for window in self._windows([row for row in waiting if row.action == "add"]):
            self._finish(window)

    def report(self) -> IndexReport:
        """Return what was done, in former processes and in this one."""
        return replace(self._counted, seconds=self._counted.seconds + time.monotonic() - self._started)

    def _count(self, *, failed: Sequence[Failure] = (), **more: int) -> None:
        sums = {name: getattr(self._counted, name) + number for name, number in more.items()}
        shown = (*self._counted.failed, *failed)[:MOST_FAILURES]
        total = self._counted.failed_total + len(failed)
        self._counted = replace(self._counted, failed=shown, failed_total=total, **sums)

    def _windows(self, rows: Sequence[PlanRow]) -> Iterator[_Window]:
        window = _Window()
        for row in rows:
            prepared = self._prepared(row)
            if isinstance(prepared, NewDocument):
                window.documents.append(prepared)
                window.chunks += len(prepared.chunks)
            elif isinstance(prepared, Failure):
                window.failed.append(prepared)
            else:
                window.unchanged.append(prepared.document)
                if prepared.stat is not None:
                    window.touched[prepared.document] = prepared.stat
            if window.chunks >= self._window_chunks:
                yield window
                window = _Window()
        yield window

    def _prepared(self, row: PlanRow) -> NewDocument | Failure | _Unchanged:
        """Read, compare and cut one document."""
        if row.path is None:
            inline = self._collection.inline(self._job, row.document)
            # None: a newer call brought this document meanwhile, and its text counts.
            return _Unchanged(row.document, None) if inline is None else self._cut(document_from_json(inline), None)
        try:
            path = allowed(Path(row.path), self._roots)
            about = os.stat(path)
            document = read_file(path, document_id=row.document, limit=self._file_limit)
        except PathNotAllowed as error:
            return Failure(row.document, "not allowed", str(error))
        except OSError:
            return Failure(row.document, "gone", "The file is gone, or cannot be read any more.")
        except Unreadable as error:
            return Failure(row.document, error.reason, str(error))
        return self._cut(document, Found(path, row.document, about.st_size, about.st_mtime_ns))

    def _cut(self, document: Document, found: Found | None) -> NewDocument | Failure | _Unchanged:
        digest = self._version + content_digest(document)
        stored = self._collection.stored_state(document.id)
        # A file's document is named by its source, which has no slash in its name.
        source = document.id.partition("/")[0] if found else None
        if stored is not None and stored.source != source:
            whose = f"the folder source {stored.source!r}" if stored.source else "a document given by its text"
            return Failure(
                document.id, "id taken", f"The id {document.id!r} belongs to {whose}; choose another, or delete it."
            )
        if stored is not None and stored.digest == digest:
            return _Unchanged(document.id, (found.size, found.mtime_ns) if found else None)
        chunks = chunk(document, self._embedder.count_tokens, size=self._size)
        if not chunks:
            return Failure(document.id, "empty", "It holds no text.")
        if found is None:
            return NewDocument(document, chunks, digest)
        return NewDocument(document, chunks, digest, source, str(found.path), found.size, found.mtime_ns)

    def _finish(self, window: _Window) -> None:
        """Embed what the record lacks of a window, write it, count it."""
        began = time.monotonic()
        texts = self._embedded_texts(window)
        lacking = self._collection.missing(list(texts))
        wanted = {digest: text for digest, text in texts.items() if digest in lacking}
        vectors = embed_packed(self._embedder, wanted, before=lambda: self._tell("embedding"), after=self._count_tokens)
        done = [new.document.id for new in window.documents] + window.unchanged
        before = self._counted
        self._count(
            failed=window.failed,
            indexed=len(window.documents),
            unchanged=len(window.unchanged),
            chunks=window.chunks,
            embedded=len(vectors),
            reused=len(texts) - len(vectors),
            tokens=self._tokens_now,
            **self._unread([texts[digest] for digest in vectors]),
        )
        if done or window.failed:
            change = Change(
                add=window.documents,
                vectors=vectors,
                touched=window.touched,
                job=self._job,
                done=done,
                failed={each.document: f"{each.reason}: {each.message}" for each in window.failed},
                report=self.report().to_json(),
            )
            try:
                self._collection.write(change)
            except BaseException:
                self._counted = before  # nothing of it is true
                raise
        self._tokens_now = 0
        self._done += len(done) + len(window.failed)
        self._tell("indexing")
        rate = window.chunks / max(time.monotonic() - began, 1e-3)
        self._window_chunks = int(np.clip(rate * WINDOW_SECONDS, FIRST_WINDOW, LARGEST_WINDOW))

    def _unread(self, texts: Sequence[tuple[str, str]]) -> dict[str, int]:
        """Count what the model did not read of embedded texts: the chunker leaves a quarter of the room to a title."""
        long = [(text, title) for text, title in texts if len(title.encode("utf-8", "replace")) > self._size // 4]
        unread = cut(self._embedder, [text for text, _ in long], Task.DOCUMENT, [title for _, title in long])
        return {"cut": unread.texts, "cut_tokens": unread.tokens}

    def _embedded_texts(self, window: _Window) -> dict[str, tuple[str, str]]:
        """Return text and title of every chunk, by the digest of what is embedded."""
        contract = self._embedder.static_contract
        texts: dict[str, tuple[str, str]] = {}
        for new in window.documents:
            for part in new.chunks:
                title = part.title(new.document.title)
                texts[text_digest(contract.format(part.text, Task.DOCUMENT, title))] = (part.text, title)
        return texts

    def _count_tokens(self, tokens: int) -> None:
        self._tokens_now += tokens
        self._tokens_run += tokens

    def _tell(self, doing: str) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-3)
        rate = self._tokens_run / elapsed
        done_now = self._done - self._done_before
        left = elapsed / done_now * (self._total - self._done) if done_now and self._done < self._total else None
        message = f"{doing}: {self._done} of {self._total} documents, {self._counted.chunks} chunks"
        if rate:
            message += f", {rate:,.0f} tokens/s"
        if left is not None:
            message += f", about {left:,.0f} s left"
        self._progress(
            Progress(
                self._done, self._total, message, chunks=self._counted.chunks, tokens_per_second=rate, seconds_left=left
            )
        )


def content_digest(document: Document) -> str:
    """Return the SHA-256 (hex) of all that a document's chunks are made from, and of what is shown of it."""
    parts = [document.title, document.uri, document.media_type, json.dumps(document.metadata, sort_keys=True)]
    return hashlib.sha256("\0".join([*parts, document.text]).encode()).hexdigest()


def document_as_json(document: Document) -> str:
    """Return a document that was given by its text, as a plan keeps it until it is settled."""
    return json.dumps(
        {
            "id": document.id,
            "text": document.text,
            "title": document.title,
            "uri": document.uri,
            "metadata": dict(document.metadata),
            "media_type": document.media_type,
        }
    )


def document_from_json(text: str) -> Document:
    """Return what `document_as_json` wrote."""
    return Document(**json.loads(text))

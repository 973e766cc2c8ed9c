"""The verb `index`: documents into a collection. Once the call is acknowledged, a search finds them.

Read top to bottom: write down what is to be done; then, window by window, prepare (`preparing`), embed what the record
lacks, write, report. The plan is in the record, so that a job goes on where it was. Texts are embedded outside of any lock,
in windows of several documents, so that texts of like length can be embedded together. A window is one transaction, and
only what a transaction holds is counted as done.

Three windows are in memory at most: while one is embedded, on the caller's thread, the next is read and the former
written, each on a thread of its own. Windows are written in their order, one at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.tokens import truncation_of
from knowledge_core.indexing.planning import Plan
from knowledge_core.indexing.preparing import Failure, Preparation, Reading, Window
from knowledge_core.indexing.windows import embed_lacking
from knowledge_core.storage.collection import Change, Collection, Found, PlanRow
from knowledge_core.types import Progress, ReportProgress, Task
from knowledge_core.verbs.index_report import IndexReport, plus

WINDOW_SECONDS = 4.0  # that a window takes, about: what a crash can cost; shorter windows cost speed
FIRST_WINDOW = 64  # chunks, before the speed is known
LARGEST_WINDOW = 2048  # chunks; bounds the memory that a window of a fast model takes
LISTENING = 0.2  # seconds between two looks whether to stop, while there is nothing to embed yet


def schedule(collection: Collection, job: str, plan: Plan, report: IndexReport) -> None:
    """Write a plan into the record, as rows that the job has to settle, before any of it is done.

    A second call after a crash in the middle is harmless.

    job: its id.
    report: of the job so far.

    Raises:
        StorageError: the disk refused.
    """
    rows = [PlanRow(item.document, "add", path=str(item.found.path)) for item in plan.items]
    # Last: until then a document of a file that was moved is found where it was, and its vectors are there.
    rows += [PlanRow(id, "remove") for id in plan.remove]
    failed = [Failure(each.name, each.reason, each.message) for each in plan.refused]
    planned = replace(report, unchanged=report.unchanged + plan.unchanged, planned=True, moved_sources=plan.moved)
    planned = planned.failing(failed).leaving_out(plan.left_out)
    # What an interrupted job still had to do in the covered folders is in this plan, or gone from the folder.
    found = Found(plan.sources, plan.let_in, plan.covered, plan.unreadable)
    collection.extend_job(job, rows, planned.to_json(), found)


def index(
    collection: Collection, embedder: Embedder, reading: Reading, *, job: str, progress: ReportProgress
) -> IndexReport:
    """Settle what the plan of `job` still has waiting, and return the report of the whole job.

    job: its id.
    progress: called with documents done and in all, after every acknowledged window and between batches; what it raises
        ends the work, and what was acknowledged stays.

    Raises:
        Cancelled: from `progress`.
        StorageError, ModelUnavailable: nothing of the present window was written.
    """
    so_far = IndexReport.from_json(collection.job(job).report)
    rows = collection.plan(job)
    preparation = Preparation(collection, embedder, reading, job=job, vanished=_vanished(collection, rows))
    work = _Work(collection, embedder, job, so_far, rows, preparation, progress)
    work.run([row for row in rows if row.state == "waiting"])
    return work.report()


def _vanished(collection: Collection, rows: Sequence[PlanRow]) -> list[str]:
    """Return the ids of documents whose files are gone, or whose whole source is: such a file may have moved."""
    gone = [source.name for source in collection.sources() if not os.path.lexists(source.path)]
    ids = [row.document for row in rows if row.action == "remove" and row.state == "waiting"]
    return [*ids, *(id for name in gone for id in collection.states(name))]


@dataclass(frozen=True)
class _Write:
    """A window on its way into the record.

    vectors: those of its texts that were embedded, by digest.
    counted: the report that is true once the window is in the record.
    embedding: seconds that were spent on it before.
    future: returns the seconds that writing took.
    """

    window: Window
    vectors: Mapping[str, npt.NDArray[np.float32]]
    counted: IndexReport
    embedding: float
    future: Future[float]


class _Work:
    """The counters of one index job, and its steps. All but reading and writing happens on the caller's thread."""

    def __init__(
        self,
        collection: Collection,
        embedder: Embedder,
        job: str,
        so_far: IndexReport,
        rows: Sequence[PlanRow],
        preparation: Preparation,
        progress: ReportProgress,
    ) -> None:
        self._collection, self._embedder, self._job, self._progress = collection, embedder, job, progress
        self._preparation = preparation
        self._total = len(rows)
        self._done = self._done_before = sum(row.state != "waiting" for row in rows)
        self._started = time.monotonic()
        self._window_chunks = FIRST_WINDOW
        self._counted = so_far
        self._tokens_now = 0  # of the window that is being embedded
        self._tokens_run = 0  # in this process
        self._write: _Write | None = None
        self._moved: set[str] = set()  # ids of documents whose files were found under others

    def run(self, waiting: Sequence[PlanRow]) -> None:
        """Do every window, then the removals: while one is embedded, the next is read and the former written."""
        self._tell("reading")
        windows = self._preparation.windows(
            [row for row in waiting if row.action == "add"], lambda: self._window_chunks
        )
        # Whatever ends the work, both threads have ended when the `with` is left: no write comes later.
        with ThreadPoolExecutor(1, "index-read") as reading, ThreadPoolExecutor(1, "index-write") as writing:
            try:
                following = reading.submit(next, windows, None)
                while (window := self._awaited(following)) is not None:
                    following = reading.submit(next, windows, None)
                    began = time.monotonic()
                    vectors = self._embedded(window)
                    self._begin_write(writing, window, vectors, time.monotonic() - began)
                self._acknowledge()
            finally:
                self._preparation.stop()
        self._remove([row.document for row in waiting if row.action == "remove" and row.document not in self._moved])

    def report(self) -> IndexReport:
        """Return what was done, in former processes and in this one."""
        return self._timed(self._counted)

    def _timed(self, counted: IndexReport) -> IndexReport:
        return replace(counted, seconds=counted.seconds + time.monotonic() - self._started)

    def _remove(self, documents: Sequence[str]) -> None:
        if not documents:
            return
        counted = plus(self._counted, removed=len(documents), changed=documents)
        report = self._timed(counted).to_json()
        self._collection.write(Change(remove=documents, job=self._job, done=documents, report=report))
        self._counted = counted
        self._done += len(documents)

    def _awaited(self, following: Future[Window | None]) -> Window | None:
        """Return the next window once it is read; acknowledge the former one if it is written first. None: no more."""
        while not following.done():
            pending: list[Future[Any]] = [following, self._write.future] if self._write else [following]
            wait(pending, timeout=LISTENING, return_when=FIRST_COMPLETED)
            self._between("reading")
        return following.result()

    def _embedded(self, window: Window) -> dict[str, npt.NDArray[np.float32]]:
        """Return the vectors that the record lacks of a window, by digest. The former window is acknowledged by then."""
        coming = self._write.vectors if self._write else {}
        with self._collection.view() as view:
            lacking = view.missing([digest for digest in window.texts if digest not in coming])
        vectors = self._embed(window, lacking)
        self._acknowledge()
        # A document that the former window replaced may have been the last one with a text that this window has, too.
        lost = self._collection.missing(list(window.texts)) - vectors.keys()
        return vectors | self._embed(window, lost)

    def _embed(self, window: Window, lacking: Container[str]) -> dict[str, npt.NDArray[np.float32]]:
        return embed_lacking(
            self._embedder, window.texts, lacking,
            before=lambda: self._between("embedding"), after=self._count_tokens, lengths=window.lengths,
        )  # fmt: skip

    def _begin_write(
        self,
        writing: ThreadPoolExecutor,
        window: Window,
        vectors: Mapping[str, npt.NDArray[np.float32]],
        seconds: float,
    ) -> None:
        self._moved.update(window.moved)
        counted = plus(
            self._counted,
            failed=window.failed,
            unread=window.unread,
            unwanted=window.unwanted,
            pictures=window.pictures,
            changed=[new.document.id for new in window.documents],
            removed=len(window.removed),
            indexed=len(window.documents) - len(window.moved),
            moved=len(window.moved),
            unchanged=len(window.unchanged),
            chunks=window.chunks,
            embedded=len(vectors),
            reused=len(window.texts) - len(vectors),
            tokens=self._tokens_now,
            **self._unread([window.texts[digest] for digest in vectors]),
        )
        change = Change(
            add=window.documents,
            vectors=vectors,
            remove=window.removed,
            touched=window.touched,
            unreadable=window.unreadable,
            digests=window.digests,
            job=self._job,
            done=window.settled,
            failed={each.document: f"{each.reason}: {each.message}" for each in window.failed}
            | {each.document: "binary: its format is not read" for each in window.unread},
            report=self._timed(counted).to_json(),
        )
        self._tokens_now = 0
        self._write = _Write(window, vectors, counted, seconds, writing.submit(self._written, change))

    def _written(self, change: Change) -> float:
        began = time.monotonic()
        self._collection.write(change)
        return time.monotonic() - began

    def _acknowledge(self) -> None:
        """Wait until the window that is being written is in the record; only then count it."""
        if self._write is None:
            return
        write, self._write = self._write, None
        seconds = write.embedding + write.future.result()
        self._counted = write.counted
        self._done += write.window.finished
        rate = write.window.chunks / max(seconds, 1e-3)
        self._window_chunks = int(np.clip(rate * WINDOW_SECONDS, FIRST_WINDOW, LARGEST_WINDOW))
        self._tell("indexing")

    def _unread(self, texts: Sequence[tuple[str, str]]) -> dict[str, int]:
        """Count how much of the embedded texts the model did not read.

        Only texts with a long title are looked at: the chunker leaves a quarter of the room to the title.
        """
        room = self._preparation.size // 4
        long = [(text, title) for text, title in texts if len(title.encode("utf-8", "replace")) > room]
        unread = truncation_of(self._embedder, [text for text, _ in long], Task.DOCUMENT, [title for _, title in long])
        return {"cut": unread.texts, "cut_tokens": unread.tokens}

    def _count_tokens(self, tokens: int) -> None:
        self._tokens_now += tokens
        self._tokens_run += tokens

    def _between(self, doing: str) -> None:
        """Acknowledge what was written meanwhile, and report how far the work is; raises what `progress` raises."""
        if self._write is not None and self._write.future.done():
            self._acknowledge()
        self._tell(doing)

    def _tell(self, doing: str) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-3)
        rate = self._tokens_run / elapsed
        done_now = self._done - self._done_before
        left = elapsed / done_now * (self._total - self._done) if done_now and self._done < self._total else None
        message = f"{doing}: {self._done} of {self._total} documents, {self._counted.chunks} chunks"
        if rate:
            message += f", {rate:,.0f} tokens/s"
        self._progress(
            Progress(
                self._done, self._total, message, chunks=self._counted.chunks, tokens_per_second=rate, seconds_left=left
            )
        )

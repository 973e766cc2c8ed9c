"""A collection: the record, the two indexes derived from it, and what keeps them in step.

The order of a write, which is the order of its promises:
1. one transaction of the record: from here on it is true, whatever happens next;
2. the derived indexes take the same change (each remembers its generation, and catches up from the log after a crash);
3. a new view of all three is published: from here on a search finds it, and only now `write` returns.

No reader waits for the writer. This is the one place that knows how documents and vectors are kept.
A collection that nobody is at can rest (`access`).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import CollectionNotFound, StorageError
from knowledge_core.files import storage_refusal
from knowledge_core.storage.access import Access
from knowledge_core.storage.checking import Checked, check, check_texts
from knowledge_core.storage.derived import Derived
from knowledge_core.storage.gil_pauses import shorten_switch_interval
from knowledge_core.storage.losses import Losses
from knowledge_core.storage.record.document_store import DocumentStore
from knowledge_core.storage.record.evaluated_filters import EvaluatedFilters
from knowledge_core.storage.record.sqlite import refuse_without_record
from knowledge_core.storage.values import (
    Calibration,
    Change,
    Counts,
    FileState,
    Finding,
    Found,
    JobRecord,
    KeptOut,
    NewDocument,
    Patterns,
    PlanRow,
    Source,
    Stat,
    Waiting,
)  # fmt: skip
from knowledge_core.storage.vectors.graph_building import GraphWork
from knowledge_core.storage.view import View
from knowledge_core.types import ReportProgress, no_progress

__all__ = [
    "Calibration", "Change", "Collection", "Counts", "FileState", "Finding", "Found", "JobRecord", "KeptOut", "NewDocument",
    "Patterns", "PlanRow", "Source", "Stat", "View", "Waiting",
]  # fmt: skip

log = logging.getLogger(__name__)


class Collection:
    """One open collection: one object per folder, in the process that owns the data directory.

    folder: where it lies.
    name: of the collection.
    contract: under which its chunks are embedded now; a view has that of its own generation.
    listeners: told the collection's name and the ids of the documents that a write changed, on the writing thread.
    cut_off: ids of the jobs that a process which died left running.
    losses: what the record lost before it was opened, until a person agrees to that.
    reembedding: the tables in which a change of contract is made ready.
    access: who is at it, and whether it rests.
    """

    def __init__(self, folder: Path, store: DocumentStore) -> None:
        self.folder = folder
        try:
            self.name = store.meta("name")
        except BaseException:
            store.close()
            raise
        self.listeners: list[Callable[[str, Sequence[str]], None]] = []
        shorten_switch_interval()  # here readers and the writer meet
        self.losses = Losses(folder, self.name, lambda: [source.name for source in self.sources()])
        self.cut_off: frozenset[str] | None = None  # not known yet
        self.access = Access(
            self.name,
            wake=lambda: self._wake(_opened(folder)),
            save=lambda: self._derived.save(),
            let_go=self._let_go,
            is_busy=lambda: self._derived.builder.is_busy(),
        )
        self._alone = self.access.alone
        self.reembedding = store.reembedding(self._alone, self._publish)
        self._wake(store)

    @classmethod
    def open(cls, folder: Path) -> Collection:
        """Open a collection, and bring its derived indexes in step with the record.

        Raises:
            CollectionNotFound: there is none in this folder.
            StorageDamaged, StorageTooNew, StorageError: the record cannot be used.
        """
        return cls(folder, _opened(folder))

    def _wake(self, store: DocumentStore) -> None:
        """Serve from this record from now on. Where that fails, everything is closed again."""
        self._store, self._filters = store, EvaluatedFilters()
        try:
            with self.access.writing, ExitStack() as undo:  # a graph that is built meanwhile waits for the first view
                undo.callback(store.close)
                self.contract = EmbeddingContract.from_json(store.meta("contract"))
                self._derived = Derived(store, self.contract, self.access.writing, self._swap)
                undo.callback(self._derived.close)
                self._derived.catch_up()
                self.losses.read()
                if self.cut_off is None:  # only at the first opening: later, jobs may be running
                    self.cut_off = store.jobs.interrupt_running()
                self._tidy()  # before the first reader: a crash may have left a long write-ahead log
                store.carry_on(self.reembedding)
                self._swap()
                undo.pop_all()
        except OSError as error:
            raise storage_refusal(error, self.name) from error

    def _let_go(self) -> None:
        self._derived.close()
        try:
            self._store.close()
        except StorageError as error:
            log.warning("collection %s: its record was not closed in order: %s", self.name, error.__cause__)

    def close(self) -> None:
        """Save what is derived and let go of the files. A second call does nothing."""
        self.access.close()
        self._derived.builder.join()  # without the lock, which it may be waiting for

    def bytes_free(self) -> int:
        """Return how many bytes the place where the collection is stored has left."""
        return shutil.disk_usage(self.folder).free

    # -- reading ---------------------------------------------------------------------------------------------------

    def view(self) -> AbstractContextManager[View]:
        """Return a context that yields the newest generation, to read from until the end of the block.

        Raises:
            CollectionNotFound, StorageError: as of `Access.alone`.
        """
        return self.access.view()

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of these embedded texts, named by their digests, have no vector yet."""
        with self._alone():
            return self._store.missing(digests)

    def stored_state(self, id: str) -> FileState | None:
        """Return what is remembered of one document; None if it is not there. Does not wait for a write."""
        with self.view() as view:
            return view.state(id)

    def states(self, source: str, under: str = "") -> dict[str, FileState]:
        """Return what is remembered of a source's documents, by id. under: of those whose ids begin so."""
        with self._alone():
            return self._store.states(source, under)

    def sources(self) -> list[Source]:
        """Return the folders that were indexed."""
        with self._alone():
            return self._store.sources.all()

    def jobs(self) -> list[JobRecord]:
        """Return the recorded jobs, newest first: those that have not ended, and the latest that have."""
        with self._alone():
            return self._store.jobs.all()

    def job(self, id: str) -> JobRecord:
        """Return one recorded job.

        Raises:
            CollectionNotFound: it is not recorded here, for the collection was deleted and made again meanwhile.
        """
        with self._alone():
            record = self._store.jobs.get(id)
        if record is None:
            raise CollectionNotFound(
                f"Collection {self.name!r} was deleted and made again meanwhile; {id} went with it."
            )
        return record

    def plan(self, job: str) -> list[PlanRow]:
        """Return what a job has to settle, in order; inline documents without their text, which `inline` has."""
        with self._alone():
            return self._store.jobs.plan(job)

    def inline(self, job: str, document: str) -> str | None:
        """Return the JSON of a document that a job was given by its text; None once it is settled."""
        with self._alone():
            return self._store.jobs.inline(job, document)

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, change: Change) -> int:
        """Apply a change and return its generation, once a search on a new view finds it.

        A document whose id is there is replaced. A vector goes with the last chunk that has it.

        Raises:
            StorageFull, StorageError: nothing of the change was stored; or, where the disk refused only after the
                transaction, all of it was, and searches find it once the next write or opening has caught up.
            InvalidInput: a vector is broken or lacking, or a document comes twice; nothing was stored.
        """
        with self._alone():
            written = self._store.write(change, self.contract)
            self._derived.take(written)
            self._publish()
            self._tell(change)
            self._derived.save_now_and_then(written)
            return written.generation

    def _tell(self, change: Change) -> None:
        changed = [*(new.document.id for new in change.add), *change.remove]
        changed += [new.moved_from for new in change.add if new.moved_from]
        for listener in self.listeners if changed else ():
            listener(self.name, changed)

    def set_sources(self, sources: Sequence[Source], *, forget: Sequence[str] = ()) -> None:
        """Record sources, each as a whole, and forget others by name: their documents stay, and nobody looks after them."""
        with self._alone():
            self._store.sources.set(sources, forget)

    def kept_out(self) -> list[KeptOut]:
        """Return the deleted documents whose files are passed over, by id."""
        with self._alone():
            return self._store.sources.kept_out()

    def set_probe(self, contract: EmbeddingContract) -> None:
        """Complete the contract with the probe of the first model that was loaded for it."""
        with self._alone():
            if self.contract.probe is not None or self.contract != contract:
                return  # another thread was first, or the collection has moved to another model meanwhile
            self._store.set_contract(contract)
            self.contract = contract
            self._publish()

    def pin(self, contract: EmbeddingContract) -> None:
        """Take another contract, if no model was ever loaded for the present one: then there are no vectors yet."""
        with self._alone():
            if self.contract.probe is not None:
                return  # another thread was first
            self._store.set_contract(contract)
            self.contract = contract
            self._derived.move(contract)
            self._publish()

    def switch_contract(self) -> EmbeddingContract:
        """Put what was made under another contract (`reembedding`) in the place of what answers; return that contract.

        Searches go on under the old contract until the indexes are rebuilt.

        Raises:
            ContractMismatch: not every document is made yet; nothing was changed.
            StorageError: the disk refused. Either nothing was changed; or the record was, and searches go on under the old
                contract until the next write or opening has rebuilt the indexes.
        """
        with self._alone():
            self.contract = self.reembedding.switch()
            self._derived.move(self.contract)
            self._publish()
            self._derived.save()
            return self.contract

    def set_read_by(self, version: str) -> None:
        """Record by which version of reading and cutting all documents were read, as far as they could be."""
        with self._alone():
            self._store.set_read_by(version)
            self._publish()

    def set_calibration(self, calibration: Calibration, under: EmbeddingContract) -> None:
        """Record how well the model reads the collection; searches on a new view fuse by it.

        under: the contract at measuring time. If the collection has moved to another contract since, the result is
            discarded.
        """
        with self._alone():
            if self.contract != under:
                return
            self._store.set_calibration(calibration)
            self._publish()

    def start_job(self, job: JobRecord, rows: Sequence[PlanRow]) -> None:
        """Record a job before it begins, with the documents that it brings: from now on none of them is lost."""
        with self._alone():
            self._store.jobs.start(job, rows)
            if rows:  # else no view shows anything new
                self._publish()

    def extend_job(self, id: str, rows: Sequence[PlanRow], report: str, found: Found | None = None) -> None:
        """Record what else a job has to settle, once that is known, what was found besides, and its report so far."""
        with self._alone():
            self._store.extend_job(id, rows, report, found or Found())
            self._publish()

    def resume_job(self, id: str) -> int:
        """Record that an interrupted job goes on; return the number of the attempt, those that ended in order not counted."""
        with self._alone():
            return self._store.jobs.resume(id)

    def blame_job(self, id: str) -> int:
        """Record that a process got stuck while it worked on a job; return how many have so far."""
        with self._alone():
            return self._store.jobs.blame(id)

    def forget_job(self, id: str) -> None:
        """Forget a job that has ended, as if it had never been."""
        with self._alone():
            self._store.jobs.forget(id)

    def finish_job(self, id: str, state: str, report: str | None) -> None:
        """Record how a job ended. report: JSON; None leaves the report of its latest write."""
        with self._alone():
            self._store.jobs.finish(id, state, report)
            if state != "done":  # a view shows how many documents wait: of a job that is done none does
                self._publish()

    # -- keeping in step -------------------------------------------------------------------------------------------

    def check(
        self, *, repair: bool = False, deep: bool = False, progress: ReportProgress = no_progress
    ) -> list[Finding]:
        """Verify the record and what is derived from it, key by key, and texts by their checksums.

        repair: if anything is wrong, rebuild the derived indexes and mark documents to be read again, and verify again.
        deep: compare all texts; else a sample of 1,000.
        """
        checked = self._checked(deep, progress)
        done = self._repaired(checked) if repair else []
        return [*done, *self._checked(deep, progress).findings] if done else list(checked.findings)

    def _checked(self, deep: bool, progress: ReportProgress) -> Checked:
        lost = Checked([Finding("damaged", each) for each in self.losses.told()])
        with self._alone(), self.view() as view:
            checked = check(view, self._store.record_log, self._derived.vectors, self._derived.words)
        with self.view() as view:  # without the lock: reading all texts may take minutes
            return lost.plus(checked).plus(check_texts(view, checked.keys, deep=deep, progress=progress))

    def _repaired(self, checked: Checked) -> list[Finding]:
        if not (checked.rebuild or checked.documents):
            return []
        with self._alone():
            self._store.mark(checked.documents, checked.keys)
            if checked.rebuild:
                self._derived.clear()
            self._publish()
            self._derived.save()
        rebuilt = ["The derived indexes were rebuilt from the record."] if checked.rebuild else []
        marked = [f"{len(checked.documents)} documents are marked to be read again."] if checked.documents else []
        return [Finding("repaired", each) for each in (*rebuilt, *marked)]

    def reword(self, after: int, most: int) -> int | None:
        """Word chunks anew that an earlier version of the program worded: see `Derived.reword`."""
        with self._alone():
            return self._derived.reword(after, most)

    def graph_work(self) -> GraphWork:
        """Return what building graphs has cost since the collection was opened."""
        return self._derived.builder.work

    def wait_for_graph(self) -> None:
        """Wait until the graph that is due, if one is, has been built."""
        self._derived.builder.wait()

    def _new_view(self) -> View:
        vectors, words = self._derived.vectors.snapshot(), self._derived.words.snapshot()
        return View(self._store.path, self.name, self.contract, vectors, words, self._filters)

    def _publish(self) -> None:
        """Show readers what the record holds now. Where an index cannot follow, they keep the view they have.

        Raises:
            StorageError: the disk refused.
        """
        self._derived.catch_up()
        self._swap()
        if self._store.is_wal_long() and self._tidy():
            self._swap()  # this view reads without the log, so that the next write starts the log from its beginning

    def _swap(self) -> None:
        self.access.show(self._new_view())

    def _tidy(self) -> bool:
        """Move the write-ahead log into the record; say whether that succeeded. Only tidiness: a refusal fails nothing."""
        try:
            return self._store.checkpoint()
        except StorageError as error:
            log.warning("collection %s: the record's log stays long for now: %s", self.name, error.__cause__)
            return False


def _opened(folder: Path) -> DocumentStore:
    refuse_without_record(folder)
    return DocumentStore(folder, folder.name)

"""What the owner of a data directory holds: its lock, the open collections, the models, the roots, the jobs.

Holds these and hands them out; the verbs (`knowledge_core.verbs`) do the work. `_guard` guards the tables of this
module. It is never held while a model runs, nor while the disk is waited for, except while a collection is opened, made
or dropped.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from knowledge_core.config import Config, load_config
from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.background.bulk_work import BulkWork
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.embedders import Embedders, MakeEmbedder
from knowledge_core.embedding.models.models import AUTO
from knowledge_core.errors import CollectionNotFound, InvalidInput, KnowledgeCoreError, ModelUnavailable, quoted
from knowledge_core.files import raise_descriptor_limit
from knowledge_core.indexing.missing import Missing
from knowledge_core.ingestion.workers.pool import Workers
from knowledge_core.jobs import Jobs
from knowledge_core.near_names import listed
from knowledge_core.paths import COLLECTIONS, IGNORED, OwnerLock, config_path
from knowledge_core.roots import Roots
from knowledge_core.storage.catalogue import (
    SET_ASIDE,
    Overview,
    Overviews,
    collection_names,
    create_collection,
    drop,
    exchange,
    set_aside,
    sweep,
    valid_name,
)
from knowledge_core.storage.collection import Collection
from knowledge_core.storage.data_directory.closing import close_data_directory
from knowledge_core.storage.data_directory.file_system import network_notice
from knowledge_core.types import Pending, Progress, ReportProgress, no_progress

log = logging.getLogger(__name__)

# How many collections hold files at once: as many as the limit on open files has room for. A limit of 256 gives 19.
DESCRIPTORS_KEPT = 100  # for clients, models, logs and what is open for a moment
DESCRIPTORS_EACH = 8  # of a collection: 6, and two that a second view or a graph takes
MOST_OPEN = 1_000
KEPT_OPEN = 8  # the latest used: they answer at once, however long nobody asked
REST_AFTER = 600.0  # seconds without use, of the others


class Engine:
    """One data directory, owned by this process from construction until `close`. It raises the process's limit on open files.

    home: the data directory.
    config: the whole configuration, with its defaults filled in.
    command: what the lock file says of this process, for whoever finds the data directory held.
    config_file: the value of `--config`, to see when the configuration changes.
    lock: the lock on the data directory where the caller holds it already; then the caller releases it, too.
    make_embedder: see `Embedders`.

    Attributes:
        creating: a lock, held while a job is recorded, or while the collection that it made is dropped.
        home_notices: what is wrong with the data directory as a folder.
        notices: what every client should know about how this process serves.
        former_was_stuck: the process that held this data directory before was ended by its watchdog.
        missing: files that were not found a moment ago.
        changed_sources: names of collections whose sources changed, for who watches them.
        pending: what is known of a collection's files that changed and are not indexed yet, by its name.
        waiting_roots: folder that a host names and that waits for a person's yes -> why, in a sentence.
        renewing: collection -> how many of its documents an earlier version read and are still to be read again.
        most_open: the most collections that hold files at once.
        listeners: called on the writing thread with a collection's name and the ids of the documents that a write changed.

    Raises:
        DataDirectoryHeld, StorageError: see `paths.OwnerLock`.
    """

    def __init__(
        self,
        home: Path,
        config: Config,
        *,
        command: str = "kcore",
        lock: OwnerLock | None = None,
        config_file: str | None = None,
        make_embedder: MakeEmbedder | None = None,
    ) -> None:
        self.home, self.config = home, config
        self._lock = lock or OwnerLock(home, command)
        self._own_lock = lock is None
        self._guard = threading.RLock()
        self._collections: dict[str, Collection] = {}
        self._writers: dict[str, threading.Lock] = {}
        self.creating = threading.RLock()
        self.bulk_work = BulkWork(
            config.indexing, config_path(home, config_file)[0], lambda: load_config(home, config_file).indexing
        )
        self.workers = Workers(low=lambda: self.bulk_work.allowance(1).low)
        self.embedders = Embedders(config.embedding, home, make_embedder, bulk_work=self.bulk_work)
        self.home_notices = [*close_data_directory(home), *filter(None, [network_notice(home)])]
        for notice in self.home_notices:
            log.warning("%s", notice)
        self.notices = list(self.home_notices)
        self.former_was_stuck = False
        self.renewing: dict[str, int] = {}
        self.waiting_roots: dict[str, str] = {}
        self.missing = Missing()
        self.changed_sources: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.pending: Callable[[str], Pending] = lambda name: Pending()
        self.listeners: list[Callable[[str, Sequence[str]], None]] = []
        self.roots = Roots(home / "roots.json", config.roots)
        self.jobs = Jobs()
        self._folder = home / COLLECTIONS
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._overviews = Overviews()
        self.most_open = max(4, min(MOST_OPEN, (raise_descriptor_limit() - DESCRIPTORS_KEPT) // DESCRIPTORS_EACH))
        sweep(self._folder)

    # -- collections ---------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return collection_names(self._folder)

    def overview(self, name: str) -> Overview:
        """Return what a collection holds at a glance, without opening it.

        Raises:
            CollectionNotFound, StorageError: see `Overviews.of`.
        """
        return self._overviews.of(self._folder / valid_name(name))

    def collection(self, name: str) -> Collection:
        """Return the open collection of this name.

        Raises:
            CollectionNotFound: there is none of this name; the message lists the collections that there are.
            StorageError: the collection cannot be opened.
        """
        valid_name(name)
        with self._guard:
            if name not in self._collections:
                known = self.names()
                if name not in known:
                    there_are = listed(known) or "none yet; index something first"
                    raise CollectionNotFound(f"No collection {quoted(name)}. There are: {there_are}.")
                self._collections[name] = Collection.open(self._folder / name)
                self._collections[name].listeners = self.listeners
            found = self._collections[name]
            full = sum(not each.access.resting for each in self._collections.values()) >= self.most_open
        if full:
            self.let_rest()
        return found

    def let_rest(self) -> None:
        """Close the files of collections that nobody used for a while, and of the longest unused ones where many are open.

        The next use of such a collection opens them again. One that somebody is at, or a job works on, stays open.
        """
        with self._guard:
            opened = [each for each in self._collections.values() if not each.access.resting]
        opened.sort(key=lambda each: each.access.used)
        at_work = {job.collection for job in self.jobs.running()}
        now, too_many = time.monotonic(), len(opened) - self.most_open + 1  # and one will be opened next
        for later, collection in zip(range(len(opened) - 1, -1, -1), opened, strict=True):
            idle = later >= KEPT_OPEN and now - collection.access.used > REST_AFTER
            if too_many <= 0 and not idle:
                break  # those that follow were used later
            if later and collection.name not in at_work and collection.access.rest():
                log.debug("collection %s rests", collection.name)
                too_many -= 1

    def collection_or_new(self, name: str) -> Collection:
        """Return the collection of this name; if there is none yet, make it under the configured model's contract.

        Raises:
            InvalidInput: the name cannot be one of a collection.
            ModelUnavailable: the configured model is not on this machine.
            StorageError: the collection cannot be opened or made.
        """
        valid_name(name)
        with self._guard:
            if name in self._collections or name in self.names():
                return self.collection(name)
        # The contract has no probe yet, which needs the model: `embedder_of` adds the probe once the model is loaded.
        contract = self.embedders.default().static_contract
        with self._guard:
            if name not in self._collections and name not in self.names():
                self._collections[name] = create_collection(self._folder / name, name, contract)
                self._collections[name].listeners = self.listeners
            return self.collection(name)

    @contextlib.contextmanager
    def one_writer(self, name: str, report: ReportProgress = no_progress) -> Iterator[None]:
        """Let one caller at a time plan and write a collection; the others wait for their turn.

        report: called five times per second while waiting; it may raise to give up.
        """
        with self._guard:
            turn = self._writers.setdefault(name, threading.Lock())
        while not turn.acquire(timeout=0.2):
            report(Progress(0, 0, f"waiting for another job on {name!r}"))
        try:
            yield
        finally:
            turn.release()

    def drop(self, name: str) -> None:
        """Delete a whole collection. Searches that still use a view of it fail with errors of their own.

        It is not opened for that, so that one whose record is damaged can go, too.

        Raises:
            CollectionNotFound: there is none of this name. StorageError: the system refused; nothing was deleted.
        """
        with self._guard:
            self._close_known(name)
            drop(self._folder, name)

    def put_in_place(self, name: str, new: Path, *, replace: bool) -> Path | None:
        """Let a whole collection's folder be the collection of this name; return where the former one is now, or None.

        The former one is not opened for that, so that one whose record is damaged can be replaced, too.

        new: on the disk of the data directory. Searches that still use a view of the former one fail with errors of their own.

        Raises:
            InvalidInput: there is one of this name, and it is not to be replaced.
            StorageError: the system refused; everything is as it was.
        """
        with self.creating, self._guard:
            if not replace and name in self.names():
                raise InvalidInput(f"There is a collection {name!r} already. With --replace it is set aside first.")
            if name in self.names():
                self._close_known(name)
            former = exchange(self._folder, valid_name(name), new, self.home / SET_ASIDE)
        self.changed_sources.put(name)
        return former

    def set_aside(self, name: str) -> Path:
        """Move a whole collection out of the way, whatever state it is in, so that its name is free; return where it lies.

        Raises:
            CollectionNotFound: there is none of this name. StorageError: the system refused; nothing was moved.
        """
        with self._guard:
            self._close_known(name)
            return set_aside(self._folder, name, self.home / SET_ASIDE)

    def _close_known(self, name: str) -> None:
        """Let go of a collection, whatever state it is in; raise CollectionNotFound where there is none of this name."""
        held = self._collections.pop(name, None)
        if held is not None:
            held.close()
        elif name not in self.names():
            self.collection(name)  # says which there are

    def all_set_aside(self) -> list[Path]:
        """Return where the collections lie that were set aside, sorted."""
        return sorted(path for path in (self.home / SET_ASIDE).glob("*") if path.is_dir())

    def ignored(self) -> tuple[str, ...]:
        """Return the patterns that a person set for all sources (`kcore ignore`), as lines of .gitignore, in their order."""
        try:
            text = (self.home / IGNORED).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ()
        return tuple(line for line in text.splitlines() if line.strip() and not line.startswith("#"))

    # -- models --------------------------------------------------------------------------------------------------

    def embedder_of(self, collection: Collection, contract: EmbeddingContract | None = None) -> Embedder:
        """Return the embedder for a collection; not necessarily loaded yet.

        It compares its model with the contract before it returns the first vector. A collection whose contract has no
        probe yet takes the probe of this model.

        contract: the contract of a view, where the new vectors are compared with that view's; None: the collection's.

        Raises:
            ModelUnavailable: the contract's model is not on this machine any more.
        """
        pinned = contract or collection.contract

        def agreed(made_under: EmbeddingContract) -> None:
            if collection.contract.probe is None and collection.contract == pinned:
                collection.set_probe(made_under)

        return self.embedders.under(pinned, collection.name, agreed)

    def embedder_to_fill(self, collection: Collection) -> Embedder:
        """Return the embedder for a collection that is about to be written, loaded and compared with its contract.

        A collection whose contract has no probe yet is not bound to a model that does not load: where the configured
        model is "auto", the collection is pinned to the next model that works.

        Raises:
            ModelUnavailable: the model does not load. ContractMismatch: the model of that name makes other vectors now.
        """
        contract = collection.contract
        try:
            embedder = self.embedder_of(collection)
            embedder.contract  # noqa: B018  # loads and compares
        except ModelUnavailable as error:
            if self.config.embedding.model != AUTO or contract.probe is not None:
                raise
            with contextlib.suppress(ModelUnavailable):  # the model is no longer here: nothing to pass over
                self.embedders.pass_over(self.embedders.named(contract.model, contract.dimensions), str(error))
            embedder = self.embedders.working()
            collection.pin(embedder.contract)
        return embedder

    def preload(self) -> None:
        """Begin to load the models of all collections in the background."""
        threading.Thread(target=self._preload, name="preload", daemon=True).start()

    def _preload(self) -> None:
        for name in self.names():
            try:
                self.embedders.loading.begin(self.embedder_of(self.collection(name)))
            except KnowledgeCoreError as error:
                log.warning("the model of %s cannot be loaded: %s", name, error)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the jobs between two batches, close the collections, and release a lock that this engine took itself."""
        self.embedders.stop()
        self.jobs.stop()
        self.workers.close()
        with self._guard:
            for collection in self._collections.values():
                collection.close()
            self._collections.clear()
        if self._own_lock:
            self._lock.release()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

"""What the owner of a data directory holds: the lock, the open collections, the models, the roots, the jobs.

Holds and hands out; the verbs (`indexing`, `search`, `clustering`, `classification`) do. Locks of this module guard
its own tables only and are never held while a model runs or a disk is waited for, save while a collection is opened.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from knowledge_core.config import Config
from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.embedders import Embedders, MakeEmbedder
from knowledge_core.embedding.models.models import AUTO
from knowledge_core.errors import CollectionNotFound, KnowledgeCoreError, ModelUnavailable
from knowledge_core.jobs import Jobs
from knowledge_core.paths import OwnerLock
from knowledge_core.roots import Roots
from knowledge_core.storage.catalogue import (
    Overview,
    Overviews,
    collection_names,
    create_collection,
    drop,
    sweep,
    valid_name,
)
from knowledge_core.storage.collection import Collection
from knowledge_core.types import Progress, ReportProgress, no_progress

log = logging.getLogger(__name__)


class Engine:
    """One data directory, owned by this process from construction until `close`.

    lock: where the caller holds the data directory already; then the caller releases it, too.
    notices: what every client should know of how this process serves. listeners: told, on the writing thread, which
    documents of a collection a write changed.

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
        make_embedder: MakeEmbedder | None = None,
    ) -> None:
        self.home = home
        self.config = config
        self._lock = lock or OwnerLock(home, command)
        self._own_lock = lock is None
        self._guard = threading.RLock()
        self._collections: dict[str, Collection] = {}
        self._writers: dict[str, threading.Lock] = {}
        self.creating = threading.RLock()  # held while a job is recorded, or the collection that it made is dropped
        self.embedders = Embedders(config.embedding, home, make_embedder)
        self.notices: list[str] = []
        self.former_was_stuck = False  # the process that held this data directory before was ended by its watchdog
        self.listeners: list[Callable[[str, Sequence[str]], None]] = []
        self.roots = Roots(home / "roots.json", config.roots)
        self.jobs = Jobs()
        self._folder = home / "collections"
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._overviews = Overviews()
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
            CollectionNotFound: there is none; the message lists those there are.
            StorageError: it cannot be opened.
        """
        valid_name(name)
        with self._guard:
            if name not in self._collections:
                known = self.names()
                if name not in known:
                    there_are = ", ".join(known) or "none yet; index something first"
                    raise CollectionNotFound(f"No collection {name!r}. There are: {there_are}.")
                self._collections[name] = Collection.open(self._folder / name)
                self._collections[name].listeners = self.listeners
            return self._collections[name]

    def collection_or_new(self, name: str) -> Collection:
        """Return the collection of this name, made under the configured model if there is none yet."""
        valid_name(name)
        with self._guard:
            if name in self._collections or name in self.names():
                return self.collection(name)
        # Without its probe, which needs the model: `embedder_of` adds that when one is loaded for it.
        contract = self.embedders.default().static_contract
        with self._guard:
            if name not in self._collections and name not in self.names():
                self._collections[name] = create_collection(self._folder / name, name, contract)
                self._collections[name].listeners = self.listeners
            return self.collection(name)

    @contextlib.contextmanager
    def one_writer(self, name: str, report: ReportProgress = no_progress) -> Iterator[None]:
        """Let one caller at a time plan and write a collection; the others wait their turn.

        report: called while waiting, and may raise to give up.
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
        """Delete a whole collection. Views that are still in use end with errors of their own."""
        with self._guard:
            self.collection(name).close()
            del self._collections[name]
            drop(self._folder, name)

    # -- models --------------------------------------------------------------------------------------------------

    def embedder_of(self, collection: Collection, contract: EmbeddingContract | None = None) -> Embedder:
        """Return the embedder for a collection, which compares itself with its contract before the first vector.

        contract: of a view of the collection, where that is what its vectors are compared with; else the collection's.
        Not necessarily loaded yet. A collection that no model was loaded for yet takes this one's probe.

        Raises:
            ModelUnavailable: the contract's model is not on this machine any more.
        """
        pinned = contract or collection.contract

        def agreed(made_under: EmbeddingContract) -> None:
            if collection.contract.probe is None and collection.contract == pinned:
                collection.set_probe(made_under)

        return self.embedders.under(pinned, collection.name, agreed)

    def embedder_to_fill(self, collection: Collection) -> Embedder:
        """Return the embedder of a collection that is about to be written, loaded and compared.

        A collection that nothing was embedded for yet is not held to a model that does not load: where the
        configuration leaves the choice to us, it takes the next one.

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
            with contextlib.suppress(ModelUnavailable):  # it is gone altogether: nothing to pass over
                self.embedders.pass_over(self.embedders.named(contract.model, contract.dimensions), str(error))
            embedder = self.embedders.working()
            collection.pin(embedder.contract)
        return embedder

    def preload(self) -> None:
        """Begin to load the models of the collections, if there are any, on a thread of its own."""
        threading.Thread(target=self._preload, name="preload", daemon=True).start()

    def _preload(self) -> None:
        for name in self.names():
            try:
                self.embedders.loading.begin(self.embedder_of(self.collection(name)))
            except KnowledgeCoreError as error:
                log.warning("the model of %s cannot be loaded: %s", name, error)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the jobs between two batches, close the collections, let go of the data directory."""
        self.embedders.stop()
        self.jobs.stop()
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

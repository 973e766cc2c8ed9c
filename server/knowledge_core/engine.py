"""What the owner of a data directory holds: the lock, the open collections, the models, the roots, the jobs.

Holds and hands out; the verbs (`indexing`, `search`, `clustering`, `classification`) do. Locks of this module guard
its own tables only and are never held while a model runs or a disk is waited for, save while a collection is opened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from knowledge_core.config import Config
from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.local.engines import make_embedder as fastest_embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import AUTO, Faults, Model, resolve
from knowledge_core.embedding.query_cache import QueryCache
from knowledge_core.embedding.remote.remote import PREFIX, RemoteEmbedder, RemoteModel, is_remote
from knowledge_core.errors import CollectionNotFound, ContractMismatch, KnowledgeCoreError, ModelUnavailable
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

VERDICTS = "engines.json"
"""The file of the data directory that keeps which engine runs a model best: derived, and made anew when it is gone."""

MakeEmbedder = Callable[[str, int | None], Embedder]
"""From a model's name (or "auto") and its dimensions (None: all) to what embeds with it."""


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
        self._embedders: dict[tuple[str, int | None], Embedder] = {}
        self._writers: dict[str, threading.Lock] = {}
        self.creating = threading.RLock()  # held while a job is recorded, or the collection that it made is dropped
        self._make_embedder = make_embedder or self._model_embedder
        self._remotes: list[RemoteEmbedder] = []
        self.faults = Faults()
        self.notices: list[str] = []
        self.former_was_stuck = False  # the process that held this data directory before was ended by its watchdog
        self.listeners: list[Callable[[str, Sequence[str]], None]] = []
        self._loading: dict[int, threading.Event] = {}
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
        # Without its probe, which needs the model: `check_contract` adds that when one is loaded for it.
        contract = self.default_embedder().static_contract
        with self._guard:
            if name not in self._collections and name not in self.names():
                self._collections[name] = create_collection(self._folder / name, name, contract)
                self._collections[name].listeners = self.listeners
            return self.collection(name)

    @contextmanager
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

    def default_embedder(self) -> Embedder:
        """Return the embedder that the configuration names: the one that new collections are made with; not loaded yet."""
        return self.embedder_named(self.config.embedding.model, self.config.embedding.dimensions)

    def pass_over(self, embedder: Embedder, fault: str) -> bool:
        """Remember that a model of this machine cannot be used, so that "auto" means the next one.

        False: it is no model of this machine, and nothing was remembered.
        """
        name = embedder.static_contract.model
        with self._guard:  # whoever needs it next gets one that reads the files anew
            self._embedders = {key: each for key, each in self._embedders.items() if each is not embedder}
        if is_remote(name) or self._make_embedder != self._model_embedder:
            return False
        log.warning("%s is passed over: %s", name, fault)
        self.faults.remember(self.find_model(name), fault)
        return True

    def embedder_named(self, model: str, dimensions: int | None) -> Embedder:
        """Return the embedder of a model by its name, as the configuration takes it; not necessarily loaded yet.

        Raises:
            ModelUnavailable: it is not on this machine. InvalidInput: it has no vectors of these dimensions.
        """
        if model == AUTO and self._make_embedder == self._model_embedder:
            model = self.find_model(model).name  # each time: a better one may have come to this machine
        with self._guard:
            embedder = self._embedders.get((model, dimensions))
            if embedder is None:
                embedder = self._share(QueryCache(self._make_embedder(model, dimensions)))
                self._embedders[model, dimensions] = embedder
            return embedder

    def embedder_for(self, collection: Collection) -> Embedder:
        """Return the embedder of a collection's contract, not necessarily loaded yet.

        Raises:
            ModelUnavailable: that model is not on this machine any more.
            ContractMismatch: the model of that name makes other vectors now.
        """
        embedder = self.embedder_under(collection.contract)
        if embedder.loaded:
            self.check_contract(collection, embedder)
        return embedder

    def embedder_under(self, contract: EmbeddingContract) -> Embedder:
        """Return the embedder that a contract names, unchecked: whoever embeds with it calls `check_contract` first.

        Raises:
            ModelUnavailable: that model is not on this machine any more.
        """
        return self.embedder_named(contract.model, contract.dimensions)

    def check_contract(
        self, collection: Collection, embedder: Embedder, contract: EmbeddingContract | None = None
    ) -> None:
        """Compare what an embedder makes with what a collection was made with; loads the model.

        A collection that no model was loaded for yet takes this one's probe. Each time anew: the model behind an
        endpoint's name may change while this process runs.

        Raises:
            ContractMismatch: they differ; names both sides and the way out.
        """
        pinned = contract or collection.contract
        differences = pinned.differences(embedder.contract)
        if differences:
            raise ContractMismatch(
                f"Collection {collection.name!r} was embedded under another contract than {embedder.contract.model!r} "
                f"gives now ({'; '.join(differences)}). Bring the former model back, or move the collection: "
                f"`kcore reembed {collection.name} --model {embedder.static_contract.model}`."
            )
        if collection.contract.probe is None and collection.contract == pinned:
            collection.set_probe(embedder.contract)

    def preload(self) -> None:
        """Begin to load the models of the collections, if there are any, on a thread of its own."""
        threading.Thread(target=self._preload, name="preload", daemon=True).start()

    def _preload(self) -> None:
        for name in self.names():
            try:
                self._begin_loading(self.embedder_for(self.collection(name)))
            except KnowledgeCoreError as error:
                log.warning("the model of %s cannot be loaded: %s", name, error)

    def ready(self, embedder: Embedder, within: float) -> bool:
        """Say whether a model can be used now, after waiting up to `within` seconds for it; begins to load it.

        True also where loading failed: whoever uses it then gets the error.
        """
        return embedder.loaded or self._begin_loading(embedder).wait(min(within, threading.TIMEOUT_MAX))

    def _begin_loading(self, embedder: Embedder) -> threading.Event:
        with self._guard:
            over = self._loading.get(id(embedder))
            if over is None:
                over = self._loading[id(embedder)] = threading.Event()
                threading.Thread(target=self._load, args=(embedder, over), name="load-model", daemon=True).start()
            return over

    def _load(self, embedder: Embedder, over: threading.Event) -> None:
        began = time.perf_counter()
        try:
            model = embedder.contract.model
            log.info("loaded %s in %.1f s", model, time.perf_counter() - began)
        except KnowledgeCoreError as error:
            log.warning("%s", error)
        except Exception:  # the last frame of this thread: whoever waits must be woken
            log.exception("loading a model failed")
        finally:
            over.set()
            with self._guard:
                self._loading.pop(id(embedder), None)  # after a failure the next need tries again

    def _share(self, made: Embedder) -> Embedder:
        """Return the embedder of the same static contract that is already held, if one is: one model in memory."""
        for held in self._embedders.values():
            if not held.static_contract.differences(made.static_contract):
                return held
        return made

    def _model_embedder(self, name: str, dimensions: int | None) -> Embedder:
        settings = self.config.embedding
        if is_remote(name):
            made = RemoteEmbedder(self.remote_model(name), dimensions=dimensions)
            self._remotes.append(made)
            return made
        model = self.find_model(name)
        if settings.engine == "reference":
            return reference_embedder(
                model, dimensions=dimensions, precision=settings.precision, device=settings.device
            )
        return fastest_embedder(
            model,
            dimensions=dimensions,
            precision=settings.precision,
            device=settings.device,
            verdicts=self.home / VERDICTS,
        )

    def remote_model(self, name: str) -> RemoteModel:
        """Return what the configuration says of a model behind its endpoint. name: "remote", or "remote:" and its name.

        Raises:
            ModelUnavailable: no endpoint is configured.
        """
        remote = self.config.embedding.remote
        if remote.url is None:
            raise ModelUnavailable(
                f"The model {name!r} is behind an endpoint, and the configuration names none. Set embedding.remote.url "
                "in config.yaml (http://127.0.0.1:11434/v1 for Ollama on this machine), then run `kcore stop`."
            )
        return RemoteModel(
            url=remote.url, name=name.removeprefix(PREFIX) if name.startswith(PREFIX) else remote.model,
            prompts=remote.prompts, dimensions=remote.dimensions, max_length=remote.max_length,
            api_key_env=remote.api_key_env or "", timeout=remote.timeout_seconds, concurrency=remote.concurrency,
        )  # fmt: skip

    def find_model(self, name: str) -> Model:
        """Return where a model lies on this machine.

        Raises:
            ModelUnavailable: it does not; the message has the remedy.
        """
        return resolve(name, models_folder=self.config.embedding.folder_of_models(self.home), faults=self.faults)

    def models_in_memory(self) -> list[str]:
        """Return the names of the models that are loaded, sorted."""
        return sorted(self.engines_in_memory())

    def engines_in_memory(self) -> dict[str, str]:
        """Return what runs each loaded model, as "packed bfloat16"; "" where that is not told (an endpoint)."""
        with self._guard:
            held = [each for each in self._embedders.values() if each.loaded]
        return {each.static_contract.model: each.engine for each in held}

    def model_notice(self) -> str:
        """Return what a user should know about which model is used; "" if nothing."""
        model = self.config.embedding.model
        try:
            return self._remote_notice(model) if is_remote(model) else self.find_model(model).notice
        except KnowledgeCoreError as error:
            return str(error)

    def _remote_notice(self, model: str) -> str:
        endpoint = RemoteEmbedder(self.remote_model(model)).endpoint
        if endpoint.on_this_machine:
            return ""
        return f"New collections are embedded by {endpoint.host}: their texts, and queries, leave this machine."

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the jobs between two batches, close the collections, let go of the data directory."""
        for remote in self._remotes:
            remote.stop()
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

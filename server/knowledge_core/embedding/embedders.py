"""The embedders of one process: which model a name means, one embedder per model, and each checked for its collection.

Rules kept here:
- a model counts as working once it has been loaded and has given usable vectors for the probe texts, not before;
- only "auto" falls back to another model: to the next one on this machine that works;
- a caller that embeds for a collection gets an embedder that compares its model with the collection's contract (`under`).
Knows nothing of collections: a collection's name only stands in error messages.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from knowledge_core.config import EmbeddingConfig
from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.background.bulk_work import BulkWork
from knowledge_core.embedding.checked import CheckedEmbedder
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.loading import Loading
from knowledge_core.embedding.local.engines import make_embedder as fastest_embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import AUTO, Faults, Model, resolve
from knowledge_core.embedding.query_cache import QueryCache
from knowledge_core.embedding.remote.remote import PREFIX, RemoteEmbedder, RemoteModel, is_remote
from knowledge_core.errors import InvalidInput, KnowledgeCoreError, ModelUnavailable

log = logging.getLogger(__name__)

VERDICTS = "engines.json"
"""The file of the data directory that says which engine runs a model best: derived, and rebuilt if it is deleted."""

MakeEmbedder = Callable[[str, int | None], Embedder]
"""Takes a model's name and the dimensions of its vectors (None: the model's full ones); returns its embedder."""


class Embedders:
    """The embedders that one configuration leads to. Any number of threads may call.

    settings: the configuration's part about models.
    home: the data directory.
    make: makes the embedders in place of the models of this machine and the configured endpoint; it gets every name as
        the caller gave it, "auto" included.
    bulk_work: how much of this machine bulk work may take; None: all of it.

    Attributes:
        faults: what was found wrong with models of this machine.
        loading: which models are being loaded.
    """

    def __init__(
        self,
        settings: EmbeddingConfig,
        home: Path,
        make: MakeEmbedder | None = None,
        *,
        bulk_work: BulkWork | None = None,
    ) -> None:
        self.faults = Faults()
        self.loading = Loading()
        self._settings, self._home, self._bulk_work = settings, home, bulk_work
        self._make = make or self._made
        self._resolved = (lambda name: name) if make else self._name_meant
        self._guard = threading.Lock()  # guards the two tables below; no model is loaded under it
        self._held: dict[tuple[str, int | None], QueryCache] = {}
        self._remotes: list[RemoteEmbedder] = []

    # -- to an embedder --------------------------------------------------------------------------------------------

    def default(self) -> Embedder:
        """Return the embedder that the configuration names, the one for new collections; not necessarily loaded yet.

        Raises:
            ModelUnavailable, InvalidInput: see `named`.
        """
        return self.named(self._settings.model, self._settings.dimensions)

    def named(self, model: str, dimensions: int | None) -> QueryCache:
        """Return the embedder of a model; not necessarily loaded yet.

        model: a name as the configuration takes it: of a model on this machine, "auto", or a remote one.
        dimensions: of the vectors; None: the model's full ones.

        Raises:
            ModelUnavailable: the model is not on this machine, or no endpoint is configured.
            InvalidInput: the model has no vectors of these dimensions.
        """
        model = self._resolved(model)  # at every call: "auto" may mean a better model, copied here since
        with self._guard:
            embedder = self._held.get((model, dimensions))
            if embedder is None:
                made = self._make(model, dimensions)
                embedder = self._share(QueryCache(made, made.look_again if isinstance(made, RemoteEmbedder) else None))
                self._held[model, dimensions] = embedder
            return embedder

    def working(self, model: str = "", dimensions: int | None = None) -> Embedder:
        """Return the embedder of a model, loaded.

        model: see `named`; "": the configured model in the configured dimensions, whatever `dimensions` says.
        dimensions: see `named`.

        Raises:
            ModelUnavailable: the model does not load; for "auto": no model of this machine does.
            InvalidInput: the model has no vectors of these dimensions.
        """
        if not model:
            model, dimensions = self._settings.model, self._settings.dimensions
        passed_over: list[str] = []
        while True:
            try:
                embedder = self.named(model, dimensions)
            except InvalidInput as error:
                if not passed_over:
                    raise
                raise ModelUnavailable(
                    f"{' '.join(passed_over)} The next one cannot take its place: {error}"
                ) from error
            try:
                if embedder.contract:
                    return embedder
            except ModelUnavailable as error:
                if model != AUTO or str(error) in passed_over or not self.pass_over(embedder, str(error)):
                    # Not "auto", or nothing to pass over; the same error again: the model's files keep changing.
                    raise
                passed_over.append(str(error))

    def under(
        self, contract: EmbeddingContract, collection: str, agreed: Callable[[EmbeddingContract], None]
    ) -> Embedder:
        """Return the embedder that a collection's contract names; not necessarily loaded yet.

        It compares its model with the contract before it returns the first vector. collection, agreed: see
        `CheckedEmbedder`.

        Raises:
            ModelUnavailable: that model is not on this machine any more, or no endpoint is configured for it.
            InvalidInput: the model of that name has no vectors of these dimensions any more.
        """
        inner = self.named(contract.model, contract.dimensions)
        return CheckedEmbedder(inner, contract, collection, agreed, inner.look_again)

    def pass_over(self, embedder: Embedder, fault: str) -> bool:
        """Remember that a model of this machine cannot be used, so that "auto" means the next one.

        embedder: one that `named` returned; the next call of `named` makes a new one.
        fault: what is wrong with the model, for people.

        Returns False where the model is not on this machine (any more); then no fault is remembered.
        """
        name = embedder.static_contract.model
        with self._guard:  # the next caller gets a new embedder, which reads the model's files again
            self._held = {key: each for key, each in self._held.items() if each is not embedder}
        if is_remote(name):
            return False
        try:
            model = self.find_model(name)
        except ModelUnavailable:
            return False
        log.warning("%s is passed over: %s", name, fault)
        self.faults.remember(model, fault)
        return True

    def stop(self) -> None:
        """End all waiting for endpoints. Later calls of their embedders are refused."""
        with self._guard:
            remotes = list(self._remotes)
        for remote in remotes:
            remote.stop()

    # -- what is known of them -------------------------------------------------------------------------------------

    def in_memory(self) -> dict[str, str]:
        """Return the loaded models: name -> what runs the model, as in "packed bfloat16"; "" where that is unknown."""
        with self._guard:
            loaded = [each for each in self._held.values() if each.loaded]
        return {each.static_contract.model: each.engine for each in loaded}

    def notice(self) -> str:
        """Return what a user should know about the model for new collections; "" if nothing."""
        model = self._settings.model
        try:
            return self._remote_notice(model) if is_remote(model) else self.find_model(model).notice
        except KnowledgeCoreError as error:
            return str(error)

    def passed_over_notice(self) -> str:
        """Return what is known to be wrong with models that "auto" would have taken; "" if nothing is."""
        if self._settings.model != AUTO:
            return ""
        with contextlib.suppress(ModelUnavailable):  # a caller that embeds gets that error
            model = self.find_model(AUTO)
            return model.notice if model.passed_over else ""
        return ""

    def find_model(self, name: str) -> Model:
        """Return a model of this machine. Loads nothing.

        name: as the configuration takes it: a model's name, its folder, or "auto".

        Raises:
            ModelUnavailable: the model is not here, or cannot be used; the message has the remedy.
        """
        return resolve(name, models_folder=self._settings.folder_of_models(self._home), faults=self.faults)

    def remote_model(self, name: str) -> RemoteModel:
        """Return what the configuration says about a model behind its endpoint.

        name: "remote" for the configured model, or "remote:" and the name of another one.

        Raises:
            ModelUnavailable: no endpoint is configured.
        """
        remote = self._settings.remote
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

    # -- making one ------------------------------------------------------------------------------------------------

    def _name_meant(self, name: str) -> str:
        return self.find_model(name).name if name == AUTO else name

    def _share(self, made: QueryCache) -> QueryCache:
        """Return the held embedder with the same static contract, if there is one, so that a model is loaded once."""
        for held in self._held.values():
            if not held.static_contract.differences(made.static_contract):
                return held
        return made

    def _made(self, name: str, dimensions: int | None) -> Embedder:
        settings = self._settings
        if is_remote(name):
            made = RemoteEmbedder(self.remote_model(name), dimensions=dimensions)
            self._remotes.append(made)
            return made
        model = self.find_model(name)
        local = (
            reference_embedder(model, dimensions=dimensions, precision=settings.precision, device=settings.device)
            if settings.engine == "reference"
            else fastest_embedder(
                model,
                dimensions=dimensions,
                precision=settings.precision,
                device=settings.device,
                verdicts=self._home / VERDICTS,
            )
        )
        if self._bulk_work is not None:
            local.allowance = self._bulk_work.allowance
        return local

    def _remote_notice(self, model: str) -> str:
        endpoint = RemoteEmbedder(self.remote_model(model)).endpoint
        if endpoint.on_this_machine:
            return ""
        return f"New collections are embedded by {endpoint.host}: their texts, and queries, leave this machine."

"""The embedders of one process: which model a name means, one embedder per model, and each held to what it embeds for.

Rules kept here:
- a model works when it was loaded and gave proper vectors for the probe texts, not before;
- only "auto" goes on to another model, to the next one on this machine that works;
- whoever embeds for a collection gets an embedder that compares itself with the collection's contract (`under`).
Knows nothing of collections: the name of one is only told in errors.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from knowledge_core.config import EmbeddingConfig
from knowledge_core.contract import EmbeddingContract
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
"""The file of the data directory that keeps which engine runs a model best: derived, and rebuilt when it is gone."""

MakeEmbedder = Callable[[str, int | None], Embedder]
"""From a model's name and its dimensions (None: all) to what embeds with it."""


class Embedders:
    """The embedders that one configuration leads to. Any number of threads may call.

    settings: the configuration's part about models. home: the data directory.
    make: used instead of the models of this machine and the configured endpoint; it gets every name as it was asked
        for, "auto" included.
    faults: what was found wrong with models of this machine. loading: which models are being loaded.
    """

    def __init__(self, settings: EmbeddingConfig, home: Path, make: MakeEmbedder | None = None) -> None:
        self.faults = Faults()
        self.loading = Loading()
        self._settings, self._home = settings, home
        self._make = make or self._made
        self._resolved = (lambda name: name) if make else self._name_meant
        self._guard = threading.Lock()  # of the two tables below; no model is loaded under it
        self._held: dict[tuple[str, int | None], Embedder] = {}
        self._remotes: list[RemoteEmbedder] = []

    # -- to an embedder --------------------------------------------------------------------------------------------

    def default(self) -> Embedder:
        """Return the embedder that the configuration names, which new collections get; not necessarily loaded yet.

        Raises:
            ModelUnavailable, InvalidInput: see `named`.
        """
        return self.named(self._settings.model, self._settings.dimensions)

    def named(self, model: str, dimensions: int | None) -> Embedder:
        """Return the embedder of a model by its name, as the configuration takes it; not necessarily loaded yet.

        dimensions: of its vectors; None: all that the model has.

        Raises:
            ModelUnavailable: it is not on this machine. InvalidInput: it has no vectors of these dimensions.
        """
        model = self._resolved(model)  # each time: of "auto" a better one may have come to this machine
        with self._guard:
            embedder = self._held.get((model, dimensions))
            if embedder is None:
                embedder = self._share(QueryCache(self._make(model, dimensions)))
                self._held[model, dimensions] = embedder
            return embedder

    def working(self, model: str = "", dimensions: int | None = None) -> Embedder:
        """Return the embedder of a model by its name, loaded; of the configured one if none is named.

        Raises:
            ModelUnavailable: it does not load; of "auto", none does. InvalidInput: it has no vectors of these dimensions.
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
                    raise  # the same again: its files change all the while, or it cannot be passed over
                passed_over.append(str(error))

    def under(
        self, contract: EmbeddingContract, collection: str, agreed: Callable[[EmbeddingContract], None]
    ) -> Embedder:
        """Return the embedder that a collection's contract names, which compares itself before its first vector.

        collection, agreed: see `CheckedEmbedder`. Not necessarily loaded yet.

        Raises:
            ModelUnavailable: that model is not on this machine any more.
        """
        return CheckedEmbedder(self.named(contract.model, contract.dimensions), contract, collection, agreed)

    def pass_over(self, embedder: Embedder, fault: str) -> bool:
        """Remember that a model of this machine cannot be used, so that "auto" means the next one.

        embedder: one that `named` returned. False: it is no model of this machine, and nothing was remembered.
        """
        name = embedder.static_contract.model
        with self._guard:  # whoever needs the model next gets an embedder that reads its files again
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
        """Give up what is waited for from endpoints. Later calls of their embedders are refused."""
        with self._guard:
            remotes = list(self._remotes)
        for remote in remotes:
            remote.stop()

    # -- what is told of them --------------------------------------------------------------------------------------

    def in_memory(self) -> dict[str, str]:
        """Return what runs each loaded model, as "packed bfloat16", by its name; "" where that is not told."""
        with self._guard:
            loaded = [each for each in self._held.values() if each.loaded]
        return {each.static_contract.model: each.engine for each in loaded}

    def notice(self) -> str:
        """Return what a user should know about which model is used for new collections; "" if nothing."""
        model = self._settings.model
        try:
            return self._remote_notice(model) if is_remote(model) else self.find_model(model).notice
        except KnowledgeCoreError as error:
            return str(error)

    def passed_over_notice(self) -> str:
        """Return what is known to be wrong with models that "auto" would have taken; "" if nothing is."""
        if self._settings.model != AUTO:
            return ""
        with contextlib.suppress(ModelUnavailable):  # whoever embeds gets that error
            model = self.find_model(AUTO)
            return model.notice if model.passed_over else ""
        return ""

    def find_model(self, name: str) -> Model:
        """Return where a model lies on this machine.

        Raises:
            ModelUnavailable: it does not; the message has the remedy.
        """
        return resolve(name, models_folder=self._settings.folder_of_models(self._home), faults=self.faults)

    def remote_model(self, name: str) -> RemoteModel:
        """Return what the configuration says of a model behind its endpoint. name: "remote", or "remote:" and its name.

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

    def _share(self, made: Embedder) -> Embedder:
        """Return the embedder of the same static contract that is already held, if one is: one model in memory."""
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
        if settings.engine == "reference":
            return reference_embedder(
                model, dimensions=dimensions, precision=settings.precision, device=settings.device
            )
        return fastest_embedder(
            model,
            dimensions=dimensions,
            precision=settings.precision,
            device=settings.device,
            verdicts=self._home / VERDICTS,
        )

    def _remote_notice(self, model: str) -> str:
        endpoint = RemoteEmbedder(self.remote_model(model)).endpoint
        if endpoint.on_this_machine:
            return ""
        return f"New collections are embedded by {endpoint.host}: their texts, and queries, leave this machine."

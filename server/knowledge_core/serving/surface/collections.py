"""The one door from serving to the collections: what a client names is opened here, and nowhere else in serving.

So this is the place where rights will be asked, once there are any: a collection that a caller may not see would be
missing from `collection_names`, and refused by the other functions as one that does not exist. A test holds that no other
file of serving asks the engine for a collection, for the overview of one, or for their names. What does not pass here are
the names of collections that serving hands on, to be indexed or re-embedded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound, InvalidInput, KnowledgeCoreError
from knowledge_core.files import RAISING, descriptor_limit
from knowledge_core.retrieval.file_states import FileStates, Surroundings
from knowledge_core.storage.catalogue import Overview
from knowledge_core.storage.collection import Collection
from knowledge_core.storage.view import View
from knowledge_core.verbs.search import Searched

MOST_LOOKED_INTO = 100  # collections, for a hint: one that rests takes 5 ms to open


@contextmanager
def opened(
    engine: Engine, names: Sequence[str] | None, left_out: Callable[[str, KnowledgeCoreError], None] | None = None
) -> Iterator[list[Searched]]:
    """Yield the named collections (None: all), each with one view that stays the same until the end.

    left_out: told of a collection that nobody named and that cannot be opened, with its error: then the others are
    yielded. Without it, and for a collection that was named, the error is raised; so is the first one where none is left.

    Raises:
        CollectionNotFound: one is not there, or there is none at all. StorageError: one cannot be read.
        InvalidInput: these are more than can be open at once.
    """
    chosen = list(dict.fromkeys(names)) if names else engine.names()
    if not chosen:
        raise CollectionNotFound(
            "There is no collection yet. Index a folder or documents first, with the `index` tool."
        )
    if len(chosen) > engine.most_open:
        raise InvalidInput(
            f"{len(chosen)} collections cannot be read at once: the limit of {descriptor_limit()} open files has room for "
            f"{engine.most_open}. Name at most so many in one call. {RAISING}"
        )
    with ExitStack() as stack:
        searched: list[Searched] = []
        errors: list[KnowledgeCoreError] = []
        for name in chosen:
            try:
                collection = engine.collection(name)
                view = stack.enter_context(collection.view())
                embedder = engine.embedder_of(collection, view.contract)
                searched.append(Searched(name, view, embedder, surroundings(engine, collection)))
            except KnowledgeCoreError as error:
                if names or left_out is None:
                    raise
                errors.append(error)
                left_out(name, error)
        if not searched:
            raise errors[0]
        yield searched


def surroundings(engine: Engine, collection: Collection) -> Surroundings:
    """Return where files of a collection may have gone to. What cannot be read of that is left out."""

    def folders() -> dict[str, str]:
        with suppress(KnowledgeCoreError):
            return {source.name: source.path for source in collection.sources()}
        return {}

    def roots() -> list[Path]:
        with suppress(KnowledgeCoreError):
            return engine.roots.all()
        return []

    return Surroundings(folders, roots, engine.pending(collection.name))


def embedder_for_texts(engine: Engine, name: str | None) -> Embedder:
    """Return the embedder of a collection by its name, or of the configured model without one; loaded and compared.

    Raises:
        CollectionNotFound: there is none of this name. ModelUnavailable: the model does not load.
        ContractMismatch: the model of that name makes other vectors now.
    """
    if name is None:
        return engine.embedders.working()
    embedder = engine.embedder_of(collection_named(engine, name))
    embedder.contract  # noqa: B018  # loads and compares
    return embedder


def collection_names(engine: Engine) -> list[str]:
    """Return the names of all collections, sorted."""
    return engine.names()


def overview_of(engine: Engine, name: str) -> Overview:
    """Return what a collection holds at a glance, without opening it.

    Raises:
        CollectionNotFound, StorageError: see `Engine.overview`.
    """
    return engine.overview(name)


def collection_named(engine: Engine, name: str) -> Collection:
    """Return the open collection of this name.

    Raises:
        CollectionNotFound, StorageError: see `Engine.collection`.
    """
    return engine.collection(name)


def losses_of(engine: Engine, names: Sequence[str], *, in_brief: bool) -> list[str]:
    """Return what the records of these collections lost, and what in them is of an earlier version.

    in_brief: a sentence for each collection; see `Losses`.
    """
    told: list[str] = []
    for name in names:
        if count := engine.renewing.get(name):
            told.append(
                f"{count} documents of {name!r} were read by an earlier version of Knowledge Core and are being read again; "
                "until then they are found as they were."
            )
        with suppress(KnowledgeCoreError):  # deleted meanwhile
            losses = engine.collection(name).losses
            told += losses.in_brief() if in_brief else losses.told()
    return told


@contextmanager
def view_of_collection(engine: Engine, name: str) -> Iterator[View]:
    """Yield a view of the collection of this name: its newest generation, which stays the same until the end.

    Raises:
        CollectionNotFound, StorageError: see `Engine.collection`.
    """
    with engine.collection(name).view() as view:
        yield view


def file_state(engine: Engine, name: str, view: View, id: str) -> str | None:
    """Return what became of the file of one document, as `FileStates.of`; None also where there is no such document.

    view: of the collection of this name.
    """
    known = view.state(id)
    return None if known is None else FileStates().of(known, surroundings(engine, engine.collection(name)), view.files)


def elsewhere(engine: Engine, id: str, *, but: str) -> list[str]:
    """Return the names of the other collections that have a document of this id, among the first `MOST_LOOKED_INTO`.

    A collection that cannot be read is passed over: this is a hint beside an error.
    """
    found: list[str] = []
    for name in [each for each in collection_names(engine) if each != but][:MOST_LOOKED_INTO]:
        with suppress(KnowledgeCoreError), view_of_collection(engine, name) as view:
            if view.state(id) is not None:
                found.append(name)
    return found

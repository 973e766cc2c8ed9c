"""Which model is used in the end: the one that was named, or of those on this machine the first that really works.

Rules kept here: a model works when it was loaded and gave proper vectors for the probe texts, not before; only "auto" goes
on to another one; a collection is held to its model from its first vector on.
"""

from __future__ import annotations

import contextlib

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.models.models import AUTO
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput, ModelUnavailable
from knowledge_core.storage.collection import Collection


def working_embedder(engine: Engine, model: str = "", dimensions: int | None = None) -> Embedder:
    """Return the embedder of a model by its name, loaded; of the configured one if none is named.

    Raises:
        ModelUnavailable: it does not load; of "auto", none does. InvalidInput: it has no vectors of these dimensions.
    """
    if not model:
        model, dimensions = engine.config.embedding.model, engine.config.embedding.dimensions
    passed_over: list[str] = []
    while True:
        try:
            embedder = engine.embedder_named(model, dimensions)
        except InvalidInput as error:
            if not passed_over:
                raise
            raise ModelUnavailable(f"{' '.join(passed_over)} The next one cannot take its place: {error}") from error
        try:
            if embedder.contract:
                return embedder
        except ModelUnavailable as error:
            if model != AUTO or str(error) in passed_over or not engine.pass_over(embedder, str(error)):
                raise  # the same again: its files change all the while, or it cannot be passed over
            passed_over.append(str(error))


def embedder_for_texts(engine: Engine, collection: str | None) -> Embedder:
    """Return the embedder of a collection, loaded and compared with its contract; of the configured model without one.

    Raises:
        CollectionNotFound: there is none of this name. ModelUnavailable, ContractMismatch: see `Engine.check_contract`.
    """
    if collection is None:
        return working_embedder(engine)
    of = engine.collection(collection)
    embedder = engine.embedder_for(of)
    engine.check_contract(of, embedder)
    return embedder


def embedder_to_fill(engine: Engine, collection: Collection) -> Embedder:
    """Return the embedder of a collection that is about to be written, loaded, and compared with its contract.

    A collection that nothing was embedded for yet is not held to a model that does not load: where the configuration
    leaves the choice to us, it takes the next one.

    Raises:
        ModelUnavailable, ContractMismatch: see `Engine.embedder_for` and `Engine.check_contract`.
    """
    try:
        embedder = engine.embedder_for(collection)
        engine.check_contract(collection, embedder)
    except ModelUnavailable as error:
        if engine.config.embedding.model != AUTO or collection.contract.probe is not None:
            raise
        with contextlib.suppress(ModelUnavailable):  # it is gone altogether: nothing to pass over
            engine.pass_over(engine.embedder_under(collection.contract), str(error))
        embedder = working_embedder(engine)
        collection.pin(embedder.contract)
    return embedder


def passed_over(engine: Engine) -> str:
    """Return what is known to be wrong with models that "auto" would have taken; "" if nothing is."""
    if engine.config.embedding.model != AUTO:
        return ""
    with contextlib.suppress(ModelUnavailable):  # whoever embeds gets that error
        model = engine.find_model(AUTO)
        return model.notice if model.passed_over else ""
    return ""

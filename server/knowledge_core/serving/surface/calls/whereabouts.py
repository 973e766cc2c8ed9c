"""Where a document is that was looked for in the wrong place: another collection, or another argument.

An agent that names a document of another collection is told which one it is in, whatever the call was; one that takes ids
for texts is told what they are. Both are looked for only when something went wrong or looks wrong, and only where the
caller may look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from knowledge_core.engine import Engine
from knowledge_core.errors import DocumentNotFound, KnowledgeCoreError, quoted
from knowledge_core.near_names import listed
from knowledge_core.retrieval.request import Examples
from knowledge_core.serving.surface.collections import collection_names, view_of_collection
from knowledge_core.storage.view import View

MOST_COLLECTIONS = 50  # looked into; each is opened for it, about 5 ms
MOST_IDS = 20  # looked for
LONGEST_ID = 300  # characters of a text that may be an id; ids are paths, at most


def whereabouts(engine: Engine, ids: Iterable[str], but: Collection[str] = ()) -> dict[str, list[str]]:
    """Return for each of these documents that is in some collection the names of those collections, sorted.

    but: names of collections that were looked into already. "id#3", a chunk, is where its document is.
    """
    wanted = list(dict.fromkeys(ids))[:MOST_IDS]
    found: dict[str, list[str]] = {}
    for name in [each for each in collection_names(engine) if each not in but][:MOST_COLLECTIONS] if wanted else ():
        with suppress(KnowledgeCoreError), view_of_collection(engine, name) as view:
            for id in wanted:
                if _has(view, id):
                    found.setdefault(id, []).append(name)
    return found


def told(where: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for each document that is somewhere else."""
    return [
        f"{quoted(id)} is in {listed([repr(name) for name in names], 200)}: name that collection."
        for id, names in where.items()
    ]


@contextmanager
def telling_where(engine: Engine, looked_into: Collection[str] | None) -> Iterator[None]:
    """Let an error about a document that is not there say where it is. looked_into: names of collections; None: all."""
    try:
        yield
    except DocumentNotFound as error:
        where = whereabouts(engine, [error.id], looked_into) if error.id and looked_into else {}
        raise DocumentNotFound(" ".join([str(error), *told(where)])) from error


def of_filtered(engine: Engine, filter: Mapping[str, Any] | None, looked_into: Collection[str] | None) -> list[str]:
    """Say where the documents are that a filter names by their ids. For a filter that allowed nothing."""
    if not filter or not looked_into:
        return []
    return told(whereabouts(engine, _ids(filter), looked_into))


def of_examples(
    engine: Engine, examples: Examples | None, views: Sequence[View], looked_into: Collection[str] | None
) -> list[str]:
    """Say where the documents are that were taken as texts, since none of these views has them (`Examples`)."""
    either = [id for id in examples.ids if id in examples.texts] if examples and looked_into else []
    missing = [id for id in either if len(id.split()) == 1 and not any(_has(view, id) for view in views)]
    return told(whereabouts(engine, missing, looked_into or ()))


def ids_as_texts(engine: Engine, texts: Sequence[str], collection: str | None = None) -> list[str]:
    """Say so where all of these texts seem to be ids of documents, and one is.

    collection: the one to look in; None for all.
    """
    if not texts or any(len(text) > LONGEST_ID or len(text.split()) != 1 for text in texts):
        return []
    others = () if collection is None else [each for each in collection_names(engine) if each != collection]
    where = whereabouts(engine, texts, others)
    if not where:
        return []
    id, names = next(iter(where.items()))
    return [
        f"These look like document ids ({quoted(id)} is a document of {names[0]!r}), and were taken as texts: their letters "
        "count, not what the documents say. Read one with get_document; find what is like one with search and like."
    ]


def _has(view: View, id: str) -> bool:
    document, mark, position = id.rpartition("#")
    return view.state(id) is not None or (bool(mark) and position.isdecimal() and view.state(document) is not None)


def _ids(filter: Any) -> Iterator[str]:
    """Yield the ids that a filter asks for by name."""
    if isinstance(filter, list):
        for each in filter:
            yield from _ids(each)
    if not isinstance(filter, Mapping):
        return
    for name, value in filter.items():
        if name in ("$and", "$or"):
            yield from _ids(value)
        elif name == "id":
            if isinstance(value, Mapping):
                value = value.get("$eq", value.get("$in"))
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))

"""The verb `delete`: documents out of a collection, or the collection as a whole, which can be set aside instead.

Two steps, so that what will go can be shown and asked about in between: `deletion` decides what goes, from one view;
`delete` lets exactly that go, in one write, and never beside another writer of the collection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge_core.errors import InvalidInput
from knowledge_core.jobs import Jobs
from knowledge_core.storage.collection import Change, Collection
from knowledge_core.storage.view import View
from knowledge_core.types import Progress, ReportProgress

PATIENCE = 5.0  # seconds that a deletion waits for another writer; a window of documents is about four

Turn = Callable[[ReportProgress], AbstractContextManager[None]]
"""Waits until nobody else writes the collection, and keeps others out until the end of its block.

Calls its argument again and again while it waits; what that raises ends the waiting.
"""


@dataclass(frozen=True)
class Deletion:
    """What is to go.

    documents: their ids. whole: the collection itself goes, too.
    files: how many of the documents were read from files. These are passed over from now on, until a person asks them back.
    unreadable: the collection is damaged, so that nobody can say which documents go with it.
    """

    documents: Sequence[str]
    whole: bool
    files: int = 0
    unreadable: bool = False


UNREADABLE = Deletion((), whole=True, unreadable=True)
"""A whole collection whose record is damaged: it can be deleted, not read."""


def deletion(view: View, *, ids: Sequence[str] | None, filter: Mapping[str, Any] | None, whole: bool) -> Deletion:
    """Return what goes: documents by their ids, each once, in the order given; or those that a filter allows, or all.

    Exactly one of `ids`, `filter` and `whole` must be given; one that is empty is not given.

    Raises:
        InvalidInput: none or several were given. DocumentNotFound: there is no document of one id.
        InvalidFilter: see `View.allowed`.
    """
    if sum([bool(ids), bool(filter), whole]) != 1:
        raise InvalidInput("Give exactly one of ids, filter or all=true.")
    named = [view.document(id).document.id for id in dict.fromkeys(ids or ())]
    documents = named or view.document_ids(filter)
    return Deletion(documents, whole, 0 if whole else len(view.files(documents)))


def delete(collection: Collection, deletion: Deletion, *, jobs: Jobs, turn: Turn, drop: Callable[[], None]) -> None:
    """Delete what was decided, once nobody else writes the collection.

    Args:
        collection: what `deletion` was decided from.
        deletion: what goes.
        jobs: the jobs of this process: those of this collection are named to a caller who waited in vain.
        turn: waits for other writers of this collection.
        drop: deletes the whole collection.

    Raises:
        InvalidInput: somebody else was still writing after `PATIENCE` seconds; nothing was deleted.
        CollectionNotFound: the collection was deleted meanwhile. StorageError: see `Collection.write`.
    """
    with turn(_impatient(collection.name, jobs)):
        if deletion.whole:
            drop()
        elif deletion.documents:
            collection.write(Change(remove=deletion.documents, keep_out=deletion.documents))


def delete_unreadable(name: str, *, jobs: Jobs, turn: Turn, drop: Callable[[], None]) -> None:
    """Delete a whole collection that cannot be opened. name: the collection's; the rest: see `delete`.

    Raises:
        InvalidInput: somebody else was still writing after `PATIENCE` seconds; nothing was deleted.
        CollectionNotFound: the collection was deleted meanwhile. StorageError: the system refused.
    """
    with turn(_impatient(name, jobs)):
        drop()


def set_aside(name: str, *, jobs: Jobs, turn: Turn, move: Callable[[], Path]) -> Path:
    """Move a whole collection out of the way, readable or not; return where it lies. move: does it; the rest: see `delete`.

    Raises:
        InvalidInput: somebody else was still writing after `PATIENCE` seconds; nothing was moved.
        CollectionNotFound: there is none of this name. StorageError: the system refused.
    """
    with turn(_impatient(name, jobs)):
        return move()


def _impatient(collection: str, jobs: Jobs) -> ReportProgress:
    """Return a callback that gives up waiting for another writer after `PATIENCE` seconds, and says who writes."""
    deadline = time.monotonic() + PATIENCE

    def report(progress: Progress) -> None:
        if time.monotonic() > deadline:
            running = [job.id for job in jobs.running() if job.collection == collection]
            raise InvalidInput(
                f"{collection!r} is being indexed (job {', '.join(running)}). Wait for its end with the job tool, or "
                "cancel it, then try again."
            )

    return report

"""Texts that the record holds already, under whichever id: a file that was renamed or copied is recognised by its text.

The vectors of a text depend on the title under which it is embedded, and files without a heading are called as their names.
So what is recognised keeps that title for its vectors, and nothing is embedded again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from knowledge_core.contract import text_digest
from knowledge_core.errors import DocumentNotFound
from knowledge_core.storage.collection import Collection, FileState
from knowledge_core.storage.values import StoredDocument
from knowledge_core.types import Document

MOST_COMPARED = 100  # documents of one size whose texts are compared with a new file's


@dataclass(frozen=True)
class Former:
    """What a document's text was before. title: under which it is embedded. moved_from: the id that it leaves; else None."""

    title: str
    moved_from: str | None


class KnownTexts:
    """The documents of files in a collection, looked for by the size of their files.

    vanished: ids of documents whose files were not found any more.
    """

    def __init__(self, collection: Collection, vanished: Sequence[str]) -> None:
        self._collection = collection
        self._vanished = frozenset(vanished)
        self._moved: set[str] = set()
        self._sources = {source.name: source for source in collection.sources()}

    def former(self, document: Document, path: str, size: int, stored: FileState | None) -> Former | None:
        """Return the document that a file's document was before, or is a copy of; None where its text is new.

        path: of its file. size: bytes of that. stored: what is remembered under its own id. A vanished document is returned
        once.
        """
        own = self._stored(document.id) if stored is not None else None
        if own is not None and own.path != path and own.document.text == document.text:  # its whole source moved
            return Former(_embedded_title(own), document.id)
        for id in self._candidates(document.id, size):
            other = self._stored(id)
            if other is None or other.document.text != document.text:
                continue
            moved = stored is None and id not in self._moved and self._has_left(id, other)
            if moved:
                self._moved.add(id)
            return Former(_embedded_title(other), id if moved else None)
        if own is not None and own.embedded_title is not None and own.document.title == document.title:
            return Former(own.embedded_title, None)  # it was edited: the parts that stayed are known under this title
        return None

    def _has_left(self, id: str, document: StoredDocument) -> bool:
        """Say whether a document's file is gone from its place, rather than the disk on which that lies."""
        path = document.path or ""
        if os.path.lexists(path):
            return False
        source = self._sources.get(document.source or "")
        if id in self._vanished or source is None:
            return id in self._vanished
        lost = (
            os.path.join(source.path, mount)
            for mount in source.mounts
            if not os.path.ismount(os.path.join(source.path, mount))
        )
        return os.path.isdir(source.path) and not path.startswith(tuple(lost))

    def is_kept_out(self, document: Document) -> bool:
        """Say whether a document was deleted under another id, by which its file is no longer there."""
        ids = self._kept_out.get(text_digest(document.text), ()) if self._kept_out else ()
        return any(not os.path.lexists(path) for id, path in ids if id != document.id)

    def _candidates(self, id: str, size: int) -> list[str]:
        """Return ids of documents whose files had this size: vanished ones first, and of those the ones of the same name."""
        name = PurePath(id).name
        with self._collection.view() as view:
            found = [each for each in view.of_size(size, MOST_COMPARED) if each != id]
        found.sort(key=lambda each: (each not in self._vanished, PurePath(each).name != name, each))
        return found

    def _stored(self, id: str) -> StoredDocument | None:
        with self._collection.view() as view:
            try:
                return view.document(id)
            except DocumentNotFound:
                return None

    @cached_property
    def _kept_out(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for each in self._collection.kept_out():
            found.setdefault(each.text_digest, []).append((each.id, each.path))
        return found


def _embedded_title(stored: StoredDocument) -> str:
    return stored.document.title if stored.embedded_title is None else stored.embedded_title

"""The private requests of `kcore sources`, `sync` and `ignore`: what only a person may say of the folders that are indexed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput, KnowledgeCoreError, SourceUnavailable, quoted
from knowledge_core.files import replace_file
from knowledge_core.ingestion.walking.ignoring import chosen
from knowledge_core.ingestion.walking.walker import allowed
from knowledge_core.near_names import did_you_mean, listed
from knowledge_core.paths import IGNORED
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index, sync_request
from knowledge_core.serving.surface.collections import collection_named, collection_names
from knowledge_core.storage.collection import Change, Patterns, Source
from knowledge_core.types import Progress
from knowledge_core.verbs.delete import PATIENCE
from knowledge_core.verbs.sources import SourceState, new_place, source_named, source_states, widens


class SourceRequests:
    """The requests on sources, by their names."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handlers(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return each request's handler."""
        return {
            "sources": self.listed, "sync_source": self._sync, "set_source": self._set, "move_source": self._move,
            "remove_source": self._remove, "ignore": self._ignore, "widening": self._widening, "restore": self._restore,
            "below": self._below,
        }  # fmt: skip

    def listed(self, collection: str | None = None, places: bool = False) -> dict[str, Any]:
        """Return all sources. places: look for the new place of those whose folders are gone."""
        listed = []
        for each in self._states(collection):
            place = None
            if places and each.gone:
                there = collection_named(self._engine, each.collection)
                place = new_place(there, each.source, self._engine.roots.all())
            listed.append({**each.as_mapping(), "new_place": None if place is None else str(place)})
        return {"sources": listed}

    def _states(self, collection: str | None) -> list[SourceState]:
        names = collection_names(self._engine) if collection is None else [collection]
        states: list[SourceState] = []
        for name in names:
            try:
                states += source_states(collection_named(self._engine, name))
            except KnowledgeCoreError:
                if collection is not None:
                    raise
        return states

    def _sync(self, name: str, collection: str | None = None) -> dict[str, Any]:
        state = source_named(self._states(collection), name)
        if state.gone:
            raise SourceUnavailable(
                f"{state.source.path} is gone, or its disk is not mounted; nothing of it was changed. `kcore sources` says "
                "where it may be now."
            )
        there = collection_named(self._engine, state.collection)
        return {"job": accept_index(self._engine, sync_request(there, state.source), (), ()).id}

    def _set(
        self, name: str, collection: str | None = None, include: list[str] | None = None,
        exclude: list[str] | None = None, no_patterns: bool = False, watch: bool | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Replace a source's patterns, or whether it is watched."""
        state = source_named(self._states(collection), name)
        source = state.source
        for given, option in ((include, "--include"), (exclude, "--exclude")):
            chosen(given or (), option)
        if include or exclude or no_patterns:
            patterns = (Patterns("", tuple(include or ()), tuple(exclude or ())),) if include or exclude else ()
            source = replace(source, patterns=patterns)
        if watch is not None:
            source = replace(source, watch=watch)
        with self._alone(state.collection):
            self._record(state.collection, replace(source, by_person=True))
        return {**source_named(self._states(state.collection), source.name).as_mapping()}

    def _move(self, name: str, path: str, collection: str | None = None, yes: bool = False) -> dict[str, Any]:
        """Record that a source's folder lies elsewhere now, and index it there."""
        state = source_named(self._states(collection), name)
        there = collection_named(self._engine, state.collection)
        self._engine.roots.add(Path(path))
        new = allowed(Path(path), self._engine.roots.all())
        if not new.is_dir():
            raise InvalidInput(f"{quoted(path)} is no folder. Give the folder in which the files of {name} lie now.")
        if any(each.path == str(new) and each.name != state.source.name for each in there.sources()):
            raise InvalidInput(f"{new} is a source of its own already. `kcore sources` lists them.")
        if not state.gone and not yes:
            raise InvalidInput(
                f"{state.source.path} is still there. With --yes {state.source.name} is taken to lie in {new} from now on."
            )
        with self._alone(state.collection):
            self._record(state.collection, replace(state.source, path=str(new), by_person=True))
        request = IndexRequest(state.collection, paths=(str(new),), by_person=True)
        return {"job": accept_index(self._engine, request, (), ()).id}

    def _remove(self, name: str, collection: str | None = None, delete_documents: bool = False) -> dict[str, Any]:
        """Forget a source, and delete its documents where that is wanted."""
        state = source_named(self._states(collection), name)
        there = collection_named(self._engine, state.collection)
        with self._alone(state.collection):
            ids = list(there.states(state.source.name)) if delete_documents else []
            if ids:
                there.write(Change(remove=ids))
            self._record(state.collection, forget=[state.source.name])
        return {
            "name": state.source.name,
            "collection": state.collection,
            "deleted": len(ids),
            "documents": state.documents,
        }

    def _ignore(self, add: list[str] | None = None, remove: list[str] | None = None) -> dict[str, Any]:
        """Change the patterns that hold in all sources, and return them."""
        chosen(add or (), "PATTERN")
        present = list(self._engine.ignored())
        if unknown := [each for each in remove or () if each not in present]:
            near = did_you_mean(unknown[0], present)
            raise InvalidInput(
                f"{quoted(unknown[0])} is none of the patterns.{near} There are: {listed(present) or 'none'}."
            )
        if any(each.startswith("#") or not each.strip() for each in add or ()):
            raise InvalidInput(
                "A pattern that is empty or begins with # says nothing; write \\# for a name that begins so."
            )
        lines = list(dict.fromkeys([*(each for each in present if each not in (remove or ())), *(add or ())]))
        if lines != present:
            replace_file(self._engine.home / IGNORED, ["".join(f"{line}\n" for line in lines).encode()])
        return {"ignored": lines, "changed": lines != present}

    def _alone(self, collection: str) -> AbstractContextManager[None]:
        """Keep other writers of a collection out of a block; where one does not end soon, say so."""
        deadline = time.monotonic() + PATIENCE

        def impatient(progress: Progress) -> None:
            if time.monotonic() > deadline:
                raise InvalidInput(
                    f"{collection!r} is being indexed. Try again when `kcore status` shows no running job."
                )

        return self._engine.one_writer(collection, impatient)

    def _record(self, collection: str, *sources: Source, forget: Sequence[str] = ()) -> None:
        collection_named(self._engine, collection).set_sources(sources, forget=forget)
        self._engine.changed_sources.put(collection)

    def _below(self, folder: str, delete: bool = False) -> dict[str, Any]:
        """Say which documents come from a folder and from nothing that is still allowed. delete: they go."""
        top, rest = Path(os.path.realpath(folder)), self._engine.roots.all()
        told = []
        for each in self._states(None):
            there = collection_named(self._engine, each.collection)
            paths = {id: Path(state.path or "") for id, state in there.states(each.source.name).items()}
            ids = [
                id
                for id, path in paths.items()
                if path.is_relative_to(top) and not any(path.is_relative_to(root) for root in rest)
            ]
            if not ids:
                continue
            told.append({"collection": each.collection, "name": each.source.name, "documents": len(ids)})
            if delete:
                with self._alone(each.collection):
                    there.write(Change(remove=ids))
                    self._record(each.collection, forget=[each.source.name] if len(ids) == len(paths) else [])
        return {"below": told}

    def _widening(self, paths: list[str]) -> dict[str, Any]:
        """Say which of these paths would open more to agents than a person meant before, and why."""
        roots = self._engine.roots.all()
        sources = [each.source.path for each in self._states(None)]
        said = ((path, widens(Path(os.path.realpath(path)), roots, sources)) for path in paths)
        return {"widening": [{"path": path, "why": why} for path, why in said if why]}

    def _restore(self, collection: str = "default") -> dict[str, Any]:
        """Begin to index again all that was deleted in a collection."""
        kept_out = collection_named(self._engine, collection).kept_out()
        paths = tuple(each.path for each in kept_out if os.path.isfile(each.path))
        if not paths:
            what = "the files of all of them are gone" if kept_out else "nothing was deleted in it"
            raise InvalidInput(f"There is nothing to bring back in the collection {quoted(collection)}: {what}.")
        request = IndexRequest(collection, paths=paths, by_person=True, restore=True)
        return {"job": accept_index(self._engine, request, (), ()).id}

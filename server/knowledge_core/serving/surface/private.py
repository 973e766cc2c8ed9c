"""The private requests: what only `kcore` itself asks of the owner, over the same protocol as the tools.

They are an MCP extension (methods named `knowledge-core/<name>`). They are not listed as tools, and are registered only
for connections of the command line, because an agent must not widen the roots, repair the data directory or read secrets.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from knowledge_core import __version__
from knowledge_core.config import RemoteConfig
from knowledge_core.embedding.models.models import installed, licence, unusable
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput, KnowledgeCoreError, quoted
from knowledge_core.ingestion.access.secret_files import secret_file
from knowledge_core.recorded_jobs import reembed_job
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.recorded_jobs.known import JobView, known_jobs
from knowledge_core.serving.surface.collections import collection_named, collection_names, embedder_for_texts
from knowledge_core.serving.surface.doctor import damaged_roots, examine
from knowledge_core.serving.surface.private_names import PREFIX, PrivateParams
from knowledge_core.serving.surface.private_sources import SourceRequests
from knowledge_core.serving.surface.restoring import put_in_place
from knowledge_core.serving.surface.tools.list_collections import collection_item
from knowledge_core.storage.catalogue import bytes_used
from knowledge_core.types import Progress, ReportProgress, Task, no_progress
from knowledge_core.verbs.delete import set_aside
from knowledge_core.verbs.embed import embed

TOLD_EVERY = 1.0  # seconds between two reports of progress
REFUSED = -32010  # JSON-RPC code of a refusal that the user can correct; the SDK uses -32000 for a closed connection


class PrivateRequests(Extension):
    """The requests of `kcore`: status, roots, secrets, index, models, doctor, vectors, reembed, put_in_place, the owner's.

    owner: the further requests, by name; empty where no owner process serves.
    """

    identifier = "io.github.knowledge-core/private"

    def __init__(self, engine: Engine, owner: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
        self._engine, self._owner = engine, owner
        self._sources = SourceRequests(engine)

    def methods(self) -> Sequence[MethodBinding]:
        """Return one method per request."""
        doctor = MethodBinding(PREFIX + "doctor", PrivateParams, _handler(self._doctor, tells=True))
        handlers: dict[str, Callable[..., dict[str, Any]]] = {
            "status": self._status,
            "roots": self._roots,
            "secrets": self._secrets,
            "index": self._index,
            "models": self._models,
            "accept_losses": self._accept_losses,
            "set_aside": self._set_aside,
            "vectors": self._vectors,
            "reembed": self._reembed,
            **self._sources.handlers(),
            "put_in_place": functools.partial(put_in_place, self._engine),
            **self._owner,
        }
        others = (MethodBinding(PREFIX + name, PrivateParams, _handler(handle)) for name, handle in handlers.items())
        return [doctor, *others]

    def _status(self) -> dict[str, Any]:
        engine = self._engine
        collections, losses = [], list[str]()
        unreadable: dict[str, str] = {}
        for name in collection_names(engine):
            try:
                size = bytes_used(collection_named(engine, name).folder)
                collections.append({**collection_item(engine, name).model_dump(), "bytes": size})
                losses += collection_named(engine, name).losses.told()
            except KnowledgeCoreError as error:
                unreadable[name] = str(error)
        return {
            "owner": self._owner["owner"]() if "owner" in self._owner else None,
            "version": __version__,
            "python": sys.version.split()[0],
            "home": str(engine.home),
            "model": engine.config.embedding.model,
            "model_notice": engine.embedders.notice(),
            "models_in_memory": sorted(engine.embedders.in_memory()),
            "notices": [
                *engine.notices,
                *damaged_roots(engine),
                *engine.bulk_work.notices(),
                *engine.waiting_roots.values(),
                *engine.workers.notices(),
            ],
            "parsing": engine.workers.memory(),
            "roots": [] if damaged_roots(engine) else [str(root) for root in engine.roots.all()],
            "collections": collections,
            "sources": self._sources.listed()["sources"],
            "ignored": [*engine.ignored()],
            "unreadable": unreadable,
            "losses": losses,
            "set_aside": [str(path) for path in engine.all_set_aside()],
            "jobs": [_job(each) for each in known_jobs(engine)[:20]],
        }

    def _roots(self, add: list[str] | None = None, remove: list[str] | None = None) -> dict[str, Any]:
        roots = self._engine.roots
        added = [str(roots.add(Path(path))) for path in add or ()]
        removed = [str(roots.remove(Path(path))) for path in remove or ()]
        return {"roots": [str(root) for root in roots.all()], "added": added, "removed": removed}

    def _secrets(self, paths: list[str]) -> dict[str, Any]:
        """Say which of these files look like secrets, so that a person can be asked before they are indexed."""
        limit = int(self._engine.config.indexing.max_file_mb * 1e6)
        judged = ((path, secret_file(Path(path), limit)) for path in paths)
        return {"secrets": [{"path": path, "what": what} for path, what in judged if what]}

    def _index(
        self,
        paths: list[str],
        secrets: list[str] | None = None,
        collection: str = "default",
        include: list[str] | None = None,
        exclude: list[str] | None = None,
        restore: bool = False,
    ) -> dict[str, Any]:
        """Index files and folders as a person: the patterns become the sources' own.

        secrets: those of `paths` that the person allowed as secrets. restore: what was deleted comes back.
        """
        request = IndexRequest(
            collection, tuple(paths), tuple(include or ()), tuple(exclude or ()), tuple(secrets or ()), by_person=True,
            restore=restore,
        )  # fmt: skip
        return {"job": accept_index(self._engine, request, (), ()).id}

    def _models(self) -> dict[str, Any]:
        engine = self._engine
        resolved: dict[str, Any] = {"model": None, "notice": engine.embedders.notice()}
        with contextlib.suppress(KnowledgeCoreError):  # the notice says why there is none, and what to do
            resolved["model"] = engine.embedders.default().static_contract.model
        used: dict[str, list[str]] = {}
        for name in collection_names(engine):
            with contextlib.suppress(KnowledgeCoreError):  # `kcore doctor` reports a damaged collection
                used.setdefault(collection_named(engine, name).contract.model, []).append(name)
        running = engine.embedders.in_memory()
        settings = engine.config.embedding
        folder = settings.folder_of_models(engine.home)
        listed = [
            {
                "name": model.name, "folder": str(model.folder), "bytes": model.bytes, "dimensions": model.dimensions,
                "sizes": list(model.sizes), "max_length": model.max_length, "family": model.family,
                "packaged": model.packaged, "licence": licence(model.name), "engine": running.get(model.name),
                "collections": used.pop(model.name, []),
            }
            for model in installed(models_folder=folder, faults=engine.embedders.faults)
        ]  # fmt: skip
        return {
            "configured": settings.model, "precision": settings.precision, "engine": settings.engine, "resolved": resolved,
            "installed": listed, "unusable": unusable(models_folder=folder, faults=engine.embedders.faults), "elsewhere": used,
            "remote": _remote(settings.remote),
        }  # fmt: skip

    def _doctor(
        self, collection: str | None = None, repair: bool = False, deep: bool = False,
        progress: ReportProgress = no_progress,
    ) -> dict[str, Any]:  # fmt: skip
        return examine(self._engine, collection, repair=repair, deep=deep, progress=progress)

    def _accept_losses(self, collection: str) -> dict[str, Any]:
        return {"accepted": collection_named(self._engine, collection).losses.accept()}

    def _set_aside(self, collection: str) -> dict[str, Any]:
        engine = self._engine
        move, turn = partial(engine.set_aside, collection), partial(engine.one_writer, collection)
        return {"folder": str(set_aside(collection, jobs=engine.jobs, turn=turn, move=move))}

    def _vectors(
        self,
        texts: list[str],
        task: str = "similarity",
        title: str | None = None,
        dimensions: int | None = None,
        collection: str | None = None,
    ) -> dict[str, Any]:
        """Embed texts, as many as are given: the result goes into a file or a pipe, not into a model's context."""
        if task not in {each.value for each in Task}:
            raise InvalidInput(f"Unknown task {quoted(task)}. There are: {', '.join(each.value for each in Task)}.")
        if title and task != Task.DOCUMENT.value:
            raise InvalidInput(f"A title counts for the task 'document' only, not for {quoted(task)}.")
        embedder = embedder_for_texts(self._engine, collection)
        made = embed(texts, embedder, Task(task), title=title, dimensions=dimensions)
        return {
            "model": embedder.static_contract.model, "dimensions": int(made.vectors.shape[1]),
            "vectors": [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in made.vectors],
            "cut_texts": made.unread.texts, "cut_tokens": made.unread.tokens,
            "max_length": embedder.static_contract.max_length,
        }  # fmt: skip

    def _reembed(
        self, collection: str, model: str = "", dimensions: int | None = None, cancel: bool = False
    ) -> dict[str, Any]:
        if cancel:
            return {"cancelled": reembed_job.cancel(self._engine, collection)}
        return {"job": reembed_job.accept_reembed(self._engine, collection, model, dimensions).id}


def _remote(settings: RemoteConfig) -> dict[str, Any] | None:
    """Return the configured model and the host of its endpoint's address; never the rest of the address, or the key."""
    if settings.url is None:
        return None
    return {"host": urlsplit(settings.url).netloc.rpartition("@")[2], "model": settings.model}


def _handler(handle: Callable[..., dict[str, Any]], *, tells: bool = False) -> Callable[[Any, Any], Any]:
    """Return what answers a request. tells: `handle` takes a callback for its progress, which the client is told."""

    async def handler(context: ServerRequestContext[Any, Any], params: PrivateParams) -> dict[str, Any]:
        telling = {"progress": _teller(context)} if tells else {}
        try:
            return await anyio.to_thread.run_sync(partial(handle, **params.arguments, **telling))
        except InvalidInput as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        except KnowledgeCoreError as error:
            raise MCPError(REFUSED, str(error)) from error

    return handler


def _teller(context: ServerRequestContext[Any, Any]) -> ReportProgress:
    """Return what tells a client how far its request is, from any thread, at most every `TOLD_EVERY` seconds."""
    told = time.monotonic()
    loop = asyncio.get_running_loop()

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            report = context.session.report_progress(progress.done, progress.total or None, progress.told())
            asyncio.run_coroutine_threadsafe(report, loop)

    return tell


def _job(job: JobView) -> dict[str, Any]:
    message = job.error if job.state == "failed" else job.progress.told()
    return {"id": job.id, "state": job.state, "message": message, "error": job.error}

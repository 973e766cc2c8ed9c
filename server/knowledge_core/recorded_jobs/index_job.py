"""An index call as a recorded job: accepted, planned, done, and resumed where its process ended first.

The order matters. What the caller handed over is in the record before the job's id is returned; the plan is in the record
before anything is embedded; every window closes its rows of the plan in its own transaction. So a job that was cut off at
any point continues where it was, under its id, and embeds nothing twice.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from knowledge_core.engine import Engine
from knowledge_core.errors import Interrupted, KnowledgeCoreError, SourceUnavailable
from knowledge_core.indexing.planning import Wanted, plan
from knowledge_core.indexing.preparing import Failure, Reading, content_version, document_as_json
from knowledge_core.indexing.surveying import Selection, Surveying
from knowledge_core.ingestion.walking.walker import allowed
from knowledge_core.jobs import Job, new_id
from knowledge_core.recorded_jobs.recorded import run_recorded
from knowledge_core.storage.collection import Collection, JobRecord, PlanRow, Source
from knowledge_core.types import UNFINISHED, Document, JobState, Progress, ReportProgress
from knowledge_core.verbs.index import index, schedule
from knowledge_core.verbs.index_report import IndexReport, refuse_if_nothing

log = logging.getLogger(__name__)

KIND = "index"
LOOKING = 0.2  # seconds between two reports while folders are searched


@dataclass(frozen=True)
class IndexRequest:
    """What an index call asked for, beside the documents that it brought.

    Attributes:
        collection: to index into.
        paths: full paths of files and folders.
        include: patterns of the files to read; empty for all.
        exclude: patterns of the files not to read.
        secrets: full paths of files that a person allowed to index though they are secrets; no agent can give any.
        created: the collection did not exist before this call.
        renewing: nobody named these files: an earlier version indexed them.
        trees: those of the folders directly in `levels` of which all is looked at, though they are known.
        files_of: names of sources of which the known files alone are looked at.
        levels: full paths of folders of which only what lies directly in them is looked at.
        by_person: a person made the call: the patterns become the sources' own, and the sources are watched.
        restore: documents that were deleted here come back.
        watching: begun because files changed, not by a call.
        syncing: all of a known source is looked at, without that its files are named.
    """

    collection: str
    paths: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    created: bool = False
    renewing: bool = False
    files_of: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    by_person: bool = False
    restore: bool = False
    watching: bool = False
    syncing: bool = False

    @classmethod
    def from_json(cls, text: str) -> IndexRequest:
        """Return a job's recorded request; jobs of the first schema recorded only their plan, and an empty request."""
        content: dict[str, Any] = {"collection": "", **json.loads(text)}
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
            if name in cls.__dataclass_fields__
        }
        return cls(**known)


def accept_index(
    engine: Engine, request: IndexRequest, documents: Sequence[Document], failures: Sequence[Failure]
) -> Job:
    """Record an index call and start its job.

    documents: that the caller gave by their texts, checked. failures: documents that failed the check; they go into the
    report.

    Raises:
        PathNotAllowed, SourceUnavailable: a path cannot be indexed; nothing was written.
        ModelUnavailable: there is no model for a new collection; nothing was written.
        StorageError: the record refused; nothing was written.
    """
    for path in request.paths:
        if not allowed(Path(path), engine.roots.all()).exists():
            raise SourceUnavailable(f"{path} cannot be read: there is no such file or folder. Check the path.")
    now = time.time()
    report = IndexReport().failing(failures)
    rows = [PlanRow(document.id, "add", inline=document_as_json(document)) for document in documents]
    id = new_id(KIND)
    with engine.creating:
        created = request.collection not in engine.names()
        collection = engine.collection_or_new(request.collection)
        content = json.dumps(asdict(replace(request, created=created)))
        try:
            collection.start_job(JobRecord(id, KIND, "running", now, now, content, report.to_json()), rows)
        except KnowledgeCoreError:
            if created:
                engine.drop(request.collection)
            raise
    try:
        return engine.jobs.start(
            KIND, request.collection, work(engine, request.collection), id=id, unasked=request.watching
        )
    except Interrupted as ending:
        raise Interrupted(
            f"The process is ending; the call is recorded and goes on in the next one as job {id}."
        ) from ending


def sync_request(collection: Collection, source: Source) -> IndexRequest:
    """Return the request that brings a source in step with its folder; of one of single files, with these alone."""
    if source.whole:
        return IndexRequest(collection.name, paths=(source.path,), syncing=True)
    return IndexRequest(collection.name, files_of=(source.name,), syncing=True)


def work(engine: Engine, name: str) -> Callable[[Job, ReportProgress], IndexReport]:
    """Return the work of a collection's index job, which continues where the record says that it is."""

    def run(job: Job, report: ReportProgress) -> IndexReport:
        do = partial(_do, engine, name, job, report)
        return run_recorded(engine, name, job, do, partial(_finish, engine, name, job))

    return run


def _finish(engine: Engine, name: str, job: Job, state: JobState, error: str) -> None:
    """Record an end other than "done"; drop the collection if this job created it and nothing else uses it."""
    try:
        with engine.creating:
            collection = engine.collection(name)
            record = collection.job(job.id)
            collection.finish_job(
                job.id, state, json.dumps({**json.loads(record.report), "error": error}) if error else None
            )
            if state != "interrupted" and IndexRequest.from_json(record.request).created and _unused(collection):
                engine.drop(name)
    except KnowledgeCoreError as unwritten:  # logged only: the caller gets the first failure
        log.warning("%s: its end could not be recorded: %s", job.id, unwritten)


def _unused(collection: Collection) -> bool:
    with collection.view() as view:
        empty = view.counts().known == 0
    return empty and all(each.state not in UNFINISHED for each in collection.jobs())


def _do(engine: Engine, name: str, job: Job, report: ReportProgress) -> IndexReport:
    settings = engine.config.indexing
    file_limit = int(settings.max_file_mb * 1e6)
    with engine.one_writer(name, report):
        collection = engine.collection(name)
        record = collection.job(job.id)
        so_far = IndexReport.from_json(record.report)
        request = IndexRequest.from_json(record.request)
        if not so_far.planned:
            _plan(engine, collection, job.id, request, so_far, file_limit, report)
        rows = collection.plan(job.id)
        if any(row.state == "waiting" and row.action == "add" for row in rows):
            report(Progress(sum(row.state != "waiting" for row in rows), len(rows), "loading the model"))
            embedder = engine.embedder_to_fill(collection)
        else:
            embedder = engine.embedder_of(collection)  # nothing is embedded, so it need not be loaded
        reading = Reading(
            engine.roots.all(), settings.chunk_size, file_limit, secrets=_resolved(request.secrets),
            named=() if request.renewing or request.watching or request.syncing else _resolved(request.paths),
            generated=settings.generated, exclude_tags=settings.exclude_tags, workers=engine.workers,
        )  # fmt: skip
        done = index(collection, embedder, reading, job=job.id, progress=report)
        if not (request.watching or request.syncing):
            refuse_if_nothing(done)
        return done


def _plan(
    engine: Engine, collection: Collection, job: str, request: IndexRequest, so_far: IndexReport, file_limit: int,
    report: ReportProgress,
) -> None:  # fmt: skip
    if not (request.paths or request.levels or request.files_of):
        return
    settings = engine.config.indexing
    selection = Selection(
        request.include, request.exclude, by_person=request.by_person, generated=settings.generated,
        ignored=engine.ignored(), secrets=_resolved(request.secrets),
    )  # fmt: skip
    surveying = Surveying(
        collection.sources(), _Known(collection), engine.roots.all(), selection, limit=file_limit,
        between=_looking(report),
    )  # fmt: skip
    there, gone = _files_named_before(engine, collection, request.files_of)
    surveys = surveying.survey([*request.paths, *there], request.levels, request.trees)
    wanted = Wanted(by_person=request.by_person, restore=request.restore, watch=settings.watch)
    made = plan(collection, surveys, wanted, version=content_version(settings.chunk_size), limit=file_limit, gone=gone)
    if request.watching:
        made, later = engine.missing.without_recent(
            collection.name, made, lambda id: state.path if (state := collection.stored_state(id)) else None
        )
        so_far = replace(so_far, deferred=later)
    schedule(collection, job, made, so_far)
    if made.sources:
        engine.changed_sources.put(collection.name)


def _files_named_before(engine: Engine, collection: Collection, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files of sources of single files that are there, and the ids of documents whose files are not."""
    roots, there, gone = engine.roots.all(), list[str](), list[str]()
    for source in collection.sources():
        if source.name not in names or not os.path.isdir(source.path):
            continue
        for id, state in collection.states(source.name).items():
            path = state.path or ""
            if not os.path.lexists(path):
                gone.append(id)
            elif any(Path(path).is_relative_to(root) for root in roots):
                there.append(path)
    return there, gone


class _Known:
    """What the record knows of a collection's sources: see `surveying.Known`."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def files_of(self, source: str) -> list[str]:
        return [state.path for state in self._collection.states(source).values() if state.path is not None]

    def is_known(self, under: str) -> bool:
        with self._collection.view() as view:
            return view.holds_below(under)


def _looking(report: ReportProgress) -> Callable[[int], None]:
    """Return a callback for before each folder of a walk: it reports the files found so far, every `LOOKING` seconds."""
    reported = 0.0

    def looked(found: int) -> None:
        nonlocal reported
        if time.monotonic() - reported > LOOKING:
            reported = time.monotonic()
            report(Progress(0, 0, f"looking for files: {found} so far"))

    return looked


def _resolved(paths: Sequence[str]) -> frozenset[str]:
    return frozenset(os.path.realpath(os.path.expanduser(path)) for path in paths)

"""An index call as a job of the record: accepted, planned, done; and continued after whatever ended the process.

The order is the promise. What the caller handed over is in the record before a handle is returned; the plan is in the
record before anything is embedded; every window settles its rows in its own transaction. So a job that was cut off at
any point goes on where it was, under its id, and embeds nothing twice.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from knowledge_core.choosing import embedder_to_fill
from knowledge_core.engine import Engine
from knowledge_core.errors import (
    Cancelled,
    CollectionNotFound,
    Interrupted,
    JobNotFound,
    KnowledgeCoreError,
    SourceUnavailable,
)
from knowledge_core.indexing.planning import plan, survey
from knowledge_core.indexing.preparing import Failure, content_version, document_as_json
from knowledge_core.ingestion.walker import allowed
from knowledge_core.jobs import Job, State, new_id
from knowledge_core.storage.collection import Calibration, Collection, JobRecord, PlanRow
from knowledge_core.types import Document, Progress, ReportProgress, no_progress
from knowledge_core.verbs.calibrate import calibrate, due, quick
from knowledge_core.verbs.index import IndexReport, index, refuse_if_nothing, schedule

log = logging.getLogger(__name__)

CALIBRATE = "calibrate"  # the kind of the job that follows an index call
LOOKING = 0.2  # seconds between two reports of a walk
MOST_ATTEMPTS = 3  # processes that may die over one job before it is given up: it may be what kills them
GIVEN_UP = "Given up:"  # what the error of a job begins with that no process goes on with any more
MOST_STUCK = 2  # processes that may get stuck over it: each took all clients with it for two minutes


@dataclass(frozen=True)
class IndexRequest:
    """What an index call asked for, beside the documents that it brought. created: it made the collection."""

    collection: str
    paths: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    created: bool = False

    @classmethod
    def from_json(cls, text: str) -> IndexRequest:
        """Return what was written as the request of a job; the first schema wrote the plan alone, and nothing here."""
        content = json.loads(text)
        return cls(
            collection=content.get("collection", ""),
            paths=tuple(content.get("paths", ())),
            include=tuple(content.get("include", ())),
            exclude=tuple(content.get("exclude", ())),
            created=content.get("created", False),
        )


def accept(engine: Engine, request: IndexRequest, documents: Sequence[Document], failures: Sequence[Failure]) -> Job:
    """Write an index call into the record and start its job.

    documents: given by their texts, checked. failures: those that were not right; they go into the report.

    Raises:
        PathNotAllowed, SourceUnavailable: a path; nothing was written.
        ModelUnavailable: there is no model for a new collection; nothing was written.
        StorageError: the record refused; nothing was written.
    """
    for path in request.paths:
        if not allowed(Path(path), engine.roots.all()).exists():
            raise SourceUnavailable(f"{path} cannot be read: there is no such file or folder. Check the path.")
    now = time.time()
    report = IndexReport().failing(failures)
    rows = [PlanRow(document.id, "add", inline=document_as_json(document)) for document in documents]
    id = new_id("index")
    with engine.creating:
        created = request.collection not in engine.names()
        collection = engine.collection_or_new(request.collection)
        content = json.dumps(asdict(replace(request, created=created)))
        try:
            collection.start_job(JobRecord(id, "index", "running", now, now, content, report.to_json()), rows)
        except KnowledgeCoreError:
            if created:
                engine.drop(request.collection)
            raise
    try:
        return engine.jobs.start("index", request.collection, _work(engine, request.collection), id=id)
    except Interrupted as ending:
        raise Interrupted(
            f"The process is ending; the call is recorded and goes on in the next one as job {id}."
        ) from ending


def _work(engine: Engine, name: str) -> Callable[[Job, ReportProgress], IndexReport]:
    return lambda job, report: _settled(engine, name, job, report)


def _settled(engine: Engine, name: str, job: Job, report: ReportProgress) -> IndexReport:
    return settled(
        engine, name, job, lambda: _do(engine, name, job, report), lambda end, why: _finish(engine, name, job, end, why)
    )


class Report(Protocol):
    """What a recorded job did."""

    def to_json(self) -> str:
        """Return it as the record keeps it."""
        ...


_Done = TypeVar("_Done", bound=Report)


def settled(
    engine: Engine, name: str, job: Job, work: Callable[[], _Done], finish: Callable[[State, str], None]
) -> _Done:
    """Do a recorded job, and record how it ended. finish: records an end that is no success, and its reason."""
    try:
        done = work()
    except Cancelled as stopped:
        finish("interrupted" if isinstance(stopped, Interrupted) else "cancelled", "")
        raise
    except KnowledgeCoreError as error:
        finish("failed", str(error))
        raise
    except Exception:
        finish("failed", "An unexpected error; the log has the details.")
        raise
    engine.collection(name).finish_job(job.id, "done", done.to_json())
    calibrate_when_due(engine, name)
    return done


def calibrate_when_due(engine: Engine, name: str) -> None:
    """Measure how well the model reads a collection that grew: a small one at once, any other as a job of its own.

    So the first search of a newcomer's dozen notes is as good as the next, and nobody waits where it takes long. The job
    is not recorded: what ends before its time is due again after the next index call.
    """
    try:
        with engine.collection(name).view() as view:
            wanted, at_once = due(view), quick(view)
        if wanted and at_once:
            _calibrated(engine, name, no_progress)
        elif wanted and not any(job.kind == CALIBRATE and job.collection == name for job in engine.jobs.running()):
            engine.jobs.start(CALIBRATE, name, lambda job, report: _calibrated(engine, name, report))
    except (
        KnowledgeCoreError
    ) as error:  # the model is busy, the process is ending, the collection was deleted meanwhile
        log.info("%s is not calibrated for now: %s", name, error)


def _calibrated(engine: Engine, name: str, report: ReportProgress) -> Calibration:
    collection = engine.collection(name)
    embedder = engine.embedder_for(collection)
    engine.check_contract(collection, embedder)
    return calibrate(collection, embedder, report)


def _finish(engine: Engine, name: str, job: Job, state: State, error: str) -> None:
    """Record an end that is no success; a collection that only this job wanted goes with it."""
    try:
        with engine.creating:
            collection = engine.collection(name)
            record = _record(collection, job.id)
            collection.finish_job(
                job.id, state, json.dumps({**json.loads(record.report), "error": error}) if error else None
            )
            if state != "interrupted" and IndexRequest.from_json(record.request).created and _unused(collection):
                engine.drop(name)
    except KnowledgeCoreError as unwritten:  # the first failure is the one to be told
        log.warning("%s: its end could not be recorded: %s", job.id, unwritten)


def _unused(collection: Collection) -> bool:
    with collection.view() as view:
        empty = view.counts().known == 0
    return empty and all(each.state not in ("running", "interrupted") for each in collection.jobs())


def _record(collection: Collection, id: str) -> JobRecord:
    record = next((each for each in collection.jobs() if each.id == id), None)
    if record is None:
        raise CollectionNotFound(
            f"Collection {collection.name!r} was deleted and made anew meanwhile; {id} went with it."
        )
    return record


def _do(engine: Engine, name: str, job: Job, report: ReportProgress) -> IndexReport:
    settings = engine.config.indexing
    file_limit = int(settings.max_file_mb * 1e6)
    with engine.one_writer(name, report):
        collection = engine.collection(name)
        record = _record(collection, job.id)
        so_far = IndexReport.from_json(record.report)
        request = IndexRequest.from_json(record.request)
        if not so_far.planned:
            _plan(engine, collection, job.id, request, so_far, file_limit, report)
        rows = collection.plan(job.id)
        if not rows:  # nothing to do, and no need for a model
            refuse_if_nothing(IndexReport.from_json(_record(collection, job.id).report))
        report(Progress(sum(row.state != "waiting" for row in rows), len(rows), "loading the model"))
        embedder = embedder_to_fill(engine, collection)
        done = index(
            collection, embedder, job=job.id, roots=engine.roots.all(), chunk_size=settings.chunk_size,
            file_limit=file_limit, named=_resolved(request.paths), progress=report,
        )  # fmt: skip
        refuse_if_nothing(done)
        return done


def _plan(
    engine: Engine, collection: Collection, job: str, request: IndexRequest, so_far: IndexReport, file_limit: int,
    report: ReportProgress,
) -> None:  # fmt: skip
    if not request.paths:
        return
    surveys = survey(
        request.paths, engine.roots.all(), include=request.include, exclude=request.exclude, limit=file_limit,
        between=_looking(report),
    )  # fmt: skip
    version = content_version(engine.config.indexing.chunk_size)
    schedule(collection, job, plan(collection, surveys, version=version, limit=file_limit), so_far)


def _looking(report: ReportProgress) -> Callable[[int], None]:
    """Return what a walk calls before each folder: it tells how far the walk is, now and then, and may end it."""
    told = 0.0

    def looked(found: int) -> None:
        nonlocal told
        if time.monotonic() - told > LOOKING:
            told = time.monotonic()
            report(Progress(0, 0, f"looking for files: {found} so far"))

    return looked


def _resolved(paths: Sequence[str]) -> frozenset[str]:
    return frozenset(os.path.realpath(os.path.expanduser(path)) for path in paths)


# -- what a former process left ----------------------------------------------------------------------------------------

Continue = Callable[[Engine, str], Callable[[Job, ReportProgress], object]]
"""From an engine and a collection's name to the work that goes on with an interrupted job of one kind."""

KINDS: dict[str, Continue] = {"index": _work}
OUTCOMES: dict[str, Callable[[str], object]] = {"index": IndexReport.from_json}
"""From a recorded report of one kind of job that is done to its outcome."""


def resume_jobs(engine: Engine) -> None:
    """Go on, on threads of their own, with the jobs that former processes left; returns at once."""
    threading.Thread(target=_resume_all, args=(engine,), name="resume", daemon=True).start()


def _resume_all(engine: Engine) -> None:
    suspects: list[tuple[Collection, JobRecord, int]] = []
    for name in engine.names():
        try:
            collection = engine.collection(name)
            for record in reversed(collection.jobs()):
                if record.state == "interrupted" and engine.jobs.find(record.id) is None:
                    if engine.former_was_stuck and record.id in collection.cut_off:
                        suspects.append((collection, record, collection.blame_job(record.id)))
                    else:
                        _resume(engine, collection, record)
        except Interrupted:
            return  # this process is ending, too
        except KnowledgeCoreError as error:
            log.warning("the jobs of %s cannot go on: %s", name, error)
    _resume_suspects(engine, suspects)


def _resume_suspects(engine: Engine, suspects: Sequence[tuple[Collection, JobRecord, int]]) -> None:
    """Go on with the jobs that ran when the former process got stuck, one after the other: which it was shows then.

    suspects: with the number of processes that got stuck so far.
    """
    for collection, record, stuck in suspects:
        try:
            if _record(collection, record.id).state != "interrupted":
                continue  # somebody cancelled it while it waited
            if stuck >= MOST_STUCK:
                _give_up(
                    collection, record,
                    f"{stuck} processes got stuck while they worked on it and were ended; `kcore logs --lines 500` shows "
                    "where. Index the folders in it one by one, leave out what does not go through with `exclude`, and "
                    "report that file",
                )  # fmt: skip
            else:
                job = _resume(engine, collection, record)
                if job is not None:
                    job.wait(threading.TIMEOUT_MAX)
        except Interrupted:
            return
        except KnowledgeCoreError as error:
            log.warning("%s cannot go on: %s", record.id, error)


def _resume(engine: Engine, collection: Collection, record: JobRecord) -> Job | None:
    """Start a job again; None where it is given up."""
    attempt = collection.resume_job(record.id)
    if record.kind not in KINDS or attempt > MOST_ATTEMPTS:
        why = f"{attempt - 1} processes ended while they worked on it" if record.kind in KINDS else "it cannot go on"
        _give_up(collection, record, f"{why}. Index the sources again, a part at a time if it fails again")
        return None
    log.info("%s goes on (attempt %d)", record.id, attempt)
    work = KINDS[record.kind](engine, collection.name)
    try:
        return engine.jobs.start(record.kind, collection.name, work, id=record.id, created=record.created)
    except Interrupted:
        collection.finish_job(record.id, "interrupted", None)  # it never began: that is no attempt
        raise


def _give_up(collection: Collection, record: JobRecord, why: str) -> None:
    error = f"{GIVEN_UP} {why}."
    collection.finish_job(record.id, "failed", json.dumps({**json.loads(record.report), "error": error}))
    log.warning("%s: %s", record.id, error)


# -- what is known of jobs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobView:
    """A job, of this process or out of the record.

    outcome: of one that is done, what its kind gives; of an index job an `IndexReport`, however it ended.
    """

    id: str
    kind: str
    collection: str
    state: State
    created: float
    progress: Progress
    error: str
    outcome: object


def view_of(job: Job) -> JobView:
    """Return a job of this process as it is now."""
    progress = job.progress
    if job.stopping:
        progress = replace(progress.ended(), message=f"stopping after its present step: {progress.ended().message}")
    return JobView(job.id, job.kind, job.collection, job.state, job.created, progress, job.error, job.outcome)


def known_jobs(engine: Engine) -> list[JobView]:
    """Return every job that is remembered: those that run, then the newest."""
    here = {job.id: view_of(job) for job in engine.jobs.all()}
    recorded = {}
    for name in engine.names():
        try:
            records = engine.collection(name).jobs()
        except KnowledgeCoreError as error:  # damaged, or deleted a moment ago: the others' jobs are none the worse
            log.warning("the jobs of %s cannot be read: %s", name, error)
            continue
        recorded.update({record.id: _recorded_view(name, record) for record in records})
    here = {id: _with_report(job, recorded.get(id)) for id, job in here.items()}
    return sorted((recorded | here).values(), key=lambda job: (job.state != "running", -job.created))


def find_job(engine: Engine, id: str) -> JobView:
    """Return one job.

    Raises:
        JobNotFound: there is none of this id; the message lists the latest.
    """
    job = engine.jobs.find(id)
    if job is not None and (job.state in ("running", "interrupted") or job.outcome is not None):
        return view_of(job)
    known = known_jobs(engine)
    found = next((each for each in known if each.id == id), None)
    if found is None:
        latest = ", ".join(each.id for each in known[:5]) or "none"
        raise JobNotFound(
            f"No job {id!r}. There are: {latest}. A collection takes its jobs along when it is deleted, also a new one "
            "that stayed empty; cluster jobs are known until the owner process ends."
        )
    return found


def _with_report(job: JobView, recorded: JobView | None) -> JobView:
    """Return a job of this process with what the record says that it did: one that was cut off took nothing along."""
    if job.outcome is not None or job.state == "running":
        return job
    if recorded is None:  # an index job whose new collection went with it had done nothing
        return replace(job, outcome=IndexReport()) if job.kind == "index" else job
    return replace(job, outcome=recorded.outcome)


def cancel_job(engine: Engine, id: str) -> None:
    """Ask a job to stop at its next batch; one that waits to go on after a crash ends at once.

    Raises:
        JobNotFound: there is none of this id.
    """
    found = find_job(engine, id)
    job = engine.jobs.find(id)
    if job is not None:
        job.cancel()
    elif found.state == "interrupted":
        engine.collection(found.collection).finish_job(id, "cancelled", None)


def _recorded_view(name: str, record: JobRecord) -> JobView:
    report = IndexReport.from_json(record.report)
    content: Mapping[str, object] = json.loads(record.report)
    done = report.indexed + report.unchanged + report.removed + report.failed_total
    progress = Progress(done, 0, "as recorded", chunks=report.chunks)
    told = record.state == "done" or record.kind == "index"
    outcome = OUTCOMES[record.kind](record.report) if told and record.kind in OUTCOMES else None
    return JobView(
        record.id, record.kind, name, record.state, record.created,
        progress.ended() if record.kind == "index" else progress, str(content.get("error", "")), outcome,
    )  # fmt: skip

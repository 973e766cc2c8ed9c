"""All known jobs: those of this process, and those in the record, whichever process ran them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from knowledge_core.engine import Engine
from knowledge_core.errors import JobNotFound, KnowledgeCoreError, quoted
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs.kinds import KINDS
from knowledge_core.storage.collection import JobRecord
from knowledge_core.types import UNFINISHED, JobState, Progress
from knowledge_core.verbs.index_report import IndexReport

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobView:
    """A job of this process or of the record, as it is now.

    Attributes:
        id: of the job.
        kind: such as "index", "reembed" or "cluster".
        collection: that it works on.
        state: how far it is.
        created: seconds since 1970.
        progress: how far its work has come.
        error: why it failed or was stopped; "" otherwise.
        outcome: of a job that is done, the outcome of its kind; of an index job an `IndexReport`, however it ended.
    """

    id: str
    kind: str
    collection: str
    state: JobState
    created: float
    progress: Progress
    error: str
    outcome: object


def view_of(job: Job) -> JobView:
    """Return the view of a job of this process."""
    progress = job.progress
    if job.stopping:
        progress = replace(progress.ended(), message=f"stopping after its present step: {progress.ended().message}")
    return JobView(job.id, job.kind, job.collection, job.state, job.created, progress, job.error, job.outcome)


def known_jobs(engine: Engine) -> list[JobView]:
    """Return every known job: running ones first, each part newest first."""
    here = {job.id: view_of(job) for job in engine.jobs.all()}
    recorded = {}
    for name in engine.names():
        try:
            records = engine.collection(name).jobs()
        except KnowledgeCoreError as error:  # damaged, or just deleted; the jobs of the others can still be listed
            log.warning("the jobs of %s cannot be read: %s", name, error)
            continue
        recorded.update({record.id: _recorded_view(name, record) for record in records})
    here = {id: _with_report(job, recorded.get(id)) for id, job in here.items()}
    return sorted((recorded | here).values(), key=lambda job: (job.state != "running", -job.created))


def find_job(engine: Engine, id: str) -> JobView:
    """Return the job of an id.

    Raises:
        JobNotFound: there is none; the message lists the latest ones.
    """
    job = engine.jobs.find(id)
    if job is not None and (job.state in UNFINISHED or job.outcome is not None):
        return view_of(job)
    known = known_jobs(engine)
    found = next((each for each in known if each.id == id), None)
    if found is None:
        latest = ", ".join(each.id for each in known[:5]) or "none"
        raise JobNotFound(
            f"No job {quoted(id)}. There are: {latest}. A collection takes its jobs along when it is deleted, also a new one "
            "that stayed empty; cluster jobs are known until the owner process ends."
        )
    return found


def _with_report(job: JobView, recorded: JobView | None) -> JobView:
    """Return a job of this process with its report from the record: a job that was cut off returned no outcome."""
    if job.outcome is not None or job.state == "running":
        return job
    if recorded is None:  # an index job whose new collection was dropped with it has done nothing
        return replace(job, outcome=IndexReport()) if job.kind == "index" else job
    if job.kind != "index":
        return replace(job, outcome=recorded.outcome)
    # The last window may have been written after the last report of progress.
    known = recorded.progress
    progress = replace(job.progress, done=known.done, chunks=known.chunks).ended()
    return replace(job, outcome=recorded.outcome, progress=progress)


def cancel_job(engine: Engine, id: str) -> None:
    """Ask a job to stop at its next batch; one that waits to be resumed after a crash ends at once.

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
    has_outcome = record.state == "done" or record.kind == "index"
    outcome = KINDS[record.kind].outcome(record.report) if has_outcome and record.kind in KINDS else None
    return JobView(
        record.id, record.kind, name, record.state, record.created,
        progress.ended() if record.kind == "index" else progress, str(content.get("error", "")), outcome,
    )  # fmt: skip

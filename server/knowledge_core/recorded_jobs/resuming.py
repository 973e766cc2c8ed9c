"""What a process begins with: the jobs that earlier ones left unfinished go on under their ids, and jobs that end every
process are given up; then the words and the documents that an earlier version of the program read are read again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence

from knowledge_core.engine import Engine
from knowledge_core.errors import Interrupted, KnowledgeCoreError
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs.kinds import KINDS
from knowledge_core.recorded_jobs.renewing import renew
from knowledge_core.recorded_jobs.rewording import reword
from knowledge_core.storage.collection import Collection, JobRecord
from knowledge_core.types import ReportProgress

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3  # processes that may end over one job before it is given up: the job may be what ends them
MOST_STUCK = 2  # processes that may get stuck over one job: each time, all clients wait for two minutes
GIVEN_UP = "Given up:"  # the beginning of the error of a job that no process continues


def resume_jobs(engine: Engine) -> None:
    """Continue what earlier processes left unfinished, and renew what earlier versions made, on threads; return at once."""
    threading.Thread(target=_resume_all, args=(engine,), name="resume", daemon=True).start()


def _resume_all(engine: Engine) -> None:
    suspects: list[tuple[Collection, JobRecord, int]] = []
    for name in engine.names():
        try:
            collection = engine.collection(name)
            for record in reversed(collection.jobs()):
                if record.state == "interrupted" and engine.jobs.find(record.id) is None:
                    if engine.former_was_stuck and record.id in (collection.cut_off or ()):
                        suspects.append((collection, record, collection.blame_job(record.id)))
                    else:
                        _resume(engine, collection, record)
        except Interrupted:
            return  # this process is ending, too
        except KnowledgeCoreError as error:
            log.warning("the jobs of %s cannot go on: %s", name, error)
    _resume_suspects(engine, suspects)
    reword(engine)
    renew(engine)


def resume_jobs_of(engine: Engine, name: str) -> None:
    """Continue the unfinished jobs of one collection that has just come, on threads of their own."""
    collection = engine.collection(name)
    for record in reversed(collection.jobs()):
        if record.state == "interrupted":
            _resume(engine, collection, record)


def _resume_suspects(engine: Engine, suspects: Sequence[tuple[Collection, JobRecord, int]]) -> None:
    """Continue the jobs that ran when the earlier process got stuck, one at a time, so that the cause shows.

    suspects: each with the number of processes that got stuck while it ran.
    """
    for collection, record, stuck in suspects:
        try:
            if collection.job(record.id).state != "interrupted":
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
    """Start a job again and return it; None where it is given up.

    Raises:
        Interrupted: this process is ending.
    """
    if record.kind not in KINDS or record.attempts >= MOST_ATTEMPTS:
        why = (
            f"{record.attempts} processes ended while they worked on it" if record.kind in KINDS else "it cannot go on"
        )
        _give_up(collection, record, f"{why}. Index the sources again, a part at a time if it fails again")
        return None
    work = KINDS[record.kind].work(engine, collection.name)

    def go_on(job: Job, report: ReportProgress) -> object:
        # Counted by the job itself, which a process that ends in order waits for: a job that never began counts nothing.
        log.info("%s goes on (attempt %d)", record.id, collection.resume_job(record.id))
        return work(job, report)

    return engine.jobs.start(record.kind, collection.name, go_on, id=record.id, created=record.created)


def _give_up(collection: Collection, record: JobRecord, why: str) -> None:
    error = f"{GIVEN_UP} {why}."
    collection.finish_job(record.id, "failed", json.dumps({**json.loads(record.report), "error": error}))
    log.warning("%s: %s", record.id, error)

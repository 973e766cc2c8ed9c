"""A re-embedding as a job of the record: it survives the process, and goes on under its id in the next one."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from knowledge_core.choosing import working_embedder
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.engine import Engine
from knowledge_core.errors import Busy, InvalidInput, KnowledgeCoreError
from knowledge_core.jobs import Job, State, new_id
from knowledge_core.recorded_jobs.index_job import KINDS, OUTCOMES, cancel_job, known_jobs, settled
from knowledge_core.storage.collection import JobRecord
from knowledge_core.types import ReportProgress
from knowledge_core.verbs.reembed import ReembedReport, reembed

log = logging.getLogger(__name__)

KIND = "reembed"
STOPPING_SECONDS = 60.0  # a job stops between batches, which are half a second each at most


@dataclass(frozen=True)
class ReembedRequest:
    """What was asked for. model: a name as the configuration takes it, resolved when the job was accepted."""

    collection: str
    model: str
    dimensions: int


def accept(engine: Engine, name: str, model: str, dimensions: int | None) -> Job:
    """Write the wish to move a collection to a model into the record, and start its job.

    model: a name, a folder, "auto" or "remote". dimensions: None for the model's full size.

    Raises:
        CollectionNotFound, ModelUnavailable: there is none of this name. InvalidInput: it makes these vectors already, or
        the model has none of these dimensions. Busy: it is being moved already.
    """
    collection = engine.collection(name)
    wanted = working_embedder(
        engine, model, dimensions
    ).contract  # one that does not load is told to the caller, not to a log
    if not collection.contract.differences(wanted) and collection.contract.probe is not None:
        raise InvalidInput(
            f"Collection {name!r} is embedded with {wanted.model!r} in {wanted.dimensions} dimensions already; nothing to do."
        )
    now = time.time()
    request = ReembedRequest(name, wanted.model, wanted.dimensions)
    with engine.creating:
        running = [job for job in known_jobs(engine) if job.kind == KIND and job.collection == name]
        if any(job.state in ("running", "interrupted") for job in running):
            raise Busy(
                f"Collection {name!r} is being re-embedded already; `kcore status` shows the job. Cancel it first."
            )
        id = new_id(KIND)
        collection.start_job(JobRecord(id, KIND, "running", now, now, json.dumps(asdict(request))), [])
    return engine.jobs.start(KIND, name, _work(engine, name), id=id)


def cancel(engine: Engine, name: str) -> bool:
    """Stop an unfinished re-embedding and drop what it made; say whether there was anything.

    Raises:
        CollectionNotFound: there is none of this name. Busy: it does not stop within a minute.
    """
    collection = engine.collection(name)
    unfinished = [job for job in known_jobs(engine) if job.kind == KIND and job.collection == name]
    for view in unfinished:
        if view.state in ("running", "interrupted"):
            cancel_job(engine, view.id)
            job = engine.jobs.find(view.id)
            if job is not None and not job.wait(STOPPING_SECONDS):
                raise Busy(
                    f"Job {view.id} stops after its present batch, which is not over yet. Try again in a minute."
                )
    return collection.reembedding.discard()


def _work(engine: Engine, name: str) -> Callable[[Job, ReportProgress], ReembedReport]:
    return lambda job, report: _settled(engine, name, job, report)


def _settled(engine: Engine, name: str, job: Job, report: ReportProgress) -> ReembedReport:
    return settled(
        engine, name, job, lambda: _do(engine, name, job, report), lambda end, why: _finish(engine, name, job, end, why)
    )


def _do(engine: Engine, name: str, job: Job, report: ReportProgress) -> ReembedReport:
    collection = engine.collection(name)
    record = next(each for each in collection.jobs() if each.id == job.id)
    request = ReembedRequest(**json.loads(record.request))
    embedder: Embedder = engine.embedder_named(request.model, request.dimensions)
    return reembed(
        collection,
        embedder,
        chunk_size=engine.config.indexing.chunk_size,
        alone=lambda: engine.one_writer(name, report),
        progress=report,
    )


def _finish(engine: Engine, name: str, job: Job, state: State, error: str) -> None:
    """Record an end that is no success."""
    try:
        engine.collection(name).finish_job(job.id, state, json.dumps({"error": error}) if error else None)
    except KnowledgeCoreError as unwritten:  # the first failure is the one to be told
        log.warning("%s: its end could not be recorded: %s", job.id, unwritten)


KINDS[KIND] = _work
OUTCOMES[KIND] = ReembedReport.from_json

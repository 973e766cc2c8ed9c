"""A re-embedding as a recorded job: it survives the process, and continues under its id in the next one."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

from knowledge_core.engine import Engine
from knowledge_core.errors import Busy, InvalidInput, KnowledgeCoreError
from knowledge_core.jobs import Job, new_id
from knowledge_core.recorded_jobs.recorded import run_recorded
from knowledge_core.storage.collection import Collection, JobRecord
from knowledge_core.types import UNFINISHED, JobState, ReportProgress
from knowledge_core.verbs.reembed import ReembedReport, reembed

log = logging.getLogger(__name__)

KIND = "reembed"
STOPPING_SECONDS = 60.0  # to wait for a cancelled job; it stops between batches of at most half a second


@dataclass(frozen=True)
class ReembedRequest:
    """What was asked for. model: the name of the model that was chosen when the job was accepted."""

    collection: str
    model: str
    dimensions: int


def accept_reembed(engine: Engine, name: str, model: str, dimensions: int | None) -> Job:
    """Record the request to move a collection to a model, and start its job.

    model: a name, a folder, "auto" or "remote". dimensions: None for the model's full size.

    Raises:
        CollectionNotFound: there is none of this name.
        ModelUnavailable: there is no such model, or it does not load.
        InvalidInput: the collection has these vectors already, or the model has no vectors of these dimensions.
        Busy: the collection is being re-embedded already.
    """
    collection = engine.collection(name)
    wanted = engine.embedders.working(model, dimensions).contract  # a failure is told to the caller, not to a log
    if not collection.contract.differences(wanted) and collection.contract.probe is not None:
        raise InvalidInput(
            f"Collection {name!r} is embedded with {wanted.model!r} in {wanted.dimensions} dimensions already; nothing to do."
        )
    now = time.time()
    request = ReembedRequest(name, wanted.model, wanted.dimensions)
    with engine.creating:
        if _unfinished(collection):
            raise Busy(
                f"Collection {name!r} is being re-embedded already; `kcore status` shows the job. Cancel it first."
            )
        id = new_id(KIND)
        collection.start_job(JobRecord(id, KIND, "running", now, now, json.dumps(asdict(request))), [])
    return engine.jobs.start(KIND, name, work(engine, name), id=id)


def cancel(engine: Engine, name: str) -> bool:
    """Stop an unfinished re-embedding and drop the vectors that it made; say whether there were any.

    Raises:
        CollectionNotFound: there is none of this name. Busy: the job does not stop within a minute.
    """
    collection = engine.collection(name)
    for id in _unfinished(collection):
        job = engine.jobs.find(id)
        if job is None:  # it waits to be resumed after a crash
            collection.finish_job(id, "cancelled", None)
            continue
        job.cancel()
        if not job.wait(STOPPING_SECONDS):
            raise Busy(f"Job {id} stops after its present batch, which is not over yet. Try again in a minute.")
    return collection.reembedding.discard()


def _unfinished(collection: Collection) -> list[str]:
    """Return the ids of the re-embeddings that run or wait to be resumed."""
    records = (each for each in collection.jobs() if each.kind == KIND)
    return [each.id for each in records if each.state in UNFINISHED]


def work(engine: Engine, name: str) -> Callable[[Job, ReportProgress], ReembedReport]:
    """Return the work of a collection's re-embedding, which continues where the record says that it is."""

    def run(job: Job, report: ReportProgress) -> ReembedReport:
        do = partial(_do, engine, name, job, report)
        return run_recorded(engine, name, job, do, partial(_finish, engine, name, job))

    return run


def _do(engine: Engine, name: str, job: Job, report: ReportProgress) -> ReembedReport:
    collection = engine.collection(name)
    record = collection.job(job.id)
    request = ReembedRequest(**json.loads(record.request))
    embedder = engine.embedders.named(request.model, request.dimensions)
    return reembed(
        collection,
        embedder,
        chunk_size=engine.config.indexing.chunk_size,
        alone=lambda: engine.one_writer(name, report),
        progress=report,
    )


def _finish(engine: Engine, name: str, job: Job, state: JobState, error: str) -> None:
    """Record an end other than "done"."""
    try:
        engine.collection(name).finish_job(job.id, state, json.dumps({"error": error}) if error else None)
    except KnowledgeCoreError as unwritten:  # logged only: the caller gets the first failure
        log.warning("%s: its end could not be recorded: %s", job.id, unwritten)

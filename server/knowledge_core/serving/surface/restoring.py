"""The private request of `kcore restore`: a collection that was proved beside the others takes its place among them."""

from __future__ import annotations

import time
from typing import Any

from knowledge_core.backups.restoring import RESTORING
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput, NotFound
from knowledge_core.recorded_jobs.resuming import resume_jobs_of
from knowledge_core.serving.surface.collections import collection_named
from knowledge_core.storage.catalogue import valid_name
from knowledge_core.types import Progress

PATIENCE = 5.0  # seconds that a restore waits for jobs on the collection that it replaces


def put_in_place(engine: Engine, name: str, replace: bool = False) -> dict[str, Any]:
    """Put what `kcore restore` made ready under this name in its place, open it, and continue its unfinished jobs.

    Raises:
        NotFound: nothing was made ready.
        InvalidInput: a job works on the collection that would go; or there is one, and `replace` is not given.
        StorageError: the system refused; everything is as it was.
    """
    ready = engine.home / RESTORING / valid_name(name)
    if not ready.is_dir():
        raise NotFound(f"Nothing was made ready to restore {name!r}. Run `kcore restore` again.")
    deadline = time.monotonic() + PATIENCE

    def waits(_: Progress) -> None:
        jobs = [job.id for job in engine.jobs.running() if job.collection == name]
        if jobs and time.monotonic() > deadline:
            raise InvalidInput(
                f"{name!r} is at work (job {', '.join(jobs)}), so it was not replaced. Wait for its end or cancel it, then "
                "restore."
            )

    with engine.one_writer(name, waits):
        while any(job.collection == name for job in engine.jobs.running()):
            waits(Progress(0, 0, ""))
            time.sleep(0.1)
        aside = engine.put_in_place(name, ready, replace=replace)
    with collection_named(engine, name).view() as view:
        counts = view.counts()
    resume_jobs_of(engine, name)
    return {
        "collection": name, "documents": counts.documents, "chunks": counts.chunks, "vectors": counts.vectors,
        "set_aside": aside.relative_to(engine.home).as_posix() if aside else None,
    }  # fmt: skip

"""Documents that the record no longer holds as they were stored, read again: from their files, or from texts still sound."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError, PathNotAllowed
from knowledge_core.ingestion.walking.walker import allowed
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.storage.collection import Finding
from knowledge_core.types import Document, ReportProgress
from knowledge_core.verbs.index_report import IndexReport


def read_again(engine: Engine, name: str, progress: ReportProgress) -> list[Finding]:
    """Index again what a repair has marked, as far as there is a source, wait for the end, and return what came of it.

    name: of a collection. Nothing is returned where nothing can be read again.

    Raises:
        StorageError: the record refused.
    """
    paths, texts = _sources(engine, name)
    count = len(paths) + len(texts)
    if not count:
        return []
    try:
        job = accept_index(engine, IndexRequest(name, paths=tuple(paths)), texts, [])
        with job.heard(lambda: progress(job.progress)):
            job.wait(threading.TIMEOUT_MAX)
    except KnowledgeCoreError as error:
        return [Finding("warning", f"{count} documents were to be read again, which failed: {error}")]
    if job.state != "done" or not isinstance(job.outcome, IndexReport):
        return [Finding("warning", f"{count} documents were to be read again: job {job.id} {job.state}. {job.error}")]
    report = job.outcome
    failed = f"; {report.failed_total} failed: {report.failed[0].message}" if report.failed else ""
    return [Finding("repaired", f"{report.indexed} documents were read again from their sources{failed}")]


def _sources(engine: Engine, name: str) -> tuple[list[str], list[Document]]:
    """Return the files of marked documents that may be read, and the documents of others whose text is sound."""
    paths, texts = [], []
    with engine.collection(name).view() as view:
        for each in view.unsound(view.document_numbers(marked=True)):
            if each.path is None and each.text_is_sound:
                texts.append(view.document(each.id).document)
            elif each.path is not None and _readable(engine, each.path):
                paths.append(each.path)
    return paths, texts


def _readable(engine: Engine, path: str) -> bool:
    try:
        return os.path.isfile(allowed(Path(path), engine.roots.all()))
    except PathNotAllowed:
        return False

"""Documents that an earlier version read or cut otherwise, read again in the background once a new version is installed.

Nothing waits for it: until a document is renewed it is found as it was. A file that is gone, or that may not be read any
more, leaves its document as it is, too. Documents are renewed in portions, so that another caller's index call comes
between two of them; an owner that ends first leaves the rest to the next one.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from knowledge_core.engine import Engine
from knowledge_core.errors import Interrupted, InvalidInput, KnowledgeCoreError, PathNotAllowed
from knowledge_core.indexing.preparing import reading_version
from knowledge_core.ingestion.readers import inline_document
from knowledge_core.ingestion.walking.walker import allowed
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.types import Document

log = logging.getLogger(__name__)

PORTION = 500  # documents per job


def renew(engine: Engine) -> None:
    """Read again what an earlier version read in any collection, one collection after the other. Blocks until it is done.

    A failure ends the work on its collection; the next process tries again.
    """
    for name in engine.names():
        try:
            renew_collection(engine, name)
        except Interrupted:
            return  # this process is ending
        except KnowledgeCoreError as error:
            log.warning("the documents of %s that an earlier version read stay as they are for now: %s", name, error)
        finally:
            engine.renewing.pop(name, None)


def renew_collection(engine: Engine, name: str) -> None:
    """Read again what an earlier version read in one collection, and record that it is done.

    Raises:
        Interrupted: this process is ending. KnowledgeCoreError: the record refused, or the model does not load.
    """
    version = reading_version()
    with engine.collection(name).view() as view:
        old = view.of_other_versions(version)
    if old:
        log.info("%s: %d documents were read by an earlier version and are read again", name, len(old))
    for start in range(0, len(old), PORTION):
        engine.renewing[name], portion = len(old) - start, old[start : start + PORTION]
        paths = [path for _, path in portion if path is not None and _readable(engine, path)]
        texts = [text for id, path in portion if path is None and (text := _given_again(engine, name, id))]
        if paths or texts:
            job = accept_index(engine, IndexRequest(name, paths=tuple(paths), renewing=True), texts, [])
            job.wait(threading.TIMEOUT_MAX)
            if job.state in ("interrupted", "cancelled"):
                return
    engine.collection(name).set_read_by(version)


def _readable(engine: Engine, path: str) -> bool:
    try:
        return allowed(Path(path), engine.roots.all()).is_file()
    except (PathNotAllowed, OSError):
        return False


def _given_again(engine: Engine, name: str, id: str) -> Document | None:
    """Return a document that was given by its text as it would be made of the same call now; None if it is gone."""
    with engine.collection(name).view() as view:
        try:
            stored = view.document(id).document
        except KnowledgeCoreError:  # deleted meanwhile
            return None
    try:
        return inline_document(id, stored.text, stored.title, stored.uri, stored.metadata)
    except InvalidInput:  # an earlier version allowed more
        return stored

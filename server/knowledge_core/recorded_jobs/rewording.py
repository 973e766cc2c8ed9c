"""The words of chunks that an earlier version of the program read, read again in the background after a new one is installed.

Nothing waits for it: until then what is written as one, accents left out and the names of files are not found in these chunks,
everything else is. An owner that ends first leaves all of a collection to the next one.
"""

from __future__ import annotations

import logging
import time

from knowledge_core.engine import Engine
from knowledge_core.errors import Interrupted, KnowledgeCoreError

log = logging.getLogger(__name__)

PORTION = 1_000  # chunks: for about 0.3 s nothing else is written to the collection


def reword(engine: Engine) -> None:
    """Word anew what an earlier version worded in any collection, one after the other. Blocks until it is done.

    A failure ends the work on its collection; the next process tries again.
    """
    for name in engine.names():
        try:
            _reword(engine, name)
        except Interrupted:
            return  # this process is ending
        except KnowledgeCoreError as error:
            log.warning("the words of %s stay as an earlier version read them for now: %s", name, error)


def _reword(engine: Engine, name: str) -> None:
    after: int | None = 0
    count = 0
    while after is not None:
        began = time.monotonic()
        after = engine.collection(name).reword(after, PORTION)
        if after is not None:
            count += 1
            time.sleep(min(time.monotonic() - began, 1.0))  # half of the time is for others
    if count:
        log.info("%s: the words of its chunks, which an earlier version had read, were read again", name)

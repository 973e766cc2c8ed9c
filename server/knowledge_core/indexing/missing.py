"""Files that were not found a moment ago: of a move, the end where it goes may be seen after the one where it came from.

So a job that follows events removes no document whose file vanished only now. It looks again: until then the document is
found, and by then the file may be known under its new name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from knowledge_core.indexing.planning import Plan

GRACE = 1.0  # seconds
MOST = 100_000  # documents that are remembered


class Missing:
    """When the files of documents were first found missing. One per process; a collection's jobs run one after the other."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def without_recent(self, collection: str, plan: Plan, path_of: Callable[[str], str | None]) -> tuple[Plan, int]:
        """Return a plan that removes nothing whose file vanished less than `GRACE` ago, and how many are left for later.

        collection: its name. path_of: the path of a document's file, by its id; None where that is not known.
        """
        now, due = time.monotonic(), list[str]()
        for id in plan.remove:
            path = path_of(id)
            unwanted = path is None or os.path.lexists(path)  # which no move explains
            if unwanted or now - self._since.setdefault((collection, id), now) >= GRACE:
                due.append(id)
        self._forget(collection, due)
        return replace(plan, remove=tuple(due)), len(plan.remove) - len(due)

    def _forget(self, collection: str, ids: Sequence[str]) -> None:
        for id in ids:
            self._since.pop((collection, id), None)
        while len(self._since) > MOST:
            del self._since[next(iter(self._since))]

"""Jobs and their plans in the record: written before work starts, settled in the transactions of the work itself."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from knowledge_core.storage.sqlite import transaction, translated
from knowledge_core.storage.values import Change, JobRecord, PlanRow


class JobTable:
    """The tables `jobs` and `plan`, on the record's writing connection."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def start(self, job: JobRecord, rows: Sequence[PlanRow], supersedes: Sequence[str]) -> None:
        """Record a job and all that it has to settle, before it begins; see `Collection.start_job`."""
        with transaction(self._connection, self._name):
            self._connection.executemany(
                "DELETE FROM plan WHERE path IS NOT NULL AND substr(document, 1, length(?1)) = ?1 AND "
                "job IN (SELECT id FROM jobs WHERE state = 'interrupted')",
                ((prefix,) for prefix in supersedes),
            )
            self._connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.kind, job.state, job.created, job.updated, job.request, job.report),
            )
            self._connection.executemany(
                "INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (job.id, ordinal, row.document, row.action, row.path, row.inline, row.state, row.reason)
                    for ordinal, row in enumerate(rows)
                ),
            )

    def finish(self, id: str, state: str, report: str) -> None:
        """Record a job's end. Its plan goes with it, unless it was interrupted and can go on."""
        with transaction(self._connection, self._name):
            self._connection.execute(
                "UPDATE jobs SET state = ?, updated = ?, report = ? WHERE id = ?", (state, time.time(), report, id)
            )
            if state != "interrupted":
                self._connection.execute("DELETE FROM plan WHERE job = ?", (id,))

    def interrupt_running(self) -> None:
        """Mark what a dead process left running."""
        with transaction(self._connection, self._name):
            self._connection.execute("UPDATE jobs SET state = 'interrupted' WHERE state = 'running'")

    def all(self) -> list[JobRecord]:
        """Return all recorded jobs, newest first."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT id, kind, state, created, updated, request, report FROM jobs ORDER BY created DESC"
            ).fetchall()
        return [JobRecord(*row) for row in rows]

    def plan(self, job: str) -> list[PlanRow]:
        """Return what a job has to settle, in order."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT document, action, path, inline, state, reason FROM plan WHERE job = ? ORDER BY ordinal", (job,)
            ).fetchall()
        return [PlanRow(*row) for row in rows]

    def settle(self, change: Change) -> None:
        """Settle the plan rows of a change, within its transaction; an interrupted job's rows of a document too."""
        if change.job is None:
            return
        settle = "UPDATE plan SET state = ?, reason = ?, inline = NULL WHERE document = ?"
        self._connection.executemany(settle, (("done", "", id) for id in change.done))
        self._connection.executemany(settle, (("failed", why, id) for id, why in change.failed.items()))

"""Jobs and their plans in the record: written before work starts, settled in the transactions of the work itself."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from knowledge_core.storage.record.sqlite import transaction, translated
from knowledge_core.storage.values import Change, JobRecord, PlanRow

KEPT = 50  # ended jobs that a collection remembers with their reports, of a few kB each at most
_STUCK = "stuck:"  # before a job's id, a name in the table `meta`: how many processes got stuck over that job
_JOB = "SELECT id, kind, state, created, updated, request, report, attempts FROM jobs"


class JobTable:
    """The tables `jobs` and `plan`, on the record's writing connection."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def start(self, job: JobRecord, rows: Sequence[PlanRow]) -> None:
        """Record a job and what it is known to settle so far; see `Collection.start_job`."""
        with transaction(self._connection, self._name):
            self._connection.execute(
                "INSERT INTO jobs (id, kind, state, created, updated, request, report, attempts) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.kind, job.state, job.created, job.updated, job.request, job.report, job.attempts),
            )
            self._insert(job.id, rows)

    def extend_within(self, id: str, rows: Sequence[PlanRow], report: str, covered: Sequence[str]) -> None:
        """Add to a job's plan, and record its report so far, within a transaction that is open.

        covered: as in `Found`.
        """
        self._connection.executemany(
            "DELETE FROM plan WHERE path IS NOT NULL AND substr(document, 1, length(?1)) = ?1 AND job IN ("
            "SELECT id FROM jobs WHERE state = 'interrupted' AND created < (SELECT created FROM jobs WHERE id = ?2))",
            ((prefix, id) for prefix in covered),
        )
        self._insert(id, rows)
        self._connection.execute("UPDATE jobs SET report = ?, updated = ? WHERE id = ?", (report, time.time(), id))

    def forget(self, id: str) -> None:
        """Forget a job that has ended, as if it had never been."""
        with transaction(self._connection, self._name):
            self._connection.execute("DELETE FROM plan WHERE job = ?", (id,))
            self._connection.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def resume(self, id: str) -> int:
        """Mark an interrupted job as running again; return which attempt this is."""
        with transaction(self._connection, self._name):
            row = self._connection.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, updated = ? WHERE id = ? RETURNING attempts",
                (time.time(), id),
            ).fetchone()
        return int(row[0])

    def finish(self, id: str, state: str, report: str | None) -> None:
        """Record a job's end. Its plan is dropped, unless the job was interrupted in order and can go on.

        report: JSON; None leaves the report that the work itself wrote last.
        """
        with transaction(self._connection, self._name):
            self._connection.execute(
                "UPDATE jobs SET state = ?, updated = ?, report = coalesce(?, report) WHERE id = ?",
                (state, time.time(), report, id),
            )
            if state == "interrupted":
                self._connection.execute("UPDATE jobs SET attempts = attempts - 1 WHERE id = ?", (id,))
                return
            self._connection.execute("DELETE FROM plan WHERE job = ?", (id,))
            self._connection.execute("DELETE FROM meta WHERE name = ?", (_STUCK + id,))
            self._connection.execute(
                "DELETE FROM jobs WHERE state NOT IN ('running', 'interrupted') AND id NOT IN ("
                "SELECT id FROM jobs WHERE state NOT IN ('running', 'interrupted') ORDER BY updated DESC LIMIT ?)",
                (KEPT,),
            )

    def interrupt_running(self) -> frozenset[str]:
        """Mark the jobs that a process which died left running as interrupted; return their ids."""
        with transaction(self._connection, self._name):
            rows = self._connection.execute(
                "UPDATE jobs SET state = 'interrupted' WHERE state = 'running' RETURNING id"
            ).fetchall()
        return frozenset(id for (id,) in rows)

    def blame(self, id: str) -> int:
        """Record that a process got stuck while it worked on a job; return how many have so far."""
        with transaction(self._connection, self._name):
            row = self._connection.execute(
                "INSERT INTO meta VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                (_STUCK + id,),
            ).fetchone()
        return int(row[0])

    def all(self) -> list[JobRecord]:
        """Return all recorded jobs, newest first."""
        with translated(self._name):
            rows = self._connection.execute(f"{_JOB} ORDER BY created DESC").fetchall()
        return [JobRecord(*row) for row in rows]

    def get(self, id: str) -> JobRecord | None:
        """Return one recorded job; None where it is not there."""
        with translated(self._name):
            row = self._connection.execute(f"{_JOB} WHERE id = ?", (id,)).fetchone()
        return None if row is None else JobRecord(*row)

    def plan(self, job: str) -> list[PlanRow]:
        """Return what a job has to settle, in order; inline documents without their text (`inline` has that)."""
        with translated(self._name):
            rows = self._connection.execute(
                "SELECT document, action, path, NULL, state, reason FROM plan WHERE job = ? ORDER BY ordinal", (job,)
            ).fetchall()
        return [PlanRow(*row) for row in rows]

    def inline(self, job: str, document: str) -> str | None:
        """Return the JSON of a document that a job was given by its text; None once it is settled."""
        with translated(self._name):
            row = self._connection.execute(
                "SELECT inline FROM plan WHERE job = ? AND document = ? AND inline IS NOT NULL", (job, document)
            ).fetchone()
        return None if row is None else str(row[0])

    def settle(self, change: Change) -> None:
        """Settle the plan rows of a change, within its transaction, and those of older jobs for the same documents."""
        if change.job is None:
            return
        settle = (
            "UPDATE plan SET state = ?, reason = ?, inline = NULL WHERE document = ? AND job IN "
            "(SELECT id FROM jobs WHERE created <= (SELECT created FROM jobs WHERE id = ?))"
        )
        self._connection.executemany(settle, (("done", "", id, change.job) for id in change.done))
        self._connection.executemany(settle, (("failed", why, id, change.job) for id, why in change.failed.items()))
        if change.report is not None:
            self._connection.execute("UPDATE jobs SET report = ? WHERE id = ?", (change.report, change.job))

    def _insert(self, job: str, rows: Sequence[PlanRow]) -> None:
        (first,) = self._connection.execute(
            "SELECT coalesce(max(ordinal) + 1, 0) FROM plan WHERE job = ?", (job,)
        ).fetchone()
        self._connection.executemany(
            "INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (job, ordinal, row.document, row.action, row.path, row.inline, row.state, row.reason)
                for ordinal, row in enumerate(rows, start=first)
            ),
        )

"""Long work with an id, progress and an outcome, each job on a thread of its own.

The runner does not know what a job does: it calls a function, stops it by raising `Cancelled` from the function's progress
callback, and keeps its outcome for a while. What a job needs to survive a crash (its plan) is in the collection's record,
not here.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from knowledge_core.errors import Cancelled, Interrupted, KnowledgeCoreError
from knowledge_core.types import JobState, Progress, ReportProgress

log = logging.getLogger(__name__)

KEPT = 200  # ended jobs that are remembered; each takes a few hundred bytes


@dataclass
class Job:
    """One piece of long work. Any thread may read its fields; only its own thread changes them.

    Attributes:
        id: of the job, unique over all processes.
        kind: such as "index" or "cluster".
        collection: that it works on.
        created: seconds since 1970, when it was accepted; of a resumed job, by an earlier process.
        state: "running" until it has ended.
        progress: its last report.
        outcome: what its work returned; None until it is done.
        error: why it ended otherwise; "" where it did not.
        finished: seconds since 1970, when it ended; None before.
    """

    id: str
    kind: str
    collection: str
    created: float
    state: JobState = "running"
    progress: Progress = field(default_factory=lambda: Progress(0, 0, "starting"))
    outcome: object = None
    error: str = ""
    finished: float | None = None
    unasked: bool = False
    _cancel: threading.Event = field(default_factory=threading.Event, repr=False)
    _interrupt: threading.Event = field(default_factory=threading.Event, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _listeners: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def cancel(self) -> None:
        """Ask the work to stop at its next batch."""
        self._cancel.set()

    @property
    def stopping(self) -> bool:
        """Say whether it was asked to stop and has not ended yet."""
        return self.state == "running" and (self._cancel.is_set() or self._interrupt.is_set())

    def interrupt(self) -> None:
        """Ask the work to stop at its next batch, because the process is ending."""
        self._interrupt.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, for `seconds` at most; say whether it has ended."""
        with self._changed:
            return self._changed.wait_for(lambda: self.state != "running", timeout=max(seconds, 0.0))

    @contextmanager
    def heard(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` after every report and after the end, on the job's thread, until the block ends."""
        with self._changed:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._changed:
                self._listeners.remove(listener)

    def report(self, progress: Progress) -> None:
        """Note how far the work is.

        Raises:
            Cancelled, Interrupted: the work should stop now.
        """
        with self._changed:
            self.progress = progress
            self._tell()
        if self._interrupt.is_set():
            raise Interrupted(
                "The process is ending; what was acknowledged stays, and the job goes on in the next one."
            )
        if self._cancel.is_set():
            raise Cancelled("Cancelled by the caller; what was acknowledged stays.")

    def end(self, state: JobState, outcome: object = None, error: str = "") -> None:
        """Note how the job ended, and wake the threads that wait for it."""
        with self._changed:
            self.state, self.outcome, self.error, self.finished = state, outcome, error, time.time()
            self.progress = self.progress.ended()
            self._tell()
            self._changed.notify_all()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


Work = Callable[[Job, ReportProgress], object]
"""The work of a job. It calls the second argument between batches, and lets through what that raises."""


def new_id(kind: str) -> str:
    """Return an id for a new job."""
    return f"{kind}-{uuid.uuid4().hex[:10]}"


class Jobs:
    """The jobs of this process."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._guard = threading.Lock()
        self._stopped = False

    def start(
        self, kind: str, collection: str, work: Work, *, id: str | None = None, created: float | None = None,
        unasked: bool = False,
    ) -> Job:  # fmt: skip
        """Start `work` on a thread of its own and return its job at once.

        unasked: nobody asked for it, so that it does not keep this process alive.
        id, created: given for a job that the record holds already; else both are new.

        Raises:
            Interrupted: the process is ending.
        """
        job = Job(id or new_id(kind), kind, collection, created or time.time(), unasked=unasked)
        thread = threading.Thread(target=self._run, args=(job, work), name=job.id, daemon=True)
        with self._guard:
            if self._stopped:
                raise Interrupted("The process is ending: call again, the next one takes it.")
            self._forget_old()
            self._jobs[job.id] = job
            self._threads[job.id] = thread
        thread.start()
        return job

    def find(self, id: str) -> Job | None:
        """Return the job of this id; None if this process remembers none."""
        with self._guard:
            return self._jobs.get(id)

    def forget(self, id: str) -> None:
        """Forget a job that has ended, as if it had never been."""
        with self._guard:
            job = self._jobs.get(id)
            if job is not None and job.state != "running":
                del self._jobs[id]

    def all(self) -> list[Job]:
        """Return all jobs that this process remembers, newest first."""
        with self._guard:
            return sorted(self._jobs.values(), key=lambda job: -job.created)

    def running(self) -> list[Job]:
        """Return the jobs that have not ended."""
        return [job for job in self.all() if job.state == "running"]

    def stop(self) -> None:
        """Ask all jobs to stop, and wait until they have ended, as "interrupted"; no further job starts."""
        with self._guard:
            self._stopped = True
            threads = list(self._threads.values())
            for job in self._jobs.values():
                job.interrupt()
        for thread in threads:
            thread.join()

    def _run(self, job: Job, work: Work) -> None:
        try:
            outcome = work(job, job.report)
        except Interrupted as stopped:
            job.end("interrupted", error=str(stopped))
        except Cancelled as stopped:
            job.end("cancelled", error=str(stopped))
        except KnowledgeCoreError as error:
            job.end("failed", error=str(error))
        except Exception:  # the last frame of this thread: the threads that wait must be woken
            log.exception("%s failed", job.id)
            # The message says nothing of the error itself, which may hold a path or a text.
            job.end("failed", error="An unexpected error; the log has the details.")
        else:
            job.end("done", outcome)
        finally:
            with self._guard:
                self._threads.pop(job.id, None)
                last = not self._threads
            if last:
                trim_memory()
            log.info("%s %s in %.0f ms", job.id, job.state, 1e3 * (time.time() - job.created))

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if job.state != "running"]
        for job in sorted(ended, key=lambda job: job.created)[: max(len(ended) - KEPT, 0)]:
            del self._jobs[job.id]


def trim_memory() -> None:
    """Give freed memory back to the system, which the C library keeps for later where nobody asks for it.

    Only glibc has the call (malloc_trim(3)); elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

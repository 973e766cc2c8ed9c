"""Waiting for a job at a shell: its progress on a line, and Ctrl-C, which cancels the job and not only the waiting.

The job is known by its id before anything is waited for. So Ctrl-C cancels it by name, as everybody must: no server takes
the end of a call, or of a connection, for a wish to end the work.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import ProgressLine

if TYPE_CHECKING:
    import anyio

    from knowledge_core.serving.client import Answer, Connection

LONGEST_WAIT = 3600  # seconds, the most that a tool waits in one call
STOPPING = 60  # seconds; a job stops after its present batch, half a second, or when a model is loaded
INTERRUPTED = 130  # exit code
_FIRST = b"\nkcore: cancelling the job; it stops after its present step. Ctrl-C again quits at once.\n"
_SECOND = b"\nkcore: quit without waiting for the job's end; `kcore status` shows it.\n"


class Interrupts:
    """Ctrl-C within the block: the first one ends a waiting, the second one this process."""

    def __enter__(self) -> Interrupts:
        import asyncio  # only here: a pipe, which is a command too, must stay small

        self.asked = False
        self._waiting: anyio.CancelScope | None = None
        self._loop = asyncio.get_running_loop()
        self._before = signal.getsignal(signal.SIGINT)
        # A command that a script put into the background is not to hear it, and a thread cannot.
        self._hears = self._before != signal.SIG_IGN and threading.current_thread() is threading.main_thread()
        if self._hears:
            signal.signal(signal.SIGINT, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        if self._hears:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def end_waiting(self) -> Iterator[None]:
        """Leave the block when Ctrl-C is pressed, or was pressed before."""
        import anyio

        with anyio.CancelScope() as self._waiting:
            self._end()
            yield

    def _heard(self, *_: object) -> None:
        # Not by print: whoever was interrupted may be in the middle of one.
        if self.asked:
            os.write(2, _SECOND)
            os._exit(INTERRUPTED)
        os.write(2, _FIRST)
        self.asked = True
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self.asked and self._waiting is not None:
            self._waiting.cancel()


async def finished(connection: Connection, tool: str, arguments: dict[str, Any]) -> Answer:
    """Start a job by a tool, wait for its end, however long, and return what it gave; see `end_of`."""
    with Interrupts() as interrupts:
        started = await connection.call(tool, {**arguments, "wait_seconds": 0})
        return await end_of(connection, started.structure["job"], interrupts)


async def end_of(connection: Connection, job: str, interrupts: Interrupts) -> Answer:
    """Wait for the end of a job, with a progress line; Ctrl-C cancels it, and the answer says what was kept.

    The structure is the job's result, or where it has none, the job as the `job` tool tells of it.

    Raises:
        Refused: the job failed; its own words.
    """
    from knowledge_core.serving.client import Answer, Refused

    answer: Answer | None = None
    with ProgressLine() as line:
        while not interrupts.asked and (answer is None or answer.structure["jobs"][0]["state"] == "running"):
            with interrupts.end_waiting():
                answer = await connection.call("job", {"id": job, "wait_seconds": LONGEST_WAIT}, line)
    if answer is None or answer.structure["jobs"][0]["state"] == "running":
        answer = await connection.call("job", {"id": job, "action": "cancel", "wait_seconds": STOPPING})
    item = answer.structure["jobs"][0]
    if item["state"] == "failed":
        raise Refused(item["error"])
    text = answer.text.removeprefix(f"{job}: done. ")  # a person who waited wants what came of it, not its id
    return Answer(text, {"state": item["state"], **item.get("result", item)})


def code_of(answer: Answer) -> int:
    """Return the exit code of a command that waited for a job; only after Ctrl-C one is still running."""
    return {"done": 0, "cancelled": INTERRUPTED, "running": INTERRUPTED}.get(answer.structure["state"], 1)

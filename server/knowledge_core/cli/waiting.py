"""Waiting for a job in a shell: its progress on one line, and Ctrl-C, which cancels the job and not only the waiting.

The job's id is known before the waiting begins, so that Ctrl-C can cancel the job by its id. That is the only way: the
server does not end a job because a call or a connection has ended.
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

LONGEST_WAIT = 3600  # seconds; the most that a tool waits in one call
STOPPING = (
    60  # seconds to wait for a cancelled job: it stops after its batch (half a second), or once a model is loaded
)
INTERRUPTED = 130  # exit code after Ctrl-C
_FIRST = b"\nkcore: cancelling the job; it stops after its present step. Ctrl-C again quits at once.\n"
_SECOND = b"\nkcore: quit without waiting for the job's end; `kcore status` shows it.\n"


class Interrupts:
    """Handles Ctrl-C within the block: the first one ends the waiting, the second one ends this process."""

    def __enter__(self) -> Interrupts:
        import asyncio  # only here: the pipe is a command, too, and must start without it

        self.asked = False
        self._waiting: anyio.CancelScope | None = None
        self._loop = asyncio.get_running_loop()
        self._before = signal.getsignal(signal.SIGINT)
        # A command that a script put into the background ignores Ctrl-C, and only the main thread can handle it.
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
        # os.write instead of print: the interrupted code may be inside a print.
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
    """Start a job by calling a tool, wait for its end, however long it takes, and return its outcome; see `end_of`."""
    with Interrupts() as interrupts:
        started = await connection.call(tool, {**arguments, "wait_seconds": 0})
        return await end_of(connection, started.structure["job"], interrupts)


async def end_of(connection: Connection, job: str, interrupts: Interrupts) -> Answer:
    """Wait for the end of a job, with a progress line. Ctrl-C cancels the job; then the answer says what was kept.

    The answer's structure is the job's result; where it has none, the job's item of the `job` tool.

    Raises:
        Refused: the job failed; the message is the job's error.
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
    text = answer.text.removeprefix(f"{job}: done. ")  # a person who waited wants the outcome, not the id
    return Answer(text, {"state": item["state"], **item.get("result", item)})


def code_of(answer: Answer) -> int:
    """Return the exit code of a command that waited for a job; a job still runs only after Ctrl-C."""
    return {"done": 0, "cancelled": INTERRUPTED, "running": INTERRUPTED}.get(answer.structure["state"], 1)

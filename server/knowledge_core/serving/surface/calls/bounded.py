"""Tools that answer in time: work that takes longer than a host waits goes on as a job, which the tool `job` finds.

For tools whose work does not begin as a job, because it rarely takes that long: it does while a model is being loaded, with
ten thousand texts to classify, or with a few hundred thousand documents to delete.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult

from knowledge_core.engine import Engine
from knowledge_core.errors import Busy, Cancelled
from knowledge_core.types import Progress, ReportProgress

LISTENING = 0.2  # seconds between two checks whether the job should stop

Tool = Callable[..., CallToolResult]
AsyncTool = Callable[..., Awaitable[CallToolResult]]

_WITHDRAWN: ContextVar[threading.Event | None] = ContextVar("withdrawn", default=None)


def withdrawal() -> Callable[[], bool]:
    """Return what says whether nobody waits any more for what the present call of a tool does: for work that can stop."""
    event = _WITHDRAWN.get()
    return (lambda: False) if event is None else event.is_set


def in_time(tool: Tool, engine: Engine, kind: str, longest: float, *, stops: bool = True) -> AsyncTool:
    """Return a tool that answers after `longest` seconds at the latest; unfinished work goes on as a job of this kind.

    The tool raises a `ToolError` that names the job then, or `Busy` if no thread was free to begin in that time.

    stops: whether the job may end before the work does, when it is cancelled or the process ends. False for work that
    writes: the job must not say that it ended while the writing goes on.
    """

    @functools.wraps(tool)
    async def bounded(**arguments: Any) -> CallToolResult:
        done: Future[CallToolResult] = Future()
        withdrawn = threading.Event()
        _WITHDRAWN.set(withdrawn)  # of this call's task; its thread sees it, too
        try:
            with anyio.move_on_after(None if math.isinf(longest) else longest):
                await anyio.to_thread.run_sync(
                    _settle, done, functools.partial(tool, **arguments), abandon_on_cancel=True
                )
                return done.result()
        except anyio.get_cancelled_exc_class():  # by the client; the time that is over passes here silently
            withdrawn.set()
            raise
        if done.cancel():  # no thread has begun it
            raise Busy(f"{longest:.0f} s were not enough to begin: too many calls are under way. Call again.")
        collection = arguments.get("collection") or ""
        job = engine.jobs.start(kind, collection, lambda job, report: _end(done, report, stops, withdrawn))
        raise ToolError(
            f"{kind} needs longer than {longest:.0f} s; nothing is wrong. {going_on(job.id)} That has the answer."
        )

    return bounded


def going_on(job: str) -> str:
    """Tell a model that work goes on, and what to call next."""
    return f'It goes on as a job, also when nobody waits. Next: job(id="{job}", wait_seconds=40).'


def _settle(done: Future[CallToolResult], tool: Callable[[], CallToolResult]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(tool())
    except Exception as error:  # noqa: BLE001  passed on to the waiting side: the call, or the job that took over
        done.set_exception(error)


def _end(
    done: Future[CallToolResult], report: ReportProgress, stops: bool, withdrawn: threading.Event
) -> CallToolResult:
    try:
        while stops and not done.done():
            report(Progress(0, 0, "working", "steps"))
            wait([done], timeout=LISTENING)
    except Cancelled:
        withdrawn.set()
        raise
    return done.result()

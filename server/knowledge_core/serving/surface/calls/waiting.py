"""Waiting for a job within a call, and telling the client how far it is."""

from __future__ import annotations

import asyncio
import contextlib

import anyio

from knowledge_core.jobs import Job
from knowledge_core.serving.surface.calls.parameters import ToolContext


async def watch(job: Job, seconds: float, context: ToolContext) -> None:
    """Wait until a job has ended or `seconds` are over, telling the client of it as it reports. Takes no thread.

    A client that withdraws its call, or vanishes, ends the waiting and never the work: it may come back for that.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    last = -1.0

    def heard() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before the job did
            loop.call_soon_threadsafe(changed.set)

    with job.heard(heard), anyio.move_on_after(seconds):
        while True:
            changed.clear()
            ended, progress = job.state != "running", job.progress
            # The protocol wants progress to increase.
            if progress.done > last:
                last = float(progress.done)
                await context.report_progress(last, float(progress.total) or None, progress.told())
            if ended:
                return
            await changed.wait()

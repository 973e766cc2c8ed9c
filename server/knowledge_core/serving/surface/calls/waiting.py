"""Waiting for a job within a call, and reporting its progress to the client."""

from __future__ import annotations

import asyncio
import contextlib

import anyio

from knowledge_core.jobs import Job
from knowledge_core.serving.surface.calls.parameters import ToolContext


async def watch(job: Job, seconds: float, context: ToolContext) -> None:
    """Wait until a job has ended or `seconds` are over, and pass its progress on to the client. Takes no thread.

    A client that withdraws its call, or disconnects, ends the waiting and never the job: it may ask for the job later.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    last = -1.0

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended before the job did
            loop.call_soon_threadsafe(changed.set)

    with job.heard(wake), anyio.move_on_after(seconds):
        while True:
            changed.clear()
            ended, progress = job.state != "running", job.progress
            # The protocol demands that progress increases with every notification.
            if progress.done > last:
                last = float(progress.done)
                await context.report_progress(last, float(progress.total) or None, progress.told())
            if ended:
                return
            await changed.wait()

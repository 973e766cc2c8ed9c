"""The tool `job`, which speaks of long work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from knowledge_core.cursors import pack, unpack
from knowledge_core.engine import Engine
from knowledge_core.errors import CursorExpired, InvalidInput
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs.known import JobView, cancel_job, find_job, known_jobs
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import ClusterResult, IndexResult, JobItem, JobsResult
from knowledge_core.serving.surface.tools.answering import answer, text_of
from knowledge_core.serving.surface.tools.bounded import going_on
from knowledge_core.serving.surface.tools.cluster import Grouped, cluster_result, render_clusters
from knowledge_core.serving.surface.tools.index import LONGEST_MESSAGE, SHOWN, index_result, render_index
from knowledge_core.serving.surface.tools.pages import Room, brief, ending, whole
from knowledge_core.serving.surface.tools.parameters import Cursor, ToolContext
from knowledge_core.serving.surface.tools.waiting import watch
from knowledge_core.types import UNFINISHED
from knowledge_core.verbs.index import IndexReport
from knowledge_core.verbs.reembed import ReembedReport

LOOKING = 0.1  # seconds between two looks whether an interrupted job goes on
ROOM_OF_ONE = 1_000  # bytes of a job's result in a list of jobs
JOB = "State and report of long work: one job by id, or all. Waits up to wait_seconds; only action=cancel stops it."


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `job`. longest: seconds after which a call answers."""

    @server.tool(
        name="job",
        title="Job",
        description=JOB,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
    async def job_tool(
        context: ToolContext,
        id: Annotated[str | None, Field(description="From index or cluster; none: all jobs.")] = None,
        action: Literal["status", "cancel"] = "status",
        wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 0,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, JobsResult]:
        if id is None and action == "cancel":
            raise InvalidInput("Say which job to cancel: give its id.")
        if id is not None and action == "cancel":
            await anyio.to_thread.run_sync(cancel_job, engine, id)
        until = anyio.current_time() + min(wait_seconds, longest)
        waited_for = next(iter(engine.jobs.running()), None) if id is None else await _here(engine, id, until)
        if waited_for is not None:
            await watch(waited_for, until - anyio.current_time(), context)
        if id is not None:
            found = await anyio.to_thread.run_sync(find_job, engine, id)
            item = _job_item(found, _job_result(found, engine.model_notice(), Room()))
            text = text_of(found.outcome) if isinstance(found.outcome, CallToolResult) else ""
            result = JobsResult(jobs=[item], total=1, truncated=False)
            return answer(result, f"{item.id}: done.\n{text}" if text else _render_job(item))
        result = _jobs(await anyio.to_thread.run_sync(known_jobs, engine), cursor)
        lines = [*map(_line_of_job, result.jobs), *ending([], result.cursor)]
        return answer(result, "\n".join(lines) or "No jobs yet.")


async def _here(engine: Engine, id: str, until: float) -> Job | None:
    """Return a job of this process; one that a former process left may take a moment to go on. None: it has ended."""
    while (job := engine.jobs.find(id)) is None and anyio.current_time() < until:
        found = await anyio.to_thread.run_sync(find_job, engine, id)
        if found.state not in UNFINISHED:
            return None
        await anyio.sleep(LOOKING)
    return job


def _jobs(known: list[JobView], cursor: str | None) -> JobsResult:
    """Return the jobs that follow those that a cursor came with, and their cursor."""
    begin = 0 if cursor is None else _place_after(cursor, [job.id for job in known])
    rest = known[begin:]
    items = (_job_item(job, _job_result(job, "", Room(ROOM_OF_ONE, 3 * ROOM_OF_ONE))) for job in rest[:SHOWN])
    listed = whole(items, _line_of_job, Room())
    more = len(listed) < len(rest)
    end = pack(["job", listed[-1].id]) if more else None
    return JobsResult(jobs=listed, total=len(known), truncated=more, cursor=end)


def _place_after(cursor: str, ids: list[str]) -> int:
    match unpack(cursor):
        case ["job", str(last)] if last in ids:
            return ids.index(last) + 1
    raise CursorExpired("This cursor is not one of job, or its jobs are forgotten. Call again without it.")


def _job_item(job: JobView, result: dict[str, Any] | None) -> JobItem:
    progress = job.progress
    return JobItem(
        id=job.id, kind=job.kind, collection=job.collection, state=job.state, done=progress.done, total=progress.total,
        message=progress.message, chunks=progress.chunks, tokens_per_second=round(progress.tokens_per_second, 1),
        seconds_left=None if progress.seconds_left is None else round(progress.seconds_left, 1),
        error=brief(job.error, LONGEST_MESSAGE) or None, result=result,
    )  # fmt: skip


def _job_result(job: JobView, model_notice: str, room: Room) -> dict[str, Any] | None:
    if isinstance(job.outcome, IndexReport):
        return index_result(job, model_notice, room).model_dump(exclude_none=True)
    if isinstance(job.outcome, Grouped):
        return cluster_result(job, job.outcome.clustering.mode, room).model_dump(exclude_none=True)
    if isinstance(job.outcome, ReembedReport):
        return asdict(job.outcome)
    if isinstance(job.outcome, CallToolResult):
        content: dict[str, Any] | None = job.outcome.structured_content
        return content
    return None


def _render_reembed(result: dict[str, Any]) -> str:
    done = ReembedReport(**result)
    return (
        f"Collection {done.collection!r} moved from {done.before} to {done.after} ({done.dimensions} dimensions): "
        f"{done.documents} documents, {done.chunks} chunks, {done.embedded} texts embedded, in {done.seconds:.1f} s."
    )


RENDER: dict[str, Callable[[dict[str, Any]], str]] = {
    "index": lambda result: render_index(IndexResult(**result)),
    "cluster": lambda result: render_clusters(ClusterResult(**result)),
    "reembed": _render_reembed,
}


def _line_of_job(job: JobItem) -> str:
    """Return one line; the rest is told of one job by its id."""
    return _render_job(job).partition("\n")[0]


def _render_job(job: JobItem) -> str:
    error = f" {job.error}" if job.error and job.state == "failed" else ""
    if job.result is not None and job.kind in RENDER:
        return f"{job.id}: {job.state}.{error} {RENDER[job.kind](job.result)}"
    left = "" if job.seconds_left is None else f", about {job.seconds_left:,.0f} s left"
    following = f" {going_on(job.id)}" if job.state == "running" else ""
    return f"{job.id} ({job.kind} {job.collection!r}): {job.state}, {job.message}{left}.{error}{following}"

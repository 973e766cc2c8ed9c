"""The tool `job`: the state and outcome of long work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from knowledge_core.cursors import pack, unpack
from knowledge_core.engine import Engine
from knowledge_core.errors import CursorExpired, InvalidInput
from knowledge_core.jobs import Job
from knowledge_core.near_names import brief
from knowledge_core.recorded_jobs.known import JobView, cancel_job, find_job, known_jobs
from knowledge_core.serving.surface.calls.answering import answer, text_of
from knowledge_core.serving.surface.calls.bounded import going_on
from knowledge_core.serving.surface.calls.pages import Room, default_room, ending
from knowledge_core.serving.surface.calls.parameters import Cursor, ToolContext
from knowledge_core.serving.surface.calls.waiting import watch
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import JobItem, JobsResult
from knowledge_core.serving.surface.tools.cluster import Grouped, cluster_result, render_clusters
from knowledge_core.serving.surface.tools.index import LONGEST_MESSAGE, SHOWN, index_result, render_index
from knowledge_core.types import UNFINISHED
from knowledge_core.verbs.index_report import IndexReport
from knowledge_core.verbs.reembed import ReembedReport

LOOKING = 0.1  # seconds between two checks whether an interrupted job goes on
ROOM_OF_ONE = 1_000  # bytes of a job's result in a list of jobs
JOB = "State and report of long work: one job by id, or all. Waits up to wait_seconds; only action=cancel stops it."


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `job`. longest: seconds after which a call answers."""
    tool = JobTool(engine, longest)
    server.add_tool(
        tool.call,
        name="job",
        title="Job",
        description=JOB,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


class JobTool:
    """The tool `job`: see `add`."""

    def __init__(self, engine: Engine, longest: float) -> None:
        self._engine, self._longest = engine, longest

    async def call(
        self,
        context: ToolContext,
        id: Annotated[str | None, Field(description="From index or cluster; none: all jobs.")] = None,
        action: Literal["status", "cancel"] = "status",
        wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 0,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, JobsResult]:
        engine, longest = self._engine, self._longest
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
            shown = _shown(found, engine.embedders.notice(), default_room())
            return answer(JobsResult(jobs=[shown.item], total=1, truncated=False), shown.text)
        return _listed(await anyio.to_thread.run_sync(known_jobs, engine), cursor)


async def _here(engine: Engine, id: str, until: float) -> Job | None:
    """Return a job of this process, or None if it has ended.

    A job that a former process left may take a moment to go on here: it is waited for until then.

    until: by the clock of anyio.
    """
    while (job := engine.jobs.find(id)) is None and anyio.current_time() < until:
        found = await anyio.to_thread.run_sync(find_job, engine, id)
        if found.state not in UNFINISHED:
            return None
        await anyio.sleep(LOOKING)
    return job


def _listed(known: list[JobView], cursor: str | None) -> CallToolResult:
    """Answer with the jobs that follow those that a cursor came with."""
    begin = 0 if cursor is None else _place_after(cursor, [job.id for job in known])
    rest, room = known[begin:], default_room()
    made = (_shown(job, "", Room(ROOM_OF_ONE, 3 * ROOM_OF_ONE)) for job in rest[:SHOWN])
    shown = list(takewhile(lambda each: room.takes(each.line, each.item), made))
    more = len(shown) < len(rest)
    end = pack(["job", shown[-1].item.id]) if more else None
    result = JobsResult(jobs=[each.item for each in shown], total=len(known), truncated=more, cursor=end)
    return answer(result, "\n".join([*(each.line for each in shown), *ending([], end)]) or "No jobs yet.")


def _place_after(cursor: str, ids: list[str]) -> int:
    match unpack(cursor):
        case ["job", str(last)] if last in ids:
            return ids.index(last) + 1
    raise CursorExpired("This cursor is not one of job, or its jobs are forgotten. Call again without it.")


@dataclass(frozen=True)
class _Shown:
    """A job as structure and as text. line: the text that a list of jobs shows."""

    item: JobItem
    text: str
    line: str


def _shown(job: JobView, model_notice: str, room: Room) -> _Shown:
    """Return a job with its outcome, as much of that as there is room for."""
    match job.outcome:
        case IndexReport():
            indexed = index_result(job, model_notice, room)
            return _with_result(job, indexed.model_dump(exclude_none=True), render_index(indexed))
        case Grouped(clustering=clustering):
            grouped = cluster_result(job, clustering.mode, room)
            return _with_result(job, grouped.model_dump(exclude_none=True), render_clusters(grouped))
        case ReembedReport() as done:
            return _with_result(job, asdict(done), _render_reembed(done))
        case CallToolResult() as done:  # of a call that took too long for its caller: the call's own answer
            return _Shown(_item(job, done.structured_content), f"{job.id}: done.\n{text_of(done)}", _rendered(job))
    return _Shown(_item(job, None), _rendered(job), _rendered(job))


def _with_result(job: JobView, result: dict[str, Any], rendered: str) -> _Shown:
    text = f"{job.id}: {job.state}.{_error(job)} {rendered}"
    return _Shown(_item(job, result), text, text.partition("\n")[0])


def _item(job: JobView, result: dict[str, Any] | None) -> JobItem:
    progress = job.progress
    return JobItem(
        id=job.id, kind=job.kind, collection=job.collection, state=job.state, done=progress.done, total=progress.total,
        message=progress.message, chunks=progress.chunks, tokens_per_second=round(progress.tokens_per_second, 1),
        seconds_left=None if progress.seconds_left is None else round(progress.seconds_left, 1),
        error=brief(job.error, LONGEST_MESSAGE) or None, result=result,
    )  # fmt: skip


def _render_reembed(done: ReembedReport) -> str:
    return (
        f"Collection {done.collection!r} moved from {done.before} to {done.after} ({done.dimensions} dimensions): "
        f"{done.documents} documents, {done.chunks} chunks, {done.embedded} texts embedded, in {done.seconds:.1f} s."
    )


def _rendered(job: JobView) -> str:
    """Return the line of a job that has no result to show."""
    seconds = job.progress.seconds_left
    left = "" if seconds is None else f", about {round(seconds, 1):,.0f} s left"
    following = f" {going_on(job.id)}" if job.state == "running" else ""
    return (
        f"{job.id} ({job.kind} {job.collection!r}): {job.state}, {job.progress.message}{left}.{_error(job)}{following}"
    )


def _error(job: JobView) -> str:
    return f" {brief(job.error, LONGEST_MESSAGE)}" if job.error and job.state == "failed" else ""

"""The tools of long work: `index`, and `job`, which speaks of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from knowledge_core.engine import Engine
from knowledge_core.errors import CursorExpired, InvalidInput
from knowledge_core.indexing.preparing import Failure
from knowledge_core.ingestion.left_out import LeftOut, printable, shown
from knowledge_core.ingestion.readers import inline_document
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept
from knowledge_core.recorded_jobs.known import JobView, cancel_job, find_job, known_jobs
from knowledge_core.retrieval.cursor import pack, unpack
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import (
    ClusterResult,
    FailureResult,
    IndexResult,
    JobItem,
    JobsResult,
)
from knowledge_core.serving.surface.tools.bounded import going_on
from knowledge_core.serving.surface.tools.common import (
    CollectionName,
    Cursor,
    ToolContext,
    WaitSeconds,
    answer,
    text_of,
    watch,
)
from knowledge_core.serving.surface.tools.grouping import Grouped, cluster_result, render_clusters
from knowledge_core.serving.surface.tools.pages import Room, brief, ending, whole
from knowledge_core.types import Document
from knowledge_core.verbs.index import IndexReport
from knowledge_core.verbs.reembed import ReembedReport

SHOWN = 20  # failures of a report, or jobs, in one answer; the rest is counted
LONGEST_MESSAGE = 500  # characters of a failure's, or a job's
ROOM_OF_ONE = 1_000  # bytes of a job's result in a list of jobs

INDEX = (
    "Make documents searchable: files and folders by `paths` (inside the allowed roots; Markdown, text, HTML, PDF, "
    "source code), or texts by `documents`. Repeating it is cheap: unchanged documents are skipped, changed ones "
    "replaced, vanished files removed. Returns what was indexed, failed or not read, or a job when it outlasts "
    "wait_seconds; the work goes on."
)
JOB = "State and report of long work: one job by id, or all. Waits up to wait_seconds; only action=cancel stops it."


class DocumentInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    text: str
    title: str = ""
    uri: str = ""
    metadata: dict[str, Any] = {}


def add_index(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `index`. longest: seconds after which a call answers."""

    @server.tool(
        name="index",
        title="Index",
        description=INDEX,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )
    async def index_tool(
        context: ToolContext,
        paths: Annotated[list[str] | None, Field(description="Absolute paths of files or folders.")] = None,
        documents: Annotated[list[DocumentInput] | None, Field(description="Texts; the same id replaces.")] = None,
        collection: CollectionName = "default",
        include: Annotated[list[str] | None, Field(description='Only such files, e.g. ["*.md"].')] = None,
        exclude: Annotated[list[str] | None, Field(description="No such files.")] = None,
        wait_seconds: WaitSeconds = 20,
    ) -> Annotated[CallToolResult, IndexResult]:
        until = anyio.current_time() + min(wait_seconds, longest)
        if not paths and not documents:
            raise InvalidInput("Give `paths` (files or folders) or `documents` (id and text); both were empty.")
        request = IndexRequest(collection, tuple(paths or ()), tuple(include or ()), tuple(exclude or ()))

        def accepted() -> Job:
            limit = int(engine.config.indexing.max_text_mb * 1e6)
            checked, failures = _checked(documents or [], limit, alone=not paths)
            return accept(engine, request, checked, failures)

        job = await anyio.to_thread.run_sync(accepted)
        await watch(job, until - anyio.current_time(), context)
        if job.state == "failed":
            raise InvalidInput(job.error)
        view = await anyio.to_thread.run_sync(find_job, engine, job.id)
        result = index_result(view, engine.model_notice(), Room())
        return answer(result, render_index(result))


def _checked(inputs: list[DocumentInput], limit: int, *, alone: bool) -> tuple[list[Document], list[Failure]]:
    """Check the inline documents; a wrong one is a failure of its own, unless it is the only thing asked for.

    limit: bytes a text may have. alone: the call has no paths beside them.
    """
    documents: dict[str, Document] = {}
    failures: list[Failure] = []
    for given in inputs:
        try:
            made = inline_document(given.id, given.text, given.title, given.uri, given.metadata, limit=limit)
        except InvalidInput as error:
            if len(inputs) == 1 and alone:
                raise
            failures.append(Failure(given.id[:200], "invalid", str(error)))
        else:
            if made.id in documents:
                failures.append(Failure(made.id, "twice", f"The id {made.id!r} is given twice; the last one counts."))
            documents[made.id] = made
    if failures and not documents and alone:
        raise InvalidInput(f"None of the {len(failures)} documents can be indexed. The first: {failures[0].message}")
    return list(documents.values()), failures


def index_result(job: JobView, model_notice: str, room: Room) -> IndexResult:
    """Return the wire's form of an index job, ended or not, with as many failures as there is room for."""
    notices = [model_notice] if model_notice else []
    going_on = None if job.state == "done" else job.progress.told()
    if not isinstance(job.outcome, IndexReport):
        return IndexResult(
            collection=job.collection, state=job.state, job=job.id, progress=going_on, notices=notices
        )  # fmt: skip
    done, left_out = job.outcome, job.outcome.left_out.shortened()
    if done.cut:
        notices.append(
            f"{done.cut} chunks were longer, with their titles, than the model reads; {done.cut_tokens} tokens at their ends "
            "were not embedded (words there are found all the same). Shorter titles or headings help."
        )
    failed = whole(map(_failure, done.failed[:SHOWN]), _render_failure, room)
    return IndexResult(
        collection=job.collection, state=job.state, job=job.id, indexed=done.indexed, unchanged=done.unchanged,
        removed=done.removed, failed=failed, failed_total=done.failed_total, failed_reasons=dict(done.failed_reasons),
        skipped=dict(left_out.skipped), unread=dict(left_out.unread),
        skipped_examples={of: list(some) for of, some in left_out.examples.items()},
        chunks=done.chunks, embedded=done.embedded, reused=done.reused, tokens=done.tokens,
        seconds=round(done.seconds, 2), progress=going_on, notices=notices,
    )  # fmt: skip


def _failure(failure: Failure) -> FailureResult:
    return FailureResult(
        document=failure.document, reason=failure.reason, message=brief(failure.message, LONGEST_MESSAGE)
    )


def _render_failure(failure: FailureResult) -> str:
    return f"Failed: {shown(failure.document)}: {failure.reason}: {printable(failure.message)}"


def render_index(result: IndexResult) -> str:
    """Return the text block of an index result."""
    lines = []
    if result.state in ("running", "interrupted"):
        lines.append(f"Still indexing into {result.collection!r}: {result.progress}. {going_on(result.job)}")
    elif result.state != "done":
        again = "index again to go on: what is unchanged costs nothing"
        lines.append(f"Indexing into {result.collection!r} {WAS[result.state]} after {result.progress}; {again}.")
    something = result.indexed or result.unchanged or result.removed or result.failed_total or result.skipped
    if result.state == "done" or (result.state != "running" and something):
        lines += _counts(result)
    return "\n".join([*lines, *result.notices])


WAS = {"cancelled": "was cancelled", "failed": "failed"}


def _counts(result: IndexResult) -> list[str]:
    """Say what an index job did, what failed, and what was left out."""
    lines = [
        f"Collection {result.collection!r}: {result.indexed} documents indexed ({result.chunks} chunks), "
        f"{result.unchanged} unchanged, {result.removed} removed, {result.failed_total} failed, in {result.seconds:.1f} s."
    ]
    if result.tokens:
        rate = result.tokens / max(result.seconds, 1e-3)
        lines.append(f"{result.embedded} texts embedded ({rate:,.0f} tokens/s), {result.reused} vectors reused.")
    lines += LeftOut(result.skipped, result.unread, result.skipped_examples).sentences()
    lines += map(_render_failure, result.failed)
    if result.failed_total > len(result.failed):
        reasons = ", ".join(f"{count} {reason}" for reason, count in result.failed_reasons.items())
        of_all = f" (of all: {reasons})" if reasons else ""
        lines.append(f"... and {result.failed_total - len(result.failed)} more failures{of_all}.")
    return lines


def add_job(server: KnowledgeServer, engine: Engine, longest: float) -> None:
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
        waited_for = engine.jobs.find(id) if id is not None else next(iter(engine.jobs.running()), None)
        if waited_for is not None:
            await watch(waited_for, min(wait_seconds, longest), context)
        if id is not None:
            found = await anyio.to_thread.run_sync(find_job, engine, id)
            item = _job_item(found, _job_result(found, engine.model_notice(), Room()))
            text = text_of(found.outcome) if isinstance(found.outcome, CallToolResult) else ""
            result = JobsResult(jobs=[item], total=1, truncated=False)
            return answer(result, f"{item.id}: done.\n{text}" if text else _render_job(item))
        result = _jobs(await anyio.to_thread.run_sync(known_jobs, engine), cursor)
        lines = [*map(_line_of_job, result.jobs), *ending([], result.cursor)]
        return answer(result, "\n".join(lines) or "No jobs yet.")


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

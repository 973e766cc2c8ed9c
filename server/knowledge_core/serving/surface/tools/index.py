"""The tool `index`."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
import anyio.to_thread
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.indexing.pictures import pictures_notice
from knowledge_core.indexing.preparing import Failure
from knowledge_core.ingestion.readers import inline_document
from knowledge_core.ingestion.walking.left_out import LeftOut, shown
from knowledge_core.jobs import Job
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import brief
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.recorded_jobs.known import JobView, find_job
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.bounded import going_on
from knowledge_core.serving.surface.calls.pages import Room, bounded_notices, default_room, fitting
from knowledge_core.serving.surface.calls.parameters import CollectionName, ToolContext, WaitSeconds
from knowledge_core.serving.surface.calls.waiting import watch
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import FailureResult, IndexResult
from knowledge_core.types import UNFINISHED, Document
from knowledge_core.verbs.index_report import IndexReport

SHOWN = 20  # failures of a report, or jobs, per answer; the rest is counted
LONGEST_MESSAGE = 500  # characters of the message of a failure, or of a job

INDEX = (
    "Make documents searchable: files and folders by `paths` (inside the allowed roots; Markdown, text, HTML, PDF, "
    "source code), or texts by `documents`. Repeating it is cheap: unchanged documents are skipped, changed ones "
    "replaced, vanished files removed. Returns what was indexed, failed or not read, or a job when it outlasts "
    "wait_seconds; the work goes on."
)


class DocumentInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    text: str
    title: str = ""
    uri: str = ""
    metadata: dict[str, Any] = {}


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `index`. longest: seconds after which a call answers."""
    tool = IndexTool(engine, longest)
    server.add_tool(
        tool.call,
        name="index",
        title="Index",
        description=INDEX,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


class IndexTool:
    """The tool `index`: see `add`."""

    def __init__(self, engine: Engine, longest: float) -> None:
        self._engine, self._longest = engine, longest

    async def call(
        self,
        context: ToolContext,
        paths: Annotated[list[str] | None, Field(description="Absolute paths of files or folders.")] = None,
        documents: Annotated[list[DocumentInput] | None, Field(description="Texts; the same id replaces.")] = None,
        collection: CollectionName = "default",
        include: Annotated[list[str] | None, Field(description='Only such files, e.g. ["*.md"].')] = None,
        exclude: Annotated[list[str] | None, Field(description="No such files.")] = None,
        wait_seconds: WaitSeconds = 20,
    ) -> Annotated[CallToolResult, IndexResult]:
        engine, longest = self._engine, self._longest
        until = anyio.current_time() + min(wait_seconds, longest)
        if not paths and not documents:
            raise InvalidInput("Give `paths` (files or folders) or `documents` (id and text); both were empty.")
        request = IndexRequest(collection, tuple(paths or ()), tuple(include or ()), tuple(exclude or ()))

        def accepted() -> Job:
            limit = int(engine.config.indexing.max_text_mb * 1e6)
            checked, failures = _checked(documents or [], limit, alone=not paths)
            return accept_index(engine, request, checked, failures)

        job = await anyio.to_thread.run_sync(accepted)
        await watch(job, until - anyio.current_time(), context)
        if job.state == "failed":
            raise InvalidInput(job.error)
        view = await anyio.to_thread.run_sync(find_job, engine, job.id)
        result = index_result(view, engine.embedders.notice(), default_room())
        return answer(result, render_index(result))


def _checked(inputs: list[DocumentInput], limit: int, *, alone: bool) -> tuple[list[Document], list[Failure]]:
    """Check the inline documents; a wrong one becomes a failure in the report.

    limit: bytes that a text may have. alone: the call has no paths beside the documents.

    Raises:
        InvalidInput: the call has nothing else to index: its only document is wrong, or all of them are.
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
                failures.append(
                    Failure(made.id, "twice", f"The id {quoted(made.id)} is given twice; the last one counts.")
                )
            documents[made.id] = made
    if failures and not documents and alone:
        raise InvalidInput(f"None of the {len(failures)} documents can be indexed. The first: {failures[0].message}")
    return list(documents.values()), failures


def index_result(job: JobView, model_notice: str, room: Room) -> IndexResult:
    """Return an index job as structure, ended or not, with as many failures as there is room for.

    model_notice: what is wrong with the configured model; "" if nothing is.
    """
    notices = [model_notice] if model_notice else []
    going_on = None if job.state == "done" else job.progress.told()
    if not isinstance(job.outcome, IndexReport):
        return IndexResult(
            collection=job.collection, state=job.state, job=job.id, progress=going_on, notices=bounded_notices(notices)
        )  # fmt: skip
    done, left_out = job.outcome, job.outcome.left_out.shortened()
    if done.cut:
        notices.append(
            f"{done.cut} chunks were longer, with their titles, than the model reads; {done.cut_tokens} tokens at their ends "
            "were not embedded (words there are found all the same). Shorter titles or headings help."
        )
    if done.pictures_total:
        notices.append(pictures_notice(done.pictures, done.pictures_total))
    notices += [
        f"The folder of the source {one_line(name)} moved from {one_line(former)}; its documents keep their ids."
        for name, former in done.moved_sources.items()
    ]
    failed = fitting(map(_failure, done.failed[:SHOWN]), _render_failure, room)
    return IndexResult(
        collection=job.collection, state=job.state, job=job.id, indexed=done.indexed, unchanged=done.unchanged,
        moved=done.moved, removed=done.removed, failed=failed, failed_total=done.failed_total,
        failed_reasons=dict(done.failed_reasons),
        skipped=dict(left_out.skipped), unread=dict(left_out.unread),
        skipped_examples={of: list(some) for of, some in left_out.examples.items()},
        chunks=done.chunks, embedded=done.embedded, reused=done.reused, tokens=done.tokens,
        seconds=round(done.seconds, 2), progress=going_on, notices=bounded_notices(notices),
    )  # fmt: skip


def _failure(failure: Failure) -> FailureResult:
    return FailureResult(
        document=failure.document, reason=failure.reason, message=brief(failure.message, LONGEST_MESSAGE)
    )


def _render_failure(failure: FailureResult) -> str:
    return f"Failed: {shown(failure.document)}: {failure.reason}: {one_line(failure.message)}"


def render_index(result: IndexResult) -> str:
    """Return the text block of an index result."""
    lines = []
    if result.state in UNFINISHED:
        lines.append(f"Still indexing into {result.collection!r}: {result.progress}. {going_on(result.job)}")
    elif result.state != "done":
        again = "index again to go on: what is unchanged costs nothing"
        lines.append(f"Indexing into {result.collection!r} {WAS[result.state]} after {result.progress}; {again}.")
    counts = (result.indexed, result.unchanged, result.moved, result.removed, result.failed_total)
    something = any(counts) or result.skipped
    if result.state == "done" or (result.state != "running" and something):
        lines += _counts(result)
    return "\n".join([*lines, *result.notices])


WAS = {"cancelled": "was cancelled", "failed": "failed"}


def _counts(result: IndexResult) -> list[str]:
    """Return lines about what an index job did, what failed, and what was left out."""
    lines = [
        f"Collection {result.collection!r}: {result.indexed} documents indexed ({result.chunks} chunks), "
        f"{result.unchanged} unchanged, {f'{result.moved} moved, ' if result.moved else ''}{result.removed} removed, "
        f"{result.failed_total} failed, in {result.seconds:.1f} s."
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

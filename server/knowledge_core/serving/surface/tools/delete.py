"""The tool `delete`: nothing goes that was not meant to go.

Documents named by id go at once. A filter or a whole collection needs a yes: by asking the person at the client, where
the client can ask (elicitation), else by `confirm: true`.
"""

from __future__ import annotations

import time
from itertools import accumulate
from typing import Annotated, Any

import anyio.to_thread
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.serving.surface.collections import collection_named, view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import DeleteResult
from knowledge_core.serving.surface.tools.answering import answer
from knowledge_core.serving.surface.tools.bounded import in_time
from knowledge_core.serving.surface.tools.pages import ending
from knowledge_core.serving.surface.tools.parameters import CollectionName, Filter
from knowledge_core.storage.collection import Change
from knowledge_core.types import Progress, ReportProgress

PATIENCE = 5.0  # seconds that a deletion waits for another writer; a window of documents is about four
SHOWN = 20  # ids listed in an answer; the rest is counted
ROOM_OF_IDS = 5_000  # bytes of them

DESCRIPTION = (
    "Delete documents by `ids` or by `filter`, or with all=true the whole collection. `filter` and `all` need "
    "confirm=true; dry_run=true lists what would go. Source files on disk are never touched."
)


class Confirmation(BaseModel):
    """What the person at the client is asked."""

    delete: bool = Field(description="Yes, delete them.")


class _Unasked(Confirmation):
    """What is known without asking."""


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `delete`. longest: seconds after which a call answers."""

    async def confirmed(
        context: Context[Any, Any],
        collection: str,
        ids: list[str] | None,
        filter: dict[str, Any] | None,
        all: bool,
        confirm: bool,
        dry_run: bool,
    ) -> Confirmation | Elicit[Confirmation]:
        """Return the yes or no that is known, or the question to ask."""
        if confirm or dry_run or ids or not (filter or all) or not _can_ask(context):
            return _Unasked(delete=confirm or bool(ids))
        count = await anyio.to_thread.run_sync(lambda: len(_doomed(engine, collection, None, filter)))
        whole = " and the collection itself" if all else ""
        return Elicit(f"Delete {count} documents of the collection {collection!r}{whole}?", Confirmation)

    def delete_tool(
        collection: CollectionName,
        asked: object,
        ids: Annotated[list[str] | None, Field(description="Document ids.")] = None,
        filter: Filter = None,
        all: Annotated[bool, Field(description="The whole collection.")] = False,
        confirm: Annotated[bool, Field(description="Needed with filter and all.")] = False,
        dry_run: bool = False,
    ) -> Annotated[CallToolResult, DeleteResult]:
        if sum([bool(ids), bool(filter), all]) != 1:
            raise InvalidInput("Give exactly one of ids, filter or all=true.")
        doomed = _doomed(engine, collection, ids, filter)
        sure = ids or confirm or (isinstance(asked, AcceptedElicitation) and asked.data.delete)
        if not dry_run and not sure:
            raise InvalidInput(_not_sure(asked, collection, len(doomed), whole=all))
        if not dry_run:
            _delete(engine, collection, doomed, whole=all)
        result = _result(collection, doomed, dry_run=dry_run, whole=all)
        return answer(result, _render(result))

    # Not written in the signature: annotations there are strings, which cannot name a function of this scope.
    delete_tool.__annotations__["asked"] = Annotated[ElicitationResult[Confirmation], Resolve(confirmed)]
    server.tool(
        name="delete",
        title="Delete",
        description=DESCRIPTION,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    )(in_time(engine, "delete", longest, stops=False)(delete_tool))


def _can_ask(context: Context[Any, Any]) -> bool:
    capabilities = context.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def _doomed(engine: Engine, collection: str, ids: list[str] | None, filter: dict[str, Any] | None) -> list[str]:
    with view_of_collection(engine, collection) as view:
        return [view.document(id).document.id for id in dict.fromkeys(ids)] if ids else view.document_ids(filter)


def _not_sure(asked: object, collection: str, count: int, *, whole: bool) -> str:
    what = f"{count} documents of {collection!r}{' and the collection itself' if whole else ''}"
    if not (isinstance(asked, AcceptedElicitation) and isinstance(asked.data, _Unasked)):
        return f"Nothing was deleted: the user was asked about {what} and did not agree."
    return f"This would delete {what}. Call again with confirm=true, or dry_run=true to list them."


def _delete(engine: Engine, collection: str, doomed: list[str], *, whole: bool) -> None:
    with engine.one_writer(collection, _impatient(engine, collection)):
        if whole:
            engine.drop(collection)
        elif doomed:
            collection_named(engine, collection).write(Change(remove=doomed))


def _impatient(engine: Engine, collection: str) -> ReportProgress:
    """Return a callback that gives up waiting for another writer after a moment, and says who writes."""
    deadline = time.monotonic() + PATIENCE

    def report(progress: Progress) -> None:
        if time.monotonic() > deadline:
            running = [job.id for job in engine.jobs.running() if job.collection == collection]
            raise InvalidInput(
                f"{collection!r} is being indexed (job {', '.join(running)}). Wait for its end with the job tool, or "
                "cancel it, then delete."
            )

    return report


def _result(collection: str, doomed: list[str], *, dry_run: bool, whole: bool) -> DeleteResult:
    sizes = accumulate(len(id.encode("utf-8", "replace")) for id in doomed[:SHOWN])
    shown = [id for id, size in zip(doomed, sizes, strict=False) if size <= ROOM_OF_IDS]
    notices = []
    if len(shown) < len(doomed):
        more = " `list_documents` with the same filter lists them in pages." if dry_run else ""
        notices.append(f"{len(doomed) - len(shown)} more ids are not listed here.{more}")
    return DeleteResult(
        collection=collection, deleted=len(doomed), documents=shown, truncated=len(shown) < len(doomed),
        dry_run=dry_run, collection_deleted=whole and not dry_run, notices=notices,
    )  # fmt: skip


def _render(result: DeleteResult) -> str:
    verb = "Would delete" if result.dry_run else "Deleted"
    listed = ", ".join(result.documents) + (" ..." if result.truncated else "")
    whole = " The collection is gone." if result.collection_deleted else ""
    said = f"{verb} {result.deleted} documents of {result.collection!r}" + (f": {listed}." if listed else ".") + whole
    return "\n".join([said, *ending(result.notices, None)])

"""The tool `delete`, which makes sure that nothing is deleted by mistake.

Documents named by id are deleted at once. A filter or a whole collection needs a yes: from the person at the client, if
the client can ask (elicitation), else by `confirm: true`.
"""

# No `from __future__ import annotations`, unlike in all other files: the annotation of `asked` names a bound method, and
# annotations that are strings can name only what the module holds.

from functools import partial
from itertools import accumulate
from typing import Annotated, Any

import anyio.to_thread
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidFilter, InvalidInput, StorageDamaged, quoted
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import did_you_mean, listed
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.bounded import in_time
from knowledge_core.serving.surface.calls.pages import ending
from knowledge_core.serving.surface.calls.parameters import CollectionName, Filter
from knowledge_core.serving.surface.calls.whereabouts import of_filtered, telling_where
from knowledge_core.serving.surface.collections import collection_named, view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import DeleteResult
from knowledge_core.storage.view import View
from knowledge_core.verbs.delete import UNREADABLE, Deletion, delete, delete_unreadable, deletion

SHOWN = 20  # ids listed in an answer; the rest is counted
ROOM_OF_IDS = 5_000  # bytes of the listed ids

DESCRIPTION = (
    "Delete documents by `ids` or by `filter`, or with all=true the whole collection. `filter` and `all` need "
    "confirm=true; dry_run=true lists what would go. Source files on disk are never touched."
)


class Confirmation(BaseModel):
    """The form that the person at the client is asked to fill in; its description is what the person reads."""

    delete: bool = Field(description="Yes, delete them.")


class _Unasked(Confirmation):
    """The answer that is known without asking."""


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `delete`. longest: seconds after which a call answers."""
    tool = DeleteTool(engine)

    def call(
        collection: CollectionName,
        asked: Annotated[ElicitationResult[Confirmation], Resolve(tool.confirmed)],
        ids: Annotated[list[str] | None, Field(description="Document ids.")] = None,
        filter: Filter = None,
        all: Annotated[bool, Field(description="The whole collection.")] = False,
        confirm: Annotated[bool, Field(description="Needed with filter and all.")] = False,
        dry_run: bool = False,
    ) -> Annotated[CallToolResult, DeleteResult]:
        return tool.call(collection, asked, ids, filter, all, confirm, dry_run)

    server.add_tool(
        in_time(call, engine, "delete", longest, stops=False),
        name="delete",
        title="Delete",
        description=DESCRIPTION,
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        ),
    )


class DeleteTool:
    """The tool `delete`. Whether the client's yes is needed, and was given, is decided here; what goes, in the verb."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def confirmed(
        self,
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
        decided = await anyio.to_thread.run_sync(self._deletion, collection, None, filter, all)
        return Elicit(f"Delete {_counted(decided, of=f'the collection {collection!r}')}?", Confirmation)

    def call(
        self,
        collection: str,
        asked: ElicitationResult[Confirmation],
        ids: list[str] | None,
        filter: dict[str, Any] | None,
        all: bool,
        confirm: bool,
        dry_run: bool,
    ) -> CallToolResult:
        """Answer a call. asked: what `confirmed` came to."""
        decided = self._deletion(collection, ids, filter, all)
        sure = ids or confirm or (isinstance(asked, AcceptedElicitation) and asked.data.delete)
        if not dry_run and not sure:
            raise InvalidInput(_not_sure(asked, decided, _counted(decided, of=repr(collection))))
        if not dry_run:
            self._delete(collection, decided)
        result = _structured(collection, decided, dry_run=dry_run)
        if not decided.documents:
            result.notices += of_filtered(self._engine, filter, [collection])
        return answer(result, _rendered(result))

    def _deletion(self, collection: str, ids: list[str] | None, filter: dict[str, Any] | None, all: bool) -> Deletion:
        try:
            with telling_where(self._engine, [collection]), view_of_collection(self._engine, collection) as view:
                decided = deletion(view, ids=ids, filter=filter, whole=all)
                _refuse_slips(view, filter)
                return decided
        except StorageDamaged:
            if ids or filter or not all:
                raise
            return UNREADABLE

    def _delete(self, name: str, decided: Deletion) -> None:
        engine = self._engine
        turn, drop = partial(engine.one_writer, name), partial(engine.drop, name)
        if decided.unreadable:
            delete_unreadable(name, jobs=engine.jobs, turn=turn, drop=drop)
            return
        delete(collection_named(engine, name), decided, jobs=engine.jobs, turn=turn, drop=drop)


def _refuse_slips(view: View, filter: dict[str, Any] | None) -> None:
    """Refuse a filter on a field that no document has, also where it holds without it: a slip would delete all."""
    for name in view.unknown_fields(filter):
        known = listed(list(view.fields())) or "no metadata fields"
        raise InvalidFilter(
            f"No document has a field {quoted(name)}.{did_you_mean(name, view.fields())} There are: {known}. Nothing was deleted."
        )


def _can_ask(context: Context[Any, Any]) -> bool:
    capabilities = context.client_capabilities
    return capabilities is not None and capabilities.elicitation is not None


def _counted(decided: Deletion, *, of: str) -> str:
    if decided.unreadable:
        return f"all of {of}, whose record is damaged, with all its documents"
    return f"{len(decided.documents)} documents of {of}{' and the collection itself' if decided.whole else ''}"


def _not_sure(asked: ElicitationResult[Confirmation], decided: Deletion, what: str) -> str:
    if not (isinstance(asked, AcceptedElicitation) and isinstance(asked.data, _Unasked)):
        return f"Nothing was deleted: the user was asked about {what} and did not agree."
    listing = "" if decided.unreadable else ", or dry_run=true to list them"
    return f"This would delete {what}. Call again with confirm=true{listing}."


def _structured(collection: str, decided: Deletion, *, dry_run: bool) -> DeleteResult:
    doomed = decided.documents
    sizes = accumulate(len(id.encode("utf-8", "replace")) for id in doomed[:SHOWN])
    shown = [id for id, size in zip(doomed, sizes, strict=False) if size <= ROOM_OF_IDS]
    notices = []
    if decided.unreadable:
        notices.append("How many documents there were cannot be said: the record is damaged.")
    if decided.files:
        which = "It is a file" if decided.files == len(doomed) == 1 else f"{decided.files} of them are files"
        stay = "would stay" if dry_run else "stay" if decided.files > 1 else "stays"
        notices.append(
            f"{which} and {stay} out of later index calls; a person brings deleted files back with `kcore index --restore`."
        )
    if len(shown) < len(doomed):
        more = " `list_documents` with the same filter lists them in pages." if dry_run else ""
        notices.append(f"{len(doomed) - len(shown)} more ids are not listed here.{more}")
    return DeleteResult(
        collection=collection, deleted=len(doomed), documents=shown, truncated=len(shown) < len(doomed),
        dry_run=dry_run, collection_deleted=decided.whole and not dry_run, notices=notices,
    )  # fmt: skip


def _rendered(result: DeleteResult) -> str:
    verb = "Would delete" if result.dry_run else "Deleted"
    ids = ", ".join(map(one_line, result.documents)) + (" ..." if result.truncated else "")
    whole = " The collection is gone." if result.collection_deleted else ""
    said = f"{verb} {result.deleted} documents of {result.collection!r}" + (f": {ids}." if ids else ".") + whole
    return "\n".join([said, *ending(result.notices, None)])

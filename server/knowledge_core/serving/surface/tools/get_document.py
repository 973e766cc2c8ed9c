"""The tool `get_document`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound, DocumentNotFound, InvalidInput, quoted
from knowledge_core.near_names import listed
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.parameters import READ_ONLY, CollectionName, Cursor, MaxTokens
from knowledge_core.serving.surface.calls.reading import Asked, one_document, several_documents
from knowledge_core.serving.surface.collections import elsewhere, file_state, view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import DocumentResult
from knowledge_core.storage.view import View
from knowledge_core.verbs.read import Part, ids_meant, reading_of

MOST_DOCUMENTS = 20  # in one call
ROOM_OF_NAMES = 60  # characters of the names of other collections, in an error

GET = (
    "Read a stored document's text: from its start, or by `section`, `lines`, `page`, or a hit's `chunk` with its "
    "neighbours (`around`). Long texts are paged; see their `outline` first."
)


def add(server: KnowledgeServer, engine: Engine) -> None:
    """Register `get_document`."""
    tool = GetDocumentTool(engine)
    server.add_tool(tool.call, name="get_document", title="Get document", description=GET, annotations=READ_ONLY)


class GetDocumentTool:
    """The tool `get_document`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(
        self,
        id: Annotated[str | None, Field(description="Document id, as in a hit.")] = None,
        ids: list[str] | None = None,
        collection: CollectionName = "default",
        outline: Annotated[bool, Field(description="Headings, with lines and tokens.")] = False,
        section: Annotated[str | None, Field(description='A heading, or "Setup > Linux".')] = None,
        lines: Annotated[str | None, Field(description='"120-180", "120-" or "120".')] = None,
        chunk: Annotated[int | None, Field(description="As in a hit.")] = None,
        around: Annotated[int, Field(description="Neighbours on each side of chunk.")] = 1,
        page: Annotated[int | None, Field(description="From 1.")] = None,
        max_tokens: MaxTokens = None,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, DocumentResult]:
        part = Part(lines, chunk, around, page, section, outline, cursor)
        wanted = list(dict.fromkeys([*([id] if id is not None else []), *(ids or [])]))
        if not wanted:
            raise InvalidInput("Give the id of a document, or several as ids. `search` and `list_documents` show them.")
        if len(wanted) > MOST_DOCUMENTS:
            raise InvalidInput(f"ids names {len(wanted)} documents; at most {MOST_DOCUMENTS} are read in one call.")
        if ids and cursor is not None:
            raise InvalidInput("cursor goes on in one document: give its id, and no ids.")
        try:
            with view_of_collection(self._engine, collection) as view:
                if not ids:
                    asked = self._asked(view, collection, wanted[0], part)
                    return answer(*one_document(collection, asked, max_tokens))
                return answer(*several_documents(collection, self._each(view, collection, wanted, part), max_tokens))
        except CollectionNotFound as error:
            raise CollectionNotFound(f"{error}{self._place(wanted[0], collection)}") from None

    def _each(self, view: View, collection: str, ids: Sequence[str], part: Part) -> list[Asked | tuple[str, str]]:
        """Return what is read of each document, or its id and why it is not read.

        Raises:
            InvalidInput: none can be read.
        """
        found: list[Asked | tuple[str, str]] = []
        for id in ids:
            try:
                found.append(self._asked(view, collection, id, replace(part)))
            except (DocumentNotFound, InvalidInput) as error:
                found.append((id, str(error)))
        errors = [each[1] for each in found if isinstance(each, tuple)]
        if len(errors) == len(found):
            raise InvalidInput(listed(list(dict.fromkeys(errors)), 1_500))
        return found

    def _asked(self, view: View, collection: str, id: str, part: Part) -> Asked:
        try:
            reading = reading_of(view, id, part)
        except DocumentNotFound as error:
            if place := self._place(id, collection):
                raise DocumentNotFound(f"Collection {collection!r} has no document {quoted(id)}.{place}") from None
            raise error
        return Asked(reading, file_state(self._engine, collection, view, reading.stored.document.id))

    def _place(self, id: str, collection: str) -> str:
        """Return a sentence that says which other collections have a document, and the next call; "" where none has."""
        for each in ids_meant(id):
            if names := elsewhere(self._engine, each, but=collection):
                which = f'collection="{names[0]}"' if len(names) == 1 else "one of these as `collection`"
                return f" It is in {listed([*map(repr, names)], ROOM_OF_NAMES)}: call again with {which}."
        return ""

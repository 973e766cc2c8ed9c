"""The tool `get_document`."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from knowledge_core.engine import Engine
from knowledge_core.language.printable import fenced, one_line, printable
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.pages import STRUCTURE_CAP, TEXT_CAP, ending
from knowledge_core.serving.surface.calls.parameters import READ_ONLY, CollectionName, Cursor, MaxTokens
from knowledge_core.serving.surface.collections import file_state, view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import DocumentResult
from knowledge_core.verbs.read import Excerpt, read

LEAST_TOKENS = 100  # of an excerpt, however large the rest of the answer is

EXTRACTED = "Its lines are those of the text that was extracted from the file."
DAMAGED = (
    "This document is not as it was stored: something in the record changed. `kcore doctor --repair` reads it again from its "
    "file; a document that was given by its text is indexed again with the `index` tool."
)

GET = (
    "Read a stored document's text: from its start, or by `lines`, by `page`, or by a hit's `chunk` with its "
    "neighbours (`around`). Long texts are paged by cursor."
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
        id: Annotated[str, Field(description="Document id, as in a hit.")],
        collection: CollectionName = "default",
        lines: Annotated[str | None, Field(description='"120-180", "120-" or "120".')] = None,
        chunk: Annotated[int | None, Field(description="As in a hit.")] = None,
        around: Annotated[int, Field(description="Neighbours on each side of chunk.")] = 1,
        page: Annotated[int | None, Field(description="From 1.")] = None,
        max_tokens: MaxTokens = None,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, DocumentResult]:
        def excerpt(budget: int | None) -> Excerpt:
            return read(view, id, lines=lines, chunk=chunk, around=around, page=page, max_tokens=budget, cursor=cursor)

        with view_of_collection(self._engine, collection) as view:
            file = file_state(self._engine, collection, view, id)
            result = _structured(collection, excerpt(max_tokens), file)
            while _too_long(result) and len(result.text.encode()) > 3 * LEAST_TOKENS:
                # The budget counts bytes of text; with their escapes and the metadata they can be too long. Half of the text
                # is shown then, with a cursor for the rest (`// 6`: three bytes per token).
                result = _structured(collection, excerpt(max(len(result.text.encode()) // 6, LEAST_TOKENS)), file)
        return answer(result, _rendered(result))


def _too_long(result: DocumentResult) -> bool:
    return len(result.model_dump_json()) > STRUCTURE_CAP or len(printable(_rendered(result)).encode()) > TEXT_CAP


def _structured(collection: str, excerpt: Excerpt, file: str | None) -> DocumentResult:
    document = excerpt.stored.document
    return DocumentResult(
        id=document.id, collection=collection, title=document.title, uri=document.uri,
        metadata=dict(document.metadata), lines=str(excerpt.lines), total_lines=excerpt.total_lines,
        modified=excerpt.stored.modified, indexed_at=excerpt.stored.indexed_at, file=file,
        page=excerpt.page, pages=len(document.pages) or None, text=excerpt.text, truncated=excerpt.truncated,
        cursor=excerpt.cursor, notices=_notices(excerpt),
    )  # fmt: skip


def _notices(excerpt: Excerpt) -> list[str]:
    extracted = [] if excerpt.stored.document.lines_of_file else [EXTRACTED]
    return extracted if excerpt.stored.is_sound else [*extracted, DAMAGED]


def _rendered(result: DocumentResult) -> str:
    page = f", page {result.page} of {result.pages}" if result.page else ""
    head = f"{one_line(result.title or result.id)} ({one_line(result.id)}), lines {result.lines} of {result.total_lines}{page}"
    own = f"modified {result.modified}, " if result.modified != result.indexed_at else ""
    file = f", file {one_line(result.file)}" if result.file else ""
    head += f" ({own}indexed {result.indexed_at}{file}):"
    return "\n".join([head, fenced(result.text), *ending(result.notices, result.cursor)])

"""Documents as MCP resources: one URI template, completions for its variables, and notifications of changes.

The template is `knowledge://{collection}/{+document}`; `document` is the document's id, percent-encoded where a URI needs it.
A host puts what it reads into a model's context, so the text stands in a fence that it cannot end (`fenced`), with what
steers a terminal as escapes. The stored text itself is in the structure that `get_document` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from urllib.parse import quote, unquote

import anyio.to_thread
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.subscriptions import ResourceUpdated
from mcp_types import Completion, CompletionArgument, CompletionContext, PromptReference, ResourceTemplateReference

from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound, DocumentNotFound, KnowledgeCoreError
from knowledge_core.language.printable import fenced, printable
from knowledge_core.serving.surface.calls.whereabouts import telling_where
from knowledge_core.serving.surface.collections import collection_names, view_of_collection
from knowledge_core.serving.surface.mcp_server import KnowledgeServer

TEMPLATE = "knowledge://{collection}/{+document}"
MOST_COMPLETIONS = 100  # values; the protocol allows no more in one answer
_SAFE = "/!$'()*+,;=:@-._~"  # characters that RFC 3986 allows in a path, beside letters and digits


def uri_of(collection: str, document: str) -> str:
    """Return the URI under which a document can be read.

    >>> uri_of("notes", "notes/a b.md")
    'knowledge://notes/notes/a%20b.md'
    """
    return f"knowledge://{collection}/{quote(document, safe=_SAFE)}"


def add_resources(server: KnowledgeServer, engine: Engine) -> None:
    """Register the template and its completions."""

    @server.resource(
        TEMPLATE,
        name="document",
        title="Document",
        description="The stored text of a document, by collection and document id.",
        mime_type="text/plain",
    )
    def document_resource(collection: str, document: str) -> str:
        try:
            with telling_where(engine, [collection]), view_of_collection(engine, collection) as view:
                return fenced(printable(view.document(unquote(document)).document.text))
        except (CollectionNotFound, DocumentNotFound) as error:
            raise ResourceNotFoundError(str(error)) from error
        except KnowledgeCoreError as error:
            raise ResourceError(str(error)) from error

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]  # the SDK left its types out
    async def complete(
        about: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        known = (context.arguments or {}) if context is not None else {}
        found = await anyio.to_thread.run_sync(
            completions, engine, argument.name, argument.value, known.get("collection")
        )
        shown = found[:MOST_COMPLETIONS]
        return Completion(values=shown, total=len(found), has_more=len(found) > len(shown))


def completions(engine: Engine, argument: str, begun: str, collection: str | None) -> list[str]:
    """Return the values that a variable of the template may have, given what is typed so far.

    Names of collections that begin with it, sorted. Ids of documents that contain it: those that begin with it first, then
    sorted. Nothing for the arguments of prompts that may be any text.

    collection: whose documents; None: those of all collections.
    """
    if argument == "collection":
        return [name for name in collection_names(engine) if name.startswith(begun)]
    if argument != "document":
        return []
    found: set[str] = set()
    for name in [collection] if collection else collection_names(engine):
        with contextlib.suppress(KnowledgeCoreError), view_of_collection(engine, name) as view:
            found.update(id for id in view.document_ids() if begun in id)
    return sorted(found, key=lambda id: (not id.startswith(begun), id))


def telling_of_changes(
    server: KnowledgeServer, loop: asyncio.AbstractEventLoop
) -> Callable[[str, Sequence[str]], None]:
    """Return a listener for the engine that notifies the server's subscribers of the documents that changed.

    It may be called on any thread. loop: the event loop that serves.
    """

    def changed(collection: str, documents: Sequence[str]) -> None:
        async def publish() -> None:
            for document in documents:
                await server.events.publish(ResourceUpdated(uri=uri_of(collection, document)))

        with contextlib.suppress(RuntimeError):  # the loop has ended, and all subscriptions with it
            asyncio.run_coroutine_threadsafe(publish(), loop)

    return changed

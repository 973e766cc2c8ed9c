"""The tool `search`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError, StorageError
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import listed
from knowledge_core.retrieval.request import LARGEST_LIMIT
from knowledge_core.serving.surface.calls.absent import why_absent
from knowledge_core.serving.surface.calls.answering import answer, line_word
from knowledge_core.serving.surface.calls.bounded import in_time
from knowledge_core.serving.surface.calls.pages import ROOM_OF_STALE, Room, bounded_ids, bounded_notices, ending
from knowledge_core.serving.surface.calls.parameters import ALWAYS_LOADED, READ_ONLY, Cursor, FullFilter, MaxTokens
from knowledge_core.serving.surface.calls.whereabouts import of_examples, of_filtered, telling_where
from knowledge_core.serving.surface.collections import losses_of, opened
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import CoverageResult, HitResult, SearchResult
from knowledge_core.serving.surface.tools.matching_lines import (
    MatchingLines,
    matching_lines,
    refuse_what_ranks,
)
from knowledge_core.verbs.find import FindRequest
from knowledge_core.verbs.search import Examples, Fits, Hit, Searched, SearchRequest, SearchResponse, search

DESCRIPTION = (
    "Find passages by meaning and by words in the indexed collections. Returns hits, best first: document id, title, "
    "lines, a snippet around the match, score; and what was covered. Give `query`, or `like` to find more of the same "
    "(recommendation). Read around a hit with get_document(id, chunk)."
)

HITS = 8  # of an answer, where the caller gives no limit; of matching lines as many as an answer has room for

BY_WORDS = (
    "The embedding model is still loading: these hits were found by words alone. Search again in some seconds for hits "
    "by meaning."
)


class ExamplesInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[str] = []
    texts: list[str] = []


def add(server: KnowledgeServer, engine: Engine, patience: float, longest: float) -> None:
    """Register `search`.

    patience: seconds that a call waits for a model that is loading, before it answers by words. longest: seconds after
    which a call answers.
    """
    tool = SearchTool(engine, patience)
    server.add_tool(
        in_time(tool.call, engine, "search", longest),
        name="search",
        title="Search",
        description=DESCRIPTION,
        annotations=READ_ONLY,
        meta=ALWAYS_LOADED,
    )


class SearchTool:
    """The tool `search`: see `add`."""

    def __init__(self, engine: Engine, patience: float) -> None:
        self._engine, self._patience = engine, patience

    def call(
        self,
        query: Annotated[str | None, Field(description="A question or keywords, in any language.")] = None,
        like: Annotated[ExamplesInput | None, Field(description="Document ids and texts to be near to.")] = None,
        unlike: Annotated[ExamplesInput | None, Field(description="And to be far from.")] = None,
        collections: Annotated[list[str] | None, Field(description="All if left out.")] = None,
        limit: Annotated[int | None, Field(ge=1, le=100, description="Hits at most (8).")] = None,
        mode: Literal["hybrid", "semantic", "lexical"] = "hybrid",
        match: MatchingLines = None,
        filter: FullFilter = None,
        max_tokens: MaxTokens = None,
        cursor: Cursor = None,
        explain: Annotated[bool, Field(description="Add the parts of each score.")] = False,
        why_not: Annotated[str | None, Field(description="Document id: say what kept it out.")] = None,
        queries: Annotated[
            list[str] | None, Field(description="Other wordings of query; found_by counts from 1.")
        ] = None,
        per_document: Annotated[int | None, Field(description="Hits of one document at most.")] = None,
        recency: Annotated[float | None, Field(description="Half-life in days: newer first among near-ties.")] = None,
    ) -> Annotated[CallToolResult, SearchResult]:
        if query is None and queries:
            query, queries = queries[0], queries[1:]
        if match is not None:
            ranking = {"why_not": why_not, "queries": queries, "per_document": per_document, "recency": recency}
            refuse_what_ranks(query, like or unlike, mode, ranking)
            wanted = FindRequest(query or "", match, limit or LARGEST_LIMIT, filter, max_tokens, cursor)
            return matching_lines(self._engine, collections, wanted, explain=explain)
        request = SearchRequest(
            query=query, like=_examples(like), unlike=_examples(unlike), limit=limit or HITS, mode=mode, filter=filter,
            max_tokens=max_tokens, cursor=cursor, explain=explain, queries=tuple(queries or ()), per_document=per_document,
            recency=recency, why_not=why_not,
        )  # fmt: skip
        return self._answered(request, collections)

    def _answered(self, request: SearchRequest, collections: list[str] | None) -> CallToolResult:
        """Return the answer to a request over these collections; None: all."""
        lost: dict[str, KnowledgeCoreError] = {}
        with telling_where(self._engine, collections), opened(self._engine, collections, lost.__setitem__) as over:
            response = self._found(over, request, None if collections else lost)
            elsewhere = of_examples(self._engine, request.like, [each.view for each in over], collections)
        if request.why_not is not None and not response.why_not:
            response = replace(
                response, why_not=why_absent(self._engine, [each.name for each in over], request.why_not)
            )
        left_out = [f"Collection {name!r} was left out: {error}" for name, error in lost.items()]
        lossy = losses_of(self._engine, [each.name for each in over], in_brief=True)
        elsewhere += [] if response.hits else of_filtered(self._engine, request.filter, collections)
        about = [response.why_not] if response.why_not else []
        response = replace(response, notices=(*about, *left_out, *lossy, *elsewhere, *response.notices))
        return answer(structured(response), rendered(response, several=len(over) > 1))

    def _found(
        self, over: Sequence[Searched], request: SearchRequest, lost: dict[str, KnowledgeCoreError] | None
    ) -> SearchResponse:
        """Search the collections by the mode that can be had within the patience.

        lost: takes the error of each collection that turns out to be damaged while it is read; the others answer. None:
        such an error is raised.
        """
        several = len(over) > 1  # as the answer is rendered, also where one of them is lost
        waits = _needs_no_wait(request) or all_ready(self._engine, over, self._patience)
        searched = request if waits else replace(request, mode="lexical")
        try:
            response = search(over, searched, _room_for(several=several))
        except StorageError:
            readable = over if lost is None else [each for each in over if _answers(each, searched, lost)]
            if not readable or len(readable) == len(over):
                raise
            response = search(readable, searched, _room_for(several=several))
        return response if waits else replace(response, cursor=None, notices=(BY_WORDS, *response.notices))


def _room_for(*, several: bool) -> Fits:
    """Return what says of each hit whether the answer still has room for it. several: hits name their collection."""
    room = Room()
    return lambda hit: room.takes(_paragraph(LARGEST_LIMIT, hit, several), _hit(hit))


def _answers(one: Searched, request: SearchRequest, lost: dict[str, KnowledgeCoreError]) -> bool:
    """Return whether a collection can be searched by itself; if not, keep the error."""
    try:
        search([one], replace(request, cursor=None))
    except StorageError as error:
        lost[one.name] = error
        return False
    except KnowledgeCoreError:  # an example, or a field of the filter, that only another collection has
        return True
    return True


def _needs_no_wait(request: SearchRequest) -> bool:
    """Return whether a search cannot be answered by words instead: it asks for meaning alone, or for a further page."""
    return request.mode != "hybrid" or request.query is None or request.cursor is not None


def all_ready(engine: Engine, over: Sequence[Searched], patience: float) -> bool:
    """Wait up to `patience` seconds in all for the models of these collections; return whether all are loaded."""
    deadline = time.monotonic() + patience
    return all(engine.embedders.loading.ready(each.embedder, max(deadline - time.monotonic(), 0.0)) for each in over)


def _examples(given: ExamplesInput | None) -> Examples | None:
    return None if given is None else Examples(ids=tuple(given.ids), texts=tuple(given.texts))


def structured(response: SearchResponse) -> SearchResult:
    """Return a response as structure."""
    stale, notices = bounded_ids(response.stale), list(response.notices)
    if len(stale) < len(response.stale):
        notices.append(f"{len(response.stale) - len(stale)} more of these documents changed on disk since indexing.")
    return SearchResult(
        hits=[_hit(hit) for hit in response.hits],
        total=response.total,
        exact=response.exact,
        coverage=CoverageResult(documents=response.coverage.documents, known=response.coverage.known),
        stale=stale,
        truncated=response.truncated,
        cursor=response.cursor,
        notices=bounded_notices(notices),
    )


def _hit(hit: Hit) -> HitResult:
    return HitResult(
        collection=hit.collection,
        document=hit.document,
        chunk=hit.chunk,
        title=hit.title,
        uri=hit.uri,
        lines=str(hit.lines),
        match=str(hit.match),
        tokens=hit.tokens,
        document_tokens=hit.document_tokens,
        page=hit.page,
        snippet=hit.snippet,
        score=round(hit.score, 4),
        parts=None if hit.parts is None else {name: round(value, 4) for name, value in hit.parts.items()},
        also=list(hit.also) or None,
        found_by=list(hit.found_by) or None,
        status=hit.status,
        file=hit.file,
    )


def rendered(response: SearchResponse, *, several: bool) -> str:
    """Return a response as text: one paragraph per hit, then what concerns the whole answer."""
    parts = [_paragraph(number, hit, several) for number, hit in enumerate(response.hits, start=1)]
    coverage = response.coverage
    facts = f"{len(response.hits)} hits of {response.total} chunks; {coverage.documents} of {coverage.known} documents embedded."
    if response.truncated:
        facts += " No more of those asked for have room in one answer."
    if response.stale:
        facts += f" Changed on disk since indexing: {listed([*map(one_line, response.stale)], ROOM_OF_STALE)}."
    return "\n\n".join([*parts, "\n".join([facts, *ending(bounded_notices(response.notices), response.cursor)])])


def _paragraph(number: int, hit: Hit, several: bool) -> str:
    document = one_line(hit.document)
    where = f"{hit.collection}: {document}" if several else document
    page = f", page {hit.page}" if hit.page else ""
    of = "" if hit.lines_of_file else " of the extracted text"
    also = f" (the same text: {', '.join(map(one_line, hit.also))})" if hit.also else ""
    status = f" ({one_line(hit.status)})" if hit.status else ""
    by = f" (found by wording {', '.join(map(str, hit.found_by))})" if hit.found_by else ""
    file = f" — file {one_line(hit.file)}" if hit.file else ""
    match = f" (match {hit.match})" if hit.match != hit.lines else ""
    facts = f"{match}{of}{page}, {hit.tokens} of {hit.document_tokens} tokens{status}{also}{by}{file}"
    scores = "" if not hit.parts else " [" + ", ".join(f"{k} {v:.3f}" for k, v in hit.parts.items()) + "]"
    head = f"{number}. {one_line(hit.title) or document} ({hit.score:.3f}){scores}"
    return f"{head}\n   {where}, chunk {hit.chunk}, {line_word(str(hit.lines))} {hit.lines}{facts}\n   {hit.snippet}"

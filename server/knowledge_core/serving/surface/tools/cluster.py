"""The tool `cluster`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import Field

from knowledge_core.cursors import Cursor as PageEnd
from knowledge_core.cursors import decode, encode, moved, request_digest
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.readers import clean_text
from knowledge_core.jobs import Job
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import brief
from knowledge_core.recorded_jobs.known import JobView, view_of
from knowledge_core.retrieval.answers.notices import about_filter
from knowledge_core.retrieval.query_reading import read
from knowledge_core.serving.surface.calls.answering import answer, line_word
from knowledge_core.serving.surface.calls.bounded import going_on
from knowledge_core.serving.surface.calls.pages import Room, bounded_notices, default_room, ending, fitting
from knowledge_core.serving.surface.calls.parameters import (
    READ_ONLY,
    CollectionName,
    Cursor,
    Filter,
    ToolContext,
    WaitSeconds,
)
from knowledge_core.serving.surface.calls.waiting import watch
from knowledge_core.serving.surface.collections import opened
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import ClusterItem, ClusterResult, RepresentativeResult
from knowledge_core.types import ReportProgress
from knowledge_core.verbs.cluster import Cluster, Clustering, ClusterRequest, Member, cluster, cluster_texts, head
from knowledge_core.verbs.search import Searched, SearchRequest, search

CLUSTER = (
    "Group a collection (or a filtered part, the hits of a query, or `texts`) by meaning. mode=topics finds the topics "
    "and their number, or exactly `k`; mode=duplicates finds near-identical passages above `similarity`. Returns "
    "clusters by size with label, keywords, cohesion and representatives; what fits nowhere is counted as outliers."
)
LONGEST_NAME = 200  # characters per title, keyword or label of a cluster


@dataclass(frozen=True)
class Grouped:
    """The outcome of a cluster job. request: digest of the request. state: digest of what it was answered from."""

    clustering: Clustering
    request: str
    state: str


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `cluster`. longest: seconds after which a call answers."""
    tool = ClusterTool(engine, longest)
    server.add_tool(tool.call, name="cluster", title="Cluster", description=CLUSTER, annotations=READ_ONLY)


class ClusterTool:
    """The tool `cluster`: see `add`."""

    def __init__(self, engine: Engine, longest: float) -> None:
        self._engine, self._longest = engine, longest

    async def call(
        self,
        context: ToolContext,
        collection: CollectionName = "default",
        texts: Annotated[list[str] | None, Field(description="Instead of a collection.")] = None,
        query: Annotated[str | None, Field(description="Only what it finds (at most 100).")] = None,
        filter: Filter = None,
        mode: Literal["topics", "duplicates"] = "topics",
        k: Annotated[int | None, Field(description="Topics; found from the data if left out.")] = None,
        similarity: Annotated[float | None, Field(description="Least cosine of duplicates; default 0.95.")] = None,
        limit: Annotated[int, Field(ge=1, le=100, description="Clusters at most.")] = 20,
        wait_seconds: WaitSeconds = 20,
        cursor: Cursor = None,
    ) -> Annotated[CallToolResult, ClusterResult]:
        engine, longest = self._engine, self._longest
        if texts is not None and (query is not None or filter is not None):
            raise InvalidInput("query and filter choose from a collection; with texts give neither.")
        asked = request_digest(["cluster", collection, texts, query, filter, mode, k, similarity, limit])
        after = None if cursor is None else decode(cursor, asked)
        how = ClusterRequest(mode, k, similarity, limit)

        def work(job: Job, report: ReportProgress) -> Grouped:
            if texts is not None:
                cleaned = [clean_text(text) for text in texts]
                made = cluster_texts(cleaned, engine.embedders.working(), how, progress=report)
                return Grouped(made, asked, "")
            with opened(engine, [collection]) as over:
                chosen = None if query is None else _found(over, query, filter)
                made = cluster(over[0].view, how, chunks=chosen, filter=filter, progress=report)
                made = replace(made, notices=(*made.notices, *about_filter([over[0].view], filter)))
                return Grouped(made, asked, request_digest(over[0].view.generation))

        job = _remembered(engine, after) or engine.jobs.start("cluster", collection, work)
        await watch(job, min(wait_seconds, longest), context)
        if job.state == "failed":
            raise InvalidInput(job.error)
        result = cluster_result(view_of(job), mode, default_room(), after)
        return answer(result, render_clusters(result))


def _remembered(engine: Engine, after: PageEnd | None) -> Job | None:
    """Return the job whose clusters a cursor goes on with; None if it was forgotten: then the work is done again."""
    if after is None:
        return None
    made = ((job, job.outcome) for job in engine.jobs.all() if isinstance(job.outcome, Grouped))
    wanted = (after.request, after.state)
    return next((job for job, outcome in made if (outcome.request, outcome.state) == wanted), None)


def _found(over: list[Searched], query: str, filter: dict[str, Any] | None) -> list[int]:
    """Return the numbers of the chunks that a search finds."""
    if not read(query).has_words:
        raise InvalidInput("query has no word in it, so it finds nothing to group; leave it out to group all.")
    request = SearchRequest(query=query, limit=100, filter=filter)
    numbers: list[int] = []
    for hit in search(over, request).hits:
        places = over[0].view.places_of_document(hit.document)
        numbers += [place.number for place in places if place.position == hit.chunk]
    return numbers


def cluster_result(job: JobView, mode: str, room: Room, after: PageEnd | None = None) -> ClusterResult:
    """Return a cluster job as structure, ended or not: the clusters after a page's end, as many as there is room for."""
    done = job.outcome
    if not isinstance(done, Grouped):
        return ClusterResult(state=job.state, job=job.id, mode=mode, progress=job.progress.told())
    made, begin = done.clustering, 0 if after is None else after.offset
    items = (_cluster_item(each, place) for place, each in enumerate(made.clusters[begin:], start=begin + 1))
    clusters = fitting(items, _render_cluster, room)
    end = begin + len(clusters)
    more = end < len(made.clusters)
    changed = moved([job.collection], after.state, done.state) if after is not None else []
    return ClusterResult(
        job=job.id,
        mode=made.mode,
        clusters=clusters,
        clusters_total=made.total,
        considered=made.considered,
        outliers=made.outliers,
        outlier_examples=[_representative(each) for each in made.outlier_examples] if begin == 0 else [],
        truncated=more,
        cursor=encode(PageEnd(done.request, end, done.state)) if more else None,
        notices=bounded_notices([*made.notices, *changed]),
    )


def _cluster_item(each: Cluster, place: int) -> ClusterItem:
    return ClusterItem(
        place=place, id=each.id, label=brief(each.label, LONGEST_NAME),
        keywords=[brief(word, LONGEST_NAME) for word in each.keywords],
        size=each.size, documents=each.documents, cohesion=round(each.cohesion, 3),
        representatives=[_representative(member) for member in each.representatives],
    )  # fmt: skip


def _representative(member: Member) -> RepresentativeResult:
    return RepresentativeResult(
        document=member.document, chunk=member.position, title=brief(member.title, LONGEST_NAME), lines=str(member.lines),
        text=head(member.text),
    )  # fmt: skip


def render_clusters(result: ClusterResult) -> str:
    """Return the text block of a cluster result."""
    if result.state == "running":
        return f"Still grouping ({result.progress}). {going_on(result.job or '')}"
    if result.state != "done":
        return f"Grouping was {result.state}; nothing of it is kept. Call cluster again."
    kind = "topics" if result.mode == "topics" else "groups of near-duplicates"
    lines = [f"{result.clusters_total} {kind} in {result.considered} passages; {result.outliers} fit nowhere."]
    return "\n".join([*lines, *map(_render_cluster, result.clusters), *ending(result.notices, result.cursor)])


def _render_cluster(each: ClusterItem) -> str:
    lines = [
        f"{each.place}. {one_line(each.label)} ({each.size} passages, {each.documents} documents, cohesion {each.cohesion:.2f})",
        f"   keywords: {', '.join(each.keywords)}; id {each.id}",
        *(
            f"   - {one_line(shown.title or shown.document)} ({one_line(shown.document)}, {line_word(shown.lines)} {shown.lines})"
            for shown in each.representatives[:2]
        ),
    ]
    return "\n".join(lines)

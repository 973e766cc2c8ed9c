"""The tools that compare, group and label: `embed`, `cluster`, `classify`."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import numpy as np
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from knowledge_core.choosing import passed_over, working_embedder
from knowledge_core.classification import Assignment, Label, classify_documents, classify_texts
from knowledge_core.clustering import Cluster, Clustering, Member, cluster, cluster_texts, head
from knowledge_core.embedding.tokens import cut
from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.index_job import JobView, view_of
from knowledge_core.ingestion.readers import clean_text
from knowledge_core.jobs import Job
from knowledge_core.search import Searched, SearchRequest, search
from knowledge_core.serving.mcp_server import KnowledgeServer
from knowledge_core.serving.results import (
    Classified,
    ClassifyResult,
    ClusterItem,
    ClusterResult,
    EmbedResult,
    LabelScore,
    RepresentativeResult,
)
from knowledge_core.serving.tools.common import (
    CollectionName,
    Filter,
    ToolContext,
    WaitSeconds,
    answer,
    check_models,
    line_word,
    opened,
    wait_for,
)
from knowledge_core.types import ReportProgress, Task, Vectors

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
LARGEST_BUDGET = 20_000  # tokens of a search whose hits are grouped, not shown
MOST_COMPARED = 60  # texts; their similarity matrix is 60 * 60 * 5 bytes = 18 KB, below the cap of an answer
MOST_FLOATS = 2_000  # numbers in one answer, at about 8 bytes each
MOST_BASE64 = 3_600  # numbers in one answer, at 16/3 bytes each

EMBED = (
    "Compare texts by meaning: returns their pairwise cosine similarity; with output=vectors the vectors themselves, "
    "few at a time. To find or group stored texts use search or cluster."
)


CLUSTER = (
    "Group a collection (or a filtered part, the hits of a query, or `texts`) by meaning. mode=topics finds the topics "
    "and their number, or exactly `k`; mode=duplicates finds near-identical passages above `similarity`. Returns "
    "clusters by size with label, keywords, cohesion and representatives; what fits nowhere is counted as outliers."
)
CLASSIFY = (
    "Label texts, or the documents of a collection, without training: by label names and descriptions, or by "
    "examples. Each gets the best label with a score 0..1, or null for none of these."
)
CLASSIFIED_SHOWN = 100  # items in one answer; the counts cover all


class LabelInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    description: str = ""
    examples: list[str] = []


def add(server: KnowledgeServer, engine: Engine) -> None:
    """Register the three tools."""
    _add_embed(server, engine)
    _add_cluster(server, engine)
    _add_classify(server, engine)


def _add_embed(server: KnowledgeServer, engine: Engine) -> None:
    @server.tool(name="embed", title="Embed", description=EMBED, annotations=READ_ONLY)
    def embed_tool(
        texts: list[str],
        task: Literal[
            "query",
            "document",
            "clustering",
            "classification",
            "similarity",
            "question_answering",
            "fact_checking",
            "code",
        ] = "similarity",
        output: Literal["similarity", "vectors"] = "similarity",
        dimensions: Annotated[int | None, Field(description="Shorter: 768, 512, 256, 128.")] = None,
        encoding: Literal["float", "base64"] = "float",
        collection: Annotated[str | None, Field(description="With its model.")] = None,
    ) -> Annotated[CallToolResult, EmbedResult]:
        if not texts:
            raise InvalidInput("texts is empty; give at least one text.")
        embedder = engine.embedder_for(engine.collection(collection)) if collection else working_embedder(engine)
        size = dimensions or embedder.static_contract.dimensions
        _refuse_too_much(len(texts), size, output, encoding)
        read = [clean_text(text) for text in texts]
        made = embedder.embed(read, Task(task))
        unread = str(cut(embedder, read, Task(task)))
        vectors = made if dimensions is None else shortened(made, dimensions)
        result = EmbedResult(
            model=embedder.static_contract.model,
            dimensions=int(vectors.shape[1]),
            task=task,
            notices=[*filter(None, [unread, "" if collection else passed_over(engine)])],
        )
        if output == "similarity":
            result.similarity = [[round(float(value), 3) for value in row] for row in vectors @ vectors.T]
        elif encoding == "base64":
            result.base64 = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
        else:
            result.vectors = [[round(float(value), 5) for value in row] for row in vectors]
        return answer(result, _render_embed(result, len(texts)))


def _refuse_too_much(count: int, size: int, output: str, encoding: str) -> None:
    numbers = MOST_FLOATS if encoding == "float" else MOST_BASE64
    most = MOST_COMPARED if output == "similarity" else max(numbers // size, 1)
    if count > most:
        raise InvalidInput(
            f"{count} texts are too many for one answer; at most {most} here. Send fewer, or write them to a file "
            "with `kcore embed --vectors`."
        )


def shortened(vectors: Vectors, dimensions: int) -> Vectors:
    """Return the first `dimensions` numbers of every vector, scaled back to norm 1 (Matryoshka).

    Raises:
        InvalidInput: the model was not trained for that, or has no more dimensions than that.
    """
    full = vectors.shape[1]
    allowed = [size for size in (768, 512, 256, 128) if size <= full] if full == 768 else [full]
    if dimensions not in allowed:
        raise InvalidInput(f"dimensions is {dimensions}; this model gives {', '.join(map(str, allowed))}.")
    cut = vectors[:, :dimensions]
    return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), np.float32)


def _render_embed(result: EmbedResult, count: int) -> str:
    head = f"{count} texts, {result.model}, task {result.task}, {result.dimensions} dimensions."
    if result.similarity is None:
        return head + " The vectors are in the structured result."
    rows = [f"{i}: " + " ".join(f"{value:.3f}" for value in row) for i, row in enumerate(result.similarity)]
    return "\n".join([head + " Cosine similarity, in the order given:", *rows])


def _add_cluster(server: KnowledgeServer, engine: Engine) -> None:
    @server.tool(name="cluster", title="Cluster", description=CLUSTER, annotations=READ_ONLY)
    async def cluster_tool(
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
    ) -> Annotated[CallToolResult, ClusterResult]:
        if texts is not None and (query is not None or filter is not None):
            raise InvalidInput("query and filter choose from a collection; with texts give neither.")

        def work(job: Job, report: ReportProgress) -> Clustering:
            if texts is not None:
                cleaned = [clean_text(text) for text in texts]
                return cluster_texts(
                    cleaned,
                    working_embedder(engine),
                    mode=mode,
                    k=k,
                    similarity=similarity,
                    limit=limit,
                    progress=report,
                )
            with opened(engine, [collection]) as over:
                if query is not None:
                    check_models(engine, over)
                chosen = None if query is None else _found(over, query, filter)
                return cluster(
                    over[0].view, chunks=chosen, filter=filter, mode=mode, k=k, similarity=similarity, limit=limit,
                    progress=report,
                )  # fmt: skip

        job = engine.jobs.start("cluster", collection, work)
        await wait_for(job, wait_seconds, context)
        if job.state == "failed":
            raise InvalidInput(job.error)
        result = cluster_result(view_of(job), mode)
        return answer(result, render_clusters(result))


def _found(over: list[Searched], query: str, filter: dict[str, Any] | None) -> list[int]:
    """Return the numbers of the chunks that a search finds."""
    request = SearchRequest(query=query, limit=100, filter=filter, max_tokens=LARGEST_BUDGET)
    numbers: list[int] = []
    for hit in search(over, request).hits:
        places = over[0].view.places_of_document(hit.document)
        numbers += [place.number for place in places if place.position == hit.chunk]
    return numbers


def cluster_result(job: JobView, mode: str) -> ClusterResult:
    """Return the wire's form of a cluster job, ended or not."""
    done = job.outcome
    if not isinstance(done, Clustering):
        return ClusterResult(state=job.state, job=job.id, mode=mode, progress=job.progress.message)
    return ClusterResult(
        job=job.id,
        mode=done.mode,
        clusters=[_cluster_item(each) for each in done.clusters],
        clusters_total=done.total,
        considered=done.considered,
        outliers=done.outliers,
        outlier_examples=[_representative(each) for each in done.outlier_examples],
        notices=list(done.notices),
    )


def _cluster_item(each: Cluster) -> ClusterItem:
    return ClusterItem(
        id=each.id, label=each.label, keywords=list(each.keywords), size=each.size, documents=each.documents,
        cohesion=round(each.cohesion, 3), representatives=[_representative(member) for member in each.representatives],
    )  # fmt: skip


def _representative(member: Member) -> RepresentativeResult:
    return RepresentativeResult(
        document=member.document, chunk=member.position, title=member.title, lines=str(member.lines),
        text=head(member.text),
    )  # fmt: skip


def render_clusters(result: ClusterResult) -> str:
    """Return the text block of a cluster result."""
    if result.state == "running":
        return f'Still grouping ({result.progress}). Poll with job(id="{result.job}", wait_seconds=20).'
    if result.state != "done":
        return f"Grouping was {result.state}. Call cluster again; nothing of it is kept."
    kind = "topics" if result.mode == "topics" else "groups of near-duplicates"
    lines = [f"{result.clusters_total} {kind} in {result.considered} passages; {result.outliers} fit nowhere."]
    for number, each in enumerate(result.clusters, start=1):
        lines.append(
            f"{number}. {each.label} ({each.size} passages, {each.documents} documents, cohesion {each.cohesion:.2f})"
        )
        lines.append(f"   keywords: {', '.join(each.keywords)}; id {each.id}")
        lines += [
            f"   - {shown.title or shown.document} ({shown.document}, {line_word(shown.lines)} {shown.lines})"
            for shown in each.representatives[:2]
        ]
    return "\n".join([*lines, *result.notices])


def _add_classify(server: KnowledgeServer, engine: Engine) -> None:
    @server.tool(name="classify", title="Classify", description=CLASSIFY, annotations=READ_ONLY)
    def classify_tool(
        labels: Annotated[list[LabelInput], Field(description="Describe or give examples where it helps.")],
        texts: Annotated[list[str] | None, Field(description="To label.")] = None,
        collection: Annotated[str | None, Field(description="Or the documents of this collection.")] = None,
        filter: Filter = None,
        multiple: Annotated[bool, Field(description="All that fit, not only the best.")] = False,
    ) -> Annotated[CallToolResult, ClassifyResult]:
        if (texts is None) == (collection is None):
            raise InvalidInput("Give texts, or a collection whose documents to label: one of them.")
        wanted = [Label(each.name, each.description, tuple(each.examples)) for each in labels]
        if collection is None:
            cleaned = [clean_text(text) for text in texts or []]
            made = classify_texts(cleaned, wanted, working_embedder(engine), multiple=multiple)
        else:
            with opened(engine, [collection]) as over:
                check_models(engine, over)
                made = classify_documents(over[0].view, wanted, over[0].embedder, filter=filter, multiple=multiple)
        result = _classified(made, wanted)
        return answer(result, _render_classified(result))


def _classified(made: list[Assignment], labels: list[Label]) -> ClassifyResult:
    counts = {label.name: 0 for label in labels} | {"(none of these)": 0}
    for each in made:
        counts["(none of these)" if each.label is None else each.label] += 1
    items = [
        Classified(
            item=each.item, label=each.label, score=round(each.score, 3),
            labels=[LabelScore(label=name, score=round(score, 3)) for name, score in each.labels] or None,
        )
        for each in made[:CLASSIFIED_SHOWN]
    ]  # fmt: skip
    truncated = len(made) > len(items)
    notices = [f"The first {len(items)} of {len(made)} are listed; filter to see others."] if truncated else []
    return ClassifyResult(items=items, counts=counts, total=len(made), truncated=truncated, notices=notices)


def _render_classified(result: ClassifyResult) -> str:
    lines = ["; ".join(f"{name}: {count}" for name, count in result.counts.items())]
    for each in result.items:
        several = " (" + ", ".join(f"{one.label} {one.score:.2f}" for one in each.labels) + ")" if each.labels else ""
        lines.append(f"{each.item}: {each.label or 'none of these'} {each.score:.2f}{several}")
    return "\n".join([*lines, *result.notices])

"""The structured results of the tools, from which their output schemas are made. Every name here is on the wire.

Fields have no descriptions on purpose: their names are standard terms of the trade, and every character of a schema is in
every model's context.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from knowledge_core.types import JobState


class CoverageResult(BaseModel):
    documents: int
    known: int


class HitResult(BaseModel):
    collection: str
    document: str
    chunk: int
    title: str | None = None
    uri: str | None = None
    lines: str
    match: str | None = None
    tokens: int | None = None
    document_tokens: int | None = None
    page: int | None = None
    snippet: str
    score: float | None = None
    parts: dict[str, float] | None = None
    also: list[str] | None = None
    found_by: list[int] | None = None
    status: str | None = None
    file: str | None = None


class SearchResult(BaseModel):
    hits: list[HitResult]
    total: int
    documents: int | None = None
    exact: bool
    coverage: CoverageResult
    stale: list[str]
    truncated: bool
    cursor: str | None = None
    notices: list[str]


class FailureResult(BaseModel):
    document: str
    reason: str
    message: str


class IndexResult(BaseModel):
    collection: str
    state: JobState
    job: str
    indexed: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failed: list[FailureResult] = []
    failed_total: int = 0
    failed_reasons: dict[str, int] = {}
    skipped: dict[str, int] = {}
    unread: dict[str, int] = {}
    skipped_examples: dict[str, list[str]] = {}
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    tokens: int = 0
    seconds: float = 0
    progress: str | None = None
    notices: list[str] = []


class RepresentativeResult(BaseModel):
    document: str
    chunk: int
    title: str
    lines: str
    text: str


class ClusterItem(BaseModel):
    place: int
    id: str
    label: str
    keywords: list[str]
    size: int
    documents: int
    cohesion: float
    representatives: list[RepresentativeResult]


class ClusterResult(BaseModel):
    state: JobState = "done"
    job: str | None = None
    mode: str
    clusters: list[ClusterItem] = []
    clusters_total: int = 0
    considered: int = 0
    outliers: int = 0
    outlier_examples: list[RepresentativeResult] = []
    truncated: bool = False
    cursor: str | None = None
    progress: str | None = None
    notices: list[str] = []


class LabelScore(BaseModel):
    label: str
    score: float


class Classified(BaseModel):
    item: str
    label: str | None
    score: float
    labels: list[LabelScore] | None = None

    @model_serializer(mode="wrap")
    def _with_label(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keep a null label also where nulls are left out: it says "none of these"."""
        return {"item": self.item, "label": self.label, **serialized(self)}


class ClassifyResult(BaseModel):
    items: list[Classified]
    counts: dict[str, int]
    total: int
    truncated: bool
    cursor: str | None = None
    notices: list[str]


class EmbedResult(BaseModel):
    model: str
    dimensions: int
    task: str
    similarity: list[list[float]] | None = None
    vectors: list[list[float]] | None = None
    base64: list[str] | None = None
    notices: list[str]


class OutlineItem(BaseModel):
    heading: str
    level: int
    lines: str
    tokens: int


class ReadResult(BaseModel):
    """What is read of one document."""

    id: str | None = None
    title: str | None = None
    lines: str | None = None
    total_lines: int | None = None
    document_tokens: int | None = None
    modified: str | None = None
    file: str | None = None
    page: int | None = None
    pages: int | None = None
    section: str | None = None
    outline: list[OutlineItem] | None = None
    text: str | None = None
    truncated: bool = False
    cursor: str | None = None


class ReadItem(ReadResult):
    """One of several documents; error: why it is not read."""

    error: str | None = None
    notices: list[str] | None = None


class DocumentResult(ReadResult):
    collection: str
    uri: str | None = None
    metadata: dict[str, Any] | None = None
    indexed_at: str | None = None
    documents: list[ReadItem] | None = None
    notices: list[str]


class SourceDetail(BaseModel):
    name: str
    path: str
    documents: int
    patterns: str | None = None
    whole: bool
    watched: bool
    by_person: bool
    gone: bool
    not_mounted: list[str] | None = None
    deleted: int
    pending: int


class CollectionItem(BaseModel):
    name: str
    documents: int
    known: int
    chunks: int
    model: str
    dimensions: int
    sources: list[str]
    sources_left_out: int | None = None
    source_details: list[SourceDetail] = []
    fields: dict[str, str]
    fields_left_out: int | None = None
    catching_up: bool | None = None
    indexed_at: str | None = None


class CollectionsResult(BaseModel):
    collections: list[CollectionItem]
    total: int
    truncated: bool
    cursor: str | None = None
    notices: list[str]


class DocumentItem(BaseModel):
    id: str
    title: str
    uri: str
    chunks: int
    metadata: dict[str, Any]
    modified: str
    indexed_at: str


class DocumentsResult(BaseModel):
    collection: str
    documents: list[DocumentItem]
    total: int
    since: str | None = None
    until: str | None = None
    truncated: bool
    cursor: str | None = None
    notices: list[str] = []


class DeleteResult(BaseModel):
    collection: str
    deleted: int
    documents: list[str]
    truncated: bool
    dry_run: bool
    collection_deleted: bool
    notices: list[str]


class JobItem(BaseModel):
    id: str
    kind: str
    collection: str
    state: JobState
    done: int
    total: int
    message: str
    chunks: int = 0
    tokens_per_second: float = 0
    seconds_left: float | None = None
    error: str | None = None
    result: dict[str, Any] | None = None


class JobsResult(BaseModel):
    jobs: list[JobItem]
    total: int
    truncated: bool
    cursor: str | None = None

"""The verb `cluster`: the topics of a collection or of given texts, or their near-duplicates.

Deterministic for given vectors: rows are in the order of their content's hash, products are exact integers, and ties are
decided by that order; so the order of insertion, the process and the number of threads change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from knowledge_core.contract import text_digest
from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import InvalidInput
from knowledge_core.grouping.communities import communities
from knowledge_core.grouping.duplicates import duplicates
from knowledge_core.grouping.kmeans import kmeans
from knowledge_core.grouping.labels import keywords, label_of, terms_of
from knowledge_core.grouping.neighbours import Floats, Places
from knowledge_core.grouping.templates import without_templates
from knowledge_core.language.wording import word_spans
from knowledge_core.quantising import quantise, scale
from knowledge_core.storage.view import View
from knowledge_core.types import Lines, Progress, ReportProgress, Task, no_progress
from knowledge_core.unit_vectors import mean_vector

MOST = 20_000  # distinct texts; with more, the exact neighbour graph takes too long
SIMILARITY = 0.95  # least cosine of near-duplicates, by default; a sentence and its negation have .89 with MiniLM
REPRESENTATIVES = 3  # per cluster
OUTLIERS_SHOWN = 5  # of all
HEAD = 160  # characters of a representative's text

Mode = Literal["topics", "duplicates"]


@dataclass(frozen=True)
class ClusterRequest:
    """How to group, whatever is grouped.

    mode: "topics" finds communities of near texts, "duplicates" groups of texts that say nearly the same.
    k: exactly so many topics, at least 1; None to find their number. Not with duplicates.
    similarity: the least cosine of two duplicates, above 0 and at most 1; None for `SIMILARITY`. Not with topics.
    limit: of the clusters that are returned, 1..100.
    """

    mode: Mode = "topics"
    k: int | None = None
    similarity: float | None = None
    limit: int = 20


@dataclass(frozen=True)
class Member:
    """One chunk, or one text of the call.

    document: the chunk's document id, or "#3" for the fourth text. position: of the chunk in its document.
    """

    document: str
    position: int
    title: str
    lines: Lines
    text: str


@dataclass(frozen=True)
class Cluster:
    """One group of near texts.

    Attributes:
        id: a digest of the members' texts: the same for the same members, whatever else changed.
        label: its first keywords.
        keywords: its most characteristic terms, best first.
        size: the number of its chunks or texts, copies included.
        documents: the number of documents that these are from.
        cohesion: the mean cosine of its distinct texts to their centroid, 0..1.
        representatives: the members nearest to the centroid, nearest first.
        members: all of them.
    """

    id: str
    label: str
    keywords: tuple[str, ...]
    size: int
    documents: int
    cohesion: float
    representatives: tuple[Member, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Clustering:
    """What grouping came to.

    Attributes:
        mode: as requested.
        clusters: the largest ones, as many as the request's limit; ties by id.
        total: the number of all clusters.
        considered: the number of chunks or texts, copies included.
        outliers: how many of these are in no cluster.
        outlier_examples: some of them, with topics.
        notices: what the caller should know besides.
    """

    mode: Mode
    clusters: tuple[Cluster, ...]
    total: int
    considered: int
    outliers: int
    outlier_examples: tuple[Member, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """One distinct text: its digest, by which items are ordered, and all chunks or texts that are this text."""

    digest: str
    members: tuple[Member, ...]


def cluster(
    view: View,
    request: ClusterRequest = ClusterRequest(),
    *,
    chunks: Sequence[int] | None = None,
    filter: Mapping[str, Any] | None = None,
    progress: ReportProgress = no_progress,
) -> Clustering:
    """Group the chunks of a view: all, those that a filter allows, or those of the given numbers.

    Raises:
        InvalidInput: nothing to group, too much, or a value of the request is wrong.
        InvalidFilter: see `filters.parse`.
    """
    _check(request)
    progress(Progress(0, 3, "reading", "steps"))
    allowed = view.allowed(filter)
    numbers = set(view.all_chunk_numbers().tolist() if allowed is None else allowed.chunks.tolist())
    if chunks is not None:
        numbers &= set(chunks)
    if not numbers:
        raise InvalidInput(
            "There is nothing to group: the collection, its filtered part or the query's hits are empty."
        )
    stored = view.chunks(sorted(numbers)).values()
    keys = sorted({chunk.key for chunk in stored})
    _refuse_too_many(len(keys))
    digests = view.key_digests(keys)
    by_key: dict[int, list[Member]] = {}
    for chunk in sorted(stored, key=lambda each: (each.document, each.position)):
        by_key.setdefault(chunk.key, []).append(
            Member(chunk.document, chunk.position, chunk.title, chunk.lines, chunk.text)
        )
    keys.sort(key=lambda key: digests[key])
    items = [_Item(digests[key], tuple(by_key[key])) for key in keys]
    return _grouped(items, view.vectors(keys), request, progress)


def cluster_texts(
    texts: Sequence[str],
    embedder: Embedder,
    request: ClusterRequest = ClusterRequest(),
    *,
    progress: ReportProgress = no_progress,
) -> Clustering:
    """Group the texts of a call, embedded for clustering; see `cluster`."""
    _check(request)
    if not texts:
        raise InvalidInput("texts is empty; give at least two texts.")
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if not text.strip():
            raise InvalidInput(f"The text at place {place} is empty.")
        places.setdefault(text, []).append(place)
    _refuse_too_many(len(places))
    distinct = sorted(places, key=text_digest)
    items = [
        _Item(text_digest(text), tuple(Member(f"#{place}", place, "", Lines(1, 1), text) for place in places[text]))
        for text in distinct
    ]
    vectors = np.empty((len(distinct), embedder.static_contract.dimensions), np.float32)
    done = 0
    for batch in pack(embedder.count_tokens(distinct)):
        progress(Progress(done, len(distinct) + 3, "embedding", "steps"))
        vectors[batch] = embedder.embed([distinct[i] for i in batch], Task.CLUSTERING)
        done += len(batch)
    return _grouped(items, vectors, request, progress)


def _check(request: ClusterRequest) -> None:
    mode, k, similarity, limit = request.mode, request.k, request.similarity, request.limit
    if k is not None and k < 1:
        raise InvalidInput(f"k is {k}; it must be at least 1.")
    if k is not None and mode == "duplicates":
        raise InvalidInput("k is for mode topics; duplicates are found by similarity.")
    if similarity is not None and mode == "topics":
        raise InvalidInput("similarity is for mode duplicates; topics take k, or find their number.")
    if similarity is not None and not 0 < similarity <= 1:
        raise InvalidInput(f"similarity is {similarity}; it must be above 0 and at most 1.")
    if not 1 <= limit <= 100:
        raise InvalidInput(f"limit is {limit}; it must be from 1 to 100.")


def _refuse_too_many(count: int) -> None:
    if count > MOST:
        raise InvalidInput(
            f"{count} distinct texts are too many to group at once; {MOST} are the most. Group a part of them with "
            "`filter` or `query`."
        )


def _grouped(items: Sequence[_Item], vectors: Floats, request: ClusterRequest, progress: ReportProgress) -> Clustering:
    if request.k is not None and request.k > len(items):
        raise InvalidInput(f"k is {request.k}, but there are only {len(items)} distinct texts to group.")
    progress(Progress(len(items), len(items) + 3, "finding groups", "steps"))
    labels = _labels(items, vectors, request)
    progress(Progress(len(items) + 1, len(items) + 3, "naming groups", "steps"))
    texts = [item.members[0].text for item in items]
    own = without_templates(texts, [item.members[0].document for item in items])
    terms = [terms_of(word_spans(text), text) for text in own]
    named = keywords(terms, labels)
    clusters = [_cluster(items, vectors, np.flatnonzero(labels == label), named[label]) for label in named]
    clusters.sort(key=lambda each: (-each.size, each.id))
    outside = [member for place in np.flatnonzero(labels < 0).tolist() for member in items[place].members]
    progress(Progress(len(items) + 3, len(items) + 3, "done", "steps"))
    return Clustering(
        mode=request.mode,
        clusters=tuple(clusters[: request.limit]),
        total=len(clusters),
        considered=sum(len(item.members) for item in items),
        outliers=len(outside),
        outlier_examples=tuple(outside[:OUTLIERS_SHOWN]) if request.mode == "topics" else (),
        notices=_notices(request.mode, len(clusters), request.limit),
    )


def _labels(items: Sequence[_Item], vectors: Floats, request: ClusterRequest) -> Places:
    if request.mode == "duplicates":
        labels = duplicates(vectors, SIMILARITY if request.similarity is None else request.similarity)
        return _with_copies(items, labels)
    rows = quantise(vectors)
    return communities(rows, scale(vectors.shape[1])) if request.k is None else kmeans(rows, request.k)


def _with_copies(items: Sequence[_Item], labels: Places) -> Places:
    """Make a group of every text that has copies and is near to no other text."""
    free = int(labels.max(initial=-1)) + 1
    for place, item in enumerate(items):
        if labels[place] < 0 and len(item.members) > 1:
            labels[place] = free
            free += 1
    return labels


def _cluster(items: Sequence[_Item], vectors: Floats, places: Places, terms: Sequence[str]) -> Cluster:
    inside = vectors[places]
    # Rounded, so that equal texts tie on every machine.
    nearness = np.round(inside.astype(np.float64) @ mean_vector(inside), 6)
    central = [int(places[i]) for i in np.lexsort((places, -nearness))]
    members = tuple(member for place in places.tolist() for member in items[place].members)
    content = "\n".join(items[place].digest for place in places.tolist())
    return Cluster(
        id=hashlib.sha256(content.encode()).hexdigest()[:12],
        label=label_of(terms),
        keywords=tuple(terms),
        size=len(members),
        documents=len({member.document for member in members}),
        cohesion=float(np.clip(nearness.mean(), 0, 1)),
        representatives=tuple(items[place].members[0] for place in central[:REPRESENTATIVES]),
        members=members,
    )


def _notices(mode: Mode, total: int, limit: int) -> tuple[str, ...]:
    notices = []
    if total > limit:
        notices.append(f"{total - limit} smaller clusters are not shown; ask with a larger limit (at most 100).")
    if total == 0:
        notices.append(
            "No near-duplicates at this similarity."
            if mode == "duplicates"
            else "Nothing here is alike enough to group."
        )
    return tuple(notices)


def head(text: str) -> str:
    """Return the beginning of a text on one line, for showing a member."""
    line = " ".join(text.split())
    return line if len(line) <= HEAD else line[: HEAD - 1].rstrip() + "…"

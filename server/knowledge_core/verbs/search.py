"""The verb `search`: from a query, or from examples, to the nearest passages in one or several collections.

Read top to bottom: check the request, find out what may be found, make one vector per contract, take candidates by
meaning and by words tier after tier, fold them into hits, cut the page, say what was covered. Rules kept here:
- every answer says what was left out, stale, cut or not embedded yet;
- the order is total and depends on request and generation alone, so pages of any size show the same sequence;
- the mode "lexical" never touches a model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import Any

from knowledge_core.cursors import Cursor, decode, encode, moved, request_digest
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import InvalidFilter, InvalidInput
from knowledge_core.language.lexical_query import weighed
from knowledge_core.language.stop_words import content_words
from knowledge_core.language.token_estimate import estimated_tokens
from knowledge_core.language.wording import spans_among
from knowledge_core.retrieval.candidates import Group, Target, tiers
from knowledge_core.retrieval.fair_semaphore import FairSemaphore
from knowledge_core.retrieval.file_states import NOWHERE, FileStates, Surroundings
from knowledge_core.retrieval.folding import Ranked, fold
from knowledge_core.retrieval.query_vector import query_groups
from knowledge_core.retrieval.relevance import seems_relevant
from knowledge_core.retrieval.request import Examples, Mode, SearchRequest, validate
from knowledge_core.retrieval.snippets import Match, flat, snippet
from knowledge_core.storage.values import FileState, StoredChunk
from knowledge_core.storage.view import View
from knowledge_core.types import Lines

__all__ = ["Coverage", "Examples", "Hit", "Mode", "SearchRequest", "SearchResponse", "Searched", "search"]

SEARCHES = FairSemaphore((os.cpu_count() or 1) + 1)  # one more than the cores, since some wait for the disk
MOST_COPIES = 10  # documents of the same text that are named with a hit
ROOM_OF_COPIES = 1_000  # bytes of their ids, at most: one hit must not fill an answer
HIT_OVERHEAD = 40  # tokens of a hit's names, numbers and punctuation, as text or as JSON


@dataclass(frozen=True)
class Searched:
    """One open collection: a view, the embedder of its contract, and where its files may have gone to."""

    name: str
    view: View
    embedder: Embedder
    around: Surroundings = NOWHERE


@dataclass(frozen=True)
class Coverage:
    """The number of documents that can be found, and of all known ones, which may still wait to be embedded."""

    documents: int
    known: int


@dataclass(frozen=True)
class Hit:
    """A chunk that was found, with the lines of neighbouring chunks that joined it.

    Attributes:
        collection: that holds the document.
        document: its id.
        chunk: the position of the chunk in the document, from 0.
        title: of the document.
        uri: of the document; "" where it has none.
        lines: of the chunk, and of the neighbours that joined it.
        page: where the chunk begins, from 1; None where the document has no pages.
        heading: the headings above the chunk, outermost first.
        snippet: about 300 characters that show why it was found.
        score: higher is better; 0..1 in hybrid and lexical mode, a cosine in semantic mode. Scores compare within one
            answer only.
        parts: with `explain`: "dense" (the cosine) and "lexical" (0..1), each where that side found the chunk; in hybrid
            mode also "dense_part" and "lexical_part", whose sum is the score.
        also: ids of other documents that hold the same text, ten at most.
        lines_of_file: whether `lines` are those of the file, not of a text that was extracted from it.
        file: what became of its file since, as `FileStates.of` returns it; None where it is as it was indexed.
    """

    collection: str
    document: str
    chunk: int
    title: str
    uri: str
    lines: Lines
    page: int | None
    heading: tuple[str, ...]
    snippet: str
    score: float
    parts: Mapping[str, float] | None = None
    also: tuple[str, ...] = ()
    lines_of_file: bool = True
    file: str | None = None


@dataclass(frozen=True)
class SearchResponse:
    """One page of hits, and what they were chosen from.

    Attributes:
        hits: best first.
        total: the number of chunks that could be found.
        exact: every one of their vectors was compared, or the mode asks for no vectors.
        coverage: how much of the collections is embedded.
        stale: ids among the hits whose file is not as it was indexed.
        truncated: there are fewer hits than asked for, because no more fit into the answer.
        cursor: asks for the next page; None where nothing follows.
        notices: what the caller should know besides.
    """

    hits: tuple[Hit, ...]
    total: int
    exact: bool
    coverage: Coverage
    stale: tuple[str, ...]
    truncated: bool
    cursor: str | None
    notices: tuple[str, ...]


Fits = Callable[[Hit], bool]
"""Called once per hit of a page, in order: returns whether the hit still fits into the answer."""


def search(over: Sequence[Searched], request: SearchRequest, fits: Fits = lambda hit: True) -> SearchResponse:
    """Return the page of hits that the request asks for, as far as they fit; the cursor continues after the last one.

    over: the collections to search. fits: says how many hits the answer has room for; the first hit is always returned.

    Raises:
        InvalidInput: a value of the request is wrong. InvalidFilter: no collection knows the filter's fields.
        CursorExpired: the cursor belongs to another request. DocumentNotFound: an example is in none of the collections.
        ModelUnavailable, ContractMismatch: the query cannot be embedded.
    """
    validate(request)
    if not over:
        raise InvalidInput("No collection was given to search in. Name one, or leave `collections` out for all.")
    digest = _digest(over, request)
    state = request_digest({each.name: each.view.generation for each in over})
    resumed = decode(request.cursor, digest) if request.cursor is not None else Cursor(digest, 0, state)
    targets, coverage, notices = _targets(over, request.filter)
    groups, notices_of_groups = query_groups(targets, request)
    with SEARCHES.one():
        ranked, best, exact = _ranked(groups, resumed.offset + request.limit + 1)
        hits = _page(over, ranked[resumed.offset : resumed.offset + request.limit], request, fits)
        end = resumed.offset + len(hits)
        notices += [
            *notices_of_groups,
            *_about_relevance(groups, request, ranked, best),
            *_about_copies(ranked[resumed.offset : end]),
            *_about_pending(over),
            *moved([each.name for each in over], resumed.state, state),
        ]
    return SearchResponse(
        hits=tuple(hits),
        total=sum(target.considered for target in targets),
        exact=exact,
        coverage=coverage,
        stale=tuple(dict.fromkeys(hit.document for hit in hits if hit.file)),
        truncated=end < min(len(ranked), resumed.offset + request.limit),
        cursor=encode(Cursor(digest, end, resumed.state)) if end < len(ranked) else None,
        notices=tuple(dict.fromkeys(notices)),
    )


def _digest(over: Sequence[Searched], request: SearchRequest) -> str:
    examples = [(each.ids, each.texts) if each else None for each in (request.like, request.unlike)]
    names = sorted(each.name for each in over)
    return request_digest([request.query, request.mode, request.filter, examples, names])


def _targets(over: Sequence[Searched], filter: Mapping[str, Any] | None) -> tuple[list[Target], Coverage, list[str]]:
    """Return the targets to search, how much of the collections they cover, and notices about what they do not cover.

    A collection that lacks a field of the filter is left out; where all lack it, the first one's error is raised.
    """
    targets: list[Target] = []
    notices: list[str] = []
    refused: list[InvalidFilter] = []
    documents = known = 0
    for each in over:
        counts = each.view.counts()
        documents, known = documents + counts.documents, known + counts.known
        if counts.documents < counts.known:
            waiting = counts.known - counts.documents
            notices.append(f"{waiting} of {counts.known} documents in {each.name!r} are not embedded yet.")
        if counts.chunks == 0:
            notices.append(f"Collection {each.name!r} is empty; index something into it.")
        try:
            targets.append(Target(each.name, each.view, each.embedder, each.view.allowed(filter)))
        except InvalidFilter as error:
            refused.append(error)
            notices.append(f"Collection {each.name!r} was left out: {error}")
            continue
        if counts.chunks > 0 and targets[-1].considered == 0:
            notices.append(f"The filter allows nothing in collection {each.name!r}; widen it.")
    if not targets and refused:
        raise refused[0]
    return targets, Coverage(documents, known), notices


def _ranked(groups: Sequence[Group], enough: int) -> tuple[list[Ranked], float | None, bool]:
    """Return the first `enough` folded hits, the best cosine (None where none was computed), and whether all were exact."""
    ranked: list[Ranked] = []
    cosines: list[float] = []
    exact = True
    for tier in tiers(groups):
        exact = exact and tier.exact
        cosines += [] if tier.best is None else [tier.best]
        ranked += islice(fold(tier.ranked), enough - len(ranked))
        if len(ranked) >= enough:
            break
    return ranked, max(cosines, default=None), exact


# -- the page ----------------------------------------------------------------------------------------------------------


def _page(over: Sequence[Searched], ranked: Sequence[Ranked], request: SearchRequest, fits: Fits) -> list[Hit]:
    """Return the hits that fit into the token budget and the answer; the first one even if it does not fit."""
    chunks: dict[str, dict[int, StoredChunk]] = {}
    files: dict[str, dict[str, FileState]] = {}
    for one in over:
        places = [each.place for each in ranked if each.collection == one.name]
        chunks[one.name] = one.view.chunks([place.number for place in places]) if places else {}
        files[one.name] = one.view.files({place.document for place in places}) if places else {}
    states, searched = FileStates(), {one.name: one for one in over}
    wanted_words = content_words(request.query or "")
    hits: list[Hit] = []
    left = float("inf") if request.max_tokens is None else request.max_tokens
    for each in ranked:
        hit = _hit(each, chunks[each.collection][each.place.number], wanted_words, explain=request.explain)
        if known := files[hit.collection].get(hit.document):
            one = searched[hit.collection]
            hit = replace(hit, file=states.of(known, one.around, one.view.files))
        left -= _tokens(hit)
        if not fits(hit) or left < 0:
            return hits or [hit]
        hits.append(hit)
    return hits


def _hit(ranked: Ranked, chunk: StoredChunk, wanted_words: set[str], *, explain: bool) -> Hit:
    return Hit(
        collection=ranked.collection,
        document=chunk.document,
        chunk=chunk.position,
        title=chunk.title,
        uri=chunk.uri,
        lines=ranked.lines,
        page=chunk.page,
        heading=chunk.heading,
        snippet=_snippet(chunk.text, wanted_words),
        score=ranked.score,
        parts=_parts(ranked) if explain else None,
        also=_also(ranked.copies),
        lines_of_file=chunk.lines_of_file,
    )


def _also(copies: Sequence[str]) -> tuple[str, ...]:
    sizes = accumulate(len(each.encode("utf-8", "replace")) for each in copies[:MOST_COPIES])
    return tuple(each for each, size in zip(copies, sizes, strict=False) if size <= ROOM_OF_COPIES)


def _snippet(text: str, wanted: set[str]) -> str:
    text = flat(text)
    return snippet(text, [Match(start, end, word) for word, start, end in spans_among(text, wanted)])


def _parts(ranked: Ranked) -> dict[str, float]:
    parts = {
        "dense": ranked.dense,
        "lexical": ranked.lexical,
        "dense_part": ranked.dense_part,
        "lexical_part": ranked.lexical_part,
    }
    return {name: value for name, value in parts.items() if value is not None}


def _tokens(hit: Hit) -> int:
    shown = " ".join([hit.document, hit.title, hit.uri, hit.snippet, hit.file or "", *hit.heading, *hit.also])
    return estimated_tokens(shown) + HIT_OVERHEAD


# -- what else the caller should know ----------------------------------------------------------------------------------


def _about_relevance(
    groups: Sequence[Group], request: SearchRequest, ranked: Sequence[Ranked], best: float | None
) -> list[str]:
    """Say when nothing was found, or nothing that seems relevant."""
    if not groups or request.query is None:
        return []
    if best is None:
        return [] if ranked else ["No word of the query occurs here. Try mode 'semantic', or other words."]
    if seems_relevant(best, request.query, _best_by_words(groups, request.query)):
        return []
    return ["Nothing here seems relevant: no passage is near the query in meaning, and none shares its telling words."]


def _best_by_words(groups: Sequence[Group], query: str) -> Iterator[str]:
    for target in (target for group in groups for target in group.targets):
        best = target.view.words(weighed(query, [target.view.lexicon]), 3, target.allowed)
        for chunk in target.view.chunks([number for number, _ in best]).values():
            yield " ".join([chunk.title, *chunk.heading, chunk.text])


def _about_copies(ranked: Sequence[Ranked]) -> list[str]:
    most = max(ranked, key=lambda each: len(each.copies), default=None)
    if most is None or len(_also(most.copies)) == len(most.copies):
        return []
    return [
        f"A hit's text stands in {len(most.copies) + 1} documents; `also` names {len(_also(most.copies))} of the others."
    ]


def _about_pending(over: Sequence[Searched]) -> list[str]:
    """Say of each collection that was searched how many files changed and are not indexed yet."""
    told = []
    for name, count in ((each.name, len(each.around.pending.files)) for each in over):
        if count:
            files, are = ("file", "is") if count == 1 else ("files", "are")
            told.append(
                f"{count} {files} of {name!r} changed and {are} not indexed yet; the index catches up by itself."
            )
    return told

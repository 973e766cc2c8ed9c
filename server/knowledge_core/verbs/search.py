"""The verb `search`: from a query, or from examples, to the nearest passages in one or several collections.

Read top to bottom: check the request, find out what may be found, make one vector per contract, take candidates by
meaning and by words tier after tier, fold them into hits, cut the page, say what was covered. Rules kept here:
- every answer says what was left out, stale, cut or not embedded yet;
- the order is total and depends on request and generation alone, so pages of any size show the same sequence;
- the mode "lexical" never touches a model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from knowledge_core.cursors import Cursor, decode, encode, moved, request_digest
from knowledge_core.errors import InvalidFilter, InvalidInput
from knowledge_core.retrieval.answers.explaining import terms_of_hits, why_not
from knowledge_core.retrieval.answers.hits import Fits, Hit, Searched, page
from knowledge_core.retrieval.answers.notices import about_copies, about_pending, about_relevance
from knowledge_core.retrieval.candidates import Group, Target, Tier, tiers
from knowledge_core.retrieval.fair_semaphore import FairSemaphore
from knowledge_core.retrieval.folding import Ranked, fold
from knowledge_core.retrieval.query_vector import query_groups
from knowledge_core.retrieval.reordering.copies import spread, with_copies, without_copies
from knowledge_core.retrieval.reordering.times import Preference, by_time, today
from knowledge_core.retrieval.request import Examples, Mode, SearchRequest, validate

__all__ = ["Coverage", "Examples", "Fits", "Hit", "Mode", "SearchRequest", "SearchResponse", "Searched", "search"]

SEARCHES = FairSemaphore((os.cpu_count() or 1) + 1)  # one more than the cores, since some wait for the disk


@dataclass(frozen=True)
class Coverage:
    """The number of documents that can be found, and of all known ones, which may still wait to be embedded."""

    documents: int
    known: int


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
        why_not: where the document that was asked for stands and what kept it out; "" where no collection has it.
    """

    hits: tuple[Hit, ...]
    total: int
    exact: bool
    coverage: Coverage
    stale: tuple[str, ...]
    truncated: bool
    cursor: str | None
    notices: tuple[str, ...]
    why_not: str = ""


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
    groups, notices_of_groups = _groups(targets, request)
    with SEARCHES.one():
        ranked, best, exact = _ranked(groups, targets, request, resumed.offset + request.limit + 1)
        around = {each.name: each.around for each in over}
        wanted = with_copies(ranked[resumed.offset : resumed.offset + request.limit], targets, around)
        hits = page(over, wanted, request, fits, terms_of_hits(groups, wanted) if request.explain else {})
        end = resumed.offset + len(hits)
        told = _told_why_not(groups, targets, request, len(hits))
        notices += [
            *notices_of_groups,
            *about_relevance(groups, request, ranked, best),
            *about_copies(wanted[: len(hits)]),
            *about_pending(over),
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
        why_not=told,
    )


def _digest(over: Sequence[Searched], request: SearchRequest) -> str:
    examples = [(each.ids, each.texts) if each else None for each in (request.like, request.unlike)]
    names = sorted(each.name for each in over)
    beside = [request.per_document, request.queries, request.recency]
    return request_digest([request.query, request.mode, request.filter, examples, names, *beside])


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


def _groups(targets: Sequence[Target], request: SearchRequest) -> tuple[list[Group], list[str]]:
    """Return the groups of all wordings of the query, and notices for the caller."""
    if len(request.wordings) < 2:
        return query_groups(targets, request)
    groups: list[Group] = []
    notices: list[str] = []
    for asked, wording in enumerate(request.wordings):
        some, notices = query_groups(targets, replace(request, query=wording))
        groups += (replace(group, asked=asked) for group in some)
    return groups, notices


def _ranked(
    groups: Sequence[Group], targets: Sequence[Target], request: SearchRequest, enough: int
) -> tuple[list[Ranked], float | None, bool]:
    """Return the first `enough` folded hits, the best cosine (None where none was computed), and whether all were exact."""
    cosines: list[float] = []
    inexact: list[Tier] = []

    def folded() -> Iterator[Ranked]:
        for tier in tiers(groups):
            inexact.extend([] if tier.exact else [tier])
            cosines.extend([] if tier.best is None else [tier.best])
            yield from fold(tier.ranked)

    ranked = list(islice(_in_order(folded(), targets, request), enough))
    return ranked, max(cosines, default=None), not inexact


def _told_why_not(groups: Sequence[Group], targets: Sequence[Target], request: SearchRequest, shown: int) -> str:
    """Return why the document that was asked for is where it is; "" where none was, or no collection has it."""
    if request.why_not is None:
        return ""
    everything = _in_order((hit for tier in tiers(groups) for hit in fold(tier.ranked)), targets, request)
    return why_not(request.why_not, groups, targets, everything, request.filter, shown) or ""


def _in_order(folded: Iterator[Ranked], targets: Sequence[Target], request: SearchRequest) -> Iterator[Ranked]:
    """Return the hits as the request wants them to come."""
    views = {target.name: target.view for target in targets}
    hits = without_copies(folded)
    if request.recency is not None or any("status" in view.fields() for view in views.values()):
        hits = by_time(hits, Preference(request.recency, today()), lambda name, ids: views[name].moments(ids))
    return spread(hits, request.per_document)

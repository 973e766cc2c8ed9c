"""One page of an answer: hits with their snippets, as far as they fit. Which chunks these are is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.language.stop_words import content_words
from knowledge_core.language.token_estimate import estimated_tokens
from knowledge_core.language.wording import spans_among
from knowledge_core.retrieval.file_states import NOWHERE, FileStates, Surroundings
from knowledge_core.retrieval.folding import Ranked
from knowledge_core.retrieval.request import SearchRequest
from knowledge_core.retrieval.snippets import Match, flat, snippet
from knowledge_core.storage.values import FileState, StoredChunk
from knowledge_core.storage.view import View
from knowledge_core.types import Lines

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
            mode also "dense_part" and "lexical_part", whose sum is the score; and the terms that add most to the score by
            words (`explaining.terms_of_hits`).
        also: ids of other documents that hold the same text, ten at most; "collection: id" where it is another collection's.
        found_by: which wordings of the query found it: 1 is the query, then the others in order; empty where there is one.
        status: what the document says of itself, where it no longer counts ("archived").
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
    found_by: tuple[int, ...] = ()
    status: str | None = None
    lines_of_file: bool = True
    file: str | None = None


Fits = Callable[[Hit], bool]
"""Called once per hit of a page, in order: returns whether the hit still fits into the answer."""


def page(
    over: Sequence[Searched],
    ranked: Sequence[Ranked],
    request: SearchRequest,
    fits: Fits,
    terms: Mapping[tuple[str, int], Mapping[str, float]],
) -> list[Hit]:
    """Return the hits that fit into the token budget and the answer; the first one even if it does not fit.

    terms: what each term of the query adds to a hit, by the names of collections and the numbers of chunks.
    """
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
        if hit.parts is not None:
            hit = replace(hit, parts={**hit.parts, **terms.get((each.collection, each.place.number), {})})
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
        also=shown_copies(ranked),
        found_by=tuple(asked + 1 for asked in ranked.found_by),
        status=ranked.status,
        lines_of_file=chunk.lines_of_file,
    )


def shown_copies(ranked: Ranked) -> tuple[str, ...]:
    """Return the copies that a hit names: ids of documents, behind the name of their collection where it is another."""
    copies = [
        place.document if name == ranked.collection else f"{name}: {place.document}" for name, place in ranked.copies
    ]
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

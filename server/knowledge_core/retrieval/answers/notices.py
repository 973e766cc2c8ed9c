"""What the caller of a search should know besides the hits, each in a sentence. Where all is as expected: nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from knowledge_core.errors import quoted
from knowledge_core.language.lexical_query import weighed
from knowledge_core.near_names import did_you_mean, near_names
from knowledge_core.retrieval.answers.hits import Searched, shown_copies
from knowledge_core.retrieval.candidates import Group
from knowledge_core.retrieval.folding import Ranked
from knowledge_core.retrieval.relevance import seems_relevant
from knowledge_core.retrieval.request import SearchRequest
from knowledge_core.storage.view import View

SLIP = 0.75  # similarity, 0..1, of a name and the one that was meant: that of "yaer" and "year"


def about_filter(views: Sequence[View], filter: Mapping[str, Any] | None) -> list[str]:
    """Say which fields a filter names that no document has, where it holds without them: it may be a slip."""
    missing = [set(view.unknown_fields(filter)) for view in views] if filter else []
    known = sorted({name for view in views for name in view.fields()}) if any(missing) else []
    told = []
    for name in sorted(set.intersection(*missing) if missing else ()):
        # Nearer than for a refusal: most fields that no document has yet are none's slip ("status" where there are "tags").
        near = [each for each in near_names(name, known, 1) if SequenceMatcher(None, name, each).ratio() >= SLIP]
        told.append(
            f"No document has a field {quoted(name)}, so the filter was read as if all lack it.{did_you_mean(name, near)}"
        )
    return told


def about_relevance(
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
            yield " ".join([chunk.document.replace("/", " "), chunk.title, *chunk.heading, chunk.text])


def about_copies(ranked: Sequence[Ranked]) -> list[str]:
    most = max(ranked, key=lambda each: len(each.copies), default=None)
    if most is None or len(shown_copies(most)) == len(most.copies):
        return []
    return [
        f"A hit's text stands in {len(most.copies) + 1} documents; `also` names {len(shown_copies(most))} of the others."
    ]


def about_pending(over: Sequence[Searched]) -> list[str]:
    """Say of each collection that was searched how many files changed and are not indexed yet."""
    told = []
    for name, count in ((each.name, len(each.around.pending.files)) for each in over):
        if count:
            files, are = ("file", "is") if count == 1 else ("files", "are")
            told.append(
                f"{count} {files} of {name!r} changed and {are} not indexed yet; the index catches up by itself."
            )
    return told

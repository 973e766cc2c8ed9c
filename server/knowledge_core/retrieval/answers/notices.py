"""What the caller of a search should know besides the hits, each in a sentence. Where all is as expected: nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge_core.language.lexical_query import weighed
from knowledge_core.retrieval.answers.hits import Searched, shown_copies
from knowledge_core.retrieval.candidates import Group
from knowledge_core.retrieval.folding import Ranked
from knowledge_core.retrieval.relevance import seems_relevant
from knowledge_core.retrieval.request import SearchRequest


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
            yield " ".join([chunk.title, *chunk.heading, chunk.text])


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

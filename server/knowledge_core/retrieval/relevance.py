"""Whether anything that was found seems to answer the query at all. Pure; deliberately slow to say no.

A query seems answered if a passage is near it in meaning, or if a passage holds half of its telling words. Telling
are all but the words that any English question is made of; in other languages every word is, so there the verdict
"nothing" is rarer still.
"""

from __future__ import annotations

from collections.abc import Iterable

from knowledge_core.language.stop_words import content_words
from knowledge_core.language.wording import words

# Best cosine of a query. MiniLM over seven judged sets (adi, cranfield, hotpotqa_small, scifact, covidqa, xquad/en,
# xquad/de): questions that a set answers have less in under 1 % of the cases in every set (first percentiles .27 to
# .47); the best of a set for another set's question has medians of .12 to .35, and of .47 where the subjects meet.
# With the words' say, search says "nothing" to none of those 2,460 own questions, and to most of another set's. Not
# measured for other models: EmbeddingGemma's unrelated pairs lie higher, so that it says so more seldom.
NEAR = 0.25
HALF = 0.5


def seems_relevant(best: float | None, query: str, passages: Iterable[str]) -> bool:
    """Say whether the best cosine (None: none was taken) or one of the best passages by words speaks for an answer.

    >>> seems_relevant(0.1, "What is the capital of Mongolia?", ["A capital letter is what starts a name."])
    True
    >>> seems_relevant(0.1, "How does photosynthesis work?", ["How does one bake bread?"])
    False
    """
    if best is None or best >= NEAR:
        return True
    telling = content_words(query)
    return any(len(telling & set(words(passage))) >= HALF * len(telling) for passage in passages)

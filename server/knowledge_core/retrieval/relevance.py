"""Whether anything that was found seems to answer the query at all. Pure. In doubt, the verdict is yes.

A query seems answered if a passage is near it in meaning, or if a passage holds half of its content words
(`language.stop_words`). In languages other than English every word counts as one, so that a no is rarer still there.
"""

from __future__ import annotations

from collections.abc import Iterable

from knowledge_core.language.runs import is_single
from knowledge_core.language.stop_words import content_words
from knowledge_core.language.wording import words

# The best cosine of a query from which on a passage is near it. With MiniLM over seven judged sets (adi, cranfield,
# hotpotqa_small, scifact, covidqa, xquad/en, xquad/de): in every set, under 1 % of the questions that it answers have a
# lower one (first percentiles .27 to .47); for questions of another set, the medians are .12 to .35, and .47 where the
# subjects meet. Together with the words, none of those 2,460 questions gets a no from its own set, and most questions get
# one from another set. Not measured for other models: the cosines of EmbeddingGemma's unrelated pairs are higher, so that
# a no is rarer there.
NEAR = 0.25
HALF = 0.5  # of the query's content words
MANY = 32  # content words; of a passage, a log or a stack trace with more, no chunk can be expected to hold half


def seems_relevant(best: float | None, query: str, passages: Iterable[str]) -> bool:
    """Say whether the best cosine, or one of the best passages by words, speaks for an answer.

    best: None where no cosine was computed; then the verdict is yes.

    >>> seems_relevant(0.1, "What is the capital of Mongolia?", ["A capital letter is what starts a name."])
    True
    >>> seems_relevant(0.1, "How does photosynthesis work?", ["How does one bake bread?"])
    False
    """
    if best is None or best >= NEAR:
        return True
    wanted = content_words(query)
    return len(wanted) > MANY or any(_shared(wanted, passage) >= HALF * len(wanted) for passage in passages)


def _shared(wanted: set[str], passage: str) -> int:
    """Return how many of these words a passage has; a single character of a script that is read in pairs stands within one."""
    there = set(words(passage))
    return sum(word in there or (is_single(word) and word in passage) for word in wanted)

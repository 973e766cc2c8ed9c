"""Whether anything that was found seems to answer the query at all. Pure; deliberately slow to say no.

A query seems answered if a passage is near it in meaning, or if a passage holds half of its telling words. Telling
are all but the words that any English question is made of; in other languages every word is, so there the verdict
"nothing" is rarer still.
"""

from __future__ import annotations

from collections.abc import Iterable

from knowledge_core.storage.wording import words

# Best cosine of a query. MiniLM over seven judged sets (adi, cranfield, hotpotqa_small, scifact, covidqa, xquad/en,
# xquad/de): questions that a set answers have less in under 1 % of the cases in every set (first percentiles .27 to
# .47), questions of another set have less in half to nine tenths of them (medians .12 to .35, all 42 pairs; the 99th
# percentile of single unrelated pairs is .26). Unmeasured for other models: EmbeddingGemma's unrelated pairs lie
# higher, so that it would say "nothing" more seldom.
NEAR = 0.25
HALF = 0.5

_FUNCTION_WORDS = frozenset(
    words(
        "a about after all also am an and any are as at be because been before between but by can could did do does "
        "during for from had has have he her him his how i if in into is it its may me most much my no nor not of on "
        "or other our she should so some such than that the their them then there these they this those through to "
        "under up us was we were what when where which while who whom whose why will with would you your"
    )
)


def seems_relevant(best: float | None, query: str, passages: Iterable[str]) -> bool:
    """Say whether the best cosine (None: none was taken) or one of the best passages by words speaks for an answer.

    >>> seems_relevant(0.1, "What is the capital of Mongolia?", ["A capital letter is what starts a name."])
    True
    >>> seems_relevant(0.1, "How does photosynthesis work?", ["How does one bake bread?"])
    False
    """
    if best is None or best >= NEAR:
        return True
    telling = telling_words(query)
    return any(len(telling & set(words(passage))) >= HALF * len(telling) for passage in passages)


def telling_words(query: str) -> set[str]:
    """Return the query's words (in their indexed form) that tell what it is about; all, if none does.

    >>> sorted(telling_words("What is the capital of Mongolia?"))
    ['capit', 'mongolia']
    """
    every = set(words(query))
    return (every - _FUNCTION_WORDS) or every

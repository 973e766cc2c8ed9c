"""Which words of a query tell what it is about: all but those that any English question is made of. Pure.

Other languages have no list here: there every word tells.
"""

from __future__ import annotations

from knowledge_core.language.wording import spans, words

_FUNCTION_WORDS = frozenset(
    words(
        "a about after all also am an and any are as at be because been before being between both but by can could did "
        "do does doing during each for from had has have having he her here him his how i if in into is it its me more "
        "most my no nor not of off on or other our over own same she should so some such t than that the their them "
        "then there these they this those through to too under until up very was we were what when where which while "
        "who whom whose why will with would you your"
    )
)


def content_words(query: str) -> set[str]:
    """Return the query's words, in their indexed form, that tell what it is about; all of them, if none does.

    >>> sorted(content_words("What is the capital of Mongolia?"))
    ['capit', 'mongolia']
    """
    return set(words(without_stop_words(query)))


def without_stop_words(query: str) -> str:
    """Return the query with the words that do not tell blanked out; the whole query, if none tells.

    A word in capitals tells: the WHO and the US are no pronouns.

    >>> without_stop_words("What does the WHO say?").split()
    ['WHO', 'say?']
    >>> without_stop_words("to be or not to be")
    'to be or not to be'
    """
    found = spans(query)
    silent = {
        (start, end)
        for word, start, end in found
        if word in _FUNCTION_WORDS and (end - start == 1 or not query[start:end].isupper())
    }
    if len({(start, end) for _, start, end in found}) == len(silent):
        return query
    letters = list(query)
    for start, end in silent:
        letters[start:end] = " " * (end - start)
    return "".join(letters)

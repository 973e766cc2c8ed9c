"""Words that say nothing of a text's subject, and a query without them. Pure.

Other languages than English have no list here: in a query of theirs every word is a content word.
"""

from __future__ import annotations

from knowledge_core.language.phrases import quoted_ranges
from knowledge_core.language.wording import terms_in, words

# Words that any English question is made of. They are not searched for, so the list holds no word that a question can be
# about, such as "use" or "like"; labels of clusters leave out more words (`grouping/labels.py`).
_ENGLISH = (
    "a about after all also am an and any are as at be because been before being between both but by can could did "
    "do does doing during each for from had has have having he her here him his how i if in into is it its me more "
    "most my no nor not of off on or other our over own same she should so some such t than that the their them "
    "then there these they this those through to too under until up very was we were what when where which while "
    "who whom whose why will with would you your"
)
ENGLISH_FUNCTION_WORDS = frozenset(_ENGLISH.split())
_INDEXED_FORMS = frozenset(words(_ENGLISH))


def content_words(query: str) -> set[str]:
    """Return the query's content words in their indexed form; all its words, if none is a content word.

    >>> sorted(content_words("What is the capital of Mongolia?"))
    ['capit', 'mongolia']
    """
    return set(words(without_stop_words(query)))


def without_stop_words(query: str) -> str:
    """Return the query with its function words blanked out; the whole query, if it has no other words.

    A word in capitals is a content word: WHO and IT are no pronouns there. What is written as one, or stands in quotation
    marks, is left as it is.

    >>> without_stop_words("What does the WHO say?").split()
    ['WHO', 'say?']
    >>> without_stop_words("to be or not to be")
    'to be or not to be'
    >>> without_stop_words('is "to be" in --no-cache').split()
    ['"to', 'be"', '--no-cache']
    """
    found = terms_in(query)
    whole = [*quoted_ranges(query), *((term.start, term.end) for term in found if term.kind == "compound")]
    blanked = {
        (start, end)
        for word, start, end, _ in found
        if word in _INDEXED_FORMS
        and (end - start == 1 or not query[start:end].isupper())
        and not any(first <= start and end <= last for first, last in whole)
    }
    if len({(term.start, term.end) for term in found}) == len(blanked):
        return query
    letters = list(query)
    for start, end in blanked:
        letters[start:end] = " " * (end - start)
    return "".join(letters)

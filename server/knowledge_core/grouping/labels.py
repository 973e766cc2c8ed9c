"""What a cluster is about: its characteristic terms, by class-based TF-IDF, as people write them.

A term's weight in a cluster is the share of the cluster's texts that have it, times the logarithm of how much rarer it
is over all texts (after Grootendorst 2022, "BERTopic", arXiv:2203.05794, with shares instead of raw counts, so that
one long text does not speak for all).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from knowledge_core.language.stop_words import ENGLISH_FUNCTION_WORDS

KEYWORDS = 8  # terms per cluster, at most
IN_LABEL = 3  # of these, in the cluster's label
LEAST_SHARE = 0.08  # of a cluster's texts must have a term; a rarer one does not characterise the cluster

# Beside the function words: words that are frequent in English texts of any subject. A query keeps them, since it may ask
# about them.
_FREQUENT = "get just like may one only out us use used using"
# Articles and prepositions of the languages that are most common in users' files. Others need no list: they are in most
# texts, so that their weight is low.
_OTHER_LANGUAGES = "de la le les des und der die das ist el los las que en un una il do da"
STOP_WORDS = ENGLISH_FUNCTION_WORDS.union(_FREQUENT.split(), _OTHER_LANGUAGES.split())

_ADDRESS = re.compile(r"(?<=\]\()[^()\s]{1,2000}|\bhttps?://[^\s()<>\[\]]{1,2000}")


def keywords(texts: Sequence[Mapping[str, str]], labels: npt.NDArray[np.int64]) -> dict[int, list[str]]:
    """Return up to `KEYWORDS` terms of each label (>= 0), most characteristic first, ties by term.

    texts: one mapping per text, from each of its terms (a stem) to the form in which the text writes it. labels: (n,).
    """
    everywhere = Counter(term for text in texts for term in text)
    found: dict[int, list[str]] = {}
    for label in sorted({int(label) for label in labels if label >= 0}):
        members = [texts[place] for place in np.flatnonzero(labels == label).tolist()]
        inside = Counter(term for text in members for term in text)
        forms: dict[str, Counter[str]] = {}
        for text in members:
            for term, form in text.items():
                forms.setdefault(term, Counter())[form] += 1
        least = max(LEAST_SHARE * len(members), min(2, len(members)))
        weights = {
            term: count / len(members) * math.log(1 + len(texts) / everywhere[term] * count / len(members))
            for term, count in inside.items()
            if count >= least
        }
        best = sorted(weights, key=lambda term: (-weights[term], term))[:KEYWORDS]
        found[label] = [_commonest(forms[term]) for term in best]
    return found


def label_of(terms: Sequence[str]) -> str:
    """Return a cluster's label: its first terms; "(no common words)" where it has none."""
    return ", ".join(terms[:IN_LABEL]) or "(no common words)"


def useful(term: str, form: str) -> bool:
    """Say whether a term may characterise a topic: no stop word, no lone character, not only digits."""
    return len(form) > 1 and not form.isdigit() and form.lower() not in STOP_WORDS and term not in STOP_WORDS


def _commonest(forms: Counter[str]) -> str:
    return min(forms, key=lambda form: (-forms[form], form))


def terms_of(spans: Iterable[tuple[str, int, int]], text: str) -> dict[str, str]:
    """Return the useful terms of a text and the form in which it writes each first. spans: `wording.spans` of the text.

    Addresses, and what links lead to, are no words of the text.
    """
    found: dict[str, str] = {}
    addresses = [each.span() for each in _ADDRESS.finditer(text)]
    at = 0
    for term, start, end in spans:
        while at < len(addresses) and addresses[at][1] <= start:
            at += 1
        if at < len(addresses) and addresses[at][0] <= start:
            continue
        form = text[start:end].lower()
        if useful(term, form):
            found.setdefault(term, form)
    return found

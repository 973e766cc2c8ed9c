"""Lines that many documents of one source share: the headings and prompts of a template, the licence above each file.

They say nothing of what a group is about, so its label is not made of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

LEAST_SHARE = 0.2  # of a source's documents, in which a line must stand to be of a template
LEAST_DOCUMENTS = 4  # in which it must stand at least
LEAST_KNOWN = 8  # documents of a source, below which nothing is taken for a template
_NUMBER = re.compile(r"\d+")


def without_templates(texts: Sequence[str], documents: Sequence[str]) -> list[str]:
    """Return the texts without the lines that many documents of their source share; a text of such lines alone stays.

    documents: the id of each text's document; what stands before its first slash is its source. Numbers in lines count as
    equal, as in "Mood: 7 of 10".
    """
    lines = [[_form(line) for line in text.split("\n")] for text in texts]
    sources = [id.partition("/")[0] if "/" in id else "" for id in documents]
    holds: dict[str, dict[str, set[str]]] = {}
    for source, id, forms in zip(sources, documents, lines, strict=True):
        holds.setdefault(source, {}).setdefault(id, set()).update(forms)
    shared = {source: _shared(list(of.values())) for source, of in holds.items()}
    kept: list[str] = []
    for text, source, forms in zip(texts, sources, lines, strict=True):
        own = "\n".join(line for line, form in zip(text.split("\n"), forms, strict=True) if form not in shared[source])
        kept.append(own if own.strip() else text)
    return kept


def _shared(of_documents: Sequence[set[str]]) -> set[str]:
    if len(of_documents) < LEAST_KNOWN:
        return set()
    counts = Counter(form for forms in of_documents for form in forms)
    least = max(LEAST_DOCUMENTS, LEAST_SHARE * len(of_documents))
    return {form for form, count in counts.items() if form and count >= least}


def _form(line: str) -> str:
    return _NUMBER.sub("0", line.strip())

"""Hyphens at line ends: which part a word, and which belong to it. Pure, linear in the text."""

from __future__ import annotations

import itertools
import re

JOIN = "\ufffe"  # where PDFium took a hyphen at a line's end away and joined the word
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_JOINED = re.compile(rf"([^\W_]+(?:-[^\W_]+)*)?{JOIN}+([^\W_]+)?")


def with_hyphens(pages: list[str]) -> list[str]:
    """Return pages with each join either made or undone: the hyphen stays where it belongs to the word.

    It stays where a capital or a digit follows, where one letter stands before it, where a page ends, and where the
    document has the word with its hyphen elsewhere and not without.

    >>> with_hyphens(["a dual\\ufffeencoder, the dual-encoder of ef\\ufffeficient COVID\\ufffe19 tests"])
    ['a dual-encoder, the dual-encoder of efficient COVID-19 tests']
    """
    if not any(JOIN in page for page in pages):
        return pages
    known: set[str] = set()
    for page in pages:
        for word in _WORD.findall(page.casefold()):
            known.add(word)
            if "-" in word:
                parts = word.split("-")
                known.update(map("-".join, itertools.pairwise(parts)))

    def made(found: re.Match[str]) -> str:
        left, right = found[1] or "", found[2] or ""
        last = left.rpartition("-")[2]
        kept, parted = f"{last}-{right}".casefold(), f"{last}{right}".casefold()
        belongs = not right or right[0].isdigit() or right[0].isupper() or (len(last) == 1 and last.isalpha())
        return f"{left}{'-' if belongs or (kept in known and parted not in known) else ''}{right}"

    return [_JOINED.sub(made, page) for page in pages]

"""What a caller may have meant by a name that is not there, among names that others chose."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable

LIKE_ENOUGH = 0.6  # of 1, as difflib has it
_COMPARED = 50  # names of the most letters in common: comparing two of 200 equal letters takes 3 ms


def near_names(wrong: str, known: Iterable[str], most: int) -> list[str]:
    """Return up to `most` names that are like a wrong one, the likest first; as `difflib.get_close_matches` does.

    Its last step takes time that grows with the square of the names' lengths, and more: it is left to those of which the
    earlier steps, which count lengths and letters, hope most.
    """
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(wrong)
    hopeful: list[tuple[float, str]] = []
    for name in known:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= LIKE_ENOUGH and (hope := matcher.quick_ratio()) >= LIKE_ENOUGH:
            hopeful.append((hope, name))
    best = [name for _, name in heapq.nlargest(_COMPARED, hopeful)]
    return difflib.get_close_matches(wrong, best, n=most, cutoff=LIKE_ENOUGH)

"""Names in an error or an answer: those that are most like an unknown one, in bounded time, and as many as have room. Pure."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Sequence

from knowledge_core.errors import quoted

LIKE_ENOUGH = 0.6  # least similarity, 0..1; difflib's own default
ROOM_OF_NAMES = 600  # characters of the names that there are, in an error
_COMPARED = 50  # names at most are compared in full: comparing two names of 200 equal letters takes 3 ms


def near_names(wrong: str, known: Iterable[str], most: int) -> list[str]:
    """Return up to `most` known names that are like a wrong one, most similar first, as `difflib.get_close_matches` does.

    The full comparison takes time that grows at least with the square of the names' lengths. So it is made only for the
    names with the largest upper bounds of similarity, which take the names' lengths and letters alone.
    """
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(wrong)
    bounds: list[tuple[float, str]] = []
    for name in known:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= LIKE_ENOUGH and (bound := matcher.quick_ratio()) >= LIKE_ENOUGH:
            bounds.append((bound, name))
    best = [name for _, name in heapq.nlargest(_COMPARED, bounds)]
    return difflib.get_close_matches(wrong, best, n=most, cutoff=LIKE_ENOUGH)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return a question with the known name that is most like a wrong one, to stand behind a sentence; "" if none is near.

    >>> did_you_mean("serach", ["search", "index"]), did_you_mean("x", ["search"])
    (" Did you mean 'search'?", '')
    """
    close = near_names(wrong, known, 1)
    return f" Did you mean {quoted(close[0])}?" if close else ""


def brief(text: str, most: int) -> str:
    """Return a text of `most` characters at most; an ellipsis marks a cut.

    >>> brief("a long title", 7)
    'a long…'
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def listed(names: Sequence[str], most: int = ROOM_OF_NAMES) -> str:
    """Return names in one line of about `most` characters, and how many more there are. The first is always shown.

    >>> listed(["a.md", "b.md", "c.md"], 10)
    'a.md, b.md and 1 more'
    """
    shown: list[str] = []
    left = most
    for name in names:
        left -= len(name) + len(", ")
        if shown and left < -len(", "):
            break
        shown.append(brief(name, most))
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")

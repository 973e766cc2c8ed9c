"""A PDF's outline as headings of its text. Pure, linear in the text and the outline."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge_core.ingestion.reading.pdf.pdfium import Bookmark
from knowledge_core.types import Heading, Span

_LONGEST = 200  # characters of a name
_DEEPEST = 6
_SAYS_NOTHING = re.compile(r"(page|seite|p\.?|folie|slide)?\s*\d*", re.IGNORECASE)
_NO_LETTER = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"(?:(?:chapter|part|section|appendix)\s+)?(?:[\divxlc]+|[a-z])(?:\.[\da-z]+)*[.):]?\s+", re.I)


def headings(outline: Sequence[Bookmark], text: str, pages: Sequence[Span]) -> tuple[Heading, ...]:
    """Return the outline's entries in text order: each at the line that says it, else at the start of its page.

    An entry without a page goes where the next one goes, as it is the title of a part.
    """
    placed: list[Heading] = []
    lines: dict[int, dict[str, list[int]]] = {}  # of each page that is asked for
    last: dict[int, int] = {}  # of each page, where the heading before is
    targets: list[int | None] = []
    for each in reversed(outline):
        following = targets[-1] if targets else None
        targets.append(each.page if each.page is not None and each.page < len(pages) else following)
    for each, page in zip(outline, reversed(targets), strict=True):
        if page is None or _SAYS_NOTHING.fullmatch(each.name):
            continue
        if page not in lines:
            lines[page] = _lines(text, pages[page])
        before = last.get(page, pages[page].start - 1)
        at = last[page] = _place(lines[page], each.name, before) or max(before, pages[page].start)
        placed.append(Heading(at, min(each.level, _DEEPEST), each.name[:_LONGEST]))
    return tuple(sorted(placed, key=lambda heading: heading.start))


def _place(lines: dict[str, list[int]], name: str, before: int) -> int:
    """Return where the first line after `before` says a name; 0 where none does."""
    for key in (_key(name), _key(_NUMBER.sub("", name, count=1))):
        for at in lines.get(key, ())[:50] if key else ():
            if at > before:
                return at
    return 0


def _lines(text: str, page: Span) -> dict[str, list[int]]:
    """Return where the lines of a page begin, by what they say: alone, with the next, and with the next two."""
    found: dict[str, list[int]] = {}
    starts: list[tuple[int, str]] = []
    start = page.start
    for line in text[page.start : page.end].split("\n"):
        if line.strip():
            starts.append((start, line))
        start += len(line) + 1
    keys = [_key(line) if len(line) <= _LONGEST else "" for _, line in starts]
    for index, (at, line) in enumerate(starts):
        if keys[index]:
            following = ["".join(keys[index + 1 : index + more]) for more in range(1, 4)]
            for first in {keys[index], _key(_NUMBER.sub("", line, count=1))}:
                for rest in dict.fromkeys(following):
                    found.setdefault(first + rest, []).append(at)
    return found


def _key(said: str) -> str:
    """Return the letters and digits of a title: the outline and the page space and punctuate it differently."""
    return _NO_LETTER.sub("", said.casefold())

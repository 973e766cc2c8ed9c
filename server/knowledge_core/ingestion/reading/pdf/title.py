"""A PDF's title: its own, where that is one, else the words at the top of page 1 that are much larger than the rest.

Of 26 public files without a sensible title of their own that have such words, these are the title in 24.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from knowledge_core.ingestion.reading.properties import sensible_title

_LARGER = 1.3  # than the text; with 1.15 every second heading of a table is taken
_LETTERS = (8, 150)  # that a title has, fewest and most
_IDEOGRAPHS = "\u2e80"  # from here on a word is a character or two
_LINES_ABOVE = 2  # that may stand before the title: a journal's name, a date

Glyph = tuple[str, float]  # a character, and its height in points


def title_of(own: str, first: Sequence[Glyph]) -> str:
    """Return the title, or "". own: what the file gives as its title; first: the first characters of page 1.

    >>> title_of("88300 162..177", [*((sign, 20.0) for sign in "Shift work"), *((sign, 9.0) for sign in "\\nText " * 9)])
    'Shift work'
    """
    title = sensible_title(own)
    serial = sum(map(str.isdigit, title)) > sum(map(str.isalpha, title))  # the number of a file
    return title if title and not serial else _largest(first)


def _largest(first: Sequence[Glyph]) -> str:
    sizes = Counter(size for sign, size in first if sign.isalpha())
    common = [size for size, count in sizes.items() if count >= 4]  # an initial is no title
    if not common or max(common) < _LARGER * sizes.most_common(1)[0][0]:
        return ""
    start = next(at for at, (sign, size) in enumerate(first) if size == max(common) and sign.isalpha())
    above = "".join(sign for sign, _ in first[:start])
    if sum(bool(line.strip()) for line in above.split("\n")[:-1]) > _LINES_ABOVE:
        return ""
    end = start
    while end < len(first) and (first[end][1] == max(common) or not first[end][0].strip()):
        end += 1
    title = " ".join("".join(sign for sign, _ in first[start:end]).split())
    return title if end < len(first) and _reads_like_a_title(title) else ""


def _reads_like_a_title(title: str) -> bool:
    words = title.split()
    few, most = _LETTERS
    letters = sum(map(str.isalpha, title))
    if max(title) >= _IDEOGRAPHS:
        return few // 2 <= letters <= most
    apart = sum(len(word) == 1 for word in words)  # letters that were set with spaces between
    return few <= letters <= most and len(words) > 1 and apart <= len(words) / 2 and bool(sensible_title(title))

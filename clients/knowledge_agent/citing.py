"""Checks an answer: do its quotations occur in the passages that it cites, and on which lines? Pure."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from knowledge_agent.types import Citation, Passage

MARKER = re.compile(r"\[(\d{1,9}(?:\s*[,;]\s*\d{1,9})*)\]")
# Words in quotation marks, of the kinds that the tests' languages use. Below 12 characters they are a term or a title
# rather than a quotation. The upper bound keeps an opening mark from being followed to the end of a long answer.
_LENGTH = "{12,2000}"
QUOTED = re.compile(
    rf'"([^"\n]{_LENGTH})"|“([^”\n]{_LENGTH})”|„([^“”\n]{_LENGTH})[“”]|«([^»\n]{_LENGTH})»|»([^«\n]{_LENGTH})«|「([^」\n]{_LENGTH})」'
)
_SAME = str.maketrans({**dict.fromkeys("“”„«»‟″", '"'), **dict.fromkeys("‘’‚‛′`", "'"), **dict.fromkeys("‐‑‒–—−", "-")})


def folded(text: str) -> str:
    """Return a text in the form for comparing quotations: white space, case, and kinds of quotes and dashes made equal.

    >>> folded("It’s  a\\nTest")
    "it's a test"
    """
    return " ".join(unicodedata.normalize("NFKC", text).translate(_SAME).casefold().split())


def occurs(quote: str, text: str) -> bool:
    """Say whether a quotation occurs in a text. Its parts around an ellipsis must occur there in their order.

    >>> occurs("the cat … the mat", "The cat sat on\\nthe mat.")
    True
    >>> occurs("the dog sat", "The cat sat on the mat.")
    False
    """
    place = 0
    where = folded(text)
    for part in re.split(r"\[?(?:…|\.\.\.)\]?", quote):
        wanted = folded(part).strip(" .,;:")
        found = where.find(wanted, place)
        if found < 0:
            return False
        place = found + len(wanted)
    return True


def lines_of(quote: str, passage: Passage) -> str:
    """Return the line of a passage that holds a quotation; all of the passage's lines if no single one does."""
    for number, line in enumerate(passage.text.splitlines()):
        if occurs(quote, line):
            return str(passage.first_line + number)
    return passage.lines


def checked(
    text: str, passages: Mapping[int, Passage], known: Iterable[Citation] = ()
) -> tuple[tuple[Citation, ...], tuple[str, ...]]:
    """Return an answer's citations and its doubtful quotations.

    passages: by number. known: citations that the API itself made; they are checked all the same.

    A quotation belongs to the markers between it and the next quotation; where there are none, to all passages that the
    answer cites. A marker whose number belongs to no passage is doubtful.
    """
    citations = list(known)
    doubtful = [each.quote for each in citations if not each.verified]
    marked = [(place.start(), number) for place in MARKER.finditer(text) for number in _numbers(place[1])]
    doubtful += [f"[{number}]" for _, number in marked if number not in passages]
    marked = [(place, number) for place, number in marked if number in passages]
    places = [place for place, _ in marked]
    anywhere = list(dict.fromkeys(number for _, number in marked)) or [each.passage.number for each in citations]
    quotes = list(QUOTED.finditer(text))
    for index, found in enumerate(quotes):
        quote = next(group for group in found.groups() if group)
        end = quotes[index + 1].start() if index + 1 < len(quotes) else len(text)
        after = marked[bisect_left(places, found.end()) : bisect_left(places, end)]
        cited = dict.fromkeys(number for _, number in after) or anywhere
        place = next((passages[number] for number in cited if occurs(quote, passages[number].text)), None)
        if place is None:
            doubtful.append(quote)
        else:
            citations.append(Citation(place, quote, lines_of(quote, place), verified=True))
    named = {each.passage.number for each in citations}
    for _, number in marked:
        if number not in named:
            named.add(number)
            citations.append(Citation(passages[number], "", passages[number].lines, verified=True))
    return tuple(citations), tuple(dict.fromkeys(doubtful))


def _numbers(inside: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", inside)]

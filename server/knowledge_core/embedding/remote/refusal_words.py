"""What an endpoint says of its refusal, without what was sent to it. Pure.

Endpoints like to repeat what they refuse: the input, its beginning, or its escaped form. Their words go into errors, which
a model reads, and into the log, where no text may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

TOLD: Final = 200  # characters of the endpoint's own words that an error repeats
REPEATED: Final = 12  # letters and digits in a row that stand in a sent text, too, are a repetition of it
SHORTEST: Final = 4  # letters and digits of a sent text; one shorter is not looked for, "a" stands everywhere
_LOOKED_AT: Final = 2 * TOLD  # characters; each of them is looked for in all that was sent
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")


def refusal_words(content: bytes, sent: Sequence[str], key: str) -> str:
    """Return the message of an endpoint's refusal, in brackets behind a space; "" where it has none that can be shown.

    content: the body of its answer. sent: the texts of the request. key: the secret of the request; "" for none.
    """
    try:
        body = json.loads(content[:65_536])
    except (ValueError, RecursionError):
        return ""
    said = _message(body)
    if said is None:
        return ""
    plain = " ".join((said.replace(key, "***") if key else said).split())
    told = without_repetition(plain[:_LOOKED_AT], sent)[:TOLD]
    return f" ({told})" if any(map(str.isalnum, told)) else ""


def _message(body: Any) -> str | None:
    """Return the text in the fields that OpenAI-compatible servers have for it: error.message, message, detail, error."""
    for name in ("error", "message", "detail"):
        body = body.get(name, body) if isinstance(body, dict) else body
    return body if isinstance(body, str) else None


def without_repetition(said: str, sent: Iterable[str]) -> str:
    """Return what was said, with an ellipsis for each run that stands in one of the texts that were sent.

    Letters and digits are compared, in any case, so that other quotes, escapes or line ends hide no repetition.

    >>> without_repetition("too long: 'Dear Ann, I MUST tell'. At most 512.", ["dear Ann,\\nI must tell you"])
    "too long: '…'. At most 512."
    """
    said = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), said)
    places = [place for place, letter in enumerate(said) if letter.isalnum()]
    folded = "".join(_fold(said[place]) for place in places)
    repeated: set[int] = set()  # of `folded`
    for text in map(_folded, sent):
        length = min(REPEATED, len(text))
        if length < SHORTEST:
            continue
        for begin in range(len(folded) - length + 1):
            if folded[begin : begin + length] in text:
                repeated.update(range(begin, begin + length))
    kept, last = "", -1
    for begin, end in _runs(sorted(repeated)):
        kept += said[last + 1 : places[begin]] + "…"
        last = places[end]
    return kept + said[last + 1 :]


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of successive numbers, as first and last; numbers: ascending."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _folded(text: str) -> str:
    return "".join(_fold(letter) for letter in text if letter.isalnum())


def _fold(letter: str) -> str:
    """Return one character for one: a few letters are longer in lower case."""
    return letter.lower()[:1]

r"""Text that steers nothing: neither a terminal nor the reading of a list. Pure.

Escape sequences move the cursor, hide text or set the clipboard; bidirectional overrides and isolates show a name in
another order than it is written (Unicode Standard Annex 9); a line end in a name forges a line of its own. Each such
character is shown as an escape, as `\x1b`. Halves of surrogate pairs, which names that are no UTF-8 have, are escaped,
too, since they cannot be encoded. Marks that only give a direction (U+200E, U+200F) stay: right-to-left texts need them.
"""

from __future__ import annotations

import re

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)  # all but tab and line feed
_BACKTICKS = re.compile("`+")
_STEERING_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return a text, of any number of lines, with each character that steers as an escape; tabs and line feeds stay.

    >>> printable("red: \x1b[31m\n\u202egnp.exe")
    'red: \\x1b[31m\n\\u202egnp.exe'
    """
    return _STEERING.sub(_escaped, text)


def one_line(text: str) -> str:
    r"""Return a name, or another text that belongs into one line, with each character that steers or ends it as an escape.

    >>> one_line("two\nlines"), one_line("Łódź 東京")
    ('two\\nlines', 'Łódź 東京')
    """
    return _STEERING_A_LINE.sub(_escaped, text)


def fenced(text: str) -> str:
    r"""Return a text between two lines of backticks that it cannot end: they are longer than any run of them in it.

    >>> print(fenced("a ``` b"))
    ````
    a ``` b
    ````
    """
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(longest + 1, 3)
    return f"{fence}\n{text}\n{fence}"


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")

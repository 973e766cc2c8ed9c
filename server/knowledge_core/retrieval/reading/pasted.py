"""A document and a place in it as one text, as compilers, editors, forges and this program write them. Pure.

Whether a text means that is for its reader to decide: an id may look like any of these, and then it is the id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

LONGEST = 2_000  # characters; longer texts are not taken apart
_AROUND = " \t\r\n`'\"<>"  # what is copied along with a name
_NUMBER = r"\d{1,9}"


def _range(to: str = r"-|–|—|\.\.") -> str:
    """Return a pattern of a line or a range of them: `12`, `12-20`, `L12-L20`, `L12C3-L20C1`, `12-`."""
    column = rf"(?:C{_NUMBER})?"
    return rf"L?(?P<first>{_NUMBER}){column}(?:[ \t]*(?P<to>{to})[ \t]*(?:L?(?P<last>{_NUMBER}){column})?)?"


_FORMS = [
    re.compile(rf"(?P<id>.+?){rest}", re.DOTALL)
    for rest in (
        rf"(?:\?[\w=&]{{1,40}})?#(?=L|lines-)(?:lines-)?{_range(r'-|–|:')}",  # of forges: a.md#L12-L20, a.md#lines-12:20
        rf":(?P<first>{_NUMBER}):{_NUMBER}:?",  # line and column, of compilers: a.py:12:5
        rf":{_range()}:?",  # a.md:12, a.md:12-20
        rf"\((?P<first>{_NUMBER})(?:,{_NUMBER})?\):?",  # a.cs(12,5)
        rf",?[ \t]+(?:chunk[ \t]+{_NUMBER},[ \t]+)?lines?[ \t]+{_range()}(?:[ ,(:].*)?",  # as a hit says it
        r"#(?P<section>[^#].*)",  # a heading's anchor: a.md#setup
    )
]


@dataclass(frozen=True)
class Pasted:
    """A document and a place in it. lines: as `get_document` takes them; or section: a heading."""

    id: str
    lines: str | None = None
    section: str | None = None


def pasted(text: str) -> Iterator[Pasted]:
    """Yield what a text may mean that is no document's id, the likeliest first.

    >>> [(each.id, each.lines) for each in pasted("notes/a.md:120-180")]
    [('notes/a.md', '120-180')]
    """
    if len(text) > LONGEST:
        return
    text = text.strip(_AROUND)
    for form in _FORMS:
        if found := form.fullmatch(text):
            parts = found.groupdict()
            if section := parts.get("section"):
                yield Pasted(parts["id"], section=unquote(section))
            else:
                yield Pasted(parts["id"], f"{parts['first']}{'-' if parts.get('to') else ''}{parts.get('last') or ''}")
    yield Pasted(text)

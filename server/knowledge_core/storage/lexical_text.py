"""What the words of a chunk are read from: its title and text, the names of its file and folders, what its code defines. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge_core.storage.values import LexicalText
from knowledge_core.types import titled

_CODE = "text/x-"  # what the media type of code begins with
_NO_CODE = ("text/x-rst", "text/x-ini", "text/x-log", "text/x-diff")
_FILE_NAME = re.compile(r"[^\W\d_][^/\\]*\.[A-Za-z][A-Za-z0-9]{0,7}\Z")  # of an id that a document was given with


# What defines a name in most languages with a keyword before it: a small chunk may hold several definitions under no heading.
_DEFINITION = re.compile(
    r"^[ \t]*(?:(?:export|default|public|private|protected|static|async|abstract|final|pub(?:\(\w+\))?|unsafe|inline|local)"
    r"[ \t]+)*"
    r"(?:def|class|func|function\*?|fn|interface|struct|trait|enum|type|module|namespace|record|object|macro_rules!|"
    r"(?:const|let|var)(?=[ \t]+\w+[ \t]*=[ \t]*(?:async\b|function\b|\()))[ \t]+(?:\([^()\n]{0,100}\)[ \t]*)?([\w$]{1,100})",
    re.MULTILINE,
)


def _defined(heading: Sequence[str], text: str) -> str:
    """Return the names that a chunk of code defines, and those of what it is in."""
    names = [each.partition(" ")[2] for each in heading]
    return " ".join(dict.fromkeys([*names, *_DEFINITION.findall(text)]))


def lexical_text(
    number: int, id: str, path: str | None, title: str, media_type: str, heading: Sequence[str], text: str
) -> LexicalText:
    """Return what the words of a chunk are read from.

    number: of the chunk. id, path, title, media_type: of its document; path: None where it was given by its text. Its id is a
    name of a file then only if it looks like one. heading, text: of the chunk.
    """
    named = id if path is not None or _FILE_NAME.search(id) else ""
    is_code = media_type.startswith(_CODE) and media_type not in _NO_CODE
    # The headings of code are "class Name" and "def name": the first word says what it is. With the names around it counted,
    # too, hybrid search for 300 functions of the standard library by their removed docstrings has an MRR@10 of .520, with the
    # innermost alone .513, without any .505 (.493, .493 and .487 on 300 others).
    defined = _defined(heading, text) if is_code else ""
    return LexicalText(number, f"{titled(title, heading)}\n{text}", named, defined)

r"""Which lines of a text hold a literal text, or match a regular expression. Pure.

Rules kept here:
- A line ends at "\n" alone; a line end at the end of a text begins no further line.
- Capitals count. A text and a query in different Unicode normal forms are compared as written, and both in the composed
  form (NFC): a line that matches either way is one.
- No backtracking: texts are found by `str.find`, regular expressions by Rust's crate `regex`, the engine of ripgrep, as
  pydantic has it (docs/decisions/find-all.md). It only says whether a text matches.
"""

from __future__ import annotations

import heapq
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Literal, Protocol

from pydantic_core import SchemaError, SchemaValidator, core_schema

from knowledge_core.errors import InvalidInput, quoted

Match = Literal["literal", "regex"]

BLOCK = 16_000  # characters; a block without a match is passed over as a whole, ten times as fast as line by line
_SYNTAX_ERROR = re.compile(r"regex parse error:\n(?P<shown>.*)\nerror: (?P<why>[^\n]*)", re.DOTALL)
# Where these stand, a match within a line may be none in a block of lines. `x` allows spaces in what is looked for here.
_BOUND_TO_A_LINE = re.compile(r"\\[Az]|\(\?[a-zA-Z]*[-Rx]")
_TOKEN = re.compile(r"\\(?:[xuU]\{[^}]*\}|x..|u.{4}|U.{8}|.)|\[\^?\]?|.", re.DOTALL)
_LINE_END = re.compile(r"\\(?:n|[xuU]0*[aA]|[xuU]\{0*[aA]\})|\n")
SYNTAX = (
    "The syntax is that of ripgrep, without look-around and backreferences. match: 'literal' takes a text as it is."
)


class Pattern(Protocol):
    """What lines are compared with.

    lines: how many lines a match has.
    """

    lines: int

    def indexes(self, text: str, *, composed: bool) -> Iterator[int]:
        """Yield the numbers, from 0, of the lines in which a match begins: each once, ascending.

        composed: whether the text is in Unicode's composed form.
        """

    def place(self, line: str) -> tuple[int, int]:
        """Return where about in a matching line, or in its `lines` lines, the first match begins and ends."""


def pattern_of(query: str, match: Match) -> Pattern:
    """Return the pattern that a query means.

    Raises:
        InvalidInput: it is empty, or no regular expression.
    """
    return LiteralPattern(query) if match == "literal" else RegexPattern(query)


class LiteralPattern:
    """A text as it is, also with line ends in it; line ends at its end are left out. See `Pattern`."""

    def __init__(self, query: str) -> None:
        text = query.replace("\r\n", "\n").rstrip("\n")
        if not text:
            raise InvalidInput("query is empty; write the text that lines must hold.")
        self.lines = text.count("\n") + 1
        self._composed = unicodedata.normalize("NFC", text)
        self._forms = tuple(dict.fromkeys([text, self._composed]))

    def indexes(self, text: str, *, composed: bool) -> Iterator[int]:
        found = [_lines_with(form, text) for form in self._forms]
        if not composed:
            found.append(_lines_with(self._composed, unicodedata.normalize("NFC", text)))
        return found[0] if len(found) == 1 else _distinct(found)

    def place(self, line: str) -> tuple[int, int]:
        starts = [(at, at + len(form)) for form in self._forms if (at := line.find(form)) >= 0]
        return min(starts) if starts else _place(lambda part: self._holds(part), line)

    def _holds(self, part: str) -> bool:
        return self._composed in unicodedata.normalize("NFC", part)


class RegexPattern:
    """A regular expression, matched within each line. See `Pattern`."""

    lines = 1

    def __init__(self, query: str) -> None:
        if _asks_for_a_line_end(query):
            raise InvalidInput(
                "query asks for a line end, but a regular expression is matched within each line. Leave \\n out, or give "
                "the lines as they are with match: 'literal'."
            )
        self._as_written = _Compiled(query)
        self._composed = self._as_written
        if not unicodedata.is_normalized("NFC", query):
            self._composed = _Compiled(unicodedata.normalize("NFC", query))

    def indexes(self, text: str, *, composed: bool) -> Iterator[int]:
        found = [self._as_written.indexes(text)]
        if self._composed is not self._as_written or not composed:
            found.append(self._composed.indexes(text if composed else unicodedata.normalize("NFC", text)))
        return found[0] if len(found) == 1 else _distinct(found)

    def place(self, line: str) -> tuple[int, int]:
        return _place(self._holds, line)

    def _holds(self, part: str) -> bool:
        return self._as_written.matches(part) or self._composed.matches(unicodedata.normalize("NFC", part))


class _Compiled:
    """A regular expression that was read. matches: says whether a text without line ends matches."""

    def __init__(self, query: str) -> None:
        self.matches = _test(query)
        # In a block each line begins at ^ and ends at $: what matches in a line, matches in its block.
        self._block_matches = None if _BOUND_TO_A_LINE.search(query) else _test(f"(?m){query}")

    def indexes(self, text: str) -> Iterator[int]:
        first = 0
        for block in _blocks(text):
            if self._block_matches is not None and not self._block_matches(block):
                first += block.count("\n") + 1
                continue
            lines = block.split("\n")
            yield from (first + at for at, matches in enumerate(map(self.matches, lines)) if matches)
            first += len(lines)


def _test(query: str) -> Callable[[str], bool]:
    """Return what says whether a text matches a regular expression.

    Raises:
        InvalidInput: it is none, or too large.
    """
    try:
        return SchemaValidator(core_schema.str_schema(pattern=query, regex_engine="rust-regex")).isinstance_python
    except SchemaError as error:
        raise InvalidInput(_refusal(query, str(error))) from None


def _refusal(query: str, said: str) -> str:
    """Return what is wrong with a regular expression. said: by the engine, with a line of carets below the place."""
    found = _SYNTAX_ERROR.search(said)
    if found is None:
        return (
            "query is too large a regular expression: its automaton would take more than 10 MB. Write smaller counted "
            "repetitions, as {1,20} instead of {1,2000}."
        )
    carets = found["shown"].rpartition("\n")[2]
    at = carets.index("^") - 4 if "^" in carets and "\n" not in query else None  # it is shown four places indented
    where = "" if at is None else f" at character {at + 1} ({quoted(query[at:] or query, 20)})"
    return f"query is no regular expression: {found['why']}{where}. {SYNTAX}"


def _asks_for_a_line_end(query: str) -> bool:
    """Say whether a regular expression names a line end outside of its character classes, which leave it out."""
    depth = 0
    for token in _TOKEN.findall(query):
        if token[0] == "[":
            depth += 1
        elif token == "]":
            depth = max(depth - 1, 0)
        elif not depth and _LINE_END.fullmatch(token):
            return True
    return False


def _lines_with(text: str, within: str) -> Iterator[int]:
    index = counted = 0
    at = within.find(text)
    while at >= 0:
        index += within.count("\n", counted, at)
        yield index
        counted = within.find("\n", at)
        if counted < 0:
            return
        at = within.find(text, counted + 1)


def _distinct(found: list[Iterator[int]]) -> Iterator[int]:
    return (index for index, _ in groupby(heapq.merge(*found)))


def _blocks(text: str) -> Iterator[str]:
    """Yield a text in parts of whole lines, each without its last line end."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + BLOCK)
        if end < 0:
            end = len(text) - 1 if text.endswith("\n") and len(text) - 1 >= begin else len(text)
            yield text[begin:end]
            return
        yield text[begin:end]
        begin = end + 1


def _place(holds: Callable[[str], bool], line: str) -> tuple[int, int]:
    """Return where about a match begins and ends in a line that matches, by halving: the engine only says that it does."""
    few, many = 0, len(line)
    while few < many:
        middle = (few + many) // 2
        few, many = (few, middle) if holds(line[:middle]) else (middle + 1, many)
    end = many
    few, many = 0, end
    while few < many:
        middle = (few + many + 1) // 2
        few, many = (middle, many) if holds(line[middle:end]) else (few, middle - 1)
    return few, end

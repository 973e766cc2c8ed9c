"""Patterns of paths as in `.gitignore`, matched in time proportional to pattern length times path length, for any pattern.

A regular expression made from such a pattern backtracks: it tries every way to divide a name among the stars. But the
piece between two stars has a fixed length, so its first match is as good as any later one, and each piece is looked for
only once, from left to right. The same holds for the runs of folders between two `**`.

Read top to bottom: a piece, a segment of a path, a line, and many lines, of which the last one that matches counts.
Paths are relative, with forward slashes; a folder's path may end in one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

LONGEST = 4096  # characters of a pattern: the longest path on Linux


class MalformedPattern(ValueError):
    """A line is no pattern. The message says why, as the end of a sentence that begins with "it"."""


@dataclass(frozen=True)
class _Piece:
    """The part of a pattern between two stars.

    literal: the part itself, where it has no wildcard. expression: matches it otherwise. length: characters it matches.
    """

    literal: str | None
    expression: re.Pattern[str]
    length: int

    def at(self, name: str, place: int) -> bool:
        if self.literal is not None:
            return name.startswith(self.literal, place)
        return self.expression.match(name, place) is not None

    def end_of_first(self, name: str, place: int) -> int:
        """Return the end of the piece's first occurrence at `place` or later; -1 if there is none."""
        if self.literal is not None:
            found = name.find(self.literal, place)
            return found if found < 0 else found + self.length
        match = self.expression.search(name, place)
        return -1 if match is None else match.end()


_NOTHING = re.compile("")


@dataclass(frozen=True)
class _Segment:
    """The pattern of one name. pieces: with a star between every two. held: for the frequent form *held*, its middle."""

    pieces: tuple[_Piece, ...]
    held: str | None = None

    @property
    def literal(self) -> str | None:
        """Return the only name that the segment matches; None where it may match several."""
        return self.pieces[0].literal if len(self.pieces) == 1 else None

    def matches(self, name: str) -> bool:
        if self.held is not None:
            return self.held in name
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return len(name) == first.length and first.at(name, 0)
        end = len(name) - last.length
        if end < first.length or not (last.at(name, end) and first.at(name, 0)):
            return False
        place = first.length
        for piece in self.pieces[1:-1]:
            place = piece.end_of_first(name, place)
            if not 0 <= place <= end:
                return False
        return True


@dataclass(frozen=True)
class _Line:
    """One pattern.

    runs: segments that follow each other, with `**` between every two runs; the first run may be empty.
    negated: the line brings back what earlier lines left out.
    folders_only: the line ends in a slash.
    below: the line matches what lies in the matching folders, not these folders.
    bare: of a line that matches a name at any depth, its only segment; else None.
    """

    runs: tuple[tuple[_Segment, ...], ...]
    negated: bool
    folders_only: bool
    below: bool

    bare: _Segment | None

    def is_about(self, names: Sequence[str], *, folder: bool) -> bool:
        """Say whether the line matches this path itself."""
        if self.bare is not None:
            return (folder or not self.folders_only) and self.bare.matches(names[-1])
        if self.below:
            return self._within(names)
        return self._whole(names) and (folder or not self.folders_only)

    def weight(self, names: Sequence[str]) -> int:
        """Return 2 where the line matches the file itself, 1 where it matches a folder above the file, else 0."""
        if self.bare is not None:
            if not self.folders_only and self.bare.matches(names[-1]):
                return 2
            return int(any(map(self.bare.matches, names[:-1])))
        if self.below:
            return 2 if self._within(names) else 0
        if not self.folders_only and self._whole(names):
            return 2
        return 1 if self._within(names) else 0

    def _whole(self, names: Sequence[str]) -> bool:
        """Say whether the runs match the names from the first to the last."""
        start, last = self._before_last(names), self.runs[-1]
        if len(self.runs) == 1:
            return len(names) == len(last) and _match(last, names, 0)
        return 0 <= start <= len(names) - len(last) and _match(last, names, len(names) - len(last))

    def _within(self, names: Sequence[str]) -> bool:
        """Say whether the runs match the names from the first on, with at least one name left over."""
        start, last = self._before_last(names), self.runs[-1]
        if start < 0:
            return False
        latest = len(names) - 1 - len(last)
        places = range(start, latest + 1) if len(self.runs) > 1 else range(min(1, latest + 1))
        return any(_match(last, names, place) for place in places)

    def _before_last(self, names: Sequence[str]) -> int:
        """Return where the last run may begin at the earliest: after the other runs' first matches; -1 if one has none."""
        if len(self.runs) == 1:
            return 0
        first, *inner = self.runs[:-1]
        if not _match(first, names, 0):
            return -1
        place = len(first)
        for run in inner:
            starts = range(place, len(names) - len(run) + 1)
            found = next((start for start in starts if _match(run, names, start)), -1)
            if found < 0:
                return -1
            place = found + len(run)
        return place


def _match(run: Sequence[_Segment], names: Sequence[str], start: int) -> bool:
    if start + len(run) > len(names):
        return False
    return all(segment.matches(names[start + at]) for at, segment in enumerate(run))


class PathPatterns:
    """Many lines, of which the last one that matches a path counts.

    malformed: called with the reason why a line is no pattern; the line is then ignored.

    Raises:
        MalformedPattern: a line is no pattern, and `malformed` is None.
    """

    def __init__(self, lines: Iterable[str], malformed: Callable[[MalformedPattern], None] | None = None) -> None:
        self._lines: list[_Line] = []
        for written in lines:
            try:
                line = _parsed(written)
            except MalformedPattern as error:
                if malformed is None:
                    raise
                malformed(error)
            else:
                self._lines += [line] if line is not None else []
        # Three indexes, so that of ten thousand lines only those are tried that the end of a name does not rule out.
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_last_letter: dict[str, list[int]] = defaultdict(list)
        self._others: list[int] = []
        for number, line in enumerate(self._lines):
            self._file(number, line)

    def _file(self, number: int, line: _Line) -> None:
        last = line.runs[-1][-1]
        tail = last.pieces[-1].literal
        if last.literal is not None:
            self._by_name[last.literal].append(number)
        elif tail:
            self._by_last_letter[tail[-1]].append(number)
        else:
            self._others.append(number)

    def says(self, path: str) -> bool | None:
        """Return what the last line that matches this path says: True to match, False to bring back; else None.

        Only right for paths in folders that do not match; the caller asks about no others.
        """
        names = _names(path)
        for line in self._candidates(names):
            if line.is_about(names, folder=path.endswith("/")):
                return not line.negated
        return None

    def match(self, path: str) -> bool:
        """Say whether a file matches, itself or by a folder above it.

        A line that matches the file itself overrules all that match folders; among equals the last one decides.
        """
        names = _names(path)
        by_folder: bool | None = None
        for line in self._candidates(names):
            weight = line.weight(names)
            if weight == 2:
                return not line.negated
            if weight == 1 and by_folder is None:
                by_folder = not line.negated
        return bool(by_folder)

    def _candidates(self, names: Sequence[str]) -> Iterator[_Line]:
        """Return the lines that may match, the last one first."""
        there = dict.fromkeys(names)
        named = [self._by_name[name] for name in there if name in self._by_name]
        letters = dict.fromkeys(name[-1:] for name in there)
        ending = [self._by_last_letter[letter] for letter in letters if letter in self._by_last_letter]
        numbers = sorted(chain(*named, *ending, self._others), reverse=True)
        return (self._lines[number] for number in numbers)


def _names(path: str) -> list[str]:
    return path.removesuffix("/").split("/")


# -- parsing -----------------------------------------------------------------------------------------------------------


def _parsed(written: str) -> _Line | None:
    """Return the pattern of a written line; None for an empty line and for a comment.

    Raises:
        MalformedPattern: the line is incomplete, too long, or holds a NUL or a backward range.
    """
    if len(written) > LONGEST:
        raise MalformedPattern(f"has {len(written)} characters; at most {LONGEST} are read")
    line = written if written.endswith("\\ ") else written.rstrip()
    if not line or line.startswith("#") or line == "/":
        return None
    negated = line.startswith("!")
    line = line[1:] if negated else line
    if not line:
        raise MalformedPattern("says not what to bring back")
    if "\0" in line:
        raise MalformedPattern("holds a NUL, which no name does")
    anchored = "/" in line[:-1]
    folders_only = line.endswith("/")
    names = line.removeprefix("/").removesuffix("/").split("/") if line != "/" else ["**"]
    if not anchored:
        names.insert(0, "**")
    below = not folders_only and names[-1] == "**"
    while names and names[-1] == "**":
        names.pop()
    if not names:
        names, below = ["**", "*"], False
    runs = tuple(_runs(names))
    bare = runs[1][0] if not below and len(runs) == 2 and not runs[0] and len(runs[1]) == 1 else None
    return _Line(runs, negated, folders_only, below, bare)


def _runs(names: Iterable[str]) -> list[tuple[_Segment, ...]]:
    runs: list[list[_Segment]] = [[]]
    several = False  # whether the name before was `**`
    for name in names:
        if name == "**":
            runs += [[]] if not several else []
        else:
            runs[-1].append(_segment(name))
        several = name == "**"
    return [tuple(run) for run in runs]


def _segment(written: str) -> _Segment:
    if written == "*":
        return _Segment((_ANY_LETTER, _Piece("", _NOTHING, 0)))  # a name has at least one letter
    pieces: list[list[str]] = [[]]
    at = 0
    while at < len(written):
        letter, at = written[at], at + 1
        if letter == "*":
            pieces.append([])
        elif letter == "?":
            pieces[-1].append(".")
        elif letter == "[":
            expression, at = _set(written, at)
            pieces[-1].append(expression)
        elif letter == "\\":
            if at == len(written):
                raise MalformedPattern("ends in a backslash, with nothing to be taken as it is")
            pieces[-1].append(re.escape(written[at]))
            at += 1
        else:
            pieces[-1].append(re.escape(letter))
    first, *inner = made = tuple(map(_piece, pieces))
    return _Segment(made, inner[0].literal if len(inner) == 2 and not first.length + inner[1].length else None)


def _piece(expressions: Sequence[str]) -> _Piece:
    whole = "".join(expressions)
    if all(len(each) == 1 + each.startswith("\\") and each != "." for each in expressions):
        return _Piece("".join(each[-1] for each in expressions), _NOTHING, len(expressions))
    return _Piece(None, re.compile(whole, re.DOTALL), len(expressions))


_ANY_LETTER = _piece(["."])


def _set(written: str, at: int) -> tuple[str, int]:
    """Return the regular expression of the set whose opening bracket stands before `at`, and the end of the set."""
    negated = written[at : at + 1] in ("!", "^")
    start = at + negated
    end = written.find("]", start + 1)  # the first one may be a bracket that belongs to the set
    if end < 0:
        raise MalformedPattern("has a [ without its ]")
    inside, parts = written[start:end], []
    while inside:
        first, inside = inside[0], inside[1:]
        if len(inside) > 1 and inside[0] == "-":
            if inside[1] < first:
                raise MalformedPattern(f"has a range that runs backwards, {first}-{inside[1]}")
            parts.append(f"{re.escape(first)}-{re.escape(inside[1])}")
            inside = inside[2:]
        else:
            parts.append(re.escape(first))
    return f"[{'^' if negated else ''}{''.join(parts)}]", end + 1

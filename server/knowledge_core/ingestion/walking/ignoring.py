"""Which paths a tree of ignore files leaves out, as git reads them.

The deepest folder's file that says anything about a path decides; in one folder `.kcoreignore` speaks after
`.gitignore`, and in one file the last matching line. What lies in an ignored folder cannot be brought back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.walking.path_patterns import MalformedPattern, PathPatterns

log = logging.getLogger(__name__)

IGNORE_FILES = (".kcoreignore", ".gitignore")  # the stronger first
_LONGEST = 1_000_000  # bytes; a larger ignore file is none

# Made by tools out of what is there already, by the thousand; `!node_modules/` in an ignore file brings one back.
_USUAL = "node_modules/ bower_components/ __pycache__/ site-packages/ venv/ virtualenv/ CVS/ _darcs/ *.egg-info/"


@dataclass(frozen=True)
class Patterns:
    """The lines of one ignore file.

    base: the folder it speaks of, below the walked one; ends in "/" or is "". above: the other way round, the walked
    folder's path below the one it speaks of.
    """

    base: str
    lines: PathPatterns
    above: str = ""

    def says(self, relative: str) -> bool | None:
        """Return whether the path is ignored; None where no line is about it. A folder ends in "/".

        Right only for what lies in folders that are not ignored: the walk never asks about other paths.
        """
        if not relative.startswith(self.base):
            return None
        return self.lines.says(self.above + relative[len(self.base) :])


USUAL = Patterns("", PathPatterns(_USUAL.split()))


def patterns_in(folder: Path, base: str) -> list[Patterns]:
    """Return what the folder's ignore files say, the stronger first; files that cannot be read say nothing."""
    result = []
    for name in IGNORE_FILES:
        try:
            with open(folder / name, encoding="utf-8-sig", errors="surrogateescape") as file:
                lines = [_plain(line) for line in file.read(_LONGEST).split("\n")]
        except OSError:
            continue
        wrong: list[MalformedPattern] = []
        result.append(Patterns(base, PathPatterns(lines, wrong.append)))  # git passes over such lines, too
        if wrong:
            log.info(
                "%s: %d lines are no patterns and were passed over; the first %s", folder / name, len(wrong), wrong[0]
            )
    return result


def _plain(line: str) -> str:
    """Return the line as the matcher reads it right: "a/**/" means the folders in a, not a."""
    line = line.removesuffix("\r")
    return line[:-1] + "/*/" if line.endswith("/**/") else line


def is_ignored(relative: str, stack: Sequence[Patterns]) -> bool:
    """Say whether the path is left out. stack: the strongest first."""
    return next((said for patterns in stack if (said := patterns.says(relative)) is not None), False)


def chosen(patterns: Sequence[str], name: str) -> PathPatterns | None:
    """Return the matcher of a caller's patterns; None where there are none.

    Raises:
        InvalidInput: a pattern is malformed.
    """
    for pattern in patterns:
        try:
            PathPatterns([pattern])
        except MalformedPattern as error:
            shown = pattern if len(pattern) <= 100 else f"{pattern[:100]}..."
            raise InvalidInput(
                f"{name}: {shown!r} is no pattern: it {error}. Write it as in .gitignore: *.md, docs/, !old/*.md."
            ) from error
    return PathPatterns(patterns) if patterns else None

"""Which paths a tree of ignore files leaves out, by git's rules.

Of the files that say anything about a path, the one in the deepest folder decides; of two in the same folder,
`.kcoreignore` overrules `.gitignore`; in one file, the last matching line decides. No line can bring back what lies in an
ignored folder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.walking.path_patterns import MalformedPattern, PathPatterns

log = logging.getLogger(__name__)

IGNORE_FILES = (".kcoreignore", ".gitignore")  # the first overrules the second
_LONGEST = 1_000_000  # characters that are read of an ignore file

# Folders that tools fill with thousands of derived files. A line like `!node_modules/` in an ignore file brings one back.
_USUAL = "node_modules/ bower_components/ __pycache__/ site-packages/ venv/ virtualenv/ CVS/ _darcs/ *.egg-info/"


@dataclass(frozen=True)
class Patterns:
    """The lines of one ignore file.

    base: the path of the file's folder below the walked one; ends in "/" or is "".
    above: where the file lies above the walked folder, the walked folder's path below the file's folder.
    """

    base: str
    lines: PathPatterns
    above: str = ""

    def says(self, relative: str) -> bool | None:
        """Return whether the path is ignored; None where no line matches it. A folder's path ends in "/".

        Only right for paths in folders that are not ignored; the walk asks about no others.
        """
        if not relative.startswith(self.base):
            return None
        return self.lines.says(self.above + relative[len(self.base) :])


USUAL = Patterns("", PathPatterns(_USUAL.split()))


def ignoring(lines: Sequence[str]) -> Patterns:
    """Return patterns that hold in every folder; malformed lines are passed over."""
    return Patterns("", PathPatterns([_plain(line) for line in lines], lambda wrong: None))


def patterns_in(folder: Path, base: str, names: Set[str] | None = None) -> list[Patterns]:
    """Return the patterns of the folder's ignore files, in the order of `IGNORE_FILES`, without those that cannot be read.

    names: what lies in the folder, where that is known.
    """
    result = []
    for name in IGNORE_FILES if names is None else [each for each in IGNORE_FILES if each in names]:
        try:
            with open(folder / name, encoding="utf-8-sig", errors="surrogateescape") as file:
                lines = [_plain(line) for line in file.read(_LONGEST).split("\n")]
        except OSError:
            continue
        wrong: list[MalformedPattern] = []
        result.append(Patterns(base, PathPatterns(lines, wrong.append)))  # git ignores malformed lines, too
        if wrong:
            log.info(
                "%s: %d lines are no patterns and were passed over; the first %s", folder / name, len(wrong), wrong[0]
            )
    return result


def _plain(line: str) -> str:
    """Return the line in the form that the matcher needs: "a/**/" means the folders in a, not a itself."""
    line = line.removesuffix("\r")
    return line[:-1] + "/*/" if line.endswith("/**/") else line


def is_ignored(relative: str, stack: Sequence[Patterns]) -> bool:
    """Say whether the path is left out. stack: the patterns that may decide, those that overrule others first."""
    return next((said for patterns in stack if (said := patterns.says(relative)) is not None), False)


def chosen(patterns: Sequence[str], name: str) -> PathPatterns | None:
    """Return the matcher of a caller's patterns; None where the caller gave none. name: the argument's, for errors.

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

"""Which paths a tree of ignore files leaves out, as git reads them.

The deepest folder's file that says anything about a path decides; in one folder `.kcoreignore` speaks after
`.gitignore`, and in one file the last matching line. What lies in an ignored folder cannot be brought back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from knowledge_core.errors import InvalidInput

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
    spec: GitIgnoreSpec
    above: str = ""

    def says(self, relative: str) -> bool | None:
        """Return whether the path is ignored; None where no line is about it. A folder ends in "/".

        Right only for what lies in folders that are not ignored: the walk never asks about other paths.
        """
        if not relative.startswith(self.base):
            return None
        path = self.above + relative[len(self.base) :]
        for pattern in reversed(self.spec.patterns):
            if isinstance(pattern, GitIgnoreSpecPattern) and _is_about(pattern, path):
                return pattern.include
        return None


def _is_about(pattern: GitIgnoreSpecPattern, path: str) -> bool:
    """Say whether a line means this very path: the matcher also takes what lies below a folder that it means."""
    if pattern.include is None or pattern.regex is None:
        return False
    if str(pattern.pattern).rstrip().endswith("/**"):  # about what is in the folder, not about the folder
        path = path.rstrip("/")
    return any(
        found.groupdict().get("ps_d") is None or found.end() == len(path) for found in pattern.regex.finditer(path)
    )


USUAL = Patterns("", GitIgnoreSpec.from_lines(_USUAL.split()))


def patterns_in(folder: Path, base: str) -> list[Patterns]:
    """Return what the folder's ignore files say, the stronger first; files that cannot be read say nothing."""
    result = []
    for name in IGNORE_FILES:
        try:
            with open(folder / name, encoding="utf-8-sig", errors="surrogateescape") as file:
                lines = [_plain(line) for line in file.read(_LONGEST).split("\n")]
        except OSError:
            continue
        try:
            result.append(Patterns(base, GitIgnoreSpec.from_lines(lines)))
        except ValueError:  # one line is malformed: git passes over that line only
            result.append(Patterns(base, GitIgnoreSpec.from_lines([line for line in lines if _sound(line)])))
    return result


def _plain(line: str) -> str:
    """Return the line as the matcher reads it right: "a/**/" means the folders in a, not a."""
    line = line.removesuffix("\r")
    return line[:-1] + "/*/" if line.endswith("/**/") else line


def _sound(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def is_ignored(relative: str, stack: Sequence[Patterns]) -> bool:
    """Say whether the path is left out. stack: the strongest first."""
    return next((said for patterns in stack if (said := patterns.says(relative)) is not None), False)


def chosen(patterns: Sequence[str], name: str) -> GitIgnoreSpec | None:
    """Return the matcher of a caller's patterns; None where there are none.

    Raises:
        InvalidInput: a pattern is malformed.
    """
    for pattern in patterns:
        if not _sound(pattern) or "\0" in pattern:
            raise InvalidInput(f"{name}: {pattern!r} is no pattern. Write it as in .gitignore: *.md, docs/, !old/*.md.")
    return GitIgnoreSpec.from_lines(patterns) if patterns else None

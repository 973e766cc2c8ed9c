"""What was found and left out so far on a walk, by the rules that need only a name and a stat."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePath

from knowledge_core.ingestion import formats
from knowledge_core.ingestion.access.secret_files import KEY_SUFFIXES, LARGEST_KEY, secret_text
from knowledge_core.ingestion.walking.found import FoundFile, LastingPatterns, Walk, ctime_ns
from knowledge_core.ingestion.walking.ignoring import chosen
from knowledge_core.ingestion.walking.left_out import NOT_READ
from knowledge_core.ingestion.walking.path_patterns import PathPatterns

_EXAMPLES = 5  # per reason and per kind


class Lasting:
    """The patterns that a person set for a source. below: as of `walk`."""

    def __init__(self, patterns: Sequence[LastingPatterns], below: str) -> None:
        self._below = below
        self._each = [(one.base, chosen(one.include, "include"), chosen(one.exclude, "exclude")) for one in patterns]
        # One that brings a file back may do so within any folder.
        self._brings_back = any(each.startswith("!") for one in patterns for each in one.exclude)

    def reason(self, relative: str) -> str | None:
        """Return why a file is left out, for counting; None where it is wanted."""
        path = self._below + relative
        for base, include, exclude in self._each:
            if path.startswith(base):
                if include is not None and not include.match(path[len(base) :]):
                    return "not included"
                if exclude is not None and exclude.match(path[len(base) :]):
                    return "excluded"
        return None

    def folder(self, named: str) -> str | None:
        """Return "excluded" where all of a folder is; None where its files decide. named: its path, with a slash at its end."""
        path = self._below + named
        if self._brings_back:
            return None
        for base, _, exclude in self._each:
            if exclude is not None and path.startswith(base) and exclude.says(path[len(base) :]):
                return "excluded"
        return None


class Tally:
    """What was found and left out so far. Applies the rules that need only a name and a stat."""

    def __init__(
        self,
        limit: int,
        include: PathPatterns | None = None,
        exclude: PathPatterns | None = None,
        lasting: Lasting | None = None,
    ) -> None:
        self._limit, self._include, self._exclude = limit, include, exclude
        self._lasting = lasting or Lasting((), "")
        self.listed: list[str] = []
        self.folders: list[str] = []
        self.mounts: list[str] = []
        self._files: dict[str, FoundFile] = {}
        self._skipped: dict[str, list[str]] = {}
        self._excluded: set[str] = set()
        self._passed: set[str] = set()
        self._shown: dict[str, str] = {}

    @property
    def found(self) -> int:
        """Return the number of files that may be indexed."""
        return len(self._files)

    def pass_over(self, relative: str) -> None:
        self._passed.add(relative)

    def skip(self, reason: str, relative: str, example: str = "") -> None:
        """Count what is left out. example: how it is named; "" for by its path."""
        self._skipped.setdefault(reason, []).append(relative)
        if example:
            self._shown[relative] = example

    def folder_left_out(self, named: str) -> str | None:
        """Return "excluded" where a person's pattern leaves out a whole folder; None where files decide."""
        return self._lasting.folder(named)

    def take(self, path: Path, relative: str, about: os.stat_result) -> None:
        refused = formats.refusal_by_name(Path(relative))
        if not stat.S_ISREG(about.st_mode):
            self.skip("special file", relative)
        elif refused == "unsupported" and self._is_key(path, about.st_size):
            self.skip("secret", relative)
        elif refused:
            self.skip(refused, relative)
        elif about.st_size > self._limit:
            self.skip("too large", relative)
        elif reason := self._lasting.reason(relative):
            self.skip(reason, relative)
        elif self._include is not None and not self._include.match(relative):
            self._excluded.add(relative)
            self.skip("not included", relative)
        elif self._exclude is not None and self._exclude.match(relative):
            self._excluded.add(relative)
            self.skip("excluded", relative)
        elif relative in self._files:  # two names that become the same text
            self.skip("same name", relative)
        else:
            self._files[relative] = FoundFile(path, relative, about.st_size, about.st_mtime_ns, ctime_ns(about))

    def _is_key(self, path: Path, size: int) -> bool:
        return (
            path.suffix.lower() in KEY_SUFFIXES and size <= LARGEST_KEY and secret_text(path, LARGEST_KEY) is not None
        )

    def walk(self) -> Walk:
        reasons = sorted(self._skipped)
        kinds: dict[str, list[str]] = {}
        for relative in (each for reason in NOT_READ for each in self._skipped.get(reason, ())):
            kinds.setdefault(formats.kind(PurePath(relative)), []).append(relative)
        return Walk(
            files=tuple(self._files[relative] for relative in sorted(self._files)),
            skipped={reason: len(self._skipped[reason]) for reason in reasons},
            skipped_examples={
                of: tuple(self._shown.get(each, each) for each in sorted(some)[:_EXAMPLES])
                for of, some in sorted([*self._skipped.items(), *kinds.items()])
            },
            excluded=frozenset(self._excluded),
            unreadable=frozenset(self._skipped.get("unreadable", ())),
            passed=frozenset(self._passed),
            unread={kind: len(some) for kind, some in sorted(kinds.items())},
            listed=tuple(self.listed),
            folders=tuple(self.folders),
            mounts=tuple(sorted(self.mounts)),
        )

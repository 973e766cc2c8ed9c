"""What lies at the paths that a call names: every folder is walked, before anything is written or read."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from knowledge_core.ingestion.access.secret_files import secret_file
from knowledge_core.ingestion.walking.walker import Levels, Selecting, Walk, allowed, found_file, walk
from knowledge_core.storage.collection import Patterns, Source
from knowledge_core.types import composed


@dataclass(frozen=True)
class Survey:
    """What lies at one path.

    given: the path as it was given.
    folder: the folder, or that of the one file.
    walk: what was found there.
    file: the one file; None for a folder.
    secret: what the one file looks like, where it is not to be read; else None.
    level: only some folders in it were looked at (`Walk.listed`), and subfolders of these that are new.
    patterns: the patterns that the path's source has from now on; None: those that it had.
    by_caller: the caller named it; else it is a source below a folder that was named.
    """

    given: str
    folder: Path
    walk: Walk
    file: Path | None
    secret: str | None = None
    level: bool = False
    patterns: tuple[Patterns, ...] | None = None
    by_caller: bool = True

    def below(self, source: Source) -> str:
        """Return the folder's path below a source that it lies in, with a slash at its end; "" for the source's own."""
        return path_below(self.folder, Path(source.path))


@dataclass(frozen=True)
class Selection:
    """Which files a call wants.

    include, exclude: path patterns, as of the walker's `Selecting`.
    by_person: they become the sources' own; else they narrow this call alone.
    generated, ignored: as of the walker's `Selecting`.
    secrets: resolved paths of files that a person allowed to index though they are secrets.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    by_person: bool = False
    generated: bool = False
    ignored: Sequence[str] = ()
    secrets: Container[str] = ()


class Known(Protocol):
    """What the record knows of sources."""

    def files_of(self, source: str) -> Iterable[str]:
        """Return the paths of a source's files."""
        ...

    def is_known(self, under: str) -> bool:
        """Say whether there is a document whose id begins so."""
        ...


class Surveying:
    """Walks paths, each folder once, from the outermost, and each known source below one as what it is.

    sources: the collection's.
    known: what the record knows of them.
    roots: folders that may be read.
    limit: bytes that a file may have.
    between: as of `walk`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        known: Known,
        roots: Sequence[Path],
        selection: Selection,
        *,
        limit: int,
        between: Callable[[int], None] = lambda found: None,
    ) -> None:
        self._sources, self._known, self._roots, self._selection = sources, known, roots, selection
        self._limit, self._between = limit, between

    def survey(self, paths: Sequence[str], levels: Sequence[str] = (), trees: Sequence[str] = ()) -> list[Survey]:
        """Walk every path; of `levels`, folders in known sources, only what lies directly in them, and new folders there.

        trees: folders directly in `levels` that are walked though they are known.

        Raises:
            PathNotAllowed: a path lies outside the roots.
            SourceUnavailable: a folder is missing or cannot be read.
            InvalidInput: a pattern is malformed.
        """
        surveys: list[Survey] = []
        resolved = {allowed(Path(path), self._roots): path for path in reversed(paths)}  # two spellings of one file
        named = frozenset(str(path) for path in resolved if not path.is_dir())
        for path, given in sorted(resolved.items(), key=lambda pair: (len(pair[0].parts), pair[0])):
            if str(path) in named:
                surveys.append(self._file(path, given))
            elif not any(path.is_relative_to(done.folder) and done.file is None for done in surveys):
                surveys += self._folder(path, given, named)
        done = [each.folder for each in surveys if each.file is None]
        wanted: dict[str, set[str]] = {}
        for path in {allowed(Path(level), self._roots) for level in levels}:
            source = covering(path, self._sources)
            if source is not None and not any(path.is_relative_to(folder) for folder in done):
                wanted.setdefault(source.name, set()).add(path_below(path, Path(source.path)))
        for source in self._sources:
            if source.name in wanted and Path(source.path).is_dir():
                surveys.append(self._levels(source, frozenset(wanted[source.name]), frozenset(trees), named))
        return surveys

    def _file(self, path: Path, given: str) -> Survey:
        selection, source = self._selection, covering(path.parent, self._sources, file=True)
        secret = None if str(path) in selection.secrets else secret_file(Path(given).expanduser(), self._limit)
        patterns = source.patterns if source else ()
        below = path_below(path.parent, Path(source.path)) if source else ""
        found = found_file(path, Selecting(self._limit, patterns=patterns, below=below), secret=secret)
        return Survey(given, path.parent, found, path, secret)

    def _folder(self, path: Path, given: str, named: frozenset[str]) -> list[Survey]:
        inner = [source for source in self._sources if Path(source.path) != path and _is_below(source.path, path)]
        # Of a folder in which single files were named, nothing else is that source's.
        beside = [each for each in self._sources if not each.whole and Path(each.path) != path]
        named |= {file for each in beside for file in self._known.files_of(each.name) if _is_below(file, path)}
        surveys = [self._walked(path, given, named)]
        for source in sorted(inner, key=lambda source: source.path):
            if source.whole and Path(source.path).is_dir():
                surveys.append(self._walked(Path(source.path), source.path, named, by_caller=False))
        return surveys

    def _walked(self, path: Path, given: str, named: frozenset[str], *, by_caller: bool = True) -> Survey:
        selection, source = self._selection, covering(path, self._sources)
        patterns = source.patterns if source else ()
        below = path_below(path, Path(source.path)) if source else ""
        changed = selection.by_person and by_caller and (selection.include or selection.exclude)
        if changed:
            patterns = with_patterns(patterns, Patterns(below, tuple(selection.include), tuple(selection.exclude)))
        own = selection.by_person or not by_caller
        selecting = replace(
            self._selecting(path, named), patterns=patterns, below=below,
            include=() if own else selection.include, exclude=() if own else selection.exclude,
        )  # fmt: skip
        found = walk(path, self._roots, selecting, between=self._between)
        return Survey(given, path, found, None, None, False, patterns if changed else None, by_caller)

    def _levels(self, source: Source, folders: frozenset[str], trees: frozenset[str], named: frozenset[str]) -> Survey:
        path = Path(source.path)

        def is_known(below: str) -> bool:
            return str(path / below) not in trees and self._known.is_known(f"{source.name}/{below}")

        levels = Levels(folders, is_known)
        selecting = replace(self._selecting(path, named), patterns=source.patterns, levels=levels)
        found = walk(path, self._roots, selecting, between=self._between)
        return Survey(source.path, path, found, None, level=True, by_caller=False)

    def _selecting(self, path: Path, named: frozenset[str]) -> Selecting:
        selection = self._selection
        return Selecting(
            self._limit, ignored=selection.ignored, generated=selection.generated, apart=self._apart(path), named=named
        )

    def _apart(self, folder: Path) -> frozenset[str]:
        return frozenset(source.path for source in self._sources if source.whole and _is_below(source.path, folder)) - {
            str(folder)
        }


def covering(folder: Path, sources: Iterable[Source], *, file: bool = False) -> Source | None:
    """Return the source that a folder belongs to; None for none.

    file: a single file in the folder is asked for. Else a source of single files does not cover what lies below it.
    """
    around = [
        source
        for source in sources
        if folder.is_relative_to(source.path) and (file or source.whole or str(folder) == source.path)
    ]
    return max(around, key=lambda source: len(source.path), default=None)


def with_patterns(present: Sequence[Patterns], more: Patterns) -> tuple[Patterns, ...]:
    """Return a source's patterns with more of them, each once, in the order of their folders."""
    by_base = {each.base: each for each in present}
    former = by_base.get(more.base, Patterns(more.base))
    by_base[more.base] = Patterns(
        more.base,
        tuple(dict.fromkeys([*former.include, *more.include])),
        tuple(dict.fromkeys([*former.exclude, *more.exclude])),
    )
    return tuple(by_base[base] for base in sorted(by_base))


def path_below(folder: Path, top: Path) -> str:
    """Return a folder's path below another, composed, with a slash at its end; "" for that folder itself."""
    below = composed(folder.relative_to(top).as_posix())
    return "" if below == "." else f"{below}/"


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(folder)

"""A folder to the files in it that may be indexed. (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """A file to read. relative: below the walked folder, forward slashes."""

    path: Path
    relative: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Walk:
    """What lies in a folder.

    files: sorted by `relative`. skipped: reason -> how many; a folder left out as a whole counts once.
    skipped_examples: reason -> the first few relative paths, sorted (a folder ends in "/").
    excluded: relative paths of files left out only by `include` or `exclude`: they are there, just not wanted now.
    """

    files: tuple[Found, ...]
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, tuple[str, ...]]
    excluded: frozenset[str]
    unreadable: frozenset[str] = frozenset()  # folders ("a/b/") that could not be listed: what was known below them is not gone


def allowed(path: Path, roots: Sequence[Path]) -> Path: ...


def found_file(path: Path, *, limit: int) -> Walk: ...  # one file named by the caller; path as `allowed` returned it


def walk(
    folder: Path,
    roots: Sequence[Path],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int,
) -> Walk: ...

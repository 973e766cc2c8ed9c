"""What a walk finds, as values."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from knowledge_core.types import composed


@dataclass(frozen=True)
class FoundFile:
    """A file to read.

    path: resolved. relative: its path below the walked folder, with forward slashes, in Unicode's composed form. size: in
    bytes. mtime_ns: when it was last changed, in nanoseconds since 1970. ctime_ns: when it or what is known of it was; 0
    where the system does not tell that.
    """

    path: Path
    relative: str
    size: int
    mtime_ns: int
    ctime_ns: int = 0


@dataclass(frozen=True)
class Walk:
    """What lies in a folder.

    files: sorted by `relative`.
    skipped: reason -> count.
    skipped_examples: reason or kind -> the first few relative paths; a folder's ends in "/".
    excluded: relative paths of files that only `include` or `exclude` left out: they exist, but are not wanted now.
    unreadable: relative paths of folders ("a/b/") and files that could not be looked at: they may still exist.
    passed: relative paths of files that the caller also named one by one, and that are found that way.
    unread: kind -> count, of the binary and unsupported files.
    listed: relative paths, each with a slash at its end, of the folders that were asked for as levels and are there.
    folders: the same, of known subfolders of these, which were not looked into.
    mounts: relative paths, each with a slash at its end, of folders that lie on another file system than their parents.
    """

    files: tuple[FoundFile, ...]
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, tuple[str, ...]]
    excluded: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()
    unread: Mapping[str, int] = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


class LastingPatterns(Protocol):
    """Path patterns that a person set for a folder: see `storage.values.Patterns`."""

    @property
    def base(self) -> str: ...
    @property
    def include(self) -> Sequence[str]: ...
    @property
    def exclude(self) -> Sequence[str]: ...


def ctime_ns(about: os.stat_result) -> int:
    """Return when a file or what is known of it was last changed; 0 on Windows, which tells when it was made instead."""
    return 0 if sys.platform == "win32" else about.st_ctime_ns


def shown_name(name: str) -> str:
    """Return a name as valid text in composed form: bytes in it that are no UTF-8 become escapes."""
    return composed(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))

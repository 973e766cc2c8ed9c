"""What events of the file system say has to be looked at. They are hints: the truth is what a walk finds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from knowledge_core.ingestion.walking.ignoring import IGNORE_FILES
from knowledge_core.storage.collection import Source

MOST_FOLDERS = 500  # to look at one by one; with more of them the whole source is looked at
STORM = 2_000  # changes at once, from which the system may have lost some: the whole source is looked at
MOST_FILES = 100_000  # that are remembered as changed


@dataclass
class Dirt:
    """What is to be looked at in one collection.

    levels: folders in which an entry changed. trees: folders of which all is to be looked at. whole: names of sources of
    which all is. named: names of sources of single files. files: paths of changed files.
    """

    levels: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.levels or self.trees or self.whole or self.named)

    def add(self, more: Dirt) -> None:
        """Take in what another one says."""
        self.levels |= more.levels
        self.trees |= more.trees
        self.whole |= more.whole
        self.named |= more.named
        if len(self.files) < MOST_FILES:
            self.files |= more.files


def source_of(path: str, sources: Sequence[Source]) -> Source | None:
    """Return the source in whose folder a path lies, the innermost of several; None for none."""
    around = [each for each in sources if path == each.path or path.startswith(each.path.rstrip(os.sep) + os.sep)]
    return max(around, key=lambda each: len(each.path), default=None)


def dirt_of(events: Iterable[tuple[bool, str]], source: Source) -> Dirt:
    """Return what events in a source's folder say. events: whether something came by this path, and the path."""
    dirt, changes = Dirt(), 0
    for came, path in events:
        changes += 1
        parts = Path(path).relative_to(source.path).parts
        if not parts:
            dirt.whole.add(source.name)
        elif parts[-1] in IGNORE_FILES and not _hidden(parts[:-1]):
            _tree(os.path.dirname(path), source, dirt)
        elif not _hidden(parts):
            dirt.levels.add(os.path.dirname(path))
            if came and os.path.isdir(path):  # also one that was put in the place of another
                _tree(path, source, dirt)
            else:
                dirt.files.add(path)
    if changes >= STORM or len(dirt.levels) + len(dirt.trees) > MOST_FOLDERS:
        dirt.whole.add(source.name)
    if source.name in dirt.whole:
        dirt.levels, dirt.trees = set(), set()
    if not source.whole and dirt:
        dirt = Dirt(named={source.name}, files=dirt.files)
    return dirt


def _tree(folder: str, source: Source, dirt: Dirt) -> None:
    if folder == source.path:
        dirt.whole.add(source.name)
    else:
        dirt.trees.add(folder)
        dirt.levels.add(os.path.dirname(folder))


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)

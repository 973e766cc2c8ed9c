"""The folders that collections were indexed from: what is known of them, and where one that is gone may be now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import did_you_mean, listed
from knowledge_core.storage.collection import Collection, Source
from knowledge_core.types import composed

SAMPLE = 50  # documents of a source whose files are looked for at another place
SHARE = 0.8  # of these must be there, with their sizes
MOST_FOLDERS = 2_000  # that are looked at for one source
DEEPEST = 4  # folders below a root


@dataclass(frozen=True)
class SourceState:
    """A source as it is now.

    collection: name of the collection that it belongs to.
    documents: how many of its documents are indexed. deleted: how many were deleted here and stay out.
    gone: its folder is not there.
    """

    collection: str
    source: Source
    documents: int
    deleted: int
    gone: bool

    def as_mapping(self) -> dict[str, object]:
        """Return it as values that can be written as JSON."""
        source = self.source
        return {
            "name": source.name, "path": source.path, "collection": self.collection, "documents": self.documents,
            "deleted": self.deleted, "gone": self.gone, "by_person": source.by_person, "watch": source.watch,
            "whole": source.whole, "told": self.told(), "patterns_told": patterns_told(source),
            "patterns": [{"base": p.base, "include": [*p.include], "exclude": [*p.exclude]} for p in source.patterns],
        }  # fmt: skip

    def told(self) -> str:
        """Return one line on it, for people and models."""
        source, facts = self.source, [f"{self.documents} documents"]
        facts += [] if source.whole else ["only files that were named"]
        facts += [patterns] if (patterns := patterns_told(source)) else []
        facts += [f"{self.deleted} deleted and kept out"] if self.deleted else []
        facts += ["watched"] if source.watch else []
        facts += [] if source.by_person else ["no person has named it"]
        facts += ["its folder is gone"] if self.gone else []
        return f"{one_line(source.path)} ({'; '.join(facts)})"


def patterns_told(source: Source) -> str:
    """Return what a source's patterns leave out, in words: "without private/; only *.md in work/"; "" for none."""
    said = []
    for each in source.patterns:
        where = f" in {one_line(each.base)}" if each.base else ""
        said += [f"only {listed([*map(one_line, each.include)])}{where}"] if each.include else []
        said += [f"without {listed([*map(one_line, each.exclude)])}{where}"] if each.exclude else []
    return "; ".join(said)


def source_states(collection: Collection) -> list[SourceState]:
    """Return a collection's sources as they are now, by name."""
    with collection.view() as view:
        counts = view.documents_by_source()
    deleted = [each.id.partition("/")[0] for each in collection.kept_out()]
    return [
        SourceState(
            collection.name, each, counts.get(each.name, 0), deleted.count(each.name), not os.path.isdir(each.path)
        )
        for each in collection.sources()
    ]


def source_named(states: Sequence[SourceState], name: str) -> SourceState:
    """Return the source of a name, or of a folder's path.

    Raises:
        InvalidInput: there is none, or several collections have one.
    """
    wanted = composed(name).rstrip("/")
    found = [each for each in states if wanted in (each.source.name, each.source.path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"{len(found)} collections have a source {quoted(name)}: {', '.join(each.collection for each in found)}. "
            "Say which one with --collection."
        )
    known = sorted({each.source.name for each in states})
    there_are = listed(known) or "none yet; index a folder first"
    raise InvalidInput(f"No source {quoted(name)}.{did_you_mean(name, known)} There are: {there_are}.")


def new_place(collection: Collection, source: Source, roots: Sequence[Path]) -> Path | None:
    """Return the folder, inside the roots, that holds the files of a source whose own folder is gone; None for none.

    Looked for by the names and sizes of a sample of its files, in a bounded number of folders; what is nearest to the
    roots, then first by name.
    """
    prefix = source.name + "/"
    states = collection.states(source.name)
    own = sorted((id.removeprefix(prefix), state.size) for id, state in states.items())
    sample = dict(own[:: max(1, len(own) // SAMPLE)])
    taken = {Path(each.path) for each in collection.sources()}
    for folder in _folders(roots) if sample else ():
        if folder not in taken and _share(folder, sample) >= SHARE:
            return folder
    return None


def _folders(roots: Sequence[Path]) -> Iterator[Path]:
    level, seen = [root for root in roots if root.is_dir()], 0
    for _ in range(DEEPEST + 1):
        following: list[Path] = []
        for folder in level:
            seen += 1
            if seen > MOST_FOLDERS:
                return
            yield folder
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            following += [
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
        level = following


def _share(folder: Path, sample: Mapping[str, int]) -> float:
    there = 0
    for relative, size in sample.items():
        try:
            there += os.stat(folder / relative).st_size == size
        except (OSError, ValueError):
            continue
    return there / len(sample)


def widens(path: Path, roots: Sequence[Path], sources: Sequence[str]) -> str | None:
    """Return what allowing a folder would open beyond what a person meant before; None where it opens nothing such.

    path: resolved. sources: paths of known sources.
    """
    if not path.is_dir() or any(path.is_relative_to(root) for root in roots):
        return None
    home = Path(os.path.realpath(os.path.expanduser("~")))
    if home.is_relative_to(path):
        what = "your home folder" if path == home else "what lies above your home folder"
        return f"{path} is {what}: all that is in it would be open to agents."
    inside = sorted({*(str(root) for root in roots), *sources})
    inside = [each for each in inside if Path(each) != path and Path(each).is_relative_to(path)]
    if inside:
        return f"{path} lies above {listed(inside, 300)}: all that is beside would be open to agents, too."
    return None

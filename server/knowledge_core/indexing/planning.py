"""What an `index` call has to do: from paths, and what the record remembers of them, to a plan. Writes nothing.

The rules kept here:
- a file's document id is `source/relative path`; a source is a folder, named by its last part, with a number where another
  source has that name;
- a folder inside a known source belongs to it; a folder above known sources absorbs them;
- a file of unchanged size, time and reader version costs one stat;
- the document of a file that vanished from a folder that was walked is removed, unless the folder as a whole is gone or
  empty;
- a file or folder that the caller named is never left out silently: where it cannot be read, it is refused by name;
- a secret is not read unless a person named it and allowed it; one that an earlier call indexed is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.errors import SourceUnavailable
from knowledge_core.ingestion.access.secret_files import refusal, secret_file
from knowledge_core.ingestion.readers import refusal_by_name_and_size
from knowledge_core.ingestion.walking.left_out import LeftOut
from knowledge_core.ingestion.walking.walker import FoundFile, Walk, allowed, found_file, walk
from knowledge_core.storage.collection import Collection, FileState, Source


@dataclass(frozen=True)
class Survey:
    """What lies at one path that the caller named.

    given: the path as it was given.
    folder: the folder, or that of the one file.
    walk: what was found there.
    file: the one file; None for a folder.
    secret: what the one file looks like, where it is not to be read; else None.
    """

    given: str
    folder: Path
    walk: Walk
    file: Path | None
    secret: str | None = None


@dataclass(frozen=True)
class Item:
    """One file to read. document: the id that its document will have. source: the name of its source."""

    document: str
    source: str
    found: FoundFile


@dataclass(frozen=True)
class Refused:
    """A path that the caller named and that cannot be indexed.

    name: id of the document that the file would be, or the folder as given.
    reason: one stable word or two, for counting.
    message: for the caller.
    """

    name: str
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    items: files to read, in order.
    remove: ids of the documents whose files vanished.
    unchanged: how many files are as they were.
    refused: what the caller named and cannot be indexed.
    left_out: what is in the folders and is not indexed.
    sources: folders to record.
    absorbed: names of sources that a new source above takes in.
    renames: document ids before and after, where sources are absorbed.
    """

    items: tuple[Item, ...]
    remove: tuple[str, ...]
    unchanged: int
    refused: tuple[Refused, ...]
    left_out: LeftOut
    sources: tuple[Source, ...]
    absorbed: tuple[str, ...]
    renames: Mapping[str, str]


def survey(
    paths: Sequence[str],
    roots: Sequence[Path],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    limit: int,
    generated: bool = False,
    secrets: Container[str] = (),
    between: Callable[[int], None] = lambda found: None,
) -> list[Survey]:
    """Walk every path, before anything is written or read, save that named files are opened to see whether they are keys.

    Overlapping folders are walked once, from the outermost. A file that was named gets a survey of its own.

    paths: files and folders.
    roots: folders that may be read.
    include, exclude: path patterns, as of `walk`.
    limit: bytes that a file may have.
    generated: as of `walk`.
    secrets: resolved paths of files that a person allowed to index though they are secrets.
    between: as of `walk`.

    Raises:
        PathNotAllowed: a path lies outside the roots.
        SourceUnavailable: a folder is missing or cannot be read.
    """
    surveys: list[Survey] = []
    resolved = {allowed(Path(path), roots): path for path in reversed(paths)}  # two spellings may name one file
    named = frozenset(str(path) for path in resolved if not path.is_dir())
    for path, given in sorted(resolved.items(), key=lambda pair: (len(pair[0].parts), pair[0])):
        if str(path) in named:
            secret = None if str(path) in secrets else secret_file(Path(given).expanduser(), limit)
            surveys.append(Survey(given, path.parent, found_file(path, limit=limit, secret=secret), path, secret))
        elif not any(path.is_relative_to(done.folder) and done.file is None for done in surveys):
            found = walk(
                path, roots, include=include, exclude=exclude, limit=limit, generated=generated, named=named, between=between
            )  # fmt: skip
            surveys.append(Survey(given, path, found, None))
    return surveys


def plan(collection: Collection | None, surveys: Sequence[Survey], *, version: str, limit: int) -> Plan:
    """Compare what was found with what the record remembers.

    collection: None while it does not exist yet.
    version: what the digests of documents begin with while reader, chunker and their settings are the same.
    limit: bytes that a file may have.

    Raises:
        SourceUnavailable: a folder that held documents is suddenly empty.
    """
    sources = {source.name: source for source in (collection.sources() if collection else ())}
    states: dict[str, FileState] = {}
    for name in sources:
        states.update(collection.states(name) if collection else {})
    draft = _Draft(sources, states, version)
    for one in surveys:
        if one.file is not None and not one.walk.files:
            draft.refuse(one, one.file, limit)
        else:
            draft.take(one)
    return draft.finished()


class _Draft:
    """A plan that is being made: what the record remembers, updated survey by survey."""

    def __init__(self, sources: dict[str, Source], states: dict[str, FileState], version: str) -> None:
        self._sources, self._states, self._version = sources, states, version
        self._items: list[Item] = []
        self._remove: list[str] = []
        self._unchanged = 0
        self._refused: list[Refused] = []
        self._left_out = LeftOut()
        self._changed: dict[str, Source] = {}
        self._absorbed: list[str] = []
        self._renames: dict[str, str] = {}

    def refuse(self, one: Survey, file: Path, limit: int) -> None:
        """Refuse a file that was named and need not be opened: its reader's message says why."""
        name = self._prefix(one.folder) + next(iter(one.walk.skipped_examples.values()))[0]
        if one.secret is not None:
            self._refused.append(Refused(name, "secret", refusal(one.given, one.secret)))
            # A link may have a secret's name, and lead to a document that stays.
            self._remove += [name] if name in self._states and secret_file(file, limit) else []
            return
        try:
            why = refusal_by_name_and_size(file, os.path.getsize(file), document_id=name, limit=limit)
        except OSError:
            why = None
        if why is None:
            self._refused.append(Refused(name, "gone", f"{name} changed while it was looked at. Call again."))
        else:
            self._refused.append(Refused(name, why.reason, str(why)))

    def take(self, one: Survey) -> None:
        """Add what one survey found.

        Raises:
            SourceUnavailable: a folder that held documents is suddenly empty.
        """
        found, whole = one.walk, one.file is None
        nothing = whole and not (found.files or found.passed)
        if nothing:
            self._refuse_sudden_emptiness(one)
            files = "files that can be indexed" if found.skipped else "files"
            self._refused.append(Refused(one.given, "nothing to index", f"{one.given} holds no {files}."))
        source = self._covering(one.folder)
        if source is None and not nothing:
            source = self._absorbing(one.folder)
        self._left_out = self._left_out.plus(
            LeftOut(found.skipped, found.unread, found.skipped_examples).under(self._prefix(one.folder))
        )
        if source is None:
            return  # an empty folder of which the record knows nothing: it becomes no source
        self._changed[source.name] = source
        under = self._prefix(one.folder)
        seen: set[str] = set()
        for file in found.files:
            seen.add(under + file.relative)
            self._take_file(under + file.relative, source.name, file)
        if whole:
            kept = seen | {under + relative for relative in found.excluded | found.passed}
            kept |= {under + file for file in found.unreadable if not file.endswith("/")}
            hidden = tuple(under + folder for folder in found.unreadable if folder.endswith("/") or not folder)
            self._remove += sorted(
                id
                for id in self._states
                if id.startswith(under) and id not in kept and not id.startswith(hidden or "\0")
            )

    def finished(self) -> Plan:
        return Plan(
            items=tuple(self._items),
            remove=tuple(self._remove),
            unchanged=self._unchanged,
            refused=tuple(self._refused),
            left_out=self._left_out,
            sources=tuple(self._changed.values()),
            absorbed=tuple(self._absorbed),
            renames=self._renames,
        )

    def _take_file(self, document: str, source: str, file: FoundFile) -> None:
        state = self._states.get(document)
        same = state is not None and (state.size, state.mtime_ns) == (file.size, file.mtime_ns)
        if state is not None and same and state.digest.startswith(self._version):
            self._unchanged += 1
        else:
            self._items.append(Item(document, source, file))

    def _prefix(self, folder: Path) -> str:
        """Return what the ids of a folder's documents begin with, or would if it were a source."""
        source = self._covering(folder)
        if source is None:
            return f"{folder.name or 'root'}/"
        below = folder.relative_to(source.path).as_posix()
        return f"{source.name}/" if below == "." else f"{source.name}/{below}/"

    def _covering(self, folder: Path) -> Source | None:
        return next((s for s in self._sources.values() if folder.is_relative_to(s.path)), None)

    def _absorbing(self, folder: Path) -> Source:
        """Make a new source for a folder, and take the sources below it into it."""
        inner = [source for source in self._sources.values() if Path(source.path).is_relative_to(folder)]
        for child in inner:
            del self._sources[child.name]
            self._changed.pop(child.name, None)
            self._absorbed.append(child.name)
        new = Source(self._free_name(folder.name or "root"), str(folder))
        self._sources[new.name] = new
        for child in inner:
            below = Path(child.path).relative_to(folder).as_posix()
            for id in [id for id in self._states if id.startswith(child.name + "/")]:
                renamed = f"{new.name}/{below}/{id.removeprefix(child.name + '/')}"
                self._renames[id] = renamed
                self._states[renamed] = self._states.pop(id)
        return new

    def _free_name(self, wanted: str) -> str:
        taken = set(self._sources) | set(self._absorbed)
        return next(name for name in _candidates(wanted) if name not in taken)

    def _refuse_sudden_emptiness(self, one: Survey) -> None:
        inside = [
            source.name + "/" for source in self._sources.values() if Path(source.path).is_relative_to(one.folder)
        ]
        under = tuple(inside) if self._covering(one.folder) is None else self._prefix(one.folder)
        # Where there are secrets, the disk is there.
        if not (one.walk.excluded or one.walk.skipped.get("secret")) and any(
            id.startswith(under) for id in self._states
        ):
            raise SourceUnavailable(
                f"{one.given} held documents when it was last indexed and holds none now; an unmounted disk looks "
                "like that. Nothing was deleted. If it is right, delete its documents with the `delete` tool."
            )


def _candidates(wanted: str) -> list[str]:
    return [wanted, *(f"{wanted}-{number}" for number in range(2, 10_000))]

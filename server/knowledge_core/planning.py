"""What an `index` call has to do: paths and the record's memory of them to a plan. Reads the file system, writes nothing.

The rules kept here:
- a file's document id is `source/relative path`; a source is a folder, named by its last part, made unique;
- a folder inside a known source belongs to it; a folder above known sources absorbs them;
- a file of unchanged size, time and reader version costs one stat;
- a file that vanished from a folder that was walked is removed, unless the folder as a whole is gone or empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_core.errors import NothingToIndex, SourceUnavailable
from knowledge_core.ingestion.walker import Found, Walk, allowed, found_file, walk
from knowledge_core.storage.collection import Collection, FileState, Source


@dataclass(frozen=True)
class Survey:
    """What lies at one path that the caller named. walk: of the folder, or of the one file's folder."""

    given: str
    folder: Path
    walk: Walk
    single_file: bool


@dataclass(frozen=True)
class Item:
    """One file to read, and the document that it becomes."""

    document: str
    source: str
    found: Found


@dataclass(frozen=True)
class Plan:
    """What is to be done, in order.

    renames: document ids before and after, where a folder absorbs sources within it.
    """

    items: tuple[Item, ...]
    remove: tuple[str, ...]
    unchanged: int
    skipped: Mapping[str, int]
    sources: tuple[Source, ...]
    absorbed: tuple[str, ...]
    renames: Mapping[str, str]


def survey(
    paths: Sequence[str], roots: Sequence[Path], *, include: Sequence[str], exclude: Sequence[str], limit: int
) -> list[Survey]:
    """Walk every path, before anything is opened or written.

    limit: bytes a file may have. Overlapping paths are walked once, by the outermost.

    Raises:
        PathNotAllowed: a path lies outside the roots.
        SourceUnavailable: a folder is missing or cannot be read.
        NothingToIndex: nothing below any of the paths can be indexed; says what was skipped, and why.
    """
    surveys: list[Survey] = []
    resolved = {allowed(Path(path), roots): path for path in reversed(paths)}  # one file may be given in two spellings
    for path, given in sorted(resolved.items(), key=lambda pair: (len(pair[0].parts), pair[0])):
        if any(path.is_relative_to(done.folder) and not done.single_file for done in surveys):
            continue
        if path.is_dir():
            surveys.append(Survey(given, path, walk(path, roots, include=include, exclude=exclude, limit=limit), False))
        else:
            surveys.append(Survey(given, path.parent, found_file(path, limit=limit), True))
    return surveys


def plan(collection: Collection | None, surveys: Sequence[Survey], *, version: str) -> Plan:
    """Compare what was found with what the record remembers.

    version: what the digests of documents begin with while reader, chunker and their settings are the same.
    collection: None while it does not exist yet.

    Raises:
        SourceUnavailable: a folder that held documents is suddenly empty.
        NothingToIndex: nothing was found, and nothing was ever indexed there.
    """
    sources = {source.name: source for source in (collection.sources() if collection else ())}
    states: dict[str, FileState] = {}
    for name in sources:
        states.update(collection.states(name) if collection else {})
    draft = _Draft(sources, states, version)
    for one in surveys:
        draft.take(one)
    result = draft.finished()
    if not (result.items or result.remove or result.unchanged or result.renames):
        raise NothingToIndex(_nothing(surveys, result.skipped))
    return result


class _Draft:
    """A plan while it is being made: the record's memory, updated survey by survey."""

    def __init__(self, sources: dict[str, Source], states: dict[str, FileState], version: str) -> None:
        self._sources, self._states, self._version = sources, states, version
        self._items: list[Item] = []
        self._remove: list[str] = []
        self._unchanged = 0
        self._skipped: dict[str, int] = {}
        self._changed: dict[str, Source] = {}
        self._absorbed: list[str] = []
        self._renames: dict[str, str] = {}

    def take(self, one: Survey) -> None:
        """Add what one survey found."""
        source = self._covering(one.folder) or self._absorbing(one.folder)
        prefix = one.folder.relative_to(source.path).as_posix()
        prefix = "" if prefix == "." else prefix + "/"
        whole = not one.single_file
        self._refuse_sudden_emptiness(one, f"{source.name}/{prefix}")
        if one.walk.files or whole:
            self._changed[source.name] = source
        for reason, count in one.walk.skipped.items():
            self._skipped[reason] = self._skipped.get(reason, 0) + count
        seen: set[str] = set()
        for file in one.walk.files:
            document = f"{source.name}/{prefix}{file.relative}"
            seen.add(document)
            self._take_file(document, source.name, file)
        if whole:
            kept = seen | {f"{source.name}/{prefix}{relative}" for relative in one.walk.excluded}
            under = f"{source.name}/{prefix}"
            hidden = tuple(under + folder for folder in one.walk.unreadable)
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
            skipped=dict(sorted(self._skipped.items())),
            sources=tuple(self._changed.values()),
            absorbed=tuple(self._absorbed),
            renames=self._renames,
        )

    def _take_file(self, document: str, source: str, file: Found) -> None:
        state = self._states.get(document)
        same = state is not None and (state.size, state.mtime_ns) == (file.size, file.mtime_ns)
        if state is not None and same and state.digest.startswith(self._version):
            self._unchanged += 1
        else:
            self._items.append(Item(document, source, file))

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

    def _refuse_sudden_emptiness(self, one: Survey, under: str) -> None:
        if one.single_file or one.walk.files or one.walk.excluded:
            return
        if any(id.startswith(under) for id in self._states):
            raise SourceUnavailable(
                f"{one.given} held documents when it was last indexed and holds none now; an unmounted disk looks "
                "like that. Nothing was deleted. If it is right, delete its documents with the `delete` tool."
            )


def _candidates(wanted: str) -> list[str]:
    return [wanted, *(f"{wanted}-{number}" for number in range(2, 10_000))]


def _nothing(surveys: Sequence[Survey], skipped: Mapping[str, int]) -> str:
    where = ", ".join(one.given for one in surveys)
    why = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    return f"Nothing to index in {where}" + (f" (skipped: {why})." if why else ": no files there.")

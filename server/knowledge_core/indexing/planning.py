"""What an `index` call has to do: from what was found, and what the record remembers of it, to a plan. Writes nothing.

The rules kept here:
- a file's document id is `source/relative path`; a source is a folder, named by its last part, with a number where another
  source has that name; an id never changes because another folder is indexed;
- a folder inside a known source belongs to it; known sources below a folder keep their own documents;
- a folder that holds the files of a known source whose own folder is gone is that source, moved;
- a file of unchanged size, times and reader version costs one stat;
- the document of a file that vanished from a folder that was walked is removed, unless the folder as a whole is gone or
  empty, or the disk that lay there is not mounted;
- what was deleted here stays out until it is asked back;
- a file or folder that the caller named is never left out silently: where it cannot be read, it is refused by name;
- a secret is not read unless a person named it and allowed it; one that an earlier call indexed is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowledge_core.errors import SourceUnavailable
from knowledge_core.indexing.linked import found_elsewhere
from knowledge_core.indexing.relocated import relocated
from knowledge_core.indexing.surveying import Survey, covering
from knowledge_core.ingestion.access.secret_files import refusal, secret_file
from knowledge_core.ingestion.readers import refusal_by_name_and_size
from knowledge_core.ingestion.walking.left_out import LeftOut, link_and_target, shown
from knowledge_core.ingestion.walking.walker import FoundFile
from knowledge_core.storage.collection import Collection, FileState, Source
from knowledge_core.types import composed

BAD_NAMES = {
    "name not UTF-8": "has a name that is no UTF-8, so no id can be made of it. Rename it.",
    "same name": "has the same name as another file, but for how its letters are composed. Rename one of them.",
    "broken link": "is a link that leads to nothing. Mend the link, or remove it.",
}
"""Reasons of the walk for which an entry is a failure by its name -> what is told."""

NOT_MOUNTED = "The disk on which it lies is not mounted."


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
    unreadable: id -> why its file cannot be read for now, of documents that stay as they are.
    unchanged: how many files are as they were.
    refused: what the caller named and cannot be indexed.
    left_out: what is in the folders and is not indexed.
    sources: folders to record, new or changed.
    covered: what the ids of all documents begin with that were looked after.
    let_in: ids of deleted documents that are asked back.
    moved: name of a source -> the folder where it was before.
    """

    items: tuple[Item, ...]
    remove: tuple[str, ...]
    unreadable: Mapping[str, str]
    unchanged: int
    refused: tuple[Refused, ...]
    left_out: LeftOut
    sources: tuple[Source, ...]
    covered: tuple[str, ...]
    let_in: tuple[str, ...]
    moved: Mapping[str, str]


@dataclass(frozen=True)
class Wanted:
    """What a call says about the sources that it touches.

    by_person: a person made it, not an agent: the sources are a person's from now on, and watched.
    restore: documents that were deleted come back.
    watch: whether a person's sources are watched.
    """

    by_person: bool = False
    restore: bool = False
    watch: bool = True


def plan(
    collection: Collection,
    surveys: Sequence[Survey],
    wanted: Wanted,
    *,
    version: str,
    limit: int,
    gone: Sequence[str] = (),
) -> Plan:
    """Compare what was found with what the record remembers.

    version: what the digests of documents begin with while reader, chunker and their settings are the same.
    limit: bytes that a file may have.
    gone: ids of documents whose files are known to be gone.

    Raises:
        SourceUnavailable: a folder that held documents is suddenly empty.
    """
    elsewhere = found_elsewhere(collection, collection.sources(), surveys)
    draft = _Draft(collection, wanted, version, elsewhere, remove=[*gone])
    for one in surveys:
        if one.file is not None and not one.walk.files:
            draft.refuse(one, one.file, limit)
        else:
            draft.take(one)
    return draft.finished()


@dataclass
class _Draft:
    """A plan that is being made: what the record remembers, updated survey by survey."""

    collection: Collection
    wanted: Wanted
    version: str
    is_elsewhere: Callable[[FoundFile, Survey], bool]
    items: list[Item] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    covered: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = {source.name: source for source in self.collection.sources()}
        self.sources = dict(self.known)
        self.states: dict[str, FileState] = {}  # of what was loaded so far
        self.loaded: list[str] = []  # what the ids of that begin with
        self.kept_out = {each.id for each in self.collection.kept_out()}
        self.let_in: list[str] = []

    def refuse(self, one: Survey, file: Path, limit: int) -> None:
        """Refuse a file that was named and need not be opened: its reader's message says why."""
        name = self._prefix(one) + next(iter(one.walk.skipped_examples.values()))[0]
        self._load(name)
        if one.secret is not None:
            self.refused.append(Refused(name, "secret", refusal(one.given, one.secret)))
            # A link may have a secret's name, and lead to a document that stays.
            self.remove += [name] if name in self.states and secret_file(file, limit) else []
            return
        for reason in ("excluded", "not included"):
            if reason in one.walk.skipped:
                self.refused.append(Refused(name, reason, _by_patterns(name, self._covering(one))))
                self.remove += [name] if name in self.states else []
                return
        try:
            why = refusal_by_name_and_size(file, os.path.getsize(file), document_id=name, limit=limit)
        except OSError:
            why = None
        if why is None:
            self.refused.append(Refused(name, "gone", f"{name} changed while it was looked at. Call again."))
        else:
            self.refused.append(Refused(name, why.reason, str(why)))
            self.remove += [name] if name in self.states else []

    def take(self, one: Survey) -> None:
        """Add what one survey found.

        Raises:
            SourceUnavailable: a folder that held documents is suddenly empty.
        """
        found, whole = one.walk, one.file is None
        for folder in found.listed if one.level else ("",):
            self._load(self._prefix(one) + (folder if whole else found.files[0].relative))
        nothing = whole and not one.level and not (found.files or found.passed)
        if nothing and not self._may_be_empty(one):
            return
        source = self._source_of(one, nothing)
        if source is not None:
            self.sources[source.name] = source
        under = self._prefix(one)
        self.left_out = self.left_out.plus(LeftOut(found.skipped, found.unread, found.skipped_examples).under(under))
        self._refuse_bad_names(one, under)
        if source is None:
            return  # an empty folder of which the record knows nothing: it becomes no source
        seen = set()
        for file in found.files:
            if whole and self.is_elsewhere(file, one):
                continue
            seen.add(under + file.relative)
            self._take_file(under + file.relative, source.name, file, one)
        if whole:
            self.covered += [] if one.level else [under]
            self._remove_vanished(one, under, seen)

    def _load(self, under: str) -> None:
        """Bring to mind what the record remembers of the documents whose ids begin so."""
        if not under.startswith(tuple(self.loaded)):
            self.states.update(self.collection.states(under.partition("/")[0], under))
            self.loaded.append(under)

    def finished(self) -> Plan:
        return Plan(
            items=tuple(self.items),
            remove=tuple(dict.fromkeys(self.remove)),
            unreadable={id: why for id, why in self.unreadable.items() if self.states[id].unreadable != why},
            unchanged=self.unchanged,
            refused=tuple(self.refused),
            left_out=self.left_out,
            sources=tuple(source for name, source in self.sources.items() if source != self.known.get(name)),
            covered=tuple(self.covered),
            let_in=tuple(self.let_in),
            moved=self.moved,
        )

    def _refuse_bad_names(self, one: Survey, under: str) -> None:
        """Name the first few entries that nobody meant to leave out: nothing can be read by such a name."""
        for reason, why in BAD_NAMES.items():
            for each in one.walk.skipped_examples.get(reason, ()):
                name, target = link_and_target(under + each)
                said = f"{shown(name)}{f' -> {shown(target)}' if target else ''} {why}"
                self.refused.append(Refused(shown(name), reason, said))

    def _take_file(self, document: str, source: str, file: FoundFile, one: Survey) -> None:
        if document in self.kept_out:
            if not self.wanted.restore:
                said = LeftOut({"deleted": 1}, {}, {"deleted": (document,)})
                self.left_out = self.left_out.plus(said.under(""))
                if one.file is not None:
                    self.refused.append(Refused(document, "deleted", _deleted(document, one.given)))
                return
            self.let_in.append(document)
        state = self.states.get(document)
        if state is not None and self._is_unchanged(state, file):
            self.unchanged += 1
        else:
            self.items.append(Item(document, source, file))

    def _is_unchanged(self, state: FileState, file: FoundFile) -> bool:
        same = (state.size, state.mtime_ns, state.path) == (file.size, file.mtime_ns, str(file.path))
        # Not recorded by earlier versions; where size and time say nothing, this says that something was done.
        same = same and (state.ctime_ns == file.ctime_ns or not state.ctime_ns or not file.ctime_ns)
        return same and not state.unreadable and state.digest.startswith(self.version)

    def _remove_vanished(self, one: Survey, under: str, seen: set[str]) -> None:
        """Plan the removal of what is in the record below a folder, and was not found there."""
        found = one.walk
        kept = seen | {under + relative for relative in found.excluded | found.passed}
        kept |= {under + file for file in found.unreadable if not file.endswith("/")}
        hidden = tuple(under + folder for folder in found.unreadable if folder.endswith("/") or not folder)
        unmounted = tuple(under + folder for folder in self._unmounted(one))
        looked_at = tuple(under + folder for folder in found.listed) if one.level else (under,)
        passed = tuple(under + folder for folder in found.folders)
        for id in sorted(id for id in self.states if id.startswith(looked_at) and id not in kept):
            if id.startswith(hidden) or _longest(id, passed) > _longest(id, looked_at):
                continue
            if id.startswith(unmounted):
                self.unreadable[id] = NOT_MOUNTED
            else:
                self.remove.append(id)
        for folder in unmounted:
            count = sum(id.startswith(folder) for id in self.unreadable)
            if count:
                self.refused.append(Refused(folder, "not mounted", f"{folder}: {NOT_MOUNTED} {count} documents stay."))

    def _unmounted(self, one: Survey) -> list[str]:
        """Return the folders, below the walked one, on which a disk lay when they were last walked, and lies no more."""
        source = self._covering(one)
        if source is None:
            return []
        below = one.below(source)
        found = {file.relative for file in one.walk.files}
        lost = (mount.removeprefix(below) for mount in source.mounts if mount.startswith(below) and mount != below)
        return [
            each for each in lost if each not in one.walk.mounts and not any(file.startswith(each) for file in found)
        ]

    # -- sources ---------------------------------------------------------------------------------------------------

    def _source_of(self, one: Survey, nothing: bool) -> Source | None:
        """Return the source of a surveyed path as it is to be recorded; None for an empty folder that is in none."""
        source = self._covering(one)
        if source is None and nothing:
            return None
        if source is None:
            source = self._relocated(one) or self._new(one)
        if one.patterns is not None and one.by_caller:
            source = replace(source, patterns=one.patterns)
        if self.wanted.by_person and one.by_caller:
            watch = source.watch if source.by_person else self.wanted.watch
            source = replace(source, by_person=True, watch=watch)
        if one.file is None and one.below(source) == "" and not one.level:
            source = replace(source, whole=True, mounts=self._mounts(source, one))
        return source

    def _mounts(self, source: Source, one: Survey) -> tuple[str, ...]:
        return tuple(sorted({*one.walk.mounts, *self._unmounted(one)}))

    def _new(self, one: Survey) -> Source:
        name = self._free_name(composed(one.folder.name or "root"), one.folder)
        by_person = self.wanted.by_person
        return Source(
            name, str(one.folder), by_person=by_person, watch=by_person and self.wanted.watch, whole=one.file is None
        )

    def _relocated(self, one: Survey) -> Source | None:
        """Return the source whose folder is gone and whose files lie in this folder now, with that as its place."""
        if one.file is not None or one.level:
            return None
        gone = [each for each in self.sources.values() if each.whole and not os.path.lexists(each.path)]
        for each in gone:
            self._load(each.name + "/")
        sizes = {file.relative: file.size for file in one.walk.files}
        source = relocated(gone, self.states, sizes)
        if source is not None:
            self.moved[source.name] = source.path
            source = replace(source, path=str(one.folder))
            self.sources[source.name] = source
        return source

    def _prefix(self, one: Survey) -> str:
        """Return what the ids of a folder's documents begin with, or would if it were a source."""
        source = self._covering(one)
        if source is None:
            return f"{composed(one.folder.name or 'root')}/"
        return f"{source.name}/{one.below(source)}"

    def _covering(self, one: Survey) -> Source | None:
        return covering(one.folder, self.sources.values(), file=one.file is not None)

    def _free_name(self, wanted: str, folder: Path) -> str:
        return next(
            name for name in _candidates(wanted) if name not in self.sources and not self._is_of_others(name, folder)
        )

    def _is_of_others(self, name: str, folder: Path) -> bool:
        """Say whether documents stayed under a name that was a source's of another folder."""
        states = self.collection.states(name).values()
        return any(not Path(state.path or "").is_relative_to(folder) for state in states)

    def _may_be_empty(self, one: Survey) -> bool:
        """Say whether a folder with nothing to index in it can be taken for what it is; refuse it where it cannot.

        Raises:
            SourceUnavailable: the caller named it, and it held documents.
        """
        under = self._prefix(one)
        held = self._covering(one) is not None and any(id.startswith(under) for id in self.states)
        # Where there are secrets, or files that nobody wants, the disk is there.
        if held and not (one.walk.excluded or one.walk.skipped):
            why = (
                f"{one.given} held documents when it was last indexed and holds none now; an unmounted disk looks "
                "like that. Nothing was deleted. If it is right, delete its documents with the `delete` tool."
            )
            if one.by_caller:
                raise SourceUnavailable(why)
            self.refused.append(Refused(one.given, "suddenly empty", why))
            return False
        if one.by_caller and not held:
            files = "files that can be indexed" if one.walk.skipped else "files"
            self.refused.append(Refused(one.given, "nothing to index", f"{one.given} holds no {files}."))
        return True


def _longest(id: str, prefixes: Sequence[str]) -> int:
    """Return the length of the longest of these with which an id begins; -1 for none."""
    return max((len(each) for each in prefixes if id.startswith(each)), default=-1)


def _candidates(wanted: str) -> list[str]:
    return [wanted, *(f"{wanted}-{number}" for number in range(2, 10_000))]


def _by_patterns(name: str, source: Source | None) -> str:
    of = f"of the source {source.name!r} " if source else ""
    return f"{name} is left out by the patterns {of}that a person set; `kcore sources` shows and changes them."


def _deleted(document: str, given: str) -> str:
    return f"{document} was deleted here and stays out. A person brings it back with: kcore index --restore {given}"

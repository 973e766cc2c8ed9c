"""Making a backup: what goes into it, in which order, and what becomes of a collection that cannot be read.

Every collection is read at one moment of its own, while whoever holds the data directory works on.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from knowledge_core import __version__
from knowledge_core.backups.manifest import Manifest, StoredRecord, StoredSetting
from knowledge_core.backups.targets import ARCHIVE, Target, archive_target, folder_target
from knowledge_core.errors import InvalidInput, KnowledgeCoreError, StorageDamaged, StorageError, StorageFull
from knowledge_core.files import NO_SPACE
from knowledge_core.storage.catalogue import FILE, PinnedRecord, collection_names, noted, pinned
from knowledge_core.types import Progress

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Backup:
    """What was backed up.

    target: the folder or archive.
    manifest: of the backup as it is now.
    copied: names of the collections that were read. unchanged: of those that the backup held already.
    failed: of those that could not be read, with the reason; an earlier copy stays in a folder.
    gone: of those that the data directory has no more, and that stay in the folder.
    bytes_written: of the files that are new.
    """

    target: Path
    manifest: Manifest
    copied: tuple[str, ...]
    unchanged: tuple[str, ...]
    failed: Mapping[str, str]
    gone: tuple[str, ...]
    bytes_written: int
    seconds: float


def back_up(home: Path, target: Path, settings: Mapping[str, Path], *, prune: bool, report: Report) -> Backup:
    """Write a backup of a data directory, or bring an earlier one up to date.

    Args:
        home: the data directory; it may be in use.
        target: an archive where it ends in ".zip", else a folder.
        settings: where the files lie that `manifest.SETTINGS` names; those that are not there are left out.
        prune: leave out what the data directory has no more; without it, nothing is lost from an earlier backup.
        report: told how far it is, in bytes; what it raises ends the work.

    Raises:
        InvalidInput: the target lies in the data directory, holds something else or another's backup, or would lose a
            collection; or there is nothing to back up.
        StorageFull, StorageError: the target refused. Whatever is raised, an earlier backup is as it was.
    """
    began = time.monotonic()
    folder = home / "collections"
    names = collection_names(folder) if folder.is_dir() else []
    _refuse(home, target, names)
    with _refusals(target), _opened_target(target) as made:
        _refuse_others_backup(made.former, home, target)
        work = _Work(made, home, prune, report, sum(_size(folder / name) for name in names))
        for name in names:
            work.record(folder / name)
        for name, path in settings.items():
            work.setting(name, path)
        manifest = work.manifest(set(names), is_archive=target.suffix == ARCHIVE)
        made.finish(manifest)
    return Backup(
        target, manifest, tuple(work.copied), tuple(work.unchanged), work.failed, tuple(work.gone), work.written,
        time.monotonic() - began,
    )  # fmt: skip


class _TargetRefused(Exception):
    """The place of the backup refused: that ends the backup, while a record that cannot be read is passed over."""

    def __init__(self, error: StorageError) -> None:
        super().__init__(str(error))
        self.error = error


def _refuse_known_loss(folder: Path, name: str) -> None:
    """Keep a record that is known to lack what it had acknowledged from taking the place of an earlier copy.

    Raises:
        StorageDamaged: it is.
    """
    if lost := noted(folder):
        raise StorageDamaged(
            f"{lost[-1].brief(name)} The earlier copy in the backup was kept. `kcore restore BACKUP --collection {name} "
            f"--replace` brings it back; `kcore doctor --accept {name}` lets it be replaced."
        )


class _Work:
    """One backup under way: what was taken so far, and how far it is."""

    def __init__(self, target: Target, home: Path, prune: bool, report: Report, total: int) -> None:
        self._target, self._home, self._prune, self._report, self._total = target, home, prune, report, total
        self._former = {each.name: each for each in target.former.collections} if target.former else {}
        self._former_settings = target.former.settings if target.former else ()
        self._now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._records: dict[str, StoredRecord] = {}
        self._settings: list[StoredSetting] = []
        self._done = 0
        self.copied: list[str] = []
        self.unchanged: list[str] = []
        self.failed: dict[str, str] = {}
        self.gone: list[str] = []
        self.written = 0

    def record(self, folder: Path) -> None:
        """Take a collection, unless the backup has it as it is now."""
        name, former = folder.name, self._former.get(folder.name)
        self._told(name, 0)
        try:
            if former:
                _refuse_known_loss(folder, name)
            with pinned(folder) as record:
                if former and former.state == record.facts.state and self._target.is_whole(former):
                    self._records[name] = former
                    self.unchanged.append(name)
                else:
                    self._records[name] = self._copied(name, record)
                    self.copied.append(name)
        except KnowledgeCoreError as error:  # damaged, or deleted meanwhile; the others are backed up
            self.failed[name] = str(error)
            if former:
                self._records[name] = former
        self._done += _size(folder)

    def _copied(self, name: str, record: PinnedRecord) -> StoredRecord:
        path = self._target.place(f"{name}.db")
        try:
            record.copy_to(path, lambda done, _: self._told(name, done))
            kept = self._target.keep(path)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, StorageError) and not isinstance(error, StorageDamaged):
                raise _TargetRefused(error) from error
            raise
        self.written += kept.bytes
        facts = record.facts
        return StoredRecord(
            **kept.model_dump(), name=name, made=self._now, identity=facts.identity, generation=facts.generation,
            state=facts.state, schema_version=facts.schema, documents=facts.documents, chunks=facts.chunks,
            vectors=facts.vectors, model=facts.model, dimensions=facts.dimensions, max_length=facts.max_length,
        )  # fmt: skip

    def setting(self, name: str, path: Path) -> None:
        """Take one of the small files, if it is there."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}. Mend that and try again.") from error
        former = next((each for each in self._former_settings if each.name == name), None)
        if former and former.sha256 == hashlib.sha256(content).hexdigest() and self._target.is_whole(former):
            self._settings.append(former)
            return
        place = self._target.place(name)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        kept = self._target.keep(place)
        self._settings.append(StoredSetting.model_validate({**kept.model_dump(), "name": name}))

    def manifest(self, present: set[str], *, is_archive: bool) -> Manifest:
        """Return the manifest of all that was taken, and of what stays of the former backup.

        Raises:
            InvalidInput: an archive would be replaced that holds what this one lacks.
        """
        self.gone = sorted(self._former.keys() - present) if not self._prune else []
        lost = sorted({*self.gone, *(name for name in self.failed if name in self._former)})
        if is_archive and lost:
            raise InvalidInput(
                f"The archive that is there holds {lost[0]!r}, which cannot be read now or is no longer in the data directory. "
                "It was left as it is: choose another file, or say --prune if what is gone may go."
            )
        records = [*self._records.values(), *(self._former[name] for name in self.gone)]
        return Manifest(
            product=__version__, made=self._now, home=_told_path(self._home),
            collections=tuple(sorted(records, key=lambda each: each.name)), settings=tuple(self._settings),
            left_out=self.failed,
        )  # fmt: skip

    def _told(self, name: str, done: int) -> None:
        self._report(Progress(min(self._done + done, self._total), self._total, f"backing up {name}", "bytes"))


@contextmanager
def _opened_target(target: Path) -> Iterator[Target]:
    if target.suffix == ARCHIVE:
        with archive_target(target) as archive:
            yield archive
    else:
        with folder_target(target) as folder:
            yield folder


def _refuse(home: Path, target: Path, names: list[str]) -> None:
    """Refuse what cannot be a backup's place, before anything is written."""
    if not names:
        raise InvalidInput(f"There is nothing to back up: {home} holds no collection.")
    real = Path(os.path.realpath(target))
    if real.is_relative_to(os.path.realpath(home)):
        raise InvalidInput(f"{target} lies in the data directory. Choose a place outside of it, best on another disk.")
    if not target.parent.is_dir():
        raise InvalidInput(f"The folder {target.parent} does not exist (a disk that is not mounted?). Make it first.")
    if target.suffix == ARCHIVE and target.is_dir():
        raise InvalidInput(
            f"{target} is a folder. Give the name of a file, or a folder that does not end in {ARCHIVE}."
        )
    if target.suffix != ARCHIVE and target.exists() and not target.is_dir():
        raise InvalidInput(f"{target} is a file. An archive's name ends in {ARCHIVE}; any other name is a folder.")


def _refuse_others_backup(former: Manifest | None, home: Path, target: Path) -> None:
    if former is not None and former.home != _told_path(home):
        raise InvalidInput(
            f"{target} is the backup of another data directory ({former.home}). Choose another place for this one."
        )


def _told_path(path: Path) -> str:
    """Return a path as the manifest has it: Unicode, whatever bytes are in it."""
    return os.path.realpath(path).encode("utf-8", "backslashreplace").decode()


def _size(folder: Path) -> int:
    try:
        return (folder / FILE).stat().st_size
    except OSError:
        return 0


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    """Say of the target what the system, or the copying, said about a file in it."""
    former = "An earlier backup there is as it was."
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFull(
                f"No space left for the backup {target}. {former} Free some space and try again."
            ) from error
        raise StorageError(
            f"The backup {target} cannot be written: {error.strerror or error}. {former} The disk may be full, read-only or "
            "removed, or unable to hold a file of this size (FAT32: 4 GB)."
        ) from error
    except _TargetRefused as refused:
        raise type(refused.error)(f"The backup {target} cannot be written. {former} {refused.error}") from refused

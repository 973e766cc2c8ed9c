"""Restoring, as far as the data directory's owner is not needed: everything is proved in a folder of its own first.

A collection is read from the backup into `restoring/`, compared with the manifest, checked by SQLite, opened, and counted;
its derived indexes are built there. Only then the owner is asked to put its folder in place (`Engine.put_in_place`), which
takes two renames: so other collections are served meanwhile, and a kill at any moment leaves the old or the new one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from knowledge_core.backups.alone import LOCK, alone_in
from knowledge_core.backups.manifest import StoredFile, StoredRecord
from knowledge_core.backups.sources import Source
from knowledge_core.errors import CollectionNotFound, InvalidInput, KnowledgeCoreError, StorageDamaged, StorageFull
from knowledge_core.files import flush_folder, storage_refusal
from knowledge_core.storage.catalogue import FILE, adopt, collection_names, pinned, valid_name
from knowledge_core.storage.collection import Collection, Counts
from knowledge_core.types import Progress

RESTORING = "restoring"  # folder of the data directory
_PART = ".part-"  # before the name of a folder in it that is not proved yet
_ROOM = 2 * 2**30  # bytes left free beside what is restored, at most: for what is derived, which takes about as much
# What reading raises where the rows of a sound database are not of the kinds that we write: somebody made it.
_ODD_ROWS = (ArithmeticError, LookupError, TypeError, ValueError)

Report = Callable[[Progress], None]


def chosen(source: Source, names: Sequence[str]) -> list[StoredRecord]:
    """Return the collections of a backup that are to be restored. names: empty for all.

    Raises:
        CollectionNotFound: the backup has none of one name; the message lists those that it has.
    """
    there = {each.name: each for each in source.manifest.collections}
    for name in names:
        if name not in there:
            left_out = source.manifest.left_out.get(name)
            why = f" It could not be read when the backup was made: {left_out}" if left_out else ""
            raise CollectionNotFound(
                f"The backup has no collection {name!r}. There are: {', '.join(there) or 'none'}.{why}"
            )
    return [each for name, each in there.items() if not names or name in names]


def to_restore(home: Path, records: Sequence[StoredRecord], *, replace: bool) -> list[StoredRecord]:
    """Return those of the backup's collections that the data directory has not in this state already.

    So a restore that was cut off is finished by the same command.

    Raises:
        InvalidInput: there is another collection of one of these names, and it is not to be replaced.
    """
    wanted = []
    folder = home / "collections"
    present = set(collection_names(folder)) if folder.is_dir() else set()
    for record in records:
        if record.name in present and not replace:
            if _is_same(folder / record.name, record):
                continue
            raise InvalidInput(
                f"There is a collection {record.name!r} already, and it is another than the backup's. With --replace it is set "
                "aside and the backup's takes its place; with --collection NAME others are restored alone. Nothing was changed."
            )
        wanted.append(record)
    return wanted


def _is_same(folder: Path, record: StoredRecord) -> bool:
    try:
        with pinned(folder) as present:
            facts = present.facts
    except KnowledgeCoreError:
        return False
    if record.identity == facts.identity:
        return record.state == facts.state
    # What was restored got an identity of its own, which is part of the state.
    return record.identity == facts.restored_from and record.generation == facts.generation


def verify(source: Source, files: Sequence[StoredFile], report: Report) -> None:
    """Read files of a backup, and compare each with its SHA-256.

    Raises:
        StorageDamaged: one is not as it was written.
    """
    total, done = sum(each.bytes for each in files), 0
    for stored in files:

        def took(block: bytes, what: str = stored.file) -> None:
            nonlocal done
            done += len(block)
            report(Progress(done, total, f"verifying {what}", "bytes"))

        source.read(stored, took)


@contextmanager
def staging(home: Path, needed: int) -> Iterator[Path]:
    """Yield the folder of the data directory in which collections are made ready; it goes at the end of the block.

    needed: bytes of what is to be restored.

    Raises:
        Busy: another restore is under way. StorageFull: there is no room. StorageError: the disk refused.
    """
    with ExitStack() as stack:
        try:
            folder = _staging_folder(home, needed, stack)
        except OSError as error:
            raise storage_refusal(error, RESTORING) from error
        yield folder


def _staging_folder(home: Path, needed: int, stack: ExitStack) -> Path:
    folder = home / RESTORING
    if not home.exists():
        home.mkdir(parents=True, mode=0o700)
        stack.callback(_remove_unused, home)
    free = shutil.disk_usage(home).free
    if needed + min(needed, _ROOM) > free:
        raise StorageFull(
            f"The data directory has {free / 1e9:.2f} GB free, and restoring takes {needed / 1e9:.2f} GB and about as much "
            "again for indexes. Nothing was changed. Free some space and try again."
        )
    folder.mkdir(exist_ok=True, mode=0o700)
    stack.enter_context(alone_in(folder, "a restore into this data directory"))
    _empty(folder)
    stack.callback(_empty, folder)
    return folder


def _remove_unused(home: Path) -> None:
    """Remove a data directory that was made for a restore, if nothing came into it."""
    for remove in ((home / RESTORING / LOCK).unlink, (home / RESTORING).rmdir, home.rmdir):
        with contextlib.suppress(OSError):
            remove()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path, ignore_errors=True)


def stage(source: Source, record: StoredRecord, folder: Path, read: Callable[[int], None]) -> None:
    """Make a collection ready in the folder for that, under its name, proved by everything that the backup says of it.

    read: told of the bytes that were read so far.

    Raises:
        StorageDamaged: something is not as it was written. StorageTooNew: its record is of a newer version.
        StorageFull, StorageError: the data directory refused.
    """
    part = folder / f"{_PART}{record.name}" / valid_name(record.name)
    try:
        part.mkdir(parents=True, mode=0o700)
        _read(source, record, part / FILE, read)
        _prove(source, record, part)
        part.rename(folder / record.name)
        flush_folder(folder)
        part.parent.rmdir()
    except OSError as error:
        raise storage_refusal(error, record.name) from error


def _read(source: Source, record: StoredRecord, path: Path, read: Callable[[int], None]) -> None:
    done = 0
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb"
    ) as file:

        def take(block: bytes) -> None:
            nonlocal done
            file.write(block)
            done += len(block)
            read(done)

        source.read(record, take)
        file.flush()
        os.fsync(file.fileno())


def _prove(source: Source, record: StoredRecord, folder: Path) -> None:
    """Open a collection as it will be opened, which builds its indexes, and compare it with the manifest."""
    facts = adopt(folder)
    said = (record.identity, record.generation, record.state, record.documents, record.chunks, record.vectors)
    held = (facts.identity, facts.generation, facts.state, facts.documents, facts.chunks, facts.vectors)
    if said != held:
        raise StorageDamaged(
            f"The backup {source.path} cannot be used: its record of {record.name!r} holds {facts.documents} documents, "
            f"{facts.chunks} chunks and {facts.vectors} vectors of generation {facts.generation}, and its manifest says "
            f"{record.documents}, {record.chunks}, {record.vectors} and {record.generation}. Nothing was changed."
        )
    try:
        counts = _counted(folder)
    except _ODD_ROWS as error:
        raise StorageDamaged(
            f"The backup {source.path} cannot be used: its record of {record.name!r} holds what no record of ours does "
            f"({type(error).__name__}). Nothing was changed."
        ) from error
    with open(folder / FILE, "r+b") as file:
        os.fsync(file.fileno())
    if (counts.documents, counts.chunks) != (record.documents, record.chunks):
        raise StorageDamaged(
            f"The restored collection {record.name!r} does not open as the backup says. Nothing was changed."
        )


def _counted(folder: Path) -> Counts:
    """Open a collection, let its indexes be built, and return what it holds."""
    collection = Collection.open(folder)
    try:
        with collection.view() as view:
            return view.counts()
    finally:
        collection.close()

"""A backup as it is read: the same for a folder and an archive, and believed in nothing that its manifest does not prove.

Nothing is unpacked by the names in a backup. The manifest says which files there are; each is read as a stream, up to the
size that the manifest says and no further, into a file whose name is chosen here. So links, devices, paths that lead away,
and archives that grow without end have nowhere to go.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from knowledge_core.backups.manifest import LARGEST, MANIFEST, Manifest, StoredFile, from_bytes
from knowledge_core.errors import InvalidInput, StorageDamaged, StorageError

_BLOCK = 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What `zipfile` raises for archives that are damaged, or made to be, and what a disk does.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OSError)

_T = TypeVar("_T")

OpenFile = Callable[[str], AbstractContextManager[IO[bytes]]]


class Source:
    """An open backup. See `opened`.

    manifest: what it says that it holds; nothing but the manifest has been read yet.
    """

    def __init__(self, path: Path, manifest: Manifest, open_file: OpenFile) -> None:
        self.path, self.manifest, self._open = path, manifest, open_file

    def read(self, stored: StoredFile, take: Callable[[bytes], object]) -> None:
        """Hand over a file, block by block, and compare it with the manifest.

        take: gets at most as many bytes as the manifest says. They count only when this returns.

        Raises:
            StorageDamaged: the file is missing, cannot be read, or is not as it was written.
        """
        size, digest = 0, hashlib.sha256()
        with ExitStack() as stack:
            file = self._reading(stored, lambda: stack.enter_context(self._open(stored.file)))
            while block := self._reading(stored, partial(file.read, min(_BLOCK, stored.bytes - size + 1))):
                size += len(block)
                if size > stored.bytes:
                    raise self._damaged(stored, f"it is longer than {stored.bytes} bytes")
                digest.update(block)
                take(block)
        if size < stored.bytes:
            raise self._damaged(stored, f"it ends after {size} of {stored.bytes} bytes")
        if digest.hexdigest() != stored.sha256:
            raise self._damaged(stored, "its SHA-256 is another")

    def _reading(self, stored: StoredFile, do: Callable[[], _T]) -> _T:
        """Return what opening or reading a file returns; what the caller does with it is none of this."""
        try:
            return do()
        except _UNREADABLE as error:
            raise self._damaged(stored, str(error)) from error

    def _damaged(self, stored: StoredFile, why: str) -> StorageDamaged:
        return StorageDamaged(
            f"The backup {self.path} is damaged: {stored.file} is not as it was written ({why}). Nothing was changed. Take "
            "another backup, or choose what is whole with --collection."
        )


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open a backup, a folder or an archive, and read its manifest.

    Raises:
        InvalidInput: there is nothing at this path, or it is no backup.
        StorageTooNew: a newer version of the program made it. StorageDamaged: it is not as it was written.
        StorageError: it cannot be read.
    """
    with ExitStack() as stack:
        try:
            source = _opened(path, stack)
        except zipfile.BadZipFile as error:
            raise InvalidInput(
                f"{path} is no backup of Knowledge Core, or one that was cut off: it is no whole .zip ({error})."
            ) from error
        except _UNREADABLE as error:
            raise StorageError(f"The backup {path} cannot be read: {error}.") from error
        yield source


def _opened(path: Path, stack: ExitStack) -> Source:
    if path.is_dir():

        def in_folder(name: str) -> AbstractContextManager[IO[bytes]]:
            return _in_folder(path, name)

        return Source(path, _manifest(path, in_folder), in_folder)
    if not path.is_file():
        raise InvalidInput(f"There is no backup {path}: no such folder or file.")
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = _members(archive, path)
    manifest = _manifest(path, members)
    _refuse_strangers(archive, manifest, path)
    return Source(path, manifest, members)


def _manifest(path: Path, open_file: OpenFile) -> Manifest:
    try:
        with open_file(MANIFEST) as file:
            data = file.read(LARGEST + 1)
    except StorageDamaged:
        raise InvalidInput(
            f"{path} is no backup of Knowledge Core, or one that was cut off: it has no {MANIFEST}."
        ) from None
    except _UNREADABLE as error:
        raise StorageDamaged(f"The backup {path} is damaged: its {MANIFEST} cannot be read ({error}).") from error
    if len(data) > LARGEST:
        raise StorageDamaged(f"The backup {path} cannot be used: its {MANIFEST} is larger than any of ours.")
    return from_bytes(data, str(path))


@contextmanager
def _in_folder(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a file of a backup folder; a link, a device or a pipe in its place is refused.

    name: as the manifest has it, which has been checked: no part of it leads out of the folder.
    """
    path = folder.joinpath(*name.split("/"))
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.parent.is_symlink() and path.parent != folder:
            raise OSError(0, "its folder is a link")
        opened_file = os.open(path, flags)
    except OSError as error:
        raise StorageDamaged(f"The backup {folder} is damaged: {name} cannot be read ({error.strerror}).") from error
    with os.fdopen(opened_file, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StorageDamaged(f"The backup {folder} cannot be used: {name} is no plain file.")
        yield file


def _members(archive: zipfile.ZipFile, path: Path) -> OpenFile:
    @contextmanager
    def open_file(name: str) -> Iterator[IO[bytes]]:
        try:
            about = archive.getinfo(name)
        except KeyError:
            raise StorageDamaged(f"The backup {path} is damaged: {name} is missing.") from None
        if about.compress_type not in _METHODS:
            raise StorageDamaged(
                f"The backup {path} cannot be used: {name} is packed in a way that no backup of ours is."
            )
        with archive.open(about) as file:
            yield file

    return open_file


def _refuse_strangers(archive: zipfile.ZipFile, manifest: Manifest, path: Path) -> None:
    expected = sorted([MANIFEST, *(each.file for each in manifest.files())])
    names = sorted(archive.namelist())
    if names != expected:
        strange = [name for name in names if name not in expected]
        what = (
            f"holds {strange[0][:80]!r}, which its {MANIFEST} does not name" if strange else "lacks or doubles a file"
        )
        raise StorageDamaged(f"The backup {path} cannot be used: it {what}.")

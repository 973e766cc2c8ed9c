"""The two forms of a backup, as they are written: a folder, which keeps what did not change, and an archive.

Both become a backup by one step at the end: the folder when its manifest is replaced, the archive when it takes its name.
Until then the former backup is whole. What a killed process left is in no manifest, and goes with the next backup.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from knowledge_core.backups.alone import LOCK, alone_in
from knowledge_core.backups.manifest import MANIFEST, Manifest, StoredFile, to_bytes
from knowledge_core.backups.sources import opened
from knowledge_core.errors import InvalidInput
from knowledge_core.files import TEMPORARY, flush_folder, replacing

ARCHIVE = ".zip"
UNFINISHED = "knowledge-core-backup.unfinished"
"""The folder beside archives in which one is being written. One that is found later is a killed process's."""

_COLLECTIONS = "collections"
_TOKEN = r"\.[0-9a-f]{8}"
_OURS = re.compile(rf".+{_TOKEN}\.(db|db-wal|db-shm|db-journal|yaml|json)")
# Text takes about a third, vectors hardly less: together three quarters. Level 6 saves 2 % more and takes half as long again.
_LEVEL = 1
_BLOCK = 2**20


class Target(Protocol):
    """A backup that is being written.

    former: what was there before; None where nothing was.
    """

    former: Manifest | None

    def is_whole(self, stored: StoredFile) -> bool:
        """Say whether a file of the former backup is there as it was written, and can be kept."""
        ...

    def place(self, wanted: str) -> Path:
        """Return the path of a new file for the backup, where the caller writes it. wanted: such as "roots.json"."""
        ...

    def keep(self, written: Path) -> StoredFile:
        """Take a file that was written into the backup."""
        ...

    def finish(self, manifest: Manifest) -> None:
        """Let everything that was taken be the backup from now on."""
        ...


class FolderTarget:
    """A backup in a folder. See `folder_target`."""

    def __init__(self, folder: Path, former: Manifest | None) -> None:
        self._folder, self.former = folder, former
        self._sweep(former)

    def is_whole(self, stored: StoredFile) -> bool:
        """See `Target`. The file is read again: a backup that has rotted is made anew."""
        try:
            with open(self._folder / stored.file, "rb") as file:
                return os.fstat(file.fileno()).st_size == stored.bytes and sha256_of(file) == stored.sha256
        except OSError:
            return False

    def place(self, wanted: str) -> Path:
        """See `Target`. Never the path of a file of the former backup."""
        stem, suffix = os.path.splitext(wanted)
        folder = self._folder / _COLLECTIONS if suffix == ".db" else self._folder
        return folder / f"{stem}.{secrets.token_hex(4)}{suffix}"

    def keep(self, written: Path) -> StoredFile:
        """See `Target`."""
        with open(written, "rb") as file:
            made = StoredFile(
                file=written.relative_to(self._folder).as_posix(),
                bytes=os.fstat(file.fileno()).st_size,
                sha256=sha256_of(file),
            )
        flush_folder(written.parent)
        return made

    def finish(self, manifest: Manifest) -> None:
        """See `Target`."""
        with replacing(self._folder / MANIFEST, mode=0o600) as file:
            file.write(to_bytes(manifest))
        self._sweep(manifest)

    def _sweep(self, manifest: Manifest | None) -> None:
        """Remove files of ours that are no part of the backup: of the one before, or of one that was cut off."""
        named = {each.file for each in manifest.files()} if manifest else set()
        for folder in (self._folder, self._folder / _COLLECTIONS):
            for path in folder.iterdir():
                if path.relative_to(self._folder).as_posix() not in named and _OURS.fullmatch(path.name):
                    path.unlink()


@contextmanager
def folder_target(folder: Path) -> Iterator[FolderTarget]:
    """Yield a folder as the target of a backup; it is made if its parent is there.

    Raises:
        InvalidInput: it holds other things. Busy: another backup is being written to it. OSError: the disk refused.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (folder / MANIFEST).exists():
        foreign = [each.name for each in folder.iterdir() if not _may_be_ours(each.name)]
        if foreign:
            raise InvalidInput(
                f"The folder {folder} holds other things ({foreign[0][:60]!r}) and no backup. Choose an empty or a new folder, "
                "or a file that ends in .zip."
            )
    with alone_in(folder, f"the backup in {folder}"):
        former: Manifest | None = None
        if (folder / MANIFEST).exists():
            with opened(folder) as source:
                former = source.manifest
        (folder / _COLLECTIONS).mkdir(mode=0o700, exist_ok=True)
        yield FolderTarget(folder, former)


def _may_be_ours(name: str) -> bool:
    """Say whether a first backup that was cut off can have left a file or folder of this name."""
    if name in (LOCK, _COLLECTIONS, f"{MANIFEST}{TEMPORARY}"):
        return True
    return bool(_OURS.fullmatch(name)) and name.startswith(("config.", "roots."))


class ArchiveTarget:
    """A backup in one `.zip`. See `archive_target`."""

    def __init__(self, work: Path, former: Manifest | None, file: BinaryIO) -> None:
        self._work, self.former = work, former
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)

    def is_whole(self, stored: StoredFile) -> bool:
        """See `Target`. An archive is always written anew."""
        return False

    def place(self, wanted: str) -> Path:
        """See `Target`."""
        return self._work / wanted

    def keep(self, written: Path) -> StoredFile:
        """See `Target`. Takes the file away."""
        name = f"{_COLLECTIONS}/{written.name}" if written.suffix == ".db" else written.name
        size, digest = 0, hashlib.sha256()
        with open(written, "rb") as file, self._archive.open(name, "w", force_zip64=True) as member:
            while block := file.read(_BLOCK):
                size += len(block)
                digest.update(block)
                member.write(block)
        written.unlink()
        return StoredFile(file=name, bytes=size, sha256=digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """See `Target`. The archive takes its name when the block of `archive_target` ends."""
        self._archive.writestr(MANIFEST, to_bytes(manifest))
        self._archive.close()

    def close(self) -> None:
        """Let go of the archive, finished or not."""
        with contextlib.suppress(OSError, ValueError):  # the caller gets the first failure, if there was one
            self._archive.close()


@contextmanager
def archive_target(path: Path) -> Iterator[ArchiveTarget]:
    """Yield an archive as the target of a backup; at the end of the block it takes its name, if it was finished.

    Raises:
        InvalidInput: the file is there and is no backup. Busy: another archive is being written to its folder.
        OSError: the disk refused.
    """
    former: Manifest | None = None
    if path.exists() or path.is_symlink():
        with opened(path) as source:
            former = source.manifest
    work = path.parent / UNFINISHED
    work.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack, alone_in(work, f"an archive in {path.parent}"):
        stack.callback(shutil.rmtree, work, ignore_errors=True)  # once the lock in it is closed
        for left in work.iterdir():
            if left.name != LOCK:
                left.unlink()
        growing = work / path.name
        with replacing(growing, mode=0o600) as file:
            target = ArchiveTarget(work, former, file)
            try:
                yield target
            finally:
                target.close()
        growing.replace(path)
        flush_folder(path.parent)


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 (hex) of the rest of an open file."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()

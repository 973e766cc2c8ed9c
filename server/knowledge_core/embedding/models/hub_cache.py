"""The cache of the Hugging Face hub on this disk: where it is, what it holds, and how a whole file gets into it.

The layout is that of the hub's own client, so that other tools share the files:

    models--OWNER--NAME/blobs/DIGEST                 the bytes, named by their SHA-256 or git SHA-1
    models--OWNER--NAME/snapshots/COMMIT/FILE        a link to its blob
    models--OWNER--NAME/refs/REVISION                the commit that a branch or tag pointed to

Rules kept here: a blob gets its name only once its bytes are on the disk and have its digest; until then it is a partial
file, which the next run continues; links come last. Nothing here uses the network.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from knowledge_core.errors import StorageError, StorageFull
from knowledge_core.files import replacing

PARTIAL: Final = ".kcore.incomplete"
"""Suffix of a partial file. The hub's own client treats files that end in ".incomplete" as leftovers, and removes them
when it is asked to; the rest of the suffix keeps it from continuing ours as its own."""

READ_AT_ONCE: Final = 1 << 20  # bytes, when a file is read for its digest
LOCK_SECONDS: Final = 0.2  # of waiting for another process's lock before the person is told
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REVISION: Final = re.compile(r"[\w][\w.+-]*(/[\w][\w.+-]*)*")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # EFBIG: the file system or a limit allows no file this large


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    name: its path in the repository, with "/". size: bytes; -1 where it is not known yet. digest: the name of its blob, in
    hex: the SHA-256 (64 digits) of a large file, git's SHA-1 (40 digits) of a small one; "" where it is not known yet.
    """

    name: str
    size: int
    digest: str


def hub_cache() -> Path:
    """Return the hub's cache folder, found by the same environment variables as by the hub's own client."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return _expanded(named)
    home = os.environ.get("HF_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "huggingface")
    return _expanded(home) / "hub"


def is_commit(revision: str) -> bool:
    """Say whether a revision is a commit's full name, which can never point to something else."""
    return _COMMIT.fullmatch(revision) is not None


def is_revision(revision: str) -> bool:
    """Say whether this can be the name of a branch, tag or commit, which becomes a file below refs."""
    return _REVISION.fullmatch(revision) is not None and ".." not in revision


class CachedRepository:
    """One repository in a cache folder, whether anything of it is there or not."""

    def __init__(self, cache: Path, repository: str) -> None:
        folder = f"models--{repository.replace('/', '--')}"
        self._cache, self._repository = cache, repository
        self._folder, self._locks = cache / folder, cache / ".locks" / folder

    def snapshot(self, commit: str) -> Path:
        """Return the folder in which the files of a commit have their names."""
        return self._folder / "snapshots" / commit

    def snapshots(self) -> list[Path]:
        """Return the folders of all commits, complete or not: the one that `main` points to, then newest first."""
        main = self.commit_of("main")
        try:
            folders = [folder for folder in (self._folder / "snapshots").iterdir() if folder.is_dir()]
        except OSError:
            return []
        return sorted(folders, key=lambda folder: (folder.name != main, -folder.stat().st_mtime_ns, folder.name))

    def commit_of(self, revision: str) -> str:
        """Return the commit that a revision pointed to when it was last fetched; "" if it never was."""
        if is_commit(revision):
            return revision
        try:
            return (self._folder / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def has(self, file: HubFile, commit: str) -> bool:
        """Say whether a file of the right size is there, linked or not."""
        return any(_has_size(path, file.size) for path in (self._blob(file), self.snapshot(commit) / file.name))

    def is_linked(self, files: Sequence[HubFile], commit: str) -> bool:
        """Say whether all of these files are there under their names, with the right size."""
        return all(_has_size(self.snapshot(commit) / file.name, file.size) for file in files)

    def is_damaged(self, file: HubFile, commit: str) -> bool:
        """Say whether a file of the right size has the wrong digest; reads the whole file."""
        return any(_is_damaged(path, file) for path in (self._blob(file), self.snapshot(commit) / file.name))

    def drop(self, file: HubFile, commit: str) -> None:
        """Remove a file, so that it is fetched again."""
        with self._disk():
            for path in (self.snapshot(commit) / file.name, self._blob(file)):
                path.unlink(missing_ok=True)

    def read(self, file: HubFile, commit: str) -> bytes:
        """Return the content of a file that is there."""
        with self._disk():
            blob = self._blob(file)
            return (blob if blob.is_file() else self.snapshot(commit) / file.name).read_bytes()

    def bytes_of_partial(self, file: HubFile) -> int:
        """Return how many bytes of a file an earlier run has left as a partial file."""
        try:
            return min(self._partial(file).stat().st_size, file.size)
        except OSError:
            return 0

    @contextmanager
    def partial(self, file: HubFile) -> Iterator[Partial]:
        """Open the partial file of a file, with the bytes that an earlier run has left in it.

        Raises:
            StorageFull, StorageError: the disk refused; the bytes that were written so far stay.
        """
        with self._disk():
            self._blob(file).parent.mkdir(parents=True, exist_ok=True)
            with Partial(self._partial(file), self._blob(file), file) as opened:
                yield opened

    def link(self, files: Sequence[HubFile], commit: str) -> None:
        """Link the blobs of a commit under the names of its files, and remove the partial files of earlier runs."""
        with self._disk():
            for file in files:
                name = self.snapshot(commit) / file.name
                if not _has_size(name, file.size):
                    _link(self._blob(file), name)
            for leftover in (self._folder / "blobs").glob(f"*{PARTIAL}"):
                leftover.unlink(missing_ok=True)

    def point(self, revision: str, commit: str) -> None:
        """Remember which commit a branch or tag points to."""
        if is_commit(revision) or self.commit_of(revision) == commit:
            return
        ref = self._folder / "refs" / revision
        with self._disk():
            ref.parent.mkdir(parents=True, exist_ok=True)
            with replacing(ref) as file:
                file.write(commit.encode())

    def free_bytes(self) -> int:
        """Return the free bytes of the disk that holds the cache."""
        existing = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        with self._disk():
            return shutil.disk_usage(existing).free

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Keep other processes of ours from fetching the same repository; wait while one does, and tell the person so.

        The hub's own client never writes our partial files, so it need not be kept out.
        """
        with ExitStack() as held:
            with self._disk():
                self._lock(held, say)
            yield

    def _lock(self, held: ExitStack, say: Callable[[str], None]) -> None:
        # Exported, but not in the way that mypy asks for. It has a fallback for disks without file locks.
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

        path = self._locks / "kcore-pull.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.enter_context(WeakFileLock(path, timeout=LOCK_SECONDS))
        except TimeoutError:
            say(f"Another `kcore pull` of {self._repository} is at work; waiting until it has ended.")
            held.enter_context(WeakFileLock(path))

    def _blob(self, file: HubFile) -> Path:
        return self._folder / "blobs" / file.digest

    def _partial(self, file: HubFile) -> Path:
        return self._folder / "blobs" / f"{file.digest}{PARTIAL}"

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Translate errors of the operating system to ours, here alone."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(
                    f"The disk of {self._cache} is full. What was fetched stays: free some space and run the command "
                    "again, it goes on where it stopped. HF_HUB_CACHE moves the cache to another disk."
                ) from error
            raise StorageError(
                f"The hub's cache {self._cache} cannot be used ({error.strerror or type(error).__name__}). Mend its "
                "permissions, or name another folder in HF_HUB_CACHE."
            ) from error


class Partial:
    """A file that is being fetched: the bytes so far, and their digest.

    size: the number of these bytes.
    """

    def __init__(self, path: Path, blob: Path, file: HubFile) -> None:
        self._path, self._blob, self._wanted = path, blob, file
        path.touch()
        # Unbuffered: what was written is in the file, however the process ends.
        self._file = path.open("r+b", buffering=0)
        self.size = 0
        self._digest = _hasher(file)
        while part := self._file.read(READ_AT_ONCE):
            self._digest.update(part)
            self.size += len(part)
        if self.size > file.size:
            self.restart()

    def write(self, part: bytes) -> None:
        """Append a part."""
        rest = memoryview(part)
        while rest:  # an unbuffered file may take fewer bytes than it is given, and only returns the count
            written = self._file.write(rest)
            self._digest.update(rest[:written])
            self.size += written
            rest = rest[written:]

    def reader(self) -> BinaryIO:
        """Return the bytes so far as a file to read, which the caller closes."""
        return self._path.open("rb")

    def restart(self) -> None:
        """Discard the bytes so far."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        self._digest = _hasher(self._wanted)

    def is_right(self) -> bool:
        """Say whether all bytes are there, with the digest of the file."""
        return self.size == self._wanted.size and self._digest.hexdigest() == self._wanted.digest

    def keep(self) -> None:
        """Flush it to the disk and give it the name of its blob."""
        os.fsync(self._file.fileno())
        self._file.close()  # an open file cannot be renamed on Windows
        self._path.replace(self._blob)

    def drop(self) -> None:
        """Close and remove it."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def _hasher(file: HubFile) -> hashlib._Hash:
    if len(file.digest) == 64:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)  # as `git hash-object` does


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _is_damaged(path: Path, file: HubFile) -> bool:
    if not _has_size(path, file.size):
        return False
    digest = _hasher(file)
    try:
        with path.open("rb") as opened:
            while part := opened.read(READ_AT_ONCE):
                digest.update(part)
    except OSError:
        return True  # what cannot be read back is as good as lost
    return digest.hexdigest() != file.digest


def _link(blob: Path, name: Path) -> None:
    """Link a blob under a name: by a symbolic link; where the system refuses one (Windows), by a hard link, else a copy."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    try:
        name.symlink_to(os.path.relpath(blob, name.parent))  # relative: the cache can be moved as a whole
    except (OSError, NotImplementedError):
        try:
            os.link(blob, name)
        except (OSError, NotImplementedError):
            shutil.copyfile(blob, name)


def _expanded(folder: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(folder)))

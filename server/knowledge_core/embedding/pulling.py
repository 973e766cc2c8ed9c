"""A model from the hub into the hub's own cache on this machine, so that other programs share it.

The cache's layout is the hub client's: `blobs/DIGEST`, `snapshots/COMMIT/FILE` pointing there, `refs/REVISION`. Rules
kept here: a file is in its place only whole and with its published digest; what a cut-off run fetched is gone on with;
nothing is begun without room on the disk; one run at a time fetches a model.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from knowledge_core.embedding.hub import Hub, PassingFailure, RemoteFile, Repository
from knowledge_core.embedding.model_folder import Model, read_folder
from knowledge_core.embedding.models import hub_cache, hub_name
from knowledge_core.errors import ModelUnavailable, StorageError, StorageFull
from knowledge_core.types import Progress, ReportProgress

RESERVE: Final = 200_000_000  # bytes that stay free on the disk
PART: Final = ".part"  # ending of a file that is not whole yet
_MODULE: Final = re.compile(r"\d+_[A-Za-z]+/[\w.-]+")  # 1_Pooling/config.json, 2_Dense/model.safetensors
_PLAIN: Final = re.compile(r"[\w.-]+\.(json|txt|model|safetensors|jinja|md)|LICENSE[\w.-]*|NOTICE[\w.-]*")
_OTHER_WEIGHTS: Final = re.compile(r".*\.(bin|h5|ot|msgpack|onnx|gguf|pt|pth)")
LICENCES: Final = {
    "gemma": "Gemma terms of use, https://ai.google.dev/gemma/terms",
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
}


@dataclass(frozen=True)
class Pulled:
    """What a pull did. bytes: of the model's files. fetched: how many of them came over the network in this run."""

    model: Model
    commit: str
    bytes: int
    fetched: int
    license: str


def pull(
    name: str,
    *,
    revision: str = "main",
    token: str = "",
    progress: ReportProgress,
    waiting: Callable[[], None] = lambda: None,
) -> Pulled:
    """Fetch a model, unless it is here already, and return where it lies.

    name: a hub id, or one of the short names that `models.resolve` knows. revision: a branch, a tag or a commit.
    progress: bytes done and in all; may raise to end the work, and what was fetched stays. waiting: called once, where
    another run fetches the same model.

    Raises:
        ModelUnavailable: the hub has no such model, refuses, or cannot be reached; or it is none for this program.
        StorageFull: there is no room; StorageError: the disk refused.
    """
    hub = Hub(token)
    try:
        repository = hub.repository(hub_name(name), revision)
        files = _needed(repository)
        folder = hub_cache() / f"models--{repository.name.replace('/', '--')}"
        with _refusals(folder), _alone(folder, waiting):
            fetched = _fetch(hub, repository, files, folder, progress)
            snapshot = _placed(folder, repository, files, revision)
    finally:
        hub.close()
    model = read_folder(snapshot, name)
    licence = LICENCES.get(repository.license, repository.license)
    return Pulled(model, repository.commit, sum(file.size for file in files), fetched, licence)


def _needed(repository: Repository) -> list[RemoteFile]:
    """Return the files that sentence-transformers loads, small ones first.

    Raises:
        ModelUnavailable: it is no model of sentence-transformers with safe weights.
    """
    chosen = [
        file
        for file in repository.files
        if (_PLAIN.fullmatch(file.name) or _MODULE.fullmatch(file.name)) and not _OTHER_WEIGHTS.fullmatch(file.name)
    ]
    names = {file.name for file in chosen}
    for wanted in ("modules.json", "config.json", "tokenizer.json"):
        if wanted not in names:
            raise ModelUnavailable(
                f"{repository.name} has no {wanted}: it is no embedding model for sentence-transformers. Nothing was fetched."
            )
    if not any(name.endswith(".safetensors") and "/" not in name for name in names):
        raise ModelUnavailable(
            f"{repository.name} has no safetensors weights, and other formats can run code. Nothing was fetched."
        )
    return sorted(chosen, key=lambda file: (file.size, file.name))


def _fetch(
    hub: Hub, repository: Repository, files: Sequence[RemoteFile], folder: Path, progress: ReportProgress
) -> int:
    """Bring every file's blob here; return how many bytes came."""
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    distinct = {file.digest: file for file in files}.values()
    missing = [file for file in distinct if _size(blobs / file.digest) != file.size]
    to_come = sum(max(file.size - _size(blobs / f"{file.digest}{PART}"), 0) for file in missing)
    _refuse_without_room(repository, folder, to_come)
    total = sum(file.size for file in distinct)
    done = total - sum(file.size for file in missing)
    came = 0
    for file in missing:

        def told(size: int, name: str = file.name, done: int = done) -> None:
            at = done + size
            progress(Progress(at, total, f"{name}: {at / 1e6:,.0f} of {total / 1e6:,.0f} MB", unit="bytes"))

        came += _whole(hub, repository, file, blobs, told)
        done += file.size
    return came


def _whole(hub: Hub, repository: Repository, file: RemoteFile, blobs: Path, told: Callable[[int], None]) -> int:
    """Bring one file here, from where a former run ended; return how many bytes came.

    Raises:
        ModelUnavailable: its digest is wrong, twice.
    """
    part = blobs / f"{file.digest}{PART}"
    came = 0
    for second in (False, True):
        while _size(part) < file.size or not part.exists():
            came += hub.patiently(lambda: _more(hub, repository, file, part, told))
        if _digest(part, file) == file.digest:
            os.replace(part, blobs / file.digest)
            return came
        part.unlink()
        if second:
            break
    raise ModelUnavailable(
        f"{file.name} of {repository.name} came with a wrong checksum, twice: something on the way changes it. Nothing of it "
        "was kept; try another network, or no proxy."
    )


def _more(hub: Hub, repository: Repository, file: RemoteFile, part: Path, told: Callable[[int], None]) -> int:
    """Append to a file what one connection brings; return how many bytes that was, at least one.

    Raises:
        PassingFailure: nothing came.
    """
    came = 0
    try:
        with (
            hub.opened(repository, file, _size(part)) as (start, pieces),
            part.open("r+b" if part.exists() else "wb") as out,
        ):
            out.truncate(start)
            out.seek(start)
            for piece in pieces:
                if start + came + len(piece) > file.size:
                    out.truncate(0)
                    raise PassingFailure(f"sent more of {file.name} than it has")
                out.write(piece)
                came += len(piece)
                told(start + came)
    except PassingFailure:
        if not came:
            raise
    if not came and file.size:
        raise PassingFailure(f"sent nothing of {file.name}")
    return came


def _digest(path: Path, file: RemoteFile) -> str:
    """Return a file's digest in the kind that the hub named: SHA-256, or git's SHA-1 of a blob."""
    if len(file.digest) == 64:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    content_bytes = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content_bytes) + content_bytes, usedforsecurity=False).hexdigest()


def _placed(folder: Path, repository: Repository, files: Sequence[RemoteFile], revision: str) -> Path:
    """Give the files their names at their commit, and the commit its revision's name; return the snapshot's folder."""
    snapshot = folder / "snapshots" / repository.commit
    for file in files:
        path = snapshot / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        blob = folder / "blobs" / file.digest
        if path.exists() and path.stat().st_size == file.size:
            continue
        path.unlink(missing_ok=True)
        try:
            path.symlink_to(os.path.relpath(blob, path.parent))
        except OSError:  # Windows without the right to make symbolic links
            try:
                os.link(blob, path)
            except OSError:
                shutil.copyfile(blob, path)
    if revision != repository.commit:
        ref = folder / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(repository.commit, encoding="utf-8")
    return snapshot


def _refuse_without_room(repository: Repository, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed and free < needed + RESERVE:
        raise StorageFull(
            f"{repository.name} needs {needed / 1e6:,.0f} MB more, and {RESERVE / 1e6:,.0f} MB should stay free; "
            f"{folder.parent} has {free / 1e6:,.0f} MB. Free space, or name another folder in HF_HOME. Nothing was fetched."
        )


@contextlib.contextmanager
def _alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep other runs away from this model. The lock falls with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".kcore-pull.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """Raise what the disk refuses as ours."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFull(
                f"The disk of {folder.parent} is full. What was fetched stays: free space and run this again to go on."
            ) from error
        raise StorageError(
            f"{folder.parent} cannot be written ({error.strerror}). Name another folder in HF_HOME, or mend its rights."
        ) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

"""Which collections a data directory holds: their names, how one comes and goes, and what each holds at a glance.

A collection is a folder that appears and disappears whole, by one rename. Where there are two ways of keeping collections,
this is the file that chooses.
"""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from knowledge_core.contract import EmbeddingContract
from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.files import flush_folder, storage_refusal
from knowledge_core.storage.collection import Collection
from knowledge_core.storage.exchanging import SET_ASIDE, exchange, finish, set_aside
from knowledge_core.storage.losses import noted
from knowledge_core.storage.record.copying import PinnedRecord, RecordFacts, adopt, pinned
from knowledge_core.storage.record.document_store import DocumentStore
from knowledge_core.storage.record.overview import Overview, Overviews
from knowledge_core.storage.record.sqlite import FILE, is_record_folder
from knowledge_core.storage.vectors.snapshot import EXACT_UP_TO

__all__ = [
    "EXACT_UP_TO", "FILE", "SET_ASIDE", "Overview", "Overviews", "PinnedRecord", "RecordFacts", "adopt", "bytes_used",
    "collection_names", "create_collection", "drop", "exchange", "noted", "pinned", "set_aside", "sweep", "valid_name",
]  # fmt: skip

DROPPED = ".dropped-"  # before the name of a folder that is no collection: not yet, or no more
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def valid_name(name: str) -> str:
    """Return a collection's name if it may be one.

    Raises:
        InvalidInput: it is empty, too long, or could leave its folder.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise InvalidInput(
            f"{quoted(name)} cannot be a collection's name: use 1 to 64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit."
        )
    return name


def collection_names(folder: Path) -> list[str]:
    """Return the names of the collections in a folder, sorted; also of those of which the record is gone."""
    return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name) and is_record_folder(path))


def drop(folder: Path, name: str) -> None:
    """Delete a closed collection: out of sight by one rename, then from the disk.

    Raises:
        StorageError: the system refused; nothing was deleted.
    """
    aside = folder / f"{DROPPED}{uuid.uuid4().hex}"
    try:
        (folder / name).rename(aside)
        flush_folder(folder)
    except OSError as error:
        raise storage_refusal(error, name) from error
    shutil.rmtree(aside, ignore_errors=True)


def bytes_used(folder: Path) -> int:
    """Return how many bytes a collection takes in its folder, the derived indexes included."""
    sizes = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # it was replaced meanwhile
            sizes += file.stat().st_size if file.is_file() else 0
    return sizes


def sweep(folder: Path) -> None:
    """Remove what a crash during `drop` or `create_collection` left, and finish what one during `exchange` left."""
    finish(folder)
    for path in folder.glob(f"{DROPPED}*"):
        shutil.rmtree(path, ignore_errors=True)


def create_collection(folder: Path, name: str, contract: EmbeddingContract) -> Collection:
    """Make an empty collection. It is there whole or not at all.

    Raises:
        InvalidInput: the name cannot be a collection's.
        StorageError: the disk refused, or there is a collection of this name already.
    """
    valid_name(name)
    beside = folder.with_name(f"{DROPPED}{uuid.uuid4().hex}")
    try:
        beside.mkdir(parents=True, mode=0o700)
        store = DocumentStore(beside, name)
        store.create(contract)
        store.close()
        beside.rename(folder)
        flush_folder(folder.parent)
    except OSError as error:
        raise storage_refusal(error, name) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Collection.open(folder)

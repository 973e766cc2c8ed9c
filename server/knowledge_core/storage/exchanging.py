"""A collection's folder put in the place of another: after a kill at any point there is the one or the other, whole.

The order: the new folder takes a name that says what it is to become; the old one is moved aside; the new one takes the
old one's name. Between the last two there is neither, so whoever opens the data directory next finishes that (`finish`).
Nothing is deleted: what was there before stays under `set-aside/`, until a person removes it.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from knowledge_core.errors import StorageError
from knowledge_core.files import flush_folder, storage_refusal

SET_ASIDE = "set-aside"  # folder of the data directory
READY = ".restored-"  # before the name that a whole folder is to take


def exchange(folder: Path, name: str, new: Path, aside: Path) -> Path | None:
    """Put a closed collection's folder where a closed collection of this name is, or none; return where that one is now.

    folder: of the collections. new: a whole collection, on the same disk. aside: the folder for what goes.

    Raises:
        StorageError: the system refused; everything is as it was. Where it refuses that, too, the next start of an owner
            puts the new one in place, and the former one lies in `aside`.
    """
    place, ready = folder / name, folder / f"{READY}{name}"
    kept: Path | None = None
    try:
        shutil.rmtree(ready, ignore_errors=True)
        new.rename(ready)
        flush_folder(folder)
        if place.exists():
            kept = _free_name(aside, name)
            place.rename(kept)
            flush_folder(aside)
        ready.rename(place)
    except OSError as error:
        _undo(place, ready, kept)
        raise storage_refusal(error, name) from error
    with suppress(OSError):  # it is in place; only a power cut now could undo that
        flush_folder(folder)
    return kept


def _undo(place: Path, ready: Path, kept: Path | None) -> None:
    """Put the former folder back, and remove the new one: else `finish` would take it for one that is to be put in place."""
    if kept is not None and kept.exists() and not place.exists():
        with suppress(OSError):
            kept.rename(place)
    if place.exists() or kept is None:
        shutil.rmtree(ready, ignore_errors=True)


def set_aside(folder: Path, name: str, into: Path) -> Path:
    """Move a closed collection out of the way, whatever state it is in; return where it lies.

    folder: of the collections. into: the folder of what was set aside, in the same data directory.

    Raises:
        StorageError: the system refused; nothing was moved.
    """
    try:
        aside = _free_name(into, name)
        (folder / name).rename(aside)
    except OSError as error:
        raise storage_refusal(error, name) from error
    with suppress(OSError):  # it was moved; only a power cut now could undo that
        flush_folder(into)
        flush_folder(folder)
    return aside


def finish(folder: Path) -> None:
    """Finish what a process that was killed in `exchange` left.

    folder: of the collections; nobody else uses it yet.

    Raises:
        StorageError: the system refused.
    """
    for ready in folder.glob(f"{READY}*"):
        place = folder / ready.name.removeprefix(READY)
        if place.exists():  # it had not begun: the old one stays
            shutil.rmtree(ready, ignore_errors=True)
        else:
            try:
                ready.rename(place)
                flush_folder(folder)
            except OSError as error:
                raise storage_refusal(error, place.name) from error


def _free_name(aside: Path, name: str) -> Path:
    """Return a path in the folder for what was set aside, which is made; nothing has this path yet."""
    aside.mkdir(mode=0o700, exist_ok=True)
    wanted = f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for number in range(1, 1000):
        path = aside / (wanted if number == 1 else f"{wanted}-{number}")
        if not path.exists():
            return path
    raise StorageError(f"The folder {SET_ASIDE} of the data directory is full of copies of {name}. Remove old ones.")

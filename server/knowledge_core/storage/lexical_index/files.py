"""The files of a LexicalIndex: what they are, whether every byte is as it was written, and what may go. Knows no Tantivy.

`STATE` is ours and lists every file with its checksum; what else is read here is Tantivy's own account of its last commit.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

STATE = "state.json"  # ours: generation, and size and checksum of every file
META = "meta.json"  # Tantivy's own: the segments of the last commit, whose files never change
MANAGED = ".managed.json"  # Tantivy's own: what it may sweep up


class UnusableFolderError(Exception):
    """A folder that does not check out; the text says why in a few words."""


@dataclass(frozen=True)
class State:
    """What `STATE` says. tag, record: as of `LexicalIndex.load`; record: None in a file of an earlier version.

    stamp: Tantivy's count of operations. files: size and CRC-32 by name.
    """

    tag: str
    record: str | None
    generation: int
    stamp: int
    files: dict[str, list[int]]

    def checksum(self) -> int:
        return zlib.crc32(json.dumps(asdict(self), sort_keys=True).encode())


def read_state(folder: Path) -> State:
    """Return what `STATE` says; a file of an earlier version has no checksum.

    Raises:
        FileNotFoundError: there is no such folder, or it is empty.
        UnusableFolderError: it is missing or damaged.
    """
    if not folder.exists() or not any(folder.iterdir()):
        raise FileNotFoundError(folder.name)
    try:
        said = json.loads((folder / STATE).read_bytes())
        state = State(said["tag"], said.get("record"), int(said["generation"]), int(said["stamp"]), dict(said["files"]))
        sound = said.get("checksum", state.checksum()) == state.checksum()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableFolderError(f"{STATE} is missing or damaged") from error
    if not sound:
        raise UnusableFolderError(f"{STATE} is damaged (its checksum differs)")
    return state


def checked(folder: Path, state: State, tag: str) -> dict[str, list[int]]:
    """Return the files of a folder as `STATE` has them, if every byte is as it was written.

    Raises:
        UnusableFolderError: a file is missing, damaged or of another record, contract or version.
    """
    try:
        ahead = committed(folder)[0] > state.stamp
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableFolderError(f"{META} is missing or damaged") from error
    if state.tag != tag:
        raise UnusableFolderError("made for another record or by another version")
    for name, measured in state.files.items():
        path = folder / name
        # A crash after a commit leaves the state one commit behind: files may have been merged, META was rewritten.
        if ahead and (name == META or not path.exists()):
            continue
        if not path.exists() or measure(path) != measured:
            raise UnusableFolderError(f"{name} is missing or damaged")
    return state.files


def measure(path: Path) -> list[int]:
    """Return size and CRC-32 of a file."""
    content = path.read_bytes()
    return [len(content), zlib.crc32(content)]


def committed(folder: Path) -> tuple[int, list[str]]:
    """Return Tantivy's count of operations at its last commit, and the names of the files that belong to it.

    Other files may lie there, of a change that failed, or not swept up yet. They come and go at any time.
    """
    meta = json.loads((folder / META).read_bytes())
    segments = {part["segment_id"].replace("-", ""): part["deletes"] for part in meta["segments"]}
    dead = {f"{segment}.{deletes['opstamp']}.del" for segment, deletes in segments.items() if deletes}
    names = sorted(path.name for path in folder.iterdir() if path.name.split(".")[0] in segments)
    return int(meta["opstamp"]), [name for name in names if name in dead or not name.endswith(".del")]


def entries_of(folder: Path) -> int:
    """Return how many entries the last commit holds, removed ones that were not merged away included."""
    return sum(int(part["max_doc"]) for part in json.loads((folder / META).read_bytes())["segments"])


def sweep(folder: Path) -> None:
    """Remove what a change left behind that was not committed. No writer may be at work."""
    kept = {*committed(folder)[1], META, STATE, MANAGED}
    for path in folder.iterdir():
        if path.name not in kept and path.suffix != ".lock":
            path.unlink(missing_ok=True)

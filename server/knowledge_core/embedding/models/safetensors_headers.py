"""What the headers of safetensors files say: which tensors, of which shapes, in which files, and whether all are whole.

Rules kept here: only the header and the length of a file are read, never its numbers; torch is not needed; `problems`
names whatever is wrong with a file, or with the index over several files, and raises nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
LARGEST_HEADER: Final = 100_000_000  # the format's own limit; a text file (a page, a pointer) reads as a huge number
_NAMED: Final = 3  # tensors that a message names; it counts the rest


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    dtype: in the format's own words, "F32" or "BF16". begin: the place of its first byte. bytes: that it takes.
    """

    file: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    bytes: int


def stored(folder: Path) -> dict[str, Stored]:
    """Return the tensors of a model's weights by name, from one file or from several under an index.

    Raises:
        OSError, ValueError: a file is missing or damaged; `problems` names it.
    """
    found: dict[str, Stored] = {}
    for name in _files(folder):
        found |= header(folder, name)
    return found


def header(folder: Path, name: str) -> dict[str, Stored]:
    """Return the tensors of one file by name.

    Raises:
        OSError: the file cannot be read. ValueError: it is cut off, or is no safetensors file.
    """
    path = folder / name
    with path.open("rb") as file:
        found, whole = beginning(file, name)
    if path.stat().st_size != whole:
        raise ValueError("cut off")
    return found


def beginning(file: BinaryIO, name: str) -> tuple[dict[str, Stored], int]:
    """Return the tensors that the beginning of a file tells, by name, and the bytes that the whole file has.

    file: at its start; it may end anywhere behind its header. name: of the file that they are in.

    Raises:
        OSError: the file cannot be read. ValueError: it ends within its header, or is no safetensors file.
    """
    size = int.from_bytes(file.read(8), "little")
    if size > LARGEST_HEADER:
        raise ValueError("no header")
    content = file.read(size)
    try:
        entries = {key: value for key, value in json.loads(content).items() if key != "__metadata__"}
        found = {
            key: Stored(name, entry["dtype"], tuple(entry["shape"]), 8 + size + first, last - first)
            for key, entry in entries.items()
            for first, last in [entry["data_offsets"]]
        }
        end = max(entry["data_offsets"][1] for entry in entries.values())
    except (TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError("no header") from error
    return found, 8 + size + end


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the weights of a model, a few words per problem; empty: they are whole."""
    try:
        listed = _index(folder)
    except ValueError:
        return [f"{INDEX} is cut off or damaged"]
    found = [problem for name in sorted(listed) if (problem := file_problem(folder, name))]
    return found or [problem for name in sorted(listed) for problem in _lacking(folder, name, listed[name])]


def file_problem(folder: Path, name: str) -> str:
    """Return what is wrong with one file; "" if it has the length that its header says."""
    try:
        header(folder, name)
    except OSError:
        return f"no {name}"
    except ValueError:
        return f"{name} is cut off or damaged"
    return ""


def _files(folder: Path) -> Iterator[str]:
    yield from sorted(_index(folder))


def _index(folder: Path) -> dict[str, set[str]]:
    """Return the files of the weights, and the tensors that the index puts into each; without an index, one file."""
    index = folder / INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        return {WEIGHTS: set()}
    try:
        listed: dict[str, Any] = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (OSError, TypeError, KeyError, RecursionError) as error:
        raise ValueError("no index") from error
    found: dict[str, set[str]] = {}
    for tensor, name in listed.items():
        # Only a file of this folder: the index must not lead out of it.
        if not isinstance(name, str) or name != PurePosixPath(name).name or not name.endswith(".safetensors"):
            raise ValueError("no index")
        found.setdefault(name, set()).add(tensor)
    if not found:
        raise ValueError("no index")
    return found


def _lacking(folder: Path, name: str, listed: set[str]) -> list[str]:
    lacking = sorted(listed - header(folder, name).keys())
    return [f"{name} lacks {few(lacking)}, which the index puts there"] if lacking else []


def few(names: list[str]) -> str:
    """Return names as part of a sentence: the first few, and how many more there are.

    >>> few(["a", "b"]), few(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

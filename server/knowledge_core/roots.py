"""The folders that may be read for this data directory. A guard rail against a misled agent, not a wall.

A person records roots at the command line (`kcore roots add`, `kcore index`) or names them in the configuration; an
agent cannot add one. The recorded ones are kept in one small JSON file, which is always replaced as a whole.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from knowledge_core.errors import InvalidInput, StorageDamaged
from knowledge_core.files import replace_file
from knowledge_core.paths import data_directory_around


class Roots:
    """The allowed roots: those recorded in `file`, and those that the configuration names."""

    def __init__(self, file: Path, configured: tuple[str, ...]) -> None:
        self._file = file
        self._configured = tuple(Path(os.path.realpath(os.path.expanduser(root))) for root in configured)
        self._guard = threading.Lock()

    def recorded(self) -> list[Path]:
        """Return the recorded roots, sorted.

        Raises:
            StorageDamaged: the file is not what this program wrote.
        """
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return sorted(Path(root) for root in content["roots"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise StorageDamaged(
                f"{self._file.name} in the data directory cannot be read ({error}). Delete it and add the roots again."
            ) from error

    def all(self) -> list[Path]:
        """Return every allowed root, sorted, without repetition."""
        return sorted({*self.recorded(), *self._configured})

    def add(self, path: Path) -> Path:
        """Allow a folder (or one file), and return it resolved. Nothing changes if a recorded root contains it.

        Raises:
            InvalidInput: the path does not exist, is the file system's own root or in a data directory, or is empty or
                relative.
        """
        expanded = path.expanduser()
        if not expanded.is_absolute():
            raise InvalidInput(
                f"The path {str(path)!r} is empty or relative. Give the full path of the folder to allow."
            )
        resolved = Path(os.path.realpath(expanded))
        if not os.path.exists(resolved):  # Path.exists raises for a name that is too long
            raise InvalidInput(f"{path} does not exist, so it cannot be allowed.")
        if resolved == Path(resolved.anchor):
            raise InvalidInput(f"{path} is the whole file system. Allow the folders that hold your documents instead.")
        if around := data_directory_around(resolved):
            raise InvalidInput(
                f"{path} lies in the data directory {around}, which is never indexed. Keep documents elsewhere."
            )
        with self._guard:
            present = self.recorded()
            if any(resolved.is_relative_to(root) for root in present):
                return resolved
            self._write([root for root in present if not root.is_relative_to(resolved)] + [resolved])
        return resolved

    def remove(self, path: Path) -> Path:
        """Remove a recorded root, and return it resolved.

        Raises:
            InvalidInput: it is not recorded; the message lists the recorded ones.
        """
        resolved = Path(os.path.realpath(path.expanduser()))
        with self._guard:
            present = self.recorded()
            if resolved not in present:
                there_are = ", ".join(map(str, present)) or "none"
                raise InvalidInput(f"{path} is not a recorded root. There are: {there_are}.")
            self._write([root for root in present if root != resolved])
        return resolved

    def _write(self, roots: list[Path]) -> None:
        """Record these roots, and only these. Durable: the file guards what may be read, also after power loss."""
        replace_file(self._file, [json.dumps({"roots": sorted(map(str, roots))}, indent=1).encode()])

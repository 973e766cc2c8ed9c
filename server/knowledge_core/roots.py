"""The folders of this data directory that may be read. A guard rail against a misled agent, not a wall.

Roots are recorded by a person's command line (`kcore roots add`, `kcore index`) or named in the configuration; an
agent cannot add one. They are kept in one small JSON file, replaced whole.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from knowledge_core.errors import InvalidInput, StorageDamaged
from knowledge_core.files import replace_file


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
        """Allow a folder (or one file), and return it resolved. Nothing changes if a root above it is there.

        Raises:
            InvalidInput: there is no such path, or it is the file system's own root, or empty or relative.
        """
        expanded = path.expanduser()
        if not expanded.is_absolute():
            raise InvalidInput(
                f"The path {str(path)!r} is empty or relative. Give the full path of the folder to allow."
            )
        resolved = Path(os.path.realpath(expanded))
        if not resolved.exists():
            raise InvalidInput(f"{path} does not exist, so it cannot be allowed.")
        if resolved == Path(resolved.anchor):
            raise InvalidInput(f"{path} is the whole file system. Allow the folders that hold your documents instead.")
        with self._guard:
            present = self.recorded()
            if any(resolved.is_relative_to(root) for root in present):
                return resolved
            self._write([root for root in present if not root.is_relative_to(resolved)] + [resolved])
        return resolved

    def remove(self, path: Path) -> Path:
        """Take a recorded root back.

        Raises:
            InvalidInput: it is not recorded; the message lists those that are.
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
        """Record these roots, and only these, also after power loss: the file guards what may be read."""
        replace_file(self._file, [json.dumps({"roots": sorted(map(str, roots))}, indent=1).encode()])

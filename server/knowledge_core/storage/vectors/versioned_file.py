"""A large derived file of which at most one counts, numbered, and the small head that says which, and what it holds.

The head is replaced last and removed first: without it, or with one that does not check out, the rest counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from knowledge_core.files import TEMPORARY, remove_file
from knowledge_core.storage.values import Keys
from knowledge_core.storage.vectors.checksummed_header import UnusableFileError, read_header, tag_digest, write_header


class VersionedFile:
    """The files `NAME-1.SUFFIX`, `NAME-2.SUFFIX` ... and `NAME.head` of one folder, for one record and contract."""

    def __init__(self, folder: Path, name: str, suffix: str, *, layout: int, dimensions: int, tag: str) -> None:
        """Tag: whatever must not have changed for the content to be of use. layout: of what head and file hold."""
        self._folder, self._name, self._suffix = folder, name, suffix
        self.head = folder / f"{name}.head"
        self._owner = {"layout": layout, "seal": tag_digest(tag), "dimensions": dimensions}

    def path(self, number: int) -> Path:
        """Return where the file of this number lies."""
        return self._folder / f"{self._name}-{number}.{self._suffix}"

    def next_number(self) -> int:
        """Return a number above those of all files there are, half-written ones included."""
        taken = [path.name.removeprefix(f"{self._name}-").partition(".")[0] for path in self._files()]
        return 1 + max((int(number) for number in taken if number.isdecimal()), default=0)

    def read_head(self) -> tuple[dict[str, Any], list[Keys]] | None:
        """Return what the head says; None where there is nothing.

        Raises:
            UnusableFileError: it is missing beside files, damaged, or made for another record or contract.
        """
        try:
            facts, arrays = read_header(self.head)
        except FileNotFoundError:
            if self._files():
                raise UnusableFileError(f"{self.head.name} is missing") from None
            return None
        except UnusableFileError as reason:
            raise UnusableFileError(f"{self.head.name}: {reason}") from reason
        if any(facts.get(name) != value for name, value in self._owner.items()):
            raise UnusableFileError(
                f"{self.head.name}: made for another record, under another contract or by another version"
            )
        return facts, arrays

    def write_head(self, facts: Mapping[str, Any], arrays: Sequence[Keys]) -> None:
        """Say what counts from now on.

        Raises:
            StorageFull, StorageError: what counted before does still.
        """
        write_header(self.head, {**self._owner, **facts}, arrays)

    def remove(self) -> None:
        """Forget everything.

        Raises:
            StorageError: the disk refused.
        """
        remove_file(self.head)
        self.sweep(None)

    def sweep(self, but: Path | None) -> None:
        """Remove every other file. What the system holds fast (a mapped file on Windows) goes the next time."""
        for path in [*self._files(), self.head.with_name(self.head.name + TEMPORARY)]:
            if path != but:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return list(self._folder.glob(f"{self._name}-*.{self._suffix}*"))

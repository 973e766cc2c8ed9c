"""A large derived file in numbered versions, of which at most one counts, and a small head that says which and what it holds.

The head is replaced last and removed first: without it, or with one that does not check out, no version counts.
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
    """The files `NAME-1.SUFFIX`, `NAME-2.SUFFIX` ... and `NAME.head` of one folder, for one record and contract.

    claimed: the generation of this record that the head says it holds, also where the content is of no use; 0 before
        `read_head`, and where the head is another record's.
    """

    def __init__(
        self, folder: Path, name: str, suffix: str, *, layout: int, dimensions: int, tag: str, record: str = ""
    ) -> None:
        """Name the files; nothing is read yet.

        layout: version of what head and file hold.
        tag: names whatever must not have changed for the content to be of use.
        record: names the record, whatever its contract.
        """
        self._folder, self._name, self._suffix = folder, name, suffix
        self.head = folder / f"{name}.head"
        self._owner = {"layout": layout, "seal": tag_digest(tag), "dimensions": dimensions}
        self._record = tag_digest(record)
        self.claimed = 0

    def path(self, number: int) -> Path:
        """Return the path of the file of this number."""
        return self._folder / f"{self._name}-{number}.{self._suffix}"

    def next_number(self) -> int:
        """Return a number above those of all files that lie there, half-written ones included."""
        taken = [path.name.removeprefix(f"{self._name}-").partition(".")[0] for path in self._files()]
        return 1 + max((int(number) for number in taken if number.isdecimal()), default=0)

    def read_head(self) -> tuple[dict[str, Any], list[Keys]] | None:
        """Return what the head says; None where there is neither head nor file.

        Raises:
            UnusableFileError: the head is missing beside files, damaged, or made for another record or contract.
        """
        try:
            facts, arrays = read_header(self.head)
        except FileNotFoundError:
            if self._files():
                raise UnusableFileError(f"{self.head.name} is missing") from None
            return None
        except UnusableFileError as reason:
            raise UnusableFileError(f"{self.head.name}: {reason}") from reason
        same = all(facts.get(name) == value for name, value in self._owner.items())
        if same or facts.get("record") == self._record:
            self.claimed = int(facts.get("graph", facts).get("generation", 0))
        if not same:
            raise UnusableFileError(
                f"{self.head.name}: made for another record, under another contract or by another version"
            )
        return facts, arrays

    def write_head(self, facts: Mapping[str, Any], arrays: Sequence[Keys]) -> None:
        """Replace the head: from now on the file that it names counts.

        Raises:
            StorageFull, StorageError: the disk refused; the file that counted before still does.
        """
        write_header(self.head, {**self._owner, "record": self._record, **facts}, arrays)

    def remove(self) -> None:
        """Forget everything.

        Raises:
            StorageError: the disk refused.
        """
        remove_file(self.head)
        self.sweep(None)

    def sweep(self, but: Path | None) -> None:
        """Remove every other file. A file that the system does not release (a mapped one on Windows) goes the next time."""
        for path in [*self._files(), self.head.with_name(self.head.name + TEMPORARY)]:
            if path != but:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return list(self._folder.glob(f"{self._name}-*.{self._suffix}*"))

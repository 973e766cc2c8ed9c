"""A record that is behind what was derived from it: seen when a collection is opened, told until a person agrees.

Each derived index remembers the generation up to which it followed the record, and follows only what is committed. So one
that is ahead proves that acknowledged changes are lost: the write-ahead log was cut or removed, or an older `documents.db`
put back. The index is then rebuilt from what there is, which would wipe out the proof; `behind.json` keeps it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from knowledge_core.errors import StorageError
from knowledge_core.files import no_descriptor, out_of_descriptors, remove_file, replace_file

FILE = "behind.json"
NAMED = 5  # sources that are named


@dataclass(frozen=True)
class Loss:
    """What was missing when a collection was opened.

    generation: of the record. reached: the one that its indexes had reached. Both 0: it was noted, and cannot be read.
    noticed: ISO 8601, UTC.
    lost: chunks that the indexes knew and the record lacks; None where that cannot be said.
    back: chunks of the record that the indexes no longer had, as they had been removed or replaced; None likewise.
    """

    generation: int
    reached: int
    noticed: str
    lost: int | None = None
    back: int | None = None

    def told(self, name: str, sources: Sequence[str]) -> str:
        """Return what happened and what to do. name: of the collection. sources: names of the folders in it."""
        what = (
            f"The record of collection {name!r} is behind: it stood at generation {self.generation} on {self.noticed}, "
            f"its indexes had reached {self.reached}. {self._missing()} That is so after documents.db-wal was cut or "
            "removed, or an older documents.db was put back."
        )
        if not self.reached:
            what = f"Changes of collection {name!r} were lost; what {FILE} says of it cannot be read."
        listed = ", ".join(sources[:NAMED]) + (f" and {len(sources) - NAMED} more" if len(sources) > NAMED else "")
        again = f"its folders ({listed}) and the texts that were given to it" if listed else "the texts of it"
        return (
            f"{what} Restore a copy, or index {again} again. To go on with what is there: kcore doctor --accept {name}"
        )

    def brief(self, name: str) -> str:
        """Return one sentence for whoever searches the collection of this name."""
        what = f"at least {self.lost} chunks" if self.lost else "changes"
        return f"Collection {name!r} lost {what} that it had stored, so hits may be lacking; `kcore doctor` says what to do."

    def _missing(self) -> str:
        if self.lost is None or self.back is None:
            return "Changes that were acknowledged are missing; how many cannot be said."
        missing = f"At least {self.lost} chunks that were acknowledged are missing"
        back = f", and {self.back} that had been removed or replaced are back" if self.back else ""
        return f"{missing}{back}."


class Losses:
    """The losses of an open collection. Several threads may call it.

    folder, name: of the collection. sources: returns the names of the folders in it.
    """

    def __init__(self, folder: Path, name: str, sources: Callable[[], Sequence[str]]) -> None:
        self._folder, self._name, self._sources = folder, name, sources
        self._noted: list[Loss] = []

    def read(self) -> None:
        """Take what was noted before, and what the opening of the indexes has noted now."""
        self._noted = noted(self._folder)

    def told(self) -> list[str]:
        """Return what the record lost, a few sentences each, with what to do."""
        sources = self._sources()  # first: it opens a collection that rests, which may find another loss
        return [each.told(self._name, sources) for each in self._noted]

    def in_brief(self) -> list[str]:
        """Return one sentence about the latest loss; nothing where there was none."""
        return [each.brief(self._name) for each in self._noted[-1:]]

    def accept(self) -> list[str]:
        """Go on with what is there, as a person decided; return what was lost, as it was told so far.

        Raises:
            StorageError: the system refused; it is told again.
        """
        told = self.told()
        remove_file(self._folder / FILE)
        self._noted = []
        return told


def note(folder: Path, generation: int, reached: int, lost: int | None, back: int | None) -> None:
    """Keep what was noticed now, beside what was noticed before.

    folder: the collection's.

    Raises:
        StorageFull, StorageError: the disk refused; then nothing that proves the loss may be discarded.
    """
    before = noted(folder)
    if before and (before[-1].generation, before[-1].reached) == (generation, reached):
        return  # a process ended before it could rebuild the index
    noticed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    losses = [*before, Loss(generation, reached, noticed, lost, back)]
    replace_file(folder / FILE, [json.dumps([asdict(each) for each in losses]).encode()])


def noted(folder: Path) -> list[Loss]:
    """Return what was noticed and nobody has agreed to yet, oldest first.

    Raises:
        StorageError: too many files are open to look.
    """
    try:
        return [Loss(**each) for each in json.loads((folder / FILE).read_bytes())]
    except FileNotFoundError:
        return []
    except OSError as error:
        if out_of_descriptors(error):
            raise StorageError(no_descriptor(f"to open {FILE}")) from error
        return [Loss(0, 0, "")]
    except (ValueError, TypeError):
        return [Loss(0, 0, "")]

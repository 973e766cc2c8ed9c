"""Every error that this package raises on purpose.

    KnowledgeCoreError          the message says what, which value, and what to do next; safe to show to an agent
    ├── InvalidInput            the caller gave a wrong value: mend the call
    │   ├── InvalidFilter       a filter names an unknown field or operator
    │   └── CursorExpired       the collection moved under a cursor: ask again from the start
    ├── NotFound                a name that does not exist
    │   ├── CollectionNotFound
    │   ├── DocumentNotFound
    │   └── JobNotFound
    ├── PathNotAllowed          a path outside the allowed roots: a person must allow it
    ├── NothingToIndex          the folder, file or list held nothing that could be indexed
    ├── SourceUnavailable       a folder that was indexed is missing, unreadable or suddenly empty: nothing deleted
    ├── ModelUnavailable        a model cannot be loaded: the message has the remedy
    ├── ContractMismatch        vectors of two contracts cannot be compared: re-embed
    ├── StorageError            the disk refused, or what lies there cannot be read
    │   ├── StorageFull         no space left: nothing half-written
    │   ├── StorageDamaged      the record fails its checks: restore a copy, or repair
    │   └── StorageTooNew       written by a newer version of the program: upgrade
    ├── Busy                    too many wait for the model: retry after the time in the message
    ├── DataDirectoryHeld       another process holds the data directory: the message names it
    ├── OwnerUnavailable        the owner process refused to start, or ended: the message has its reason
    ├── ConfigurationError      the configuration file is wrong: the message names the key
    └── Cancelled               the caller stopped the work; what was acknowledged stays
        └── Interrupted         the process is ending: the work can go on in the next one

Each class is an action that its catcher can take. Messages hold no text of a document, but for the headings of the one that a
caller reads, and no path of the server beyond what the caller gave. What a caller gave, a name or a wrong value, is repeated
by `quoted`, so that none grows.
"""

from __future__ import annotations

LONGEST_QUOTED = 60  # characters of a value in an error; who gave it knows it by its beginning


def quoted(value: object, most: int = LONGEST_QUOTED) -> str:
    r"""Return a value as an error or a log repeats it: in one line, a text in quotes, without its end if it is long.

    >>> quoted("a\nb"), quoted("x" * 100, most=4), quoted([1, 2])
    ("'a\\nb'", "'xxxx…'", '[1, 2]')
    """
    if isinstance(value, str):
        return repr(value if len(value) <= most else f"{value[:most]}…")
    shown = repr(value)
    return shown if len(shown) <= most else f"{shown[:most]}…"


class KnowledgeCoreError(Exception):
    """Root of every error that this package raises on purpose."""


class InvalidInput(KnowledgeCoreError):
    """A value that the caller gave cannot be used."""


class InvalidFilter(InvalidInput):
    """A filter is malformed, or names a field or an operator that does not exist."""


class CursorExpired(InvalidInput):
    """A cursor belongs to another query, or to a generation that is no longer there."""


class NotFound(KnowledgeCoreError):
    """A name does not exist."""


class CollectionNotFound(NotFound):
    """No collection has this name."""


class DocumentNotFound(NotFound):
    """The collection has no document of this id, which is kept for whoever can say where it is; "" if nobody should."""

    def __init__(self, message: str, id: str = "") -> None:
        super().__init__(message)
        self.id = id


class JobNotFound(NotFound):
    """No job has this id."""


class PathNotAllowed(KnowledgeCoreError):
    """A path lies outside the allowed roots."""


class NothingToIndex(KnowledgeCoreError):
    """Nothing in what was given can be indexed."""


class SourceUnavailable(KnowledgeCoreError):
    """A folder that was indexed before is missing, unreadable or suddenly empty."""


class ModelUnavailable(KnowledgeCoreError):
    """A model cannot be found or loaded."""


class ContractMismatch(KnowledgeCoreError):
    """A collection's vectors were made under another contract."""


class StorageError(KnowledgeCoreError):
    """The data directory cannot be read or written."""


class StorageFull(StorageError):
    """There is no space left on the device."""


class StorageDamaged(StorageError):
    """The record does not pass its own checks."""


class StorageTooNew(StorageError):
    """The record was written by a newer version of this program."""


class DataDirectoryHeld(KnowledgeCoreError):
    """Another process holds the data directory."""


class Busy(KnowledgeCoreError):
    """Too many callers wait for the model already; the message says after how long to try again."""


class OwnerUnavailable(KnowledgeCoreError):
    """The process that owns the data directory refused this client, or ended in the middle of its call."""


class ConfigurationError(KnowledgeCoreError):
    """The configuration cannot be used."""


class Cancelled(KnowledgeCoreError):
    """The caller stopped the work."""


class Interrupted(Cancelled):
    """The process that does the work is ending."""

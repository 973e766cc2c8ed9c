"""The record's schema, version by version. Forward only, inside a transaction, with the file copied aside first.

`PRAGMA user_version` is the version; a step is a function that makes version n + 1 out of n. A step that was released is
never changed: what is to be different is a new step. No step needs anything newer than SQLite 3.40.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from knowledge_core.errors import StorageTooNew
from knowledge_core.files import TEMPORARY, storage_refusal

Step = Callable[[sqlite3.Connection], None]


def _version_1(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA_1:
        connection.execute(statement)


_SCHEMA_1 = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sources (name TEXT PRIMARY KEY, path TEXT NOT NULL UNIQUE, indexed_at TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE documents (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, uri TEXT NOT NULL,
        metadata TEXT NOT NULL, media_type TEXT NOT NULL, pages TEXT NOT NULL, digest TEXT NOT NULL, source TEXT,
        path TEXT, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, indexed_at TEXT NOT NULL, text TEXT NOT NULL)""",
    "CREATE INDEX documents_by_source ON documents (source)",
    """CREATE TABLE vectors (
        key INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, vector BLOB NOT NULL)""",
    """CREATE TABLE chunks (
        number INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (number),
        position INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, first_line INTEGER NOT NULL,
        last_line INTEGER NOT NULL, page INTEGER, heading TEXT NOT NULL,
        key INTEGER NOT NULL REFERENCES vectors (key), UNIQUE (document, position))""",
    "CREATE INDEX chunks_by_key ON chunks (key)",
    # kind: "+c", "-c" a chunk's number, "+k", "-k" a vector's key
    "CREATE TABLE log (generation INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL)",
    "CREATE INDEX log_by_generation ON log (generation)",
    """CREATE TABLE jobs (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
        request TEXT NOT NULL, report TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE plan (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, ordinal INTEGER NOT NULL, document TEXT NOT NULL,
        action TEXT NOT NULL, path TEXT, inline TEXT, state TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (job, ordinal)) WITHOUT ROWID""",
    "CREATE INDEX plan_by_document ON plan (document)",
)


def _version_2(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1")


def _version_3(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE documents ADD COLUMN headings TEXT NOT NULL DEFAULT '[]'")
    connection.execute("ALTER TABLE documents ADD COLUMN lines_of_file INTEGER NOT NULL DEFAULT 1")


def _version_4(connection: sqlite3.Connection) -> None:
    for column in ("ctime_ns INTEGER NOT NULL DEFAULT 0", "unreadable TEXT NOT NULL DEFAULT ''", "embedded_title TEXT"):
        connection.execute(f"ALTER TABLE documents ADD COLUMN {column}")
    for column in (
        # Of a source that is there nobody knows who named it, so it is not watched until a person names it again.
        "patterns TEXT NOT NULL DEFAULT '[]'", "by_person INTEGER NOT NULL DEFAULT 0",
        "watch INTEGER NOT NULL DEFAULT 0", "whole INTEGER NOT NULL DEFAULT 1", "mounts TEXT NOT NULL DEFAULT '[]'",
    ):  # fmt: skip
        connection.execute(f"ALTER TABLE sources ADD COLUMN {column}")
    connection.execute(
        """CREATE TABLE kept_out (
        id TEXT PRIMARY KEY, path TEXT NOT NULL, text_digest TEXT NOT NULL, deleted_at TEXT NOT NULL) WITHOUT ROWID"""
    )
    connection.execute("CREATE INDEX documents_by_size ON documents (size)")
    _compose_ids(connection)


def _compose_ids(connection: sqlite3.Connection) -> None:
    """Spell ids in Unicode's composed form, as they are looked for: file systems keep both forms. One that is taken stays."""
    for table, column in (("documents", "id"), ("documents", "source"), ("sources", "name"), ("plan", "document")):
        spelled = {
            row[0] for row in connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} NOT NULL")
        }
        for each in spelled:
            composed = unicodedata.normalize("NFC", each)
            if composed != each:
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", (composed, each))


def _version_5(connection: sqlite3.Connection) -> None:
    # Of the chunks that are there it is filled in afterwards, in the background: reading all texts would take minutes.
    connection.execute("ALTER TABLE chunks ADD COLUMN text_digest INTEGER")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'next_chunks'").fetchone():
        connection.execute("ALTER TABLE next_chunks ADD COLUMN text_digest INTEGER")
    connection.execute("CREATE INDEX chunks_by_text ON chunks (text_digest) WHERE text_digest NOT NULL")


STEPS: Sequence[Step] = (_version_1, _version_2, _version_3, _version_4, _version_5)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Step] = STEPS) -> None:
    """Bring the record at `path`, open on `connection`, to the newest version.

    Raises:
        StorageTooNew: it was written by a newer version of the program.
        StorageFull, StorageError: it could not be copied aside; nothing was changed.
        sqlite3.Error: SQLite refused; nothing was changed. The caller translates it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    refuse_newer(version, path.parent.name, steps)
    if version == len(steps):
        return
    if version > 0:
        _copy_aside(connection, path.with_name(f"{path.name}.before-v{len(steps)}"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_newer(version: int, name: str, steps: Sequence[Step] = STEPS) -> None:
    """Refuse the record of a collection that a newer version of the program wrote.

    Raises:
        StorageTooNew: it did.
    """
    if version > len(steps):
        raise StorageTooNew(
            f"The collection in {name!r} has schema version {version}; this program knows {len(steps)}. "
            "Upgrade Knowledge Core, or use another data directory."
        )


def _copy_aside(connection: sqlite3.Connection, aside: Path) -> None:
    # By SQLite itself: if this process opened and closed the file in another way, it would lose its locks on it.
    new = aside.with_name(aside.name + TEMPORARY)
    try:
        new.unlink(missing_ok=True)
        copy = sqlite3.connect(new)
        try:
            connection.backup(copy)
        finally:
            copy.close()
        new.replace(aside)
    except OSError as error:
        raise storage_refusal(error, aside.name) from error

"""Loaded by every Python of a test that puts this folder on its path: a file that says so holds the interpreter's lock."""

from __future__ import annotations

import re
import sys

if any("owner" in part for part in sys.orig_argv):  # not the clients: they start fast and read no file
    from knowledge_core.ingestion import readers

    _read = readers.decode

    def _held(data: bytes) -> str | None:
        if b"HOLD THE INTERPRETER" in data:
            re.match(r"(a|a)*b", "a" * 64)  # for longer than anybody waits, and without ever letting go of the lock
        return _read(data)

    readers.decode = _held

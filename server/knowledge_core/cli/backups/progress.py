"""How far a backup or a restore is: one line on a terminal, and a line every ten seconds where there is none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from knowledge_core.cli.output import ProgressLine
from knowledge_core.language.printable import one_line

if TYPE_CHECKING:
    from knowledge_core.types import Progress

EVERY = 10.0  # seconds between two lines in a log


class BytesProgress(ProgressLine):
    """A `ProgressLine` that takes reports in bytes, and speaks now and then where stderr is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._said = time.monotonic()

    def __enter__(self) -> BytesProgress:
        return self

    def told(self, progress: Progress) -> None:
        """Show a report."""
        message = f"{progress.message}, {progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB"
        self(progress.done, progress.total, message)
        if not self._terminal and time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            print(f"kcore: {one_line(message)}", file=sys.stderr, flush=True)


@contextmanager
def private_files() -> Iterator[None]:
    """Let every file and folder that is made until the end of the block be this user's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def amount(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"

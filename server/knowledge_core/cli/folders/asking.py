"""Asking a person at a terminal, and what only a person may agree to."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from knowledge_core.cli.output import Usage

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection


def in_a_terminal() -> bool:
    """Say whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def said_yes(question: str) -> bool:
    """Ask a person. While they think, Ctrl-C ends the command at once: nothing runs yet that could be kept."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        signal.signal(signal.SIGINT, before)


async def agreed(connection: Connection, paths: list[str], *, yes: bool) -> None:
    """Let a person agree to folders that open far more than what was open before.

    yes: they said so with an option.

    Raises:
        Usage: nobody agreed; the message says what would be opened, and the option.
    """
    for each in [] if yes else (await connection.ask("widening", paths=paths))["widening"]:
        if not in_a_terminal():
            raise Usage(f"{each['why']} If that is what you want, say --yes.")
        if not said_yes(f"{each['why']} Go on? [y/N] "):
            raise Usage("nothing was allowed, and nothing indexed.")

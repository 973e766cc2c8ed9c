"""What a handler may ask of the connection that its call came over. Standard library only."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class ConnectionState:
    """One connection of the owner.

    label: names it in the log. role: "host" or "cli". gone: its client's stream has ended; set before the calls that
    it left behind are cancelled, so that a vanished client can be told from one that withdrew a call.
    """

    label: str
    role: str
    gone: bool = False


current_connection: ContextVar[ConnectionState | None] = ContextVar("current_connection", default=None)
"""The connection of the present call; None where a server runs on streams of its own (stdio, memory)."""

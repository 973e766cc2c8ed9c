"""What a handler may ask of the connection that its call came over. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class ConnectionState:
    """One connection of this process.

    label: names it in the log. role: "host" or "cli". at_end: called when the connection has ended.
    """

    label: str
    role: str
    at_end: list[Callable[[], None]] = field(default_factory=list)


current_connection: ContextVar[ConnectionState | None] = ContextVar("current_connection", default=None)
"""The connection of the present call; None where a server runs on message streams in memory."""

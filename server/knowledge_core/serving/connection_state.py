"""What a handler can know of the connection that its call came over. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class ConnectionState:
    """One connection of a client to this process.

    label: its name in the log. role: "host" or "cli". at_end: callbacks for when the connection has ended.
    """

    label: str
    role: str
    at_end: list[Callable[[], None]] = field(default_factory=list)


current_connection: ContextVar[ConnectionState | None] = ContextVar("current_connection", default=None)
"""The connection of the call that is being handled; None where the server runs on message streams in memory."""

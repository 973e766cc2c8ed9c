"""Opening and closing the HTTP door of a running engine: one at a time, in a task of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.resources import telling_of_changes

if TYPE_CHECKING:
    from knowledge_core.serving.http.http_door import HttpDoor

PORT = 8321  # an arbitrary number, the same every time so that clients can be configured with it


class Doors:
    """The HTTP door of an engine, open or closed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._door: HttpDoor | None = None
        self._opening = anyio.Lock()
        self._wanted = anyio.Event()
        self._done = anyio.Event()
        self._done.set()

    @property
    def url(self) -> str | None:
        """Return where the door is open; None while it is closed."""
        return self._door.url if self._door is not None else None

    async def run(self) -> None:
        """Serve each door that is opened, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            assert self._door is not None
            try:
                await self._door.serve_until_closed()
            finally:
                self._door = None
                self._done.set()

    async def open(self, host: str, port: int) -> str:
        """Open the door and return its URL; where a door is still closing, wait for its end first.

        Raises:
            InvalidInput: it is open already, the host is not loopback, or the port is taken.
        """
        async with self._opening:
            if self._door is not None and self._door.should_exit:
                await self._done.wait()
            if self._door is not None:
                raise InvalidInput(
                    f"The HTTP door is open already, at {self._door.url}: use that one, or close it first."
                )
            return await self._opened(host, port)

    async def _opened(self, host: str, port: int) -> str:
        # Imported here: only those who want HTTP need uvicorn and starlette.
        from knowledge_core.serving.http.http_door import HttpDoor, http_app, loopback_socket

        listener = loopback_socket(host, port)
        server = application(self._engine)
        changed = telling_of_changes(server, asyncio.get_running_loop())
        self._engine.listeners.append(changed)
        self._door = door = HttpDoor(
            http_app(server, listener.getsockname()[1]), listener, closed=lambda: self._engine.listeners.remove(changed)
        )
        self._done = anyio.Event()
        self._wanted.set()
        while not door.started and not self._done.is_set():
            await anyio.sleep(0.01)
        if not door.started:
            raise InvalidInput("The HTTP door could not be opened; see `kcore logs`.")
        return door.url

    def close(self) -> None:
        """Begin to close the door, if it is open."""
        if self._door is not None:
            self._door.close()

    async def closed(self) -> None:
        """Wait until the door is closed."""
        await self._done.wait()

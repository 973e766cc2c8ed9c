"""Opening and closing the HTTP door of a running engine: one at a time, in a task of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.serving.http.tokens import TokenStore
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.resources import telling_of_changes

if TYPE_CHECKING:
    from knowledge_core.serving.http.http_door import HttpDoor


@dataclass(frozen=True)
class OpenDoor:
    """A door that is open.

    Attributes:
        url: where.
        token: what opens it; None: nothing is asked.
        token_file: where that token lies.
        notice: what a person must be told; "" for nothing.
        by_another: another command opened it, and only the token is new.
    """

    url: str
    token: str | None
    token_file: str | None
    notice: str = ""
    by_another: bool = False


class Doors:
    """The HTTP door of an engine, open or closed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tokens = TokenStore(engine.home)
        self._asks = True
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

    @property
    def asks_for_token(self) -> bool:
        """Say whether the door that is open asks for a token."""
        return self._asks

    async def open(self, host: str, port: int, *, token: bool = True, new_token: bool = False) -> OpenDoor:
        """Open the door; where a door is still closing, wait for its end first.

        token: ask for a token. new_token: replace it first; where another command keeps the door open, that is all.

        Raises:
            InvalidInput: it is open already, the host is not loopback, or the port is taken.
            StorageError: the file with the token cannot be used.
        """
        from knowledge_core.serving.http.http_door import is_loopback

        if not token and not is_loopback(
            host
        ):  # a rule of its own: it holds whatever may open beyond this machine later
            raise InvalidInput(
                f"A door with --no-token never opens beyond this machine, and {host} is reachable from others. Leave out "
                "--host: then it opens on 127.0.0.1."
            )
        async with self._opening:
            if self._door is not None and self._door.should_exit:
                await self._done.wait()
            if self._door is not None and not new_token:
                raise InvalidInput(
                    f"The HTTP door is open already, at {self._door.url}: use that one, or close it first."
                )
            if self._door is not None:
                made = await anyio.to_thread.run_sync(self._tokens.replace)
                open_to_all = (
                    "" if self._asks else "The door that is open asks for no token: it was opened with --no-token."
                )
                return OpenDoor(self._door.url, made, str(self._tokens.path), open_to_all, by_another=True)
            return await self._opened(host, port, asks=token, new_token=new_token)

    async def _opened(self, host: str, port: int, *, asks: bool, new_token: bool) -> OpenDoor:
        # Imported here: only those who want HTTP need uvicorn and starlette.
        from knowledge_core.serving.http.http_door import HttpDoor, http_app, loopback_socket

        listener = loopback_socket(host, port)
        try:
            token, notice = await anyio.to_thread.run_sync(self._token, new_token) if asks else (None, "")
        except BaseException:
            listener.close()
            raise
        server = application(self._engine)
        changed = telling_of_changes(server, asyncio.get_running_loop())
        self._engine.listeners.append(changed)
        self._door = door = HttpDoor(
            http_app(server, *listener.getsockname()[:2], tokens=self._tokens if asks else None),
            listener,
            closed=lambda: self._engine.listeners.remove(changed),
        )
        self._asks = asks
        self._done = anyio.Event()
        self._wanted.set()
        try:
            while not door.started and not self._done.is_set():
                await anyio.sleep(0.01)
        except BaseException:  # whoever asked for it has left: nobody would close it
            door.close()
            raise
        if not door.started:
            raise InvalidInput("The HTTP door could not be opened; see `kcore logs`.")
        return OpenDoor(door.url, token, str(self._tokens.path) if asks else None, notice)

    def _token(self, new: bool) -> tuple[str, str]:
        if new:
            return self._tokens.replace(), ""
        opened = self._tokens.open()
        return opened.token, opened.notice

    def close(self) -> None:
        """Begin to close the door, if it is open."""
        if self._door is not None:
            self._door.close()

    async def closed(self) -> None:
        """Wait until the door is closed."""
        await self._done.wait()

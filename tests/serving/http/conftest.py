"""A door in the test's own event loop, and requests written byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from knowledge_core.engine import Engine
from knowledge_core.serving.http.doors import Doors, OpenDoor

INITIALIZE = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}).encode()  # fmt: skip
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def answer(self) -> Answered:
        with anyio.fail_after(20):
            status, headers = await self.head()
            if "content-length" in headers:
                return Answered(status, headers, await self.reader.readexactly(int(headers["content-length"])))
            return Answered(status, headers, await self.rest())

    async def rest(self) -> bytes:
        """Return what comes until an empty chunk."""
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).strip() or b"0", 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        return body

    async def ended(self, seconds: float = 20.0) -> bytes:
        """Return what still comes until the other side closes."""
        with anyio.fail_after(seconds):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


class Caller:
    """Makes requests to one door. token: what they show; None: nothing."""

    def __init__(self, opened: OpenDoor) -> None:
        self.token = opened.token
        self.port = int(opened.url.rpartition(":")[2].partition("/")[0])
        self._open: list[Raw] = []

    async def connection(self) -> Raw:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._open.append(Raw(reader, writer))
        return self._open[-1]

    def head(self, method: str = "POST", path: str = "/mcp", **headers: str | None) -> bytes:
        """Return the head of a request. headers: by their names with _ for -; None leaves one out."""
        given: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", **JSON}
        if self.token is not None:
            given["Authorization"] = f"Bearer {self.token}"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()

    async def ask(self, body: bytes = INITIALIZE, method: str = "POST", **headers: str | None) -> Answered:
        raw = await self.connection()
        await raw.send(self.head(method, Content_Length=str(len(body)), **headers) + body)
        return await raw.answer()

    @asynccontextmanager
    async def client(self, mode: str) -> AsyncIterator[Client]:
        """Connect the official client, which shows the present token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"http://127.0.0.1:{self.port}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client

    def close(self) -> None:
        for each in self._open:
            each.writer.close()


OpenDoorOf = Callable[..., AbstractAsyncContextManager[tuple[Doors, Caller]]]


@pytest.fixture
def door_of(engine: Engine) -> OpenDoorOf:
    """Open a door of the engine until the end of the block. options: those of `Doors.open`."""

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[tuple[Doors, Caller]]:
        async with anyio.create_task_group() as tasks:
            doors = Doors(engine)
            tasks.start_soon(doors.run)
            caller = Caller(await doors.open("127.0.0.1", 0, **options))
            try:
                yield doors, caller
            finally:
                caller.close()
                doors.close()
                with anyio.CancelScope(shield=True):
                    await doors.closed()
                tasks.cancel_scope.cancel()

    return opened

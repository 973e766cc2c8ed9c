"""The command line's own MCP client. It gets the same tools and results as every other client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, Request, Result, TextContent

from knowledge_core.errors import KnowledgeCoreError, OwnerUnavailable
from knowledge_core.serving.pipe.dialling import Link
from knowledge_core.serving.surface.private_names import PREFIX, PrivateParams

OnProgress = Callable[[float, float | None, str], None]


class Refused(KnowledgeCoreError):
    """The server refused a call; the message is the server's own."""


class _AnyResult(Result):
    model_config = {**Result.model_config, "extra": "allow"}


class Connection:
    """An open connection to the server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(self, tool: str, arguments: dict[str, Any], on_progress: OnProgress | None = None) -> Answer:
        """Call a tool. Arguments that are None are left out.

        Raises:
            Refused: the call failed; the tool's own words.
            OwnerUnavailable: the owner ended during the call.
        """

        async def told(progress: float, total: float | None, message: str | None) -> None:
            if on_progress is not None:
                on_progress(progress, total, message or "")

        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            result = await self._client.call_tool(tool, given, progress_callback=told)
        except MCPError as error:
            raise _translated(error) from error
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        if result.is_error:
            raise Refused(text)
        return Answer(text, result.structured_content or {})

    async def ask(self, request: str, on_progress: OnProgress | None = None, **arguments: Any) -> dict[str, Any]:
        """Make a private request; arguments that are None are left out. Returns its result as plain JSON values.

        Raises:
            Refused: the request failed; the server's own words.
            OwnerUnavailable: the owner ended during the request.
        """

        async def told(progress: float, total: float | None, message: str | None) -> None:
            if on_progress is not None:
                on_progress(progress, total, message or "")

        params = PrivateParams(arguments={name: value for name, value in arguments.items() if value is not None})
        try:
            result = await self._client.session.send_request(
                Request[PrivateParams, str](method=PREFIX + request, params=params),
                _AnyResult,
                progress_callback=told if on_progress else None,
            )
        except MCPError as error:
            raise _translated(error) from error
        return result.model_extra or {}


def _translated(error: MCPError) -> KnowledgeCoreError:
    if error.code == CONNECTION_CLOSED:
        return OwnerUnavailable(
            "The owner process ended during this call; `kcore logs` may say why. What had been acknowledged is stored, "
            "and jobs go on with the next owner: run the command again."
        )
    return Refused(str(error))


class Answer:
    """A tool's result: the text that a model reads, and the structured content."""

    def __init__(self, text: str, structure: dict[str, Any]) -> None:
        self.text = text
        self.structure = structure


@asynccontextmanager
async def to_owner(link: Link) -> AsyncIterator[Connection]:
    """Speak MCP over a connection that the owner welcomed, until the end of the block.

    Raises:
        OwnerUnavailable: the owner ended in the middle of a call.
    """
    from knowledge_core.serving.message_streams import MessageSocket

    reader, writer = await asyncio.open_connection(sock=link.socket)
    async with Client(MessageSocket(reader, writer).streams()) as client:
        yield Connection(client)


@asynccontextmanager
async def in_process(home: Path, config: str | None, command: str) -> AsyncIterator[Connection]:
    """Hold the data directory and connect to it within this process, until the end of the block.

    Raises:
        DataDirectoryHeld, StorageError: see `paths.OwnerLock`.
    """
    from knowledge_core.config import load_config
    from knowledge_core.engine import Engine
    from knowledge_core.serving.logs import log_to_stderr
    from knowledge_core.serving.surface.application import application

    log_to_stderr(logging.WARNING)
    engine = Engine(home, load_config(home, config), command=command, config_file=config)
    try:
        async with Client(application(engine, for_cli=True)) as client:
            yield Connection(client)
    finally:
        await anyio.to_thread.run_sync(engine.close)

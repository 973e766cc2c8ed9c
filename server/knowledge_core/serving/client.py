"""The command line's own MCP client: the same tools and results as every other client's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Request, Result, TextContent

from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.serving.application import application
from knowledge_core.serving.private import PREFIX, PrivateParams

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
            Refused: the tool's own words.
        """

        async def told(progress: float, total: float | None, message: str | None) -> None:
            if on_progress is not None:
                on_progress(progress, total, message or "")

        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            result = await self._client.call_tool(tool, given, progress_callback=told)
        except MCPError as error:
            raise Refused(str(error)) from error
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        if result.is_error:
            raise Refused(text)
        return Answer(text, result.structured_content or {})

    async def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Make a private request.

        Raises:
            Refused: the server's own words.
        """
        params = PrivateParams(arguments={name: value for name, value in arguments.items() if value is not None})
        try:
            result = await self._client.session.send_request(
                Request[PrivateParams, str](method=PREFIX + request, params=params), _AnyResult
            )
        except MCPError as error:
            raise Refused(str(error)) from error
        return result.model_extra or {}


class Answer:
    """A tool's result: text as a model reads it, and the structure."""

    def __init__(self, text: str, structure: dict[str, Any]) -> None:
        self.text = text
        self.structure = structure


@asynccontextmanager
async def in_process(home: Path, config: Config, command: str) -> AsyncIterator[Connection]:
    """Hold the data directory and connect to it within this process, until the end of the block.

    Raises:
        DataDirectoryHeld, StorageError: see `paths.OwnerLock`.
    """
    engine = Engine(home, config, command=command)
    try:
        async with Client(application(engine, for_cli=True)) as client:
            yield Connection(client)
    finally:
        await anyio.to_thread.run_sync(engine.close)

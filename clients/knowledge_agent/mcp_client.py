"""The connection to the knowledge server, over MCP: stdio (`kcore serve`) or streamable HTTP. Survives its restarts.

Rules kept here:
- the SDK's client lives in a task of its own: when a server dies, the SDK cancels the task that opened the client and
  raises exception groups, and neither may reach the caller;
- a lost connection is opened again; the call is repeated only if the tool is declared read-only or idempotent;
- a server that this process starts gets no Anthropic key;
- the token of an HTTP door comes from the environment: an argument could be read by every user of the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, CallToolResult, TextContent, Tool

from knowledge_agent.errors import ServerUnavailable, ToolFailed, WrongSetup
from knowledge_agent.types import ToolSpec

PATIENCE = 15.0  # seconds to reconnect to a server that was lost; `kcore serve` and its owner start in two to four
FIRST_PATIENCE = 2.0  # seconds to reach a server for the first time; a wrong address or command will not get better
START = 60.0  # seconds for one attempt to connect; a server that is started may load from a cold disk
TOKEN_VARIABLE = "KNOWLEDGE_AGENT_TOKEN"  # what an HTTP door asks for
_T = TypeVar("_T")
_LOST = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, httpx2.HTTPError, OSError)


@dataclass(frozen=True)
class Given:
    """A tool's result: the text that a model reads, and the structured content."""

    text: str
    structure: Mapping[str, Any]


class _Lost(Exception):
    """The connection ended before the answer came."""


class _Session:
    """One SDK client in a task of its own."""

    def __init__(self, transport: Callable[[], Any]) -> None:
        self._transport = transport
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        try:
            async with Client(self._transport()) as client:
                self._opened.set_result(client)
                await self._closing.wait()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  a lost connection makes the SDK cancel this
            if not self._opened.done():
                self._opened.set_exception(_Lost(_reason(error)))

    async def opened(self) -> Client:
        async with asyncio.timeout(START):
            return await asyncio.shield(self._opened)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
        return await self._raced(self._opened.result().call_tool(tool, dict(arguments)))

    async def tools(self) -> list[Tool]:
        found: list[Tool] = []
        cursor = None
        while True:
            page = await self._raced(self._opened.result().list_tools(cursor=cursor))
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                return found

    async def _raced(self, request: Coroutine[Any, Any, _T]) -> _T:
        """Await a request, but not longer than the client is connected."""
        asked = asyncio.ensure_future(request)
        try:
            await asyncio.wait({asked, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise _Lost("the connection ended during the call")
            return asked.result()
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or (error.code == INVALID_REQUEST and "terminated" in str(error)):
                raise _Lost(str(error)) from error
            raise
        except _LOST as error:
            raise _Lost(_reason(error)) from error
        finally:
            if not asked.done():
                asked.cancel()
                with contextlib.suppress(BaseException):
                    await asked

    async def close(self) -> None:
        self._closing.set()
        if not self._opened.done():
            self._task.cancel()
        await asyncio.wait({self._task}, timeout=10)
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()  # retrieved, or asyncio would log it as never retrieved


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


class ServerConnection:
    """A connection to a knowledge server, opened by its first call and again whenever it was lost. Made by `connected`.

    name: what errors call the server, as the beginning of a sentence. hint: what may help where it cannot be reached.
    """

    def __init__(self, transport: Callable[[], Any], name: str, hint: Callable[[], str] = lambda: "") -> None:
        self._transport = transport
        self._name = name
        self._hint = hint
        self._session: _Session | None = None
        self._was_open = False
        self._repeatable: frozenset[str] = frozenset()

    async def tools(self) -> list[ToolSpec]:
        """Return the server's tools, in its order."""
        listed = await self._surely(lambda session: session.tools(), repeat=True)
        specs = [_spec(tool) for tool in listed]
        self._repeatable = frozenset(spec.name for spec in specs if spec.read_only or spec.idempotent)
        return specs

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Given:
        """Call a tool.

        Raises:
            ToolFailed: the tool refused; the server's own words.
            ServerUnavailable: the server was lost and did not come back, or was lost during a call that must not be
                made twice.
        """
        try:
            result = await self._surely(lambda session: session.call(tool, arguments), repeat=tool in self._repeatable)
        except MCPError as error:
            raise ToolFailed(str(error)) from error
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        if result.is_error:
            raise ToolFailed(text)
        return Given(text, result.structured_content or {})

    async def _surely(self, ask: Callable[[_Session], Coroutine[Any, Any, _T]], *, repeat: bool) -> _T:
        """Ask; where the connection is lost, open it again and ask again, for at most `PATIENCE` seconds.

        repeat: whether a request that may have reached the server is sent again.
        """
        deadline = time.monotonic() + (PATIENCE if self._was_open else FIRST_PATIENCE)
        pause = 0.1
        while True:
            asked = False
            session = self._current()
            try:
                await session.opened()
                self._was_open = asked = True
                return await ask(session)
            except (_Lost, TimeoutError) as lost:
                await self._drop(session)
                if asked and not repeat:
                    raise ServerUnavailable(
                        f"{self._name} was lost during a call that changes something ({lost}). Look whether it was done "
                        "before you ask again."
                    ) from lost
                if time.monotonic() + pause > deadline:
                    raise ServerUnavailable(
                        f"{self._name} cannot be reached: {_reason(lost).rstrip('.')}.{self._hint()}"
                    ) from lost
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _current(self) -> _Session:
        if self._session is None:
            self._session = _Session(self._transport)
        return self._session

    async def _drop(self, session: _Session) -> None:
        if self._session is session:
            self._session = None
        await session.close()

    async def close(self) -> None:
        """Close the connection; a server that was started for it ends."""
        if self._session is not None:
            await self._drop(self._session)


def _spec(tool: Tool) -> ToolSpec:
    hints = tool.annotations
    read_only = bool(hints and hints.read_only_hint)
    idempotent = bool(hints and hints.idempotent_hint)
    return ToolSpec(tool.name, tool.description or "", tool.input_schema, read_only, idempotent)


@asynccontextmanager
async def connected(url: str | None = None, command: Sequence[str] | None = None) -> AsyncIterator[ServerConnection]:
    """Connect to a knowledge server until the end of the block: at a URL, or one that a command starts.

    The connection is opened by its first call, which raises `ServerUnavailable` if the server does not answer.
    command: its words; default `kcore serve`, the one installed beside this Python, else the one on PATH.

    Raises:
        WrongSetup: the URL is none, the token in the environment cannot be one, or there is no such command.
    """
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise WrongSetup(f"--server is {url!r}; it must be a URL like http://127.0.0.1:8765/mcp.")
        _token()  # one that cannot be sent is told now, and not as a server that does not answer
        refused: list[int] = []
        server = ServerConnection(
            lambda: _http(url, refused), f"The server at {url}", lambda: _about_token() if 401 in refused[-1:] else ""
        )
    else:
        words = list(command) if command else kcore_serve()
        if shutil.which(words[0]) is None:
            raise WrongSetup(f"There is no command {words[0]!r} to start the knowledge server with.")
        parameters = StdioServerParameters(command=words[0], args=words[1:], env=environment())
        server = ServerConnection(
            lambda: stdio_client(parameters, errlog=sys.__stderr__ or sys.stderr), f"The server `{' '.join(words)}`"
        )
    try:
        yield server
    finally:
        await server.close()


def _token() -> str:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise WrongSetup(
            f"{TOKEN_VARIABLE} holds characters that no token has. Copy the token from what `kcore serve --http` shows."
        )
    return token


@asynccontextmanager
async def _http(url: str, refused: list[int]) -> AsyncIterator[Any]:
    """Yield a transport. refused: receives the status of each request that was refused."""
    from mcp.client.streamable_http import streamable_http_client

    async def note(response: httpx2.Response) -> None:
        if response.status_code >= 400:
            refused.append(response.status_code)

    token = _token()
    async with (
        httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx2.Timeout(30, read=300),  # the SDK's own: a server may hold an answer's stream open
            event_hooks={"response": [note]},
        ) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


def _about_token() -> str:
    said = (
        "is not the one that it asks for" if os.environ.get(TOKEN_VARIABLE) else "is not set, and it asks for a token"
    )
    return f" {TOKEN_VARIABLE} {said}; `kcore serve --http` shows that."


def kcore_serve() -> list[str]:
    """Return the command `kcore serve`, as its words: the one installed beside this Python, else the one on PATH.

    Raises:
        WrongSetup: there is neither.
    """
    beside = Path(sys.executable).parent / ("kcore.exe" if sys.platform == "win32" else "kcore")
    found = str(beside) if beside.exists() else shutil.which("kcore")
    if found is None:
        raise WrongSetup(
            "The command `kcore` is neither beside this Python nor on PATH. Install knowledge-core, or name a server: "
            "--server URL, or --server-command 'COMMAND ...'."
        )
    return [found, "serve"]


def environment() -> dict[str, str]:
    """Return the environment for a server that this process starts: its own, without Anthropic's variables.

    OPENAI_API_KEY stays, because an embedding endpoint may be configured to use it.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}

"""A socket as the pair of message streams that the MCP SDK speaks over, for the owner and for the command line.

Rules kept here:
- memory is bounded whatever the other side does: a line beyond `LineBuffer`'s limit is refused, reading stops while too
  many requests are unanswered, and writing waits until the other side reads;
- a line that is no message is answered with an error, not ignored: its client may be waiting for an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from knowledge_core.serving.pipe.lines import (
    CHUNK,
    INVALID_REQUEST,
    NO_MESSAGE,
    OURS,
    Id,
    LineBuffer,
    TooLong,
    call_key,
    error_line,
    is_id,
    parsed,
    refusal,
    too_long_message,
    unreadable,
)

MOST_UNANSWERED = 64  # requests under way per connection; beyond that its client waits

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]


def message_of(line: bytes) -> JSONRPCMessage | bytes:
    """Return the message in a line; where the line is no message, the lines that answer it (b"" if nothing does).

    pydantic refuses half a surrogate pair, which a client in JavaScript writes where it cuts a text within an emoji, and
    anything that nests more than 200 deep; and it takes a request whose id is null or a fraction for a notification.
    Python's `json` reads the first two, so it gets a second try: then a tool can say which argument is wrong.
    """
    with contextlib.suppress(ValidationError):
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        if not isinstance(message, JSONRPCNotification):
            return message
    try:
        said = parsed(line)
    except (ValueError, RecursionError) as error:
        return unreadable(line, error)
    if isinstance(said, dict) and OURS in said and "method" not in said:  # one of our own lines needs no answer
        return b""
    refused = refusal(said)
    return _validated(said) if refused is None else refused


def _validated(said: dict[str, Any]) -> JSONRPCMessage | bytes:
    try:
        return jsonrpc_message_adapter.validate_python(said, by_name=False)
    except ValidationError:
        id = said.get("id")
        if "method" in said:
            return error_line(id, INVALID_REQUEST, NO_MESSAGE)
        # An answer of the client that is none: what waits for it here gets an error instead of waiting on.
        wrong = ErrorData(code=INVALID_REQUEST, message="The client's answer was no JSON-RPC 2.0 answer.")
        return JSONRPCError(jsonrpc="2.0", id=id, error=wrong) if is_id(id) else b""


def line_of(message: JSONRPCMessage) -> bytes:
    """Return a message as a line, with its line end; half a surrogate pair (in a caller's own token) as an escape."""
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
    except ValueError:
        return json.dumps(message.model_dump(by_alias=True, exclude_unset=True), separators=(",", ":")).encode() + b"\n"


class MessageSocket:
    """A connected socket. The tasks that `streams` starts read and write it as messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._writing = anyio.Lock()
        self._unanswered: Counter[Id] = Counter()  # by `call_key`; a client may use an id twice
        self._room = anyio.Event()

    @property
    def unanswered(self) -> int:
        """Return the number of requests that were read and not answered yet."""
        return self._unanswered.total()

    async def write(self, line: bytes) -> None:
        """Write one whole line, and wait until the other side takes it. Where that side is gone, the line is dropped."""
        with contextlib.suppress(ConnectionError):
            async with self._writing:
                self._writer.write(line)
                await self._writer.drain()

    def close(self) -> None:
        """Close the socket, whatever is under way."""
        self._writer.close()

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Incoming, Outgoing]]:
        """Yield the streams for `Server.run` or `Client`."""
        to_sdk: MemoryObjectSendStream[SessionMessage | Exception]
        to_sdk, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, from_sdk = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, to_sdk)
            tasks.start_soon(self._write, from_sdk)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()
                incoming.close()
                outgoing.close()
                self.close()

    async def _read(self, to_sdk: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        buffer = LineBuffer()
        async with to_sdk:
            try:
                while data := await self._reader.read(CHUNK):
                    for line in buffer.feed(data):
                        await self._deliver(line, to_sdk)
            except (ConnectionError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the other side was killed, or this side has ended: handled alike

    async def _deliver(self, line: bytes | TooLong, to_sdk: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        if isinstance(line, TooLong):
            await self.write(error_line(line.id(), INVALID_REQUEST, too_long_message()))
            return
        message = message_of(line)
        if isinstance(message, bytes):
            await self.write(message)
            return
        if isinstance(message, JSONRPCRequest):
            await self._make_room(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._answered((message.params or {}).get("requestId"))  # a withdrawn request is never answered
        await to_sdk.send(SessionMessage(message))

    async def _make_room(self, id: Id) -> None:
        while self.unanswered >= MOST_UNANSWERED:
            self._room = anyio.Event()
            await self._room.wait()
        key = call_key(id)
        assert key is not None
        self._unanswered[key] += 1

    async def _write(self, from_sdk: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with from_sdk:
            async for each in from_sdk:
                message = each.message
                await self.write(line_of(message))
                if isinstance(message, JSONRPCResponse | JSONRPCError):
                    self._answered(message.id)

    def _answered(self, id: object) -> None:
        key = call_key(id)
        if key is not None and key in self._unanswered:
            self._unanswered[key] -= 1
            if not self._unanswered[key]:
                del self._unanswered[key]
            self._room.set()

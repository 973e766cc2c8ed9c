"""Reading one turn from a stream, whichever API sends it: the one retry that no SDK makes, and what a broken stream is told as.

The SDKs retry a request until its stream has begun. What breaks after that is read once more here, if no word of it was
shown: a user must not see the beginning of an answer twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from knowledge_agent.errors import ModelUnavailable
from knowledge_agent.models.chat_model import RETRIES


class PartialTurn(Protocol):
    """What has come of one turn so far."""

    shown: int
    """Characters that the user has seen."""

    @property
    def complete(self) -> bool:
        """Say whether the turn's end has come."""
        ...

    def hear(self, event: Any) -> None:
        """Take in one event of the stream."""
        ...

    def forget(self) -> None:
        """Begin again, with nothing of the turn."""
        ...


Stream = AbstractAsyncContextManager[AsyncIterable[Any]]


async def read_turn(
    begin: Callable[[], Awaitable[Stream]], turn: PartialTurn, *, is_break: Callable[[Exception], bool]
) -> None:
    """Read one turn to its end; once more where the stream broke before a word of it was shown.

    begin: sends the request; what it raises is not retried here. is_break: says of an error within the stream whether a
    second stream may do better.

    Raises:
        ModelUnavailable: the stream ended before the turn did. Otherwise what the SDK raised.
    """
    for last in (False, True):
        stream = await begin()
        try:
            async with stream as events:
                async for event in events:
                    turn.hear(event)
            if turn.complete:
                return
            raise ModelUnavailable(_cut(turn))
        except Exception as error:
            if last or turn.shown or not (isinstance(error, ModelUnavailable) or is_break(error)):
                raise
        turn.forget()


def broken(turn: PartialTurn, otherwise: str) -> ModelUnavailable:
    """Return the error of a stream that broke. otherwise: what it says where nothing of the turn was shown."""
    return ModelUnavailable(_cut(turn) if turn.shown else otherwise)


def unreachable(url: object, error: Exception) -> str:
    """Return what a user reads where the endpoint does not answer."""
    return f"The model's endpoint at {url} cannot be reached, {RETRIES} retries included: {error}"


def _cut(turn: PartialTurn) -> str:
    return f"The stream of the model's endpoint was cut after {turn.shown} characters. Ask again."

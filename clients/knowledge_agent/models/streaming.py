"""Reading one turn from the stream of any API: the retry that no SDK makes, and the errors of a broken stream.

The SDKs retry a request until its stream has begun. A stream that breaks after that is requested once more here, but only
if no word of it was shown: a user must not see the beginning of an answer twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from knowledge_agent.errors import ModelUnavailable
from knowledge_agent.models.chat_model import RETRIES


class PartialTurn(Protocol):
    """One turn, as far as it has been received."""

    shown: int
    """Characters that the user has seen; never reset."""

    @property
    def complete(self) -> bool:
        """Say whether the end of the turn has been received."""
        ...

    def hear(self, event: Any) -> None:
        """Process one event of the stream."""
        ...

    def forget(self) -> None:
        """Drop everything received, so that the turn can be read from its start again."""
        ...


Stream = AbstractAsyncContextManager[AsyncIterable[Any]]


async def read_turn(
    begin: Callable[[], Awaitable[Stream]], turn: PartialTurn, *, is_break: Callable[[Exception], bool]
) -> None:
    """Read one turn to its end; once more where the stream broke before a word of it was shown.

    begin: sends the request; its errors are not retried here.
    is_break: says of an error within the stream whether a second stream may do better.

    Raises:
        ModelUnavailable: the stream ended before the turn did. The SDK's own errors pass through.
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
    """Return the error for a turn that was not read to its end. otherwise: its message where nothing was shown yet."""
    return ModelUnavailable(_cut(turn) if turn.shown else otherwise)


def unreachable(url: object, error: Exception) -> str:
    """Return the message for an endpoint that does not answer."""
    return f"The model's endpoint at {url} cannot be reached, {RETRIES} retries included: {error}"


def _cut(turn: PartialTurn) -> str:
    return f"The stream of the model's endpoint was cut after {turn.shown} characters. Ask again."

"""The interface to generative models: what the agent needs of one, and what all implementations share.

Two implementations: `anthropic_model` (Messages API) and `openai_model` (chat completions, spoken by many servers).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from knowledge_agent.types import Message, OnEvent, Reply, ToolCall, ToolSpec

# Retries of a request that was refused for load (429, 5xx) or did not arrive. The SDKs wait as `retry-after` says, else
# exponentially from half a second. Their own default is 2; one more outlasts an overload of some seconds.
RETRIES = 3


class ChatModel(Protocol):
    """A generative model behind an endpoint."""

    name: str

    async def reply(
        self,
        system: str,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_event: OnEvent,
        *,
        max_tokens: int,
        may_call: bool = True,
    ) -> Reply:
        """Return the model's next turn; its text is passed to `on_event` piece by piece as it arrives.

        system: instructions before the conversation.
        messages: the conversation so far; the last one is the user's, or results of tools.
        tools: what the model may call.
        max_tokens: of this turn.
        may_call: False where the tools are only listed because earlier turns used them.

        Raises:
            ModelUnavailable: there is no whole reply; the message says what to do.
            NoToolCalls: the endpoint or the model refuses requests with tools.
            WrongSetup: the key was not accepted.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def tool_call(id: str, name: str, written: str) -> ToolCall:
    """Return the call for arguments that a model wrote as JSON; `problem` says what is wrong with them.

    >>> tool_call("1", "search", '{"query": "x"}').arguments
    {'query': 'x'}
    >>> tool_call("1", "search", '{"query": ').problem[:32]
    'The arguments are no valid JSON '
    """
    try:
        arguments: Any = json.loads(written or "{}")
    except (ValueError, RecursionError) as error:
        return ToolCall(id, name, {}, f"The arguments are no valid JSON ({error}). Call again with a JSON object.")
    if not isinstance(arguments, Mapping):
        return ToolCall(id, name, {}, "The arguments are JSON, but no object. Call again with a JSON object.")
    return ToolCall(id, name, arguments)


def refusal_of(status: int, said: str, model: str, key: str) -> str:
    """Return the message for an HTTP error of the endpoint. key: the environment variable that holds the key."""
    advice = {
        400: "The request was not accepted; if it is about length, ask for less with --context-tokens.",
        401: f"The key was not accepted: check {key}.",
        402: "The account has no credit.",
        403: f"The key in {key} may not use this model.",
        404: f"There is no model {model!r} at this endpoint, or --base-url is wrong (it often ends in /v1).",
        413: "The request is too large; lower --context-tokens.",
        429: f"Too many requests, {RETRIES} retries included. Wait, or use another model.",
        529: f"The endpoint is overloaded, {RETRIES} retries included. Try again later.",
    }
    if 300 <= status < 400:
        return f"The model's endpoint answered {status}, a redirect, which is not followed: give its address by --base-url."
    default = f"The endpoint failed, {RETRIES} retries included. Try again later." if status >= 500 else ""
    return f"The model's endpoint answered {status}: {said[:500]} {advice.get(status, default)}".rstrip()

"""The MCP server class: the SDK's, with what the specification demands and the SDK leaves out.

- an unknown tool is a protocol error (-32602), an unknown argument an error with "did you mean";
- arguments are taken as hosts send them (`arguments.py`), and wrong ones give one clean line each, not a dump;
- a `KnowledgeCoreError` reaches the model in its own words; any other error as a generic line, with the details in the log;
- schemas are such that every host can read them (`schemas.py`), and input schemas say `additionalProperties: false`.

`low_level` and `events` reach into private parts of the SDK; tests fail if these parts change.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ToolError, UnexpectedToolError
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    Icon,
    InputRequiredResult,
    ToolAnnotations,
)
from pydantic import ValidationError

from knowledge_core.errors import LONGEST_QUOTED, KnowledgeCoreError, quoted
from knowledge_core.files import no_descriptor, out_of_descriptors
from knowledge_core.language.printable import printable
from knowledge_core.near_names import did_you_mean
from knowledge_core.serving.logs import current_request
from knowledge_core.serving.surface.arguments import (
    as_meant,
    as_named,
    unknown_argument,
    wrong_arguments,
)
from knowledge_core.serving.surface.schemas import outline, plain

log = logging.getLogger(__name__)

LONGEST_ERROR = 2_000  # characters; a longer message repeats a value of the caller's


class _AsSent(FuncMetadata):
    """A tool's arguments by our rules, not by the SDK's, which parses every text that looks like JSON."""

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        return as_meant(data, self._schema)

    @cached_property
    def _schema(self) -> dict[str, Any]:
        return plain(self.arg_model.model_json_schema(by_alias=True))


class KnowledgeServer(MCPServer[dict[str, Any]]):
    """An MCP server whose every refusal says what is wrong, which value, and what to do next."""

    def add_tool(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: list[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        structured_output: bool | None = None,
    ) -> None:
        """Add a tool, with schemas that every host can read and arguments as hosts send them."""
        super().add_tool(fn, name, title, description, annotations, icons, meta, structured_output)
        tool = self._tool_manager.get_tool(name or fn.__name__)
        assert tool is not None
        tool.parameters = {**plain(tool.parameters), "additionalProperties": False}
        made = tool.fn_metadata
        tool.fn_metadata = _AsSent(
            arg_model=made.arg_model,
            output_schema=None if made.output_schema is None else outline(made.output_schema),
            output_model=made.output_model,
            wrap_output=made.wrap_output,
        )

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; every failure that the caller can correct is a `ToolError` with one clean text.

        Raises:
            MCPError: there is no such tool (-32602).
            ToolError: the arguments are wrong, or the tool refused.
        """
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            known = [each.name for each in self._tool_manager.list_tools()]
            raise MCPError(
                INVALID_PARAMS,
                f"Unknown tool {quoted(name)}.{did_you_mean(name[:LONGEST_QUOTED], known)} There are: {', '.join(known)}.",
            )
        arguments = as_named(arguments, tool.parameters)
        if unknown := unknown_argument(name, arguments, list(tool.parameters.get("properties", {}))):
            raise ToolError(unknown)
        began = time.perf_counter()
        if context is not None:
            current_request.set(context.request_id)
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            if isinstance(error.__cause__, KnowledgeCoreError):
                raise ToolError(_bounded(str(error.__cause__))) from error
            if error.__cause__ is not None and out_of_descriptors(error.__cause__):
                raise ToolError(no_descriptor("to answer this call")) from error
            raise
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_bounded(wrong_arguments(name, error.__cause__))) from None
            raise ToolError(_bounded(str(error).removeprefix(f"Error executing tool {name}: "))) from error
        finally:
            log.info("%s in %.0f ms", name, 1e3 * (time.perf_counter() - began))

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[dict[str, Any], Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Render a prompt.

        Raises:
            MCPError: there is no such prompt, or an argument is lacking or unknown (-32602).
        """
        prompt = next((each for each in await self.list_prompts() if each.name == name), None)
        if prompt is None:
            known = [each.name for each in await self.list_prompts()]
            raise MCPError(
                INVALID_PARAMS,
                f"Unknown prompt {quoted(name)}.{did_you_mean(name[:LONGEST_QUOTED], known)} There are: {', '.join(known)}.",
            )
        given, declared = arguments or {}, prompt.arguments or []
        for argument in declared:
            if argument.required and argument.name not in given:
                raise MCPError(INVALID_PARAMS, f"The prompt {name} needs the argument {argument.name!r}.")
        names = [argument.name for argument in declared]
        for wrong in given:
            if wrong not in names:
                hint = f"{did_you_mean(wrong[:LONGEST_QUOTED], names)} Its arguments: {', '.join(names)}."
                raise MCPError(INVALID_PARAMS, f"The prompt {name} has no argument {quoted(wrong)}.{hint}")
        return await super().get_prompt(name, arguments, context)

    @property
    def events(self) -> SubscriptionBus:
        """Return the bus on which changes are published for subscribed clients."""
        return self._subscriptions

    def low_level(self) -> Server[dict[str, Any]]:
        """Return the SDK's server for one pair of message streams (a socket's, a pipe's)."""
        return self._lowlevel_server


def _bounded(message: str) -> str:
    """Return an error's text, without its middle if it is too long for a model's context."""
    message = printable(message)
    if len(message) <= LONGEST_ERROR:
        return message
    return f"{message[: LONGEST_ERROR // 2]} … {message[-LONGEST_ERROR // 2 :]}"


async def bounding_errors(ctx: ServerRequestContext[object], call_next: CallNext) -> HandlerResult:
    """Bound every protocol error, whoever raised it, over every door: a middleware.

    The SDK repeats an unknown method and a resource's address whole. What nobody translated is told by a generic line, since
    its own text may quote what it read; the log has its traceback.
    """
    try:
        return await call_next(ctx)
    except MCPError as error:
        data = error.error.data
        long = data is not None and len(json.dumps(data, default=str)) > LONGEST_ERROR
        kept = (quoted(data) if isinstance(data, str) else None) if long else data
        raise MCPError(error.error.code, _bounded(error.error.message), kept) from error
    except (KnowledgeCoreError, ToolError, ResourceError, ValidationError):
        raise
    except Exception as error:
        log.exception("a request failed")
        raise MCPError(INTERNAL_ERROR, "An unexpected error; `kcore logs` has the details.") from error

"""The MCP server class: the SDK's, with what the specification asks and the SDK leaves out.

- an unknown tool is a protocol error (-32602), an unknown argument an error with "did you mean";
- wrong arguments give one clean line each, not a dump;
- a `KnowledgeCoreError` reaches the model as its own text; anything else as a generic line, with the log saying more;
- input schemas say `additionalProperties: false` and carry no `title` noise.

`low_level` and `events` are the places that reach into the SDK's private parts; tests watch over them.
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult
from mcp_types import Tool as ListedTool
from pydantic import ValidationError

from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.serving.logs import current_request

log = logging.getLogger(__name__)

SYNONYMS: Mapping[str, str] = {
    # What models carry over from other search tools; each is tried only where the tool has the right-hand name.
    "top_k": "limit", "k": "limit", "n": "limit", "n_results": "limit", "max_results": "limit", "num_results": "limit",
    "count": "limit", "size": "limit", "text": "query", "q": "query", "question": "query", "input": "texts",
    "collection_name": "collection", "namespace": "collection", "index": "collection", "index_name": "collection",
    "document": "id", "document_id": "id", "doc_id": "id", "path": "paths", "file": "paths", "folder": "paths",
    "where": "filter", "filters": "filter", "content": "documents", "job_id": "id", "timeout": "wait_seconds",
    "num_clusters": "k", "n_clusters": "k", "threshold": "similarity", "min_similarity": "similarity",
    "categories": "labels", "classes": "labels", "page_token": "cursor", "offset": "cursor",
}  # fmt: skip


class KnowledgeServer(MCPServer[dict[str, Any]]):
    """An MCP server that teaches: every refusal says what, which value, and what to do next."""

    async def list_tools(self) -> list[ListedTool]:
        """List the tools with clean schemas."""
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema = {**compact(tool.input_schema), "additionalProperties": False}
            if tool.output_schema is not None:
                tool.output_schema = outline(tool.output_schema)
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[dict[str, Any], Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; every failure that a caller can mend is a `ToolError` of one clean text.

        Raises:
            MCPError: there is no such tool (-32602).
            ToolError: the arguments are wrong, or the tool refused.
        """
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            known = [each.name for each in self._tool_manager.list_tools()]
            raise MCPError(
                INVALID_PARAMS, f"Unknown tool {name!r}.{_did_you_mean(name, known)} There are: {', '.join(known)}."
            )
        refuse_unknown_arguments(name, arguments, list(tool.parameters.get("properties", {})))
        began = time.perf_counter()
        if context is not None:
            current_request.set(context.request_id)
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            if isinstance(error.__cause__, KnowledgeCoreError):
                raise ToolError(str(error.__cause__)) from error
            raise
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_first_wrong_argument(name, error.__cause__)) from None
            raise ToolError(str(error).removeprefix(f"Error executing tool {name}: ")) from error
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
                INVALID_PARAMS, f"Unknown prompt {name!r}.{_did_you_mean(name, known)} There are: {', '.join(known)}."
            )
        given, declared = arguments or {}, prompt.arguments or []
        for argument in declared:
            if argument.required and argument.name not in given:
                raise MCPError(INVALID_PARAMS, f"The prompt {name} needs the argument {argument.name!r}.")
        names = [argument.name for argument in declared]
        for wrong in given:
            if wrong not in names:
                hint = f"{_did_you_mean(wrong, names)} Its arguments: {', '.join(names)}."
                raise MCPError(INVALID_PARAMS, f"The prompt {name} has no argument {wrong!r}.{hint}")
        return await super().get_prompt(name, arguments, context)

    @property
    def events(self) -> SubscriptionBus:
        """Return where changes are published for the clients that listen for them."""
        return self._subscriptions

    def low_level(self) -> Server[dict[str, Any]]:
        """Return the SDK's server for one pair of message streams (a socket's, a pipe's)."""
        return self._lowlevel_server


def refuse_unknown_arguments(tool: str, given: Mapping[str, object], known: list[str]) -> None:
    """Raise for the first argument that the tool does not have, naming the likeliest that it has."""
    for name in given:
        if name not in known:
            meant = SYNONYMS.get(name, "")
            hint = f" Did you mean {meant!r}?" if meant in known else _did_you_mean(name, known)
            there_are = ", ".join(known) or "none"
            raise ToolError(f"{tool} has no argument {name!r}.{hint} Its arguments: {there_are}.")


def outline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client may rely on in a result: the names of its parts, and of what type each is.

    No more, because it is in every model's context: what is inside of `hits` and `clusters` a model sees in the result.
    """
    parts = compact(schema)["properties"]
    types = {name: part.get("type", "object") for name, part in parts.items()}
    return {"type": "object", "properties": {name: {"type": type} for name, type in types.items()}}


def compact(schema: Any) -> Any:
    """Return a JSON schema without what pydantic adds and no client needs: it is in every model's context.

    Titles go; "a value or null, by default null" becomes the value's own schema (left out means null).
    """
    if isinstance(schema, list):
        return [compact(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = dict(schema)
    options = kept.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options and len(options) == 2:
        del kept["anyOf"]
        kept = next(option for option in options if option != {"type": "null"}) | kept
    if kept.get("additionalProperties") is True:  # which is what leaving it out means
        del kept["additionalProperties"]
    if "default" in kept and kept["default"] in (None, "", [], {}):
        del kept["default"]
    # A property may itself be called "title": only a string under that key is noise.
    return {key: compact(value) for key, value in kept.items() if key != "title" or not isinstance(value, str)}


def _did_you_mean(wrong: str, known: list[str]) -> str:
    close = difflib.get_close_matches(wrong, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _first_wrong_argument(tool: str, error: ValidationError) -> str:
    problems = []
    for each in error.errors()[:3]:
        # A union's member names are noise: "documents.0.id", not "documents.list[...].0.id".
        where = ".".join(str(part) for part in each["loc"] if isinstance(part, int) or str(part).isidentifier())
        found = "" if each["type"] == "missing" else f" (found {str(each['input'])[:60]!r})"
        problems.append(f"{where}: {each['msg']}{found}")
    return f"{tool} was called with wrong arguments. {'; '.join(dict.fromkeys(problems))}."

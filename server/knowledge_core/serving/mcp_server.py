"""The MCP server class: the SDK's, with what the specification asks and the SDK leaves out.

- an unknown tool is a protocol error (-32602), an unknown argument an error with "did you mean";
- wrong arguments give one clean line each, not a dump;
- a `KnowledgeCoreError` reaches the model as its own text; anything else as a generic line, with the log saying more;
- input schemas say `additionalProperties: false` and carry no `title` noise.

`low_level` is the one place that reaches into the SDK's private parts; a test watches over it.
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
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, InputRequiredResult
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
                tool.output_schema = compact(tool.output_schema, output=True)
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


def compact(schema: Any, *, output: bool = False) -> Any:
    """Return a JSON schema without what pydantic adds and no client needs: it is in every model's context.

    Titles go; "a value or null, by default null" becomes the value's own schema (left out means null). output: also
    without `required` and defaults, since a result that lacks a key is as good as one that has it empty.
    """
    if isinstance(schema, list):
        return [compact(each, output=output) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = dict(schema)
    options = kept.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options and len(options) == 2:
        del kept["anyOf"]
        kept = next(option for option in options if option != {"type": "null"}) | kept
    if kept.get("default", "") is None or (output and not isinstance(kept.get("default"), dict)):
        kept.pop("default", None)
    if output and isinstance(kept.get("required"), list):
        del kept["required"]
    # A property may itself be called "title": only a string under that key is noise.
    return {
        key: compact(value, output=output)
        for key, value in kept.items()
        if key != "title" or not isinstance(value, str)
    }


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

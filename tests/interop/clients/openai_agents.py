"""The OpenAI Agents SDK's MCP servers (no model is called)."""

import asyncio

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from told import DOCUMENTS, HEADERS, QUERY, STDIO, URL, check


async def main():
    for server in (
        MCPServerStdio(params={"command": STDIO[0], "args": STDIO[1:]}, client_session_timeout_seconds=90),
        MCPServerStreamableHttp(params={"url": URL, "headers": HEADERS}, client_session_timeout_seconds=90),
    ):
        async with server:
            tools = [tool.name for tool in await server.list_tools()]
            indexed = await server.call_tool(
                "index", {"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60}
            )
            found = await server.call_tool("search", {"query": QUERY, "collections": ["interop"]})
            wrong = await server.call_tool("search", {"qwery": QUERY})
            content = getattr(found, "structuredContent", None) or found.structured_content
            failed = getattr(wrong, "isError", None) or getattr(wrong, "is_error", None)
            check(tools, indexed is not None, content["hits"][0]["document"], failed and wrong.content[0].text)


asyncio.run(main())

"""LlamaIndex's MCP tools."""

import asyncio

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from told import DOCUMENTS, HEADERS, QUERY, STDIO, URL, check


async def main():
    for client in (
        BasicMCPClient(STDIO[0], args=STDIO[1:], timeout=90),
        BasicMCPClient(URL, timeout=90, headers=HEADERS),
    ):
        tools = [tool.metadata.name for tool in await McpToolSpec(client=client).to_tool_list_async()]
        indexed = await client.call_tool("index", {"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60})
        found = await client.call_tool("search", {"query": QUERY, "collections": ["interop"]})
        wrong = await client.call_tool("search", {"qwery": QUERY})
        refused = getattr(wrong, "is_error", None) or getattr(wrong, "isError", None)
        content = getattr(found, "structured_content", None) or found.structuredContent
        check(tools, indexed is not None, content["hits"][0]["document"], refused and wrong.content[0].text)


asyncio.run(main())

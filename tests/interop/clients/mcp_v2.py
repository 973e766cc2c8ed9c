"""The official Python SDK, version 2, in both protocol eras."""

import asyncio

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from told import DOCUMENTS, QUERY, STDIO, URL, check


async def main():
    for target in (StdioServerParameters(command=STDIO[0], args=STDIO[1:]), URL):
        for mode in ("legacy", "2026-07-28"):
            async with Client(target, mode=mode) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                call = {"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60}
                indexed = await client.call_tool("index", call)
                found = await client.call_tool("search", {"query": QUERY, "collections": ["interop"]})
                wrong = await client.call_tool("search", {"qwery": QUERY})
                best = found.structured_content["hits"][0]["document"]
                check(tools, not indexed.is_error, best, wrong.is_error and wrong.content[0].text)


asyncio.run(main())

"""The official Python SDK, version 1."""

import asyncio

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from told import DOCUMENTS, HEADERS, QUERY, STDIO, URL, check


async def talk(streams):
    async with ClientSession(streams[0], streams[1]) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        indexed = await session.call_tool(
            "index", {"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60}
        )
        found = await session.call_tool("search", {"query": QUERY, "collections": ["interop"]})
        wrong = await session.call_tool("search", {"qwery": QUERY})
        check(
            tools,
            not indexed.isError,
            found.structuredContent["hits"][0]["document"],
            wrong.isError and wrong.content[0].text,
        )


async def main():
    async with stdio_client(StdioServerParameters(command=STDIO[0], args=STDIO[1:])) as streams:
        await talk(streams)
    async with streamablehttp_client(URL, headers=HEADERS) as streams:
        await talk(streams)


asyncio.run(main())

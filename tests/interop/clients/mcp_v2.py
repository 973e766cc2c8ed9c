"""The official Python SDK, version 2, in both protocol eras."""

import asyncio
from contextlib import asynccontextmanager

import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from told import DOCUMENTS, HEADERS, QUERY, STDIO, URL, check


@asynccontextmanager
async def over_http():
    async with (
        httpx2.AsyncClient(headers=HEADERS, timeout=90) as http,
        streamable_http_client(URL, http_client=http) as streams,
    ):
        yield streams


async def main():
    for target in (lambda: stdio_client(StdioServerParameters(command=STDIO[0], args=STDIO[1:])), over_http):
        for mode in ("legacy", "2026-07-28"):
            async with Client(target(), mode=mode) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                call = {"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60}
                indexed = await client.call_tool("index", call)
                found = await client.call_tool("search", {"query": QUERY, "collections": ["interop"]})
                wrong = await client.call_tool("search", {"qwery": QUERY})
                best = found.structured_content["hits"][0]["document"]
                check(tools, not indexed.is_error, best, wrong.is_error and wrong.content[0].text)


asyncio.run(main())

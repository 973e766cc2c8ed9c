"""fastmcp's client."""

import asyncio

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from told import DOCUMENTS, HEADERS, QUERY, STDIO, URL, check


async def main():
    for target in (StdioTransport(command=STDIO[0], args=STDIO[1:]), StreamableHttpTransport(URL, headers=HEADERS)):
        async with Client(target) as client:
            tools = [tool.name for tool in await client.list_tools()]
            indexed = await client.call_tool(
                "index", {"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60}
            )
            found = await client.call_tool("search", {"query": QUERY, "collections": ["interop"]})
            wrong = await client.call_tool("search", {"qwery": QUERY}, raise_on_error=False)
            failed = getattr(wrong, "is_error", None)
            best = found.structured_content["hits"][0]["document"]
            check(tools, indexed is not None, best, failed and wrong.content[0].text)


asyncio.run(main())

"""LangChain's MCP adapters."""

import asyncio
import json

from langchain_mcp_adapters.client import MultiServerMCPClient
from told import DOCUMENTS, HEADERS, QUERY, STDIO, URL, check


async def main():
    for connection in (
        {"transport": "stdio", "command": STDIO[0], "args": STDIO[1:]},
        {"transport": "streamable_http", "url": URL, "headers": HEADERS},
    ):
        client = MultiServerMCPClient({"kcore": connection})
        tools = {tool.name: tool for tool in await client.get_tools()}
        await tools["index"].ainvoke({"documents": DOCUMENTS, "collection": "interop", "wait_seconds": 60})
        found = await tools["search"].ainvoke({"query": QUERY, "collections": ["interop"]})
        try:
            wrong = str(await tools["search"].ainvoke({"query": QUERY, "mode": "fuzzy"}))
        except Exception as error:  # noqa: BLE001  # whatever the adapter makes of a tool's error
            wrong = str(error)
        shown = found if isinstance(found, str) else json.dumps(found, default=str)
        check(
            list(tools), True, "a" if "a, chunk 0" in shown else shown, "Did you mean" if "hybrid" in wrong else wrong
        )


asyncio.run(main())

"""pydantic-ai with a scripted model: an agent that knows nothing but the tool list does the whole job, and recovers.

It indexes a folder, finds an answer, reads around it, groups the topics, deletes one document, and mends a wrong
argument by what the error says.
"""

import asyncio
import json
import os

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from told import FOLDER, HEADERS, STDIO, URL, check

try:
    from pydantic_ai.mcp import MCPServerStdio, MCPServerStreamableHTTP

    TARGETS = [lambda: MCPServerStdio(STDIO[0], STDIO[1:]), lambda: MCPServerStreamableHTTP(URL, headers=HEADERS)]
except ImportError:  # newer releases have one toolset for all transports
    from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
    from pydantic_ai.mcp import MCPToolset

    TARGETS = [
        lambda: MCPToolset(StdioTransport(command=STDIO[0], args=STDIO[1:])),
        lambda: MCPToolset(StreamableHttpTransport(URL, headers=HEADERS)),
    ]

seen = {}


def last(messages):
    """Return what the last tool call gave, as text, and whether it was refused."""
    part = messages[-1].parts[-1]
    if isinstance(part, RetryPromptPart):
        return str(part.content), True
    assert isinstance(part, ToolReturnPart), part
    content = part.content
    return (content if isinstance(content, str) else json.dumps(content, default=str)), False


def model(messages, info):
    """Play a model that reads tool results, one step a turn."""
    step = sum(isinstance(part, ToolCallPart) for message in messages for part in getattr(message, "parts", ()))
    seen.setdefault("tools", [tool.name for tool in info.function_tools])
    if step:
        seen[step], refused = last(messages)
        seen["refused", step] = refused
    collection = f"agent{os.getpid()}"
    steps = [
        ("index", {"paths": [FOLDER], "collection": collection, "wait_seconds": 60}),
        ("search", {"query": "energy from the sun", "top_k": 1, "collections": [collection]}),  # wrong: limit
        ("search", {"query": "energy from the sun", "limit": 1, "collections": [collection]}),
        ("get_document", {"id": "folder/solar.md", "collection": collection, "chunk": 0, "around": 1}),
        ("cluster", {"collection": collection, "k": 2}),
        ("delete", {"collection": collection, "ids": ["folder/solar.md"]}),
        ("list_documents", {"collection": collection}),
    ]
    if step < len(steps):
        name, arguments = steps[step]
        return ModelResponse(parts=[ToolCallPart(name, arguments)])
    return ModelResponse(parts=[TextPart("done")])


async def main():
    for target in TARGETS:
        seen.clear()
        agent = Agent(FunctionModel(model), toolsets=[target()], retries=3)
        async with agent:
            result = await agent.run("Look into the folder.")
        assert result.output == "done"
        assert "Did you mean 'limit'" in seen[2], seen[2]
        assert "solar" in seen[3], seen[3]
        assert "sunlight" in seen[4], seen[4]
        assert "folder/solar.md" not in seen[7], seen[7]
        check(seen["tools"], "indexed" in seen[1], "a", seen[2])


asyncio.run(main())

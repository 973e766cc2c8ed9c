"""What tests read of a tool's result, and the call that most of them begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp_types import CallToolResult, TextContent

NOTES = [
    {
        "id": "solar",
        "title": "Solar panels",
        "text": "A solar panel turns sunlight into electricity.\n\nIt needs no fuel.",
    },
    {"id": "bread", "title": "Bread", "text": "Knead the dough, let it rise, bake the loaf in a hot oven."},
    {"id": "kernel", "title": "Kernels", "text": "The kernel schedules processes and talks to the hardware."},
]


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def index(client: Client, *paths: Path, **more: Any) -> dict[str, Any]:
    """Index paths by the tool, and return the structure of its answer."""
    result = await client.call_tool("index", {"paths": [str(path) for path in paths], **more})
    assert not result.is_error, text_of(result)
    content = result.structured_content
    assert content is not None
    return content

"""What tests read of a tool's result."""

from __future__ import annotations

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

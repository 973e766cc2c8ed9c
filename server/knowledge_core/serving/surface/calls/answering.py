"""A tool's result in its two blocks: compact text for the model, and the complete structure."""

from __future__ import annotations

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel

from knowledge_core.language.printable import printable
from knowledge_core.serving.surface.calls.pages import TEXT_CAP


def answer(model: BaseModel, text: str) -> CallToolResult:
    """Return a tool's result: compact text for the model, and the structure without nulls, both of the same items."""
    text = printable(text)
    data = text.encode()
    if len(data) > TEXT_CAP:
        # The fields of every item are bounded, so no text is this long. If one were: the cursor, at its end, must stay.
        head, tail = data[: TEXT_CAP // 2], data[-TEXT_CAP // 4 :]
        mark = f"\n[... {len(data) - len(head) - len(tail)} bytes left out ...]\n"
        text = head.decode(errors="ignore") + mark + tail.decode(errors="ignore")
    structure = model.model_dump(mode="json", exclude_none=True)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structure)


def text_of(result: CallToolResult) -> str:
    """Return the text block of a tool's result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def line_word(lines: str) -> str:
    """Return "line" or "lines", whichever a range like "12" or "12-18" needs."""
    return "lines" if "-" in lines else "line"

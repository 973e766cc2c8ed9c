"""A tool's result in its two blocks: compact text for the model, and the complete structure."""

from __future__ import annotations

import json

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel

from knowledge_core.errors import InvalidInput
from knowledge_core.language.printable import printable
from knowledge_core.serving.surface.calls.pages import STRUCTURE_CAP, TEXT_CAP

LARGEST_STRUCTURE = STRUCTURE_CAP + 2_000  # characters; Claude Code moves a larger one out of the model's sight


def answer(model: BaseModel, text: str) -> CallToolResult:
    """Return a tool's result: compact text for the model, and the structure without nulls, both of the same items.

    Raises:
        InvalidInput: it is larger than an answer may be. Each tool takes items while they fit, and bounds what one may
            hold, so none is: this is the last guard, and it cuts nothing, since half an item would mislead.
    """
    text = printable(text)
    structure = model.model_dump(mode="json", exclude_none=True)
    size, written = len(text.encode()), len(json.dumps(structure, ensure_ascii=False))
    if size > TEXT_CAP or written > LARGEST_STRUCTURE:
        raise InvalidInput(
            f"The call was carried out, but its answer is too large to show ({max(size, written):,} characters). Ask for "
            "less at a time: a smaller limit, fewer texts or labels, or a filter."
        )
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structure)


def text_of(result: CallToolResult) -> str:
    """Return the text block of a tool's result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def line_word(lines: str) -> str:
    """Return "line" or "lines", whichever a range like "12" or "12-18" needs."""
    return "lines" if "-" in lines else "line"

"""The parameters that several tools share; their descriptions are prompt text, in every model's context."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import ToolAnnotations
from pydantic import Field

ALWAYS_LOADED = {"anthropic/alwaysLoad": True}
"""A tool's `_meta`: hosts that load tools on demand show a tool with this to the model from the start."""

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ToolContext = Context[dict[str, Any], Any]

CollectionName = str
Filter = Annotated[dict[str, Any] | None, Field(description="As in search.")]
FullFilter = Annotated[
    dict[str, Any] | None,
    Field(
        description='Metadata filter, e.g. {"year": {"$gte": 2020}, "id": {"$glob": "docs/*"}}. Fields: id, title, uri, '
        "source, modified, indexed_at (UTC), metadata names. "
        "Operators: $eq $ne $in $nin $gt $gte $lt $lte $exists $glob $and $or $not."
    ),
]
MaxTokens = Annotated[int | None, Field(description="Budget of the answer (bytes / 3).")]
Cursor = Annotated[str | None, Field(description="From the previous answer.")]
WaitSeconds = Annotated[float, Field(ge=0, le=3600, description="45 at most; then returns a job.")]

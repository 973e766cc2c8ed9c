"""The tool surface is frozen: names, descriptions and schemas are prompts, and change only on purpose.

After a change that is meant:  UPDATE_SNAPSHOT=1 python -m pytest tests/serving/surface/test_snapshot.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

SNAPSHOT = Path(__file__).parent / "surface.json"


@pytest.mark.anyio
async def test_the_surface_is_what_was_reviewed(connect):
    async with connect() as client:
        surface = {
            "tools": [tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                      for tool in (await client.list_tools()).tools],
            "prompts": [prompt.model_dump(mode="json", by_alias=True, exclude_none=True)
                        for prompt in (await client.list_prompts()).prompts],
            "templates": [template.model_dump(mode="json", by_alias=True, exclude_none=True)
                          for template in (await client.list_resource_templates()).resource_templates],
        }  # fmt: skip
    text = json.dumps(surface, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))

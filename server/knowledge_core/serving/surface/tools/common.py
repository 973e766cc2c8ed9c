"""What several tools need: the parameters they share, results with their two blocks, progress to the client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, Field

from knowledge_core.engine import Engine
from knowledge_core.errors import CollectionNotFound
from knowledge_core.jobs import Job
from knowledge_core.serving.surface.tools.pages import TEXT_CAP
from knowledge_core.verbs.search import Searched

ALWAYS_LOADED = {"anthropic/alwaysLoad": True}
"""What a tool says of itself so that hosts that load tools on demand show it to the model from the start."""

ToolContext = Context[dict[str, Any], Any]

CollectionName = str
Filter = Annotated[dict[str, Any] | None, Field(description="As in search.")]
FullFilter = Annotated[
    dict[str, Any] | None,
    Field(
        description='Metadata filter, e.g. {"year": {"$gte": 2020}, "id": {"$glob": "docs/*"}}. Fields: id, title, uri, '
        "source, metadata names. Operators: $eq $ne $in $nin $gt $gte $lt $lte $exists $glob $and $or $not."
    ),
]
MaxTokens = Annotated[int | None, Field(description="Budget of the answer (bytes / 3).")]
Cursor = Annotated[str | None, Field(description="From the previous answer.")]
WaitSeconds = Annotated[float, Field(ge=0, le=3600, description="45 at most; then returns a job.")]


def answer(model: BaseModel, text: str) -> CallToolResult:
    """Return a tool's result: compact text for the model, and the structure, both of the same items."""
    data = text.encode("utf-8", "replace")
    if len(data) > TEXT_CAP:
        # No item is this long, by the bounds of its fields; were one, what must not go is at the end.
        head, tail = data[: TEXT_CAP // 2], data[-TEXT_CAP // 4 :]
        mark = f"\n[... {len(data) - len(head) - len(tail)} bytes left out ...]\n"
        text = head.decode(errors="ignore") + mark + tail.decode(errors="ignore")
    structure = _without_nulls(model.model_dump(mode="json"))
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structure)


def text_of(result: CallToolResult) -> str:
    """Return the text block of a tool's result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def line_word(lines: str) -> str:
    """Return "line" or "lines", whichever a range like "12" or "12-18" needs."""
    return "lines" if "-" in lines else "line"


def _without_nulls(value: Any) -> Any:
    """Leave out what is null, save a label: there null says "none of these"."""
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None or name == "label"}
    return value


async def watch(job: Job, seconds: float, context: ToolContext) -> None:
    """Wait until a job has ended or `seconds` are over, telling the client of it as it reports. Takes no thread.

    A client that withdraws its call, or vanishes, ends the waiting and never the work: it may come back for that.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    last = -1.0

    def heard() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before the job did
            loop.call_soon_threadsafe(changed.set)

    with job.heard(heard), anyio.move_on_after(seconds):
        while True:
            changed.clear()
            ended, progress = job.state != "running", job.progress
            # The protocol wants progress to increase.
            if progress.done > last:
                last = float(progress.done)
                await context.report_progress(last, float(progress.total) or None, progress.told())
            if ended:
                return
            await changed.wait()


def check_models(engine: Engine, over: Sequence[Searched]) -> None:
    """Make sure that what is about to be embedded compares with what these collections hold; loads their models.

    Raises:
        ModelUnavailable: one cannot be loaded. ContractMismatch: one gives other vectors now.
    """
    for each in over:
        engine.check_contract(engine.collection(each.name), each.embedder, each.view.contract)


@contextmanager
def opened(engine: Engine, names: Sequence[str] | None) -> Iterator[list[Searched]]:
    """Yield the named collections (None: all), each with one view that stays the same until the end."""
    chosen = list(dict.fromkeys(names)) if names else engine.names()
    if not chosen:
        raise CollectionNotFound(
            "There is no collection yet. Index a folder or documents first, with the `index` tool."
        )
    with ExitStack() as stack:
        searched = []
        for name in chosen:
            collection = engine.collection(name)
            view = stack.enter_context(collection.view())
            searched.append(Searched(name, view, engine.embedder_under(view.contract)))
        yield searched

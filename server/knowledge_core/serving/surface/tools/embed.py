"""The tool `embed`."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field, WithJsonSchema

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.bounded import in_time
from knowledge_core.serving.surface.calls.pages import bounded_notices, ending
from knowledge_core.serving.surface.calls.parameters import READ_ONLY
from knowledge_core.serving.surface.calls.whereabouts import ids_as_texts
from knowledge_core.serving.surface.collections import embedder_for_texts
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.results import EmbedResult
from knowledge_core.types import Task
from knowledge_core.verbs.embed import embed

MOST_COMPARED = 60  # texts; their 1,770 pairs are 7.1 KB in hundredths, at 4 bytes each at most
MOST_WHOLE = 30  # texts up to which the whole matrix is shown: 900 numbers at 7 bytes are 6.3 KB; above, each pair once
MOST_IN_FULL = 45  # texts up to which their similarities are shown with three digits: 990 pairs at 7 bytes are 6.9 KB
MOST_FLOATS = 2_000  # numbers per answer, at about 8 bytes each: 16 KB
MOST_BASE64 = 3_600  # numbers per answer, at 16/3 bytes each: 19 KB

EMBED = (
    "Compare texts by meaning: returns their pairwise cosine similarity; with output=vectors the vectors themselves, "
    "few at a time. To find or group stored texts use search or cluster."
)


def add(server: KnowledgeServer, engine: Engine, longest: float) -> None:
    """Register `embed`. longest: seconds after which a call answers."""
    tool = EmbedTool(engine)
    server.add_tool(
        in_time(tool.call, engine, "embed", longest),
        name="embed",
        title="Embed",
        description=EMBED,
        annotations=READ_ONLY,
    )


OneTask = Annotated[Task, WithJsonSchema({"enum": [each.value for each in Task], "type": "string"})]


class EmbedTool:
    """The tool `embed`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def call(
        self,
        texts: list[str],
        task: OneTask = Task.SIMILARITY,
        output: Literal["similarity", "vectors"] = "similarity",
        dimensions: Annotated[int | None, Field(description="Shorter: 768, 512, 256, 128.")] = None,
        encoding: Literal["float", "base64"] = "float",
        collection: Annotated[str | None, Field(description="With its model.")] = None,
    ) -> Annotated[CallToolResult, EmbedResult]:
        if not texts:
            raise InvalidInput("texts is empty; give at least one text.")
        embedder = embedder_for_texts(self._engine, collection)
        size = dimensions or embedder.static_contract.dimensions
        _refuse_too_much(len(texts), size, output, encoding)
        made = embed(texts, embedder, task, dimensions=dimensions)
        vectors = made.vectors
        result = EmbedResult(
            model=embedder.static_contract.model,
            dimensions=int(vectors.shape[1]),
            task=task.value,
            notices=bounded_notices(
                [
                    *filter(
                        None, [str(made.unread), "" if collection else self._engine.embedders.passed_over_notice()]
                    ),
                    *ids_as_texts(self._engine, texts, collection),
                ]
            ),
        )
        if output == "similarity":
            result.similarity = [[round(float(value), 3) for value in row] for row in vectors @ vectors.T]
        elif encoding == "base64":
            result.base64 = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
        else:
            result.vectors = [[round(float(value), 5) for value in row] for row in vectors]
        return answer(result, _render_embed(result, len(texts)))


def _refuse_too_much(count: int, size: int, output: str, encoding: str) -> None:
    numbers = MOST_FLOATS if encoding == "float" else MOST_BASE64
    most = MOST_COMPARED if output == "similarity" else max(numbers // size, 1)
    if count > most:
        raise InvalidInput(
            f"{count} texts are too many for one answer; at most {most} here. Send fewer, or write them to a file "
            "with `kcore embed --vectors`."
        )


def _render_embed(result: EmbedResult, count: int) -> str:
    head = f"{count} texts, {result.model}, task {result.task}, {result.dimensions} dimensions."
    if result.similarity is None:
        return "\n".join([head + " The vectors are in the structured result.", *ending(result.notices, None)])
    whole = count <= MOST_WHOLE
    shown = result.similarity if whole else [row[i + 1 :] for i, row in enumerate(result.similarity[:-1])]
    rows = [f"{i}: " + " ".join(_short(value, count) for value in row) for i, row in enumerate(shown)]
    unit = "" if count <= MOST_IN_FULL else " in hundredths"
    order = "in the order given:" if whole else "each pair once: text 0 with 1, 2, ..., then 1 with 2, 3, ..."
    return "\n".join([f"{head} Cosine similarity{unit}, {order}", *rows, *ending(result.notices, None)])


def _short(value: float, count: int) -> str:
    """Return a similarity as text, short enough for all pairs of `count` texts to fit, even if all are negative."""
    return f"{value:.3f}" if count <= MOST_IN_FULL else f"{100 * value:.0f}"

"""The tools that compare, group and label: `embed`, `cluster`, `classify`."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

import numpy as np
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.readers import clean_text
from knowledge_core.serving.mcp_server import KnowledgeServer
from knowledge_core.serving.results import EmbedResult
from knowledge_core.serving.tools.common import answer
from knowledge_core.types import Task, Vectors

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
MOST_COMPARED = 60  # texts; their similarity matrix is 60 * 60 * 5 bytes = 18 KB, below the cap of an answer
MOST_FLOATS = 2_000  # numbers in one answer, at about 8 bytes each
MOST_BASE64 = 3_600  # numbers in one answer, at 16/3 bytes each

EMBED = (
    "Compare texts by meaning: returns their pairwise cosine similarity. With output=vectors it returns the vectors "
    "themselves, few at a time (they are long; `kcore embed` writes many to a file). To find or group stored texts "
    "use search or cluster."
)


def add(server: KnowledgeServer, engine: Engine) -> None:
    """Register the three tools."""
    _add_embed(server, engine)


def _add_embed(server: KnowledgeServer, engine: Engine) -> None:
    @server.tool(name="embed", title="Embed", description=EMBED, annotations=READ_ONLY)
    def embed_tool(
        texts: list[str],
        task: Literal[
            "query",
            "document",
            "clustering",
            "classification",
            "similarity",
            "question_answering",
            "fact_checking",
            "code",
        ] = "similarity",
        output: Literal["similarity", "vectors"] = "similarity",
        dimensions: Annotated[
            int | None, Field(description="Shorter vectors: 768, 512, 256, 128 (Matryoshka).")
        ] = None,
        encoding: Literal["float", "base64"] = "float",
        collection: Annotated[str | None, Field(description="Use the model of this collection.")] = None,
    ) -> Annotated[CallToolResult, EmbedResult]:
        if not texts:
            raise InvalidInput("texts is empty; give at least one text.")
        embedder = engine.embedder_for(engine.collection(collection)) if collection else engine.default_embedder()
        size = dimensions or embedder.static_contract.dimensions
        _refuse_too_much(len(texts), size, output, encoding)
        made = embedder.embed([clean_text(text) for text in texts], Task(task))
        vectors = made if dimensions is None else shortened(made, dimensions)
        result = EmbedResult(
            model=embedder.static_contract.model, dimensions=int(vectors.shape[1]), task=task, notices=[]
        )
        if output == "similarity":
            result.similarity = [[round(float(value), 3) for value in row] for row in vectors @ vectors.T]
        elif encoding == "base64":
            result.base64 = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
        else:
            result.vectors = [[round(float(value), 5) for value in row] for row in vectors]
        return answer(result, _render_embed(result, len(texts)))


def _refuse_too_much(count: int, size: int, output: str, encoding: str) -> None:
    if output == "similarity":
        most = MOST_COMPARED
    else:
        most = max((MOST_FLOATS if encoding == "float" else MOST_BASE64) // size, 1)
    if count > most:
        raise InvalidInput(
            f"{count} texts are too many for one answer; at most {most} here. Send fewer, or write them to a file "
            "with `kcore embed --vectors`."
        )


def shortened(vectors: Vectors, dimensions: int) -> Vectors:
    """Return the first `dimensions` numbers of every vector, scaled back to norm 1 (Matryoshka).

    Raises:
        InvalidInput: the model was not trained for that, or has no more dimensions than that.
    """
    full = vectors.shape[1]
    allowed = [size for size in (768, 512, 256, 128) if size <= full] if full == 768 else [full]
    if dimensions not in allowed:
        raise InvalidInput(f"dimensions is {dimensions}; this model gives {', '.join(map(str, allowed))}.")
    cut = vectors[:, :dimensions]
    return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), np.float32)


def _render_embed(result: EmbedResult, count: int) -> str:
    head = f"{count} texts, {result.model}, task {result.task}, {result.dimensions} dimensions."
    if result.similarity is None:
        return head + " The vectors are in the structured result."
    rows = [f"{i}: " + " ".join(f"{value:.3f}" for value in row) for i, row in enumerate(result.similarity)]
    return "\n".join([head + " Cosine similarity, in the order given:", *rows])

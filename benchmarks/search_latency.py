"""Search latency at 10,000 chunks without the model's time, beside a plain NumPy scan of the same vectors.

    python -m benchmarks.search_latency [--chunks 10000] [--queries 300] [--json FILE]

Texts are spliced from the sentences of the packaged Wikipedia paragraphs; vectors are drawn around the packaged model's
vectors of these paragraphs, so that no hour of embedding is needed and neighbourhoods are real. Queries are the set's
own questions. Modes are interleaved; medians and 99th percentiles.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import re
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from mcp.client import Client

from benchmarks.report import machine, percentile, table, write_json
from knowledge_core.config import Config
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
from knowledge_core.storage.collection import Calibration
from knowledge_core.types import Task, Vectors
from knowledge_core.verbs.calibrate import VERSION
from knowledge_core.verbs.evaluate import load_beir
from knowledge_core.verbs.search import Searched, SearchRequest, search

MODES = ("semantic", "lexical", "hybrid")


class AroundEmbedder:
    """Documents: a paragraph's vector with noise; queries: precomputed. Its time in a search is nothing."""

    def __init__(self, inner: Embedder, anchors: Vectors, queries: dict[str, np.ndarray]) -> None:
        self._inner, self._anchors, self._queries = inner, anchors, queries
        self.contract = self.static_contract = inner.contract
        self.engine, self.sizes = inner.engine, inner.sizes
        self.loaded = True

    def embed(self, texts, task, titles=None):
        if task is Task.QUERY and all(text in self._queries for text in texts):
            return np.stack([self._queries[text] for text in texts])
        rows = np.stack([self._around(text) for text in texts])
        return rows.astype(np.float32)

    def count_tokens(self, texts):
        return self._inner.count_tokens(texts)

    def _around(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        noise = np.random.default_rng(seed)
        vector = self._anchors[seed % len(self._anchors)] + 0.6 * noise.standard_normal(self._anchors.shape[1]) / 19.6
        return vector / np.linalg.norm(vector)


def spliced(texts: list[str], count: int) -> list[dict[str, str]]:
    """Return `count` texts of five sentences each, the same on every machine."""
    sentences = [each for text in texts for each in re.split(r"(?<=[.!?])\s+", text) if len(each) > 30]
    draw = random.Random(7)
    return [{"id": f"d{number}", "text": " ".join(draw.sample(sentences, 5))} for number in range(count)]


async def through_mcp(engine: Engine, queries: list[str]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    async with Client(application(engine)) as client:
        for query in queries:
            for mode in MODES:
                began = time.perf_counter()
                await client.call_tool("search", {"query": query, "mode": mode})
                seconds[mode].append(time.perf_counter() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()

    with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
        data = load_beir(folder)
    model = reference_embedder(resolve("all-MiniLM-L6-v2"))
    texts = [document.text for document in data.documents]
    anchors = model.embed(texts[:400], Task.DOCUMENT, [""] * 400)
    questions = (list(data.queries.values()) * 10)[: arguments.queries]
    vectors = dict(zip(dict.fromkeys(questions), model.embed(list(dict.fromkeys(questions)), Task.QUERY), strict=True))
    embedder = AroundEmbedder(model, anchors, vectors)

    with tempfile.TemporaryDirectory() as home:
        with Engine(Path(home), Config(), make_embedder=lambda name, dimensions: embedder) as engine:
            asyncio.run(fill(engine, spliced(texts, arguments.chunks)))
            measured = measure(engine, embedder, questions)
            opened = time.perf_counter()
        with Engine(Path(home), Config(), make_embedder=lambda name, dimensions: embedder) as engine:
            opened = time.perf_counter()
            engine.collection("default")
            opened = time.perf_counter() - opened
    rows = [(name, percentile(each, 50), percentile(each, 99)) for name, each in measured.items()]
    print(f"{arguments.chunks} chunks, 384 dimensions, {len(questions)} queries; opening took {1e3 * opened:.0f} ms.")
    print(machine() + "\n")
    print(table(["search without the model's time", "p50 ms", "p99 ms"], rows))
    write_json(arguments.json, {"open_ms": 1e3 * opened, "rows": rows})


async def fill(engine: Engine, documents: list[dict[str, str]]) -> None:
    async with Client(application(engine)) as client:
        for begin in range(0, len(documents), 2_000):
            batch = {"documents": documents[begin : begin + 2_000], "wait_seconds": 600}
            result = await client.call_tool("index", batch)
            assert not result.is_error, result.content
    for job in engine.jobs.running():
        job.wait(600)
    # What it measured is of drawn vectors; searches are to fuse as they do where the model reads the texts.
    collection = engine.collection("default")
    collection.set_calibration(Calibration(0.9, len(documents), VERSION), collection.contract)


def measure(engine: Engine, embedder: AroundEmbedder, questions: list[str]) -> dict[str, list[float]]:
    collection = engine.collection("default")
    with collection.view() as view:
        keys, _ = view.quantised()
        matrix = view.vectors(keys)
        over = [Searched("default", view, embedder)]
        seconds: dict[str, list[float]] = {mode: [] for mode in MODES} | {"NumPy scan alone": []}
        for question in questions:
            for mode in MODES:
                began = time.perf_counter()
                search(over, SearchRequest(query=question, mode=mode))
                seconds[mode].append(time.perf_counter() - began)
            query = embedder.embed([question], Task.QUERY)[0]
            began = time.perf_counter()
            scores = matrix @ query
            top = np.argpartition(-scores, 10)[:10]
            top[np.argsort(-scores[top])]
            seconds["NumPy scan alone"].append(time.perf_counter() - began)
    for mode, each in asyncio.run(through_mcp(engine, questions)).items():
        seconds[f"{mode}, through MCP"] = each
    return seconds


if __name__ == "__main__":
    main()

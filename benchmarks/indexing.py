"""How much of the model's speed indexing keeps: tokens per second through `index`, as a share of embedding alone.

    python -m benchmarks.indexing [--documents 994] [--rounds 3] [--json FILE]

The same chunks, the same engine object; rounds are interleaved. "Embedding alone" gets all chunks at once and in the
same packing; `index` reads, cuts, embeds, writes the record (fsync) and both derived indexes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path

from benchmarks.report import machine, table, write_json
from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.indexing.preparing import document_as_json
from knowledge_core.ingestion.chunking import chunk
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import JobRecord, PlanRow
from knowledge_core.types import Task, no_progress
from knowledge_core.verbs.evaluate import load_beir
from knowledge_core.verbs.index import index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=994)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
        documents = list(load_beir(folder).documents)[: arguments.documents]
    embedder = reference_embedder(resolve("all-MiniLM-L6-v2"))
    embedder.embed(["warm up"], Task.QUERY)
    size = embedder.static_contract.max_length
    chunks = [
        (part.text, part.title(each.title))
        for each in documents
        for part in chunk(each, embedder.count_tokens, size=size)
    ]
    tokens = sum(embedder.count_tokens([text for text, _ in chunks]))

    alone, whole = [], []
    for _ in range(arguments.rounds):
        began = time.perf_counter()
        lengths = embedder.count_tokens([text for text, _ in chunks])
        for batch in pack(lengths):
            embedder.embed([chunks[i][0] for i in batch], Task.DOCUMENT, [chunks[i][1] for i in batch])
        alone.append(tokens / (time.perf_counter() - began))
        with tempfile.TemporaryDirectory() as home:
            collection = create_collection(Path(home) / "c", "c", embedder.contract)
            began = time.perf_counter()
            now = time.time()
            rows = [PlanRow(each.id, "add", inline=document_as_json(each)) for each in documents]
            collection.start_job(JobRecord("j", "index", "running", now, now), rows)
            index(collection, embedder, job="j", roots=(), chunk_size=400, file_limit=10**8, progress=no_progress)
            whole.append(tokens / (time.perf_counter() - began))
            collection.close()
    share = statistics.median(each / other for each, other in zip(whole, alone, strict=True))
    rows = [
        ("embedding alone", statistics.median(alone), 1.0),
        ("`index`, whole", statistics.median(whole), share),
    ]
    print(
        f"{len(documents)} documents, {len(chunks)} chunks, {tokens:,} tokens, {arguments.rounds} rounds.\n{machine()}\n"
    )
    print(table(["", "tokens/s", "share"], rows))
    write_json(arguments.json, {"documents": len(documents), "chunks": len(chunks), "tokens": tokens, "rows": rows})


if __name__ == "__main__":
    main()

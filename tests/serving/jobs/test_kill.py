"""`kill -9` of the server while it indexes: what progress had reported is there, and coverage says what is missing."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application

pytestmark = pytest.mark.anyio

DOCUMENTS = 1_200
SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import anyio
from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.application import application
embedder = HashEmbedder()
engine = Engine(Path(sys.argv[2]), Config(), make_embedder=lambda model, dimensions: embedder)
anyio.run(application(engine).run_stdio_async)
"""


def text(number: int) -> str:
    return f"Note {number} speaks of marker{number}.\n\n" + f"Its second part is about tail{number}. " * 3


async def killed_while_indexing(home: Path, after: int) -> int:
    """Index through the official client until progress says `after` documents, then kill; return the last count."""
    reported = 0

    async def told(progress, total, message):
        nonlocal reported
        reported = int(progress)
        if reported >= after:
            os.kill(json.loads((home / "owner.lock").read_text())["pid"], signal.SIGKILL)

    tests = str(Path(__file__).parents[2])
    parameters = StdioServerParameters(command=sys.executable, args=["-c", SERVER, tests, str(home)])
    documents = [{"id": f"d{number}", "text": text(number)} for number in range(DOCUMENTS)]
    try:
        async with Client(parameters, mode="legacy") as client:
            await client.call_tool("index", {"documents": documents, "wait_seconds": 60}, progress_callback=told)
    except Exception:  # noqa: BLE001  # whatever the client makes of a server that died
        return reported
    raise AssertionError("the server was not killed")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
async def test_what_progress_reported_survives_kill_9(tmp_path, seed):
    reported = await killed_while_indexing(tmp_path, random.Random(seed).randint(1, 900))
    assert reported > 0
    embedder = HashEmbedder()
    with Engine(tmp_path, Config(), make_embedder=lambda model, dimensions: embedder) as engine:
        collection = engine.collection("default")
        with collection.view() as view:
            counts, ids = view.counts(), view.document_ids()
            assert counts.documents >= reported
            assert counts.known == DOCUMENTS
            for id in ids:
                chunks = view.chunks_of_document(id)
                assert chunks[-1].text.rstrip().endswith(f"tail{id[1:]}."), f"{id} is half-written"
        assert all(finding.level == "ok" for finding in collection.check())

        async with Client(application(engine)) as client:
            answer = (await client.call_tool("search", {"query": f"marker{ids[0][1:]}"})).structured_content
            assert answer["hits"][0]["document"] == ids[0]
            assert answer["coverage"] == {"documents": counts.documents, "known": DOCUMENTS}
            assert bool(answer["notices"]) == (counts.documents < DOCUMENTS)

            # Asked again, it goes on where it was: nothing is embedded twice.
            embedder.embedded.clear()
            documents = [{"id": f"d{number}", "text": text(number)} for number in range(DOCUMENTS)]
            again = (await client.call_tool("index", {"documents": documents, "wait_seconds": 60})).structured_content
            assert (again["unchanged"], again["indexed"]) == (counts.documents, DOCUMENTS - counts.documents)
            with collection.view() as view:
                assert view.counts().known == view.counts().documents == DOCUMENTS

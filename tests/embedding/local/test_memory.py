"""Embedding many texts leaves hardly more memory behind than loading the model took."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

WORK = """
import json
import random
from pathlib import Path
from knowledge_core.embedding.local.agreement import real_texts
from knowledge_core.embedding.local.engines import make_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.jobs import trim_memory
from knowledge_core.types import Task

def held():
    trim_memory()
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) * 1024

embedder = make_embedder(resolve("all-MiniLM-L6-v2"), precision="bfloat16", device="cpu")
embedder.embed(["a first text"], Task.QUERY)
loaded, draw = held(), random.Random(0)
words = " ".join(real_texts(24)).split()
for _ in range(4):
    texts = [" ".join(draw.choices(words, k=draw.randint(5, 200))) for _ in range(256)]
    embedder.embed(texts, Task.DOCUMENT)
print(json.dumps([loaded, held()]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_thousand_texts_of_all_lengths_leave_at_most_a_third_more_memory_than_loading_took():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    loaded, after = json.loads(done.stdout)
    assert after <= 1.3 * loaded, (loaded, after)

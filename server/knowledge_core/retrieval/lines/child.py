"""The process that matches a regular expression: `python -P -m knowledge_core.retrieval.lines.child --memory BYTES`.

A request brings an expression, or texts for the one before. It knows nothing else of this program. A call of the engine
keeps Python's lock: in a process of its own it keeps nobody waiting, and whoever withdraws the search ends it.
"""

from __future__ import annotations

import json
import os
from typing import Any

from knowledge_core.errors import InvalidInput
from knowledge_core.ingestion.workers.confinement import Message, begun, limit
from knowledge_core.ingestion.workers.messages import write
from knowledge_core.retrieval.lines.patterns import Pattern, RegexPattern
from knowledge_core.retrieval.lines.scanning import scan_all


def main() -> None:
    """Answer requests until the owner closes the pipe, or is gone."""
    coming, answers = begun()
    pattern: Pattern | None = None
    while True:
        header, body = coming.get()
        limit("RLIMIT_CPU", int(sum(os.times()[:2])) + 1 + header["most_seconds"], soft=True)
        try:
            if "query" in header:
                pattern = RegexPattern(header["query"])
                write(answers, {"read": True})
            elif pattern is not None:
                write(answers, *_scanned(pattern, header, body))
        except InvalidInput as refusal:
            write(answers, {"refused": str(refusal)})
        except MemoryError:
            write(answers, {"lost": "memory"})


def _scanned(pattern: Pattern, header: dict[str, Any], body: bytes) -> Message:
    found = scan_all(pattern, body, header["sizes"], header["wanted"], header["after"])
    told = [[each.index, each.count, [list(vars(line).values()) for line in each.lines]] for each in found]
    return {}, json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")


if __name__ == "__main__":
    main()

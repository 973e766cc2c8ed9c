"""The process that parses: `python -P -m knowledge_core.ingestion.workers.child --memory BYTES [--low]`.

It reads requests from stdin and writes answers to stdout, one after the other, until stdin ends. It knows the readers and
nothing else of this program. `confinement` has its limits.
"""

from __future__ import annotations

import os
from typing import Any

from knowledge_core.ingestion.content import BY_NAME, reader_of
from knowledge_core.ingestion.unreadable import Unreadable, not_taken_apart
from knowledge_core.ingestion.workers import limits
from knowledge_core.ingestion.workers.confinement import Message, begun, limit
from knowledge_core.ingestion.workers.messages import answer_of, write


def main() -> None:
    """Answer requests until the owner closes the pipe, or is gone."""
    coming, answers = begun()
    while True:
        write(answers, *_answer(*coming.get()))


def _answer(header: dict[str, Any], body: bytes) -> Message:
    # Counted from now on: the limit is one of the process's whole life.
    limit("RLIMIT_CPU", int(sum(os.times()[:2])) + 1 + int(header["seconds"]), soft=True)
    content = body.decode("utf-8") if header["is_text"] else body
    try:
        answer, text = answer_of(reader_of(BY_NAME[header["format"]])(content, header["name"]))
    except Unreadable as error:
        return _refusal(error)
    except MemoryError:
        return {"lost": "memory"}, b""
    except Exception as error:  # noqa: BLE001  # other people's parsers raise whatever they like
        return _refusal(not_taken_apart(header["name"], error))
    return ({"lost": "output"}, b"") if len(text) > limits.MOST_TEXT else (answer, text)


def _refusal(error: Unreadable) -> Message:
    return {"unreadable": [error.reason, str(error)]}, b""


if __name__ == "__main__":
    main()

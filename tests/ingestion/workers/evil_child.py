"""A child that parses, taken over by the files that it reads: what a PDF says after "%PDF-1.4 evil:" is what it does.

Started as `Workers(command=EVIL)`; nothing in the program leads here.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from knowledge_core.ingestion.format_table import Format
from knowledge_core.ingestion.reading.parsed import Parsed
from knowledge_core.ingestion.workers import child
from knowledge_core.types import Heading, Span

EVIL = (sys.executable, "-P", str(Path(__file__).resolve()))
MARK = b"%PDF-1.4 evil:"
HONEST = child.reader_of


def evil(what: str, *more: str) -> bytes:
    return MARK + " ".join([what, *more]).encode()


def deed(content: bytes, name: str) -> Parsed:
    what, *more = content.removeprefix(MARK).decode().split()
    if what == "loop":
        while True:
            pass
    if what == "sleep":
        if more:
            Path(more[0]).write_text(str(os.getpid()))
        time.sleep(1000)
    if what == "memory":
        return Parsed("x" * len(bytearray(10**10)))
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "crash-once" and not (flag := Path(more[0])).exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ZeroDivisionError("words of the document")
    if what == "exit":
        os._exit(0)
    if what == "print":
        print("noise", flush=True)
        os.write(1, b"noise")
        os.write(2, b"noise")
    if what == "say":  # these bytes in the place of an answer, by every file that is open
        for number in range(3, 20):
            try:
                os.write(number, bytes.fromhex(more[0]))
            except OSError:
                continue
        time.sleep(1000)
    if what == "huge":
        return Parsed("x" * 2_000_000)
    if what == "environment":
        return Parsed("\n".join(f"{name}={value}" for name, value in os.environ.items()))
    if what == "modules":
        return Parsed(" ".join(sorted(sys.modules)))
    if what in ODD:
        return ODD[what]
    return Parsed(f"harmless {what}", metadata={"format": "pdf"})


OTHER: Any = object
ODD = {
    "span-outside": Parsed("abc", pages=(Span(0, 4),)),
    "span-backwards": Parsed("abc", pages=(Span(2, 1),)),
    "span-negative": Parsed("abc", pages=(Span(-1, 1),)),
    "spans-cross": Parsed("abc", pages=(Span(0, 2), Span(1, 3))),
    "heading-outside": Parsed("abc", headings=(Heading(4, 1, "h"),)),
    "heading-level": Parsed("abc", headings=(Heading(0, 0, "h"),)),
    "picture-outside": Parsed("abc", pages=(Span(0, 3),), pictures=(2,)),
    "media-type": Parsed("abc", media_type="text/html\nX: y"),
    "title-number": Parsed("abc", title=17),  # type: ignore[arg-type]
    "metadata-list": Parsed("abc", metadata={"format": ["pdf"]}),
    "bool-number": Parsed("abc", pages=(Span(False, True),)),
}


def reader_of(format: Format) -> Any:
    honest = HONEST(format)
    return lambda content, name: deed(content, name) if content[: len(MARK)] == MARK else honest(content, name)


if __name__ == "__main__":
    child.reader_of = reader_of
    child.main()

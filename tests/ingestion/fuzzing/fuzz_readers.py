"""Give every reader files with faults, and see that it says so, soon, within little memory (`python -m benchmarks.fuzzing`).

A reader may return, or raise `Unreadable`; anything else is a fault of it, as is an outcome that could not be written as
JSON, has spans outside of its text, takes 5 s of the processor, or a gigabyte.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from random import Random

from mutating import mutated
from samples import samples

from knowledge_core.ingestion.content import format_of, reader_of, text_format_of
from knowledge_core.ingestion.decoding import clean_text, decode
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.ingestion.workers.messages import BadMessage, answer_of, parsed_of

SECONDS = 5.0  # of the processor, for a case; files are small
MEMORY = 1_000_000_000  # bytes by which the process may have grown at its largest


@dataclass(frozen=True)
class Fault:
    """What went wrong. case: "docx:17". where: the last line of our own code, or what was exceeded."""

    case: str
    sample: str
    where: str
    trace: str
    data: bytes


def case(format: str, number: int, seed: int, sound: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    random = Random(f"{seed}:{format}:{number}")
    name, data = sound[number % len(sound)] if number < len(sound) else random.choice(sound)
    return name, mutated(data, random)


def outcome(name: str, data: bytes) -> str:
    """Read a file as the door does, without what it catches, and return the reason of a refusal, or "read"."""
    path = PurePath(name)
    try:
        found = format_of(data, path, name)
        content: bytes | str = data
        if found is None:
            text = decode(data)
            if text is None:
                return "binary"
            content = clean_text(text)
            found = text_format_of(content, path)
        if found is None:
            return "plain"
        parsed = reader_of(found)(content, name)
    except Unreadable as error:
        if name not in str(error):
            raise AssertionError(f"the message does not name the file: {error}") from error
        return error.reason
    header, body = answer_of(parsed)
    assert body.decode() == parsed.text, "its text holds half surrogate pairs"
    assert parsed_of(json.loads(json.dumps(header)), body).text == parsed.text
    return "read"


def examined(format: str, number: int, seed: int, sound: Sequence[tuple[str, bytes]]) -> tuple[str, Fault | None]:
    """Run one case; return its outcome and the fault, if any."""
    name, data = case(format, number, seed, sound)
    began = time.process_time()
    try:
        said = outcome(name, data)
    except (Exception, RecursionError) as error:  # noqa: BLE001  # any is a finding
        return "fault", Fault(f"{format}:{number}", name, _where(error), traceback.format_exc(limit=-6), data)
    if (took := time.process_time() - began) > SECONDS:
        return "slow", Fault(f"{format}:{number}", name, f"{took:.0f} s of the processor", "", data)
    return said, None


def _where(error: BaseException) -> str:
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "/knowledge_core/" in each.filename]
    last = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    what = str(error)[:100] if isinstance(error, (AssertionError, BadMessage)) else ""
    return f"{type(error).__name__} {what} in {last}"


def peak() -> int:
    """Return the largest memory of this process so far, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fuzzed(
    format: str, *, seed: int, folder: Path | None, more: Callable[[int], bool], now: Path | None = None
) -> Iterator[tuple[str, Fault | None]]:
    """Run the cases of a format for as long as `more(number)` says. now: a file that holds the case under way."""
    sound = list(samples(format, folder))
    number = 0
    while sound and more(number):
        before = peak()
        if now is not None:
            now.write_bytes(case(format, number, seed, sound)[1])
        said, fault = examined(format, number, seed, sound)
        if fault is None and peak() - before > MEMORY:
            name, data = case(format, number, seed, sound)
            fault = Fault(f"{format}:{number}", name, f"{(peak() - before) / 1e6:.0f} MB", "", data)
        yield said, fault
        number += 1

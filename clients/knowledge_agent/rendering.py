"""How answers look on a terminal and in JSON. Nothing that a document or a model wrote can control the terminal."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, TextIO

from knowledge_agent.types import Answer, Event, Notice, Passage, TextPiece, ToolUsed

# All control characters except line feed and tab (escape sequences could move the cursor, hide text, set the clipboard),
# and the marks that reverse the direction of writing.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return a text without the characters that could control a terminal.

    >>> printable("a\\x1b[2Jb")
    'a[2Jb'
    """
    return _STEERING.sub("", text)


class Renderer:
    """Writes an answer as it arrives: its text to `out` (stdout), tool calls and notices to `aside` (stderr)."""

    def __init__(self, out: TextIO | None = None, aside: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._aside = aside or sys.stderr
        self._in_line = False

    def hear(self, event: Event) -> None:
        """Write one event."""
        if isinstance(event, TextPiece):
            text = printable(event.text)
            self._out.write(text)
            self._out.flush()
            self._in_line = not text.endswith("\n") if text else self._in_line
        elif isinstance(event, ToolUsed):
            outcome = "refused" if event.failed else f"{event.passages} passages" if event.passages else "done"
            self.remark(f"· {event.name}({_arguments(event)}) {outcome}")
        elif isinstance(event, Notice):
            self.remark(f"! {event.text}")

    def remark(self, text: str) -> None:
        """Write a line to `aside`."""
        self.end_line()
        print(printable(text), file=self._aside, flush=True)

    def end_line(self) -> None:
        """End the current line of `out`, unless it is empty."""
        if self._in_line:
            self._out.write("\n")
            self._out.flush()
            self._in_line = False

    def finish(self, answer: Answer, model: str) -> None:
        """Write the sources of an answer, and the tokens, time and cost that it took."""
        self.end_line()
        for line in source_lines(answer):
            print(printable(line), file=self._out)
        if answer.stopped:
            self.remark(f"! {answer.stopped}")
        self.remark(f"({taken(answer, model)})")


def _arguments(event: ToolUsed) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in event.arguments.items())[:160]


def source_lines(answer: Answer) -> list[str]:
    """Return the lines that list an answer's sources; none if it cites nothing."""
    if not answer.sources:
        return []
    lines = ["", "Sources"]
    for source in answer.sources:
        lines.append(f"[{source.number}] {where(source)}")
        quotes = [each for each in answer.citations if each.passage == source and each.quote]
        for each in quotes[:3]:
            mark = "" if each.verified else " (not found there)"
            lines.append(f"    lines {each.lines}: “{' '.join(each.quote.split())[:120]}”{mark}")
    return lines


def where(source: Passage) -> str:
    """Return a source for people: title, address, lines, and page if there is one."""
    page = f", page {source.page}" if source.page else ""
    return f"{source.title or source.document} — {source.uri or source.document}, lines {source.lines}{page}"


def taken(answer: Answer, model: str) -> str:
    """Return, in words, the replies, tokens, cost and time that an answer took."""
    usage = answer.usage
    cached = f", {usage.cached} of them cached" if usage.cached else ""
    cost = f", at most {answer.cost:.4f} at the given prices" if answer.cost is not None else ""
    replies = "1 reply" if answer.steps == 1 else f"{answer.steps} replies"
    return (
        f"{model}, {answer.mode}: {replies}, {usage.input} tokens in{cached}, {usage.output} out{cost}, "
        f"{answer.seconds:.1f} s"
    )


def as_json(answer: Answer, model: str) -> dict[str, Any]:
    """Return an answer as JSON values, for scripts."""
    return {
        "answer": answer.text,
        "grounded": answer.grounded,
        "sources": [_source(each, answer) for each in answer.sources],
        "doubtful": list(answer.doubtful),
        "stopped": answer.stopped or None,
        "notices": list(answer.notices),
        "searches": list(answer.searches),
        "model": model,
        "mode": answer.mode,
        "steps": answer.steps,
        "seconds": round(answer.seconds, 2),
        "usage": {"input": answer.usage.input, "output": answer.usage.output, "cached": answer.usage.cached},
        "cost": answer.cost,
    }


def _source(source: Passage, answer: Answer) -> dict[str, Any]:
    quotes = [
        {"text": each.quote, "lines": each.lines, "verified": each.verified}
        for each in answer.citations
        if each.passage == source and each.quote
    ]
    return {
        "number": source.number, "title": source.title, "uri": source.uri, "collection": source.collection,
        "document": source.document, "lines": source.lines, "page": source.page, "quotes": quotes,
    }  # fmt: skip

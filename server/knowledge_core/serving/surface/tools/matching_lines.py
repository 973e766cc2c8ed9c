"""The tool `search` with `match`: every line that holds a text or matches a regular expression, in the form of hits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from knowledge_core.engine import Engine
from knowledge_core.errors import InvalidInput, KnowledgeCoreError, quoted
from knowledge_core.language.printable import one_line
from knowledge_core.near_names import listed
from knowledge_core.serving.surface.calls.answering import answer
from knowledge_core.serving.surface.calls.bounded import withdrawal
from knowledge_core.serving.surface.calls.pages import (
    ROOM_OF_STALE,
    Room,
    bounded_ids,
    bounded_notices,
    default_room,
    ending,
)
from knowledge_core.serving.surface.collections import losses_of, opened
from knowledge_core.serving.surface.results import CoverageResult, HitResult, SearchResult
from knowledge_core.verbs.find import FindRequest, FindResponse, FoundLine, Match, find

MatchingLines = Annotated[
    Match | None,
    Field(description="Give every line that holds `query` as text or regex, in document order, counted."),
]

NO_SCORES = "explain has nothing to add: each of these lines matches, and none has a score."


def refuse_what_ranks(query: str | None, examples: object, mode: str, ranking: Mapping[str, object]) -> None:
    """Refuse what makes no sense together with `match`. ranking: further arguments, by name; None: left out.

    Raises:
        InvalidInput: says which argument, and what to do.
    """
    if query is None:
        raise InvalidInput("match needs a query: the text, or the regular expression, that lines must match.")
    if examples is not None:
        raise InvalidInput(
            "match compares characters, but like and unlike compare meanings: leave the one or the other out."
        )
    given = {"mode": None if mode == "hybrid" else mode, **ranking}
    for name, value in given.items():
        if value is not None:
            raise InvalidInput(
                f"{name} is {quoted(value)}, which ranks passages, but match gives every line: leave {name} out."
            )


def matching_lines(
    engine: Engine, collections: list[str] | None, request: FindRequest, *, explain: bool
) -> CallToolResult:
    """Return the answer with a page of matching lines. A collection that nobody named and that is damaged is left out."""
    lost: dict[str, KnowledgeCoreError] = {}
    left_out = None if collections else lost.__setitem__
    with opened(engine, collections, lost.__setitem__) as over:
        several = len(over) > 1
        room = default_room() if request.max_tokens is None else Room()
        last: list[FoundLine] = []

        def fits(line: FoundLine) -> bool:
            text = _rendered(line, last[-1] if last else None, several=several)
            last.append(line)
            return room.takes(text, _hit(line))

        response = find(over, request, fits, stopped=withdrawal(), left_out=left_out)
        told = [f"Collection {name!r} was left out: {error}" for name, error in lost.items()]
        told += losses_of(engine, [each.name for each in over if each.name not in lost], in_brief=True)
        told += [*response.notices, *([NO_SCORES] if explain else [])]
    result = _structured(response, bounded_notices(told))
    return answer(result, _text(response, result, several=several))


def _structured(response: FindResponse, notices: list[str]) -> SearchResult:
    return SearchResult(
        hits=[_hit(line) for line in response.lines],
        total=response.total,
        documents=response.documents,
        exact=True,
        coverage=CoverageResult(documents=response.searched, known=response.known),
        stale=bounded_ids(list(dict.fromkeys(line.document for line in response.lines if line.file))),
        truncated=response.truncated,
        cursor=response.cursor,
        notices=notices,
    )


def _hit(line: FoundLine) -> HitResult:
    return HitResult(
        collection=line.collection, document=line.document, chunk=line.chunk, lines=str(line.lines), page=line.page,
        snippet=line.text, file=line.file,
    )  # fmt: skip


def _text(response: FindResponse, result: SearchResult, *, several: bool) -> str:
    before = (None, *response.lines)
    shown = [_rendered(line, last, several=several) for last, line in zip(before, response.lines, strict=False)]
    facts = f"{len(response.lines)} of {response.total} lines, "
    facts += f"in {response.documents} of {response.searched} documents."
    if result.stale:
        facts += f" Changed on disk since indexing: {listed([*map(one_line, result.stale)], ROOM_OF_STALE)}."
    return "\n".join([*shown, *([""] if shown else []), facts, *ending(result.notices, response.cursor)])


def _rendered(line: FoundLine, before: FoundLine | None, *, several: bool) -> str:
    """Return a line with its number, below the name of its document where another one's line stands before it."""
    numbers = range(line.lines.first, line.lines.last + 1)
    parts = zip(numbers, line.text.split("\n"), strict=False)
    shown = "\n".join(f"  {number}: {_as_it_is(text)}" for number, text in parts)
    if before is not None and (before.collection, before.document) == (line.collection, line.document):
        return shown
    name = f"{line.collection}: {one_line(line.document)}" if several else one_line(line.document)
    title = f" — {one_line(line.title)}" if line.title and line.title != line.document else ""
    page = f", from page {line.page}" if line.page else ""
    of = "" if line.lines_of_file else " (lines of the extracted text)"
    file = f" — file {one_line(line.file)}" if line.file else ""
    return f"{name}{title}{page}{of}{file}\n{shown}"


def _as_it_is(text: str) -> str:
    """Return a text in one line, with its tabs."""
    return "\t".join(map(one_line, text.split("\t")))

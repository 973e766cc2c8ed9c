"""From a tool's result to passages that can be cited: the whole text of each hit's chunk, with its lines.

The structures follow the server's output schemas. Only this file and `summarising` read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knowledge_agent.errors import ToolFailed
from knowledge_agent.mcp_client import Given, ServerConnection
from knowledge_agent.prompting import within
from knowledge_agent.types import Passage, ToolCall, ToolResult

NOTHING_RELEVANT = "Nothing here seems relevant"  # how the server's notice begins


class Shelf:
    """The passages of a conversation, numbered from 1 in order of arrival. A passage that comes again keeps its number."""

    def __init__(self) -> None:
        self.passages: dict[int, Passage] = {}
        self._numbers: dict[tuple[str, str, str, str], int] = {}

    def put(self, found: Mapping[str, Any], text: str, lines: str) -> Passage:
        """Return a piece of a document as a passage with its number.

        found: a hit or a document in a tool's structure. lines: the text's lines in the document, "12-18" or "12".
        """
        document = str(found.get("document") or found.get("id"))
        first, _, last = lines.partition("-")
        key = (str(found["collection"]), document, lines, text)
        number = self._numbers.setdefault(key, len(self._numbers) + 1)
        passage = Passage(
            number=number, collection=key[0], document=document, title=str(found.get("title") or ""),
            uri=str(found.get("uri") or ""), text=text, first_line=int(first), last_line=int(last or first),
            page=found.get("page"),
        )  # fmt: skip
        self.passages[number] = passage
        return passage


async def passages_of_hits(server: ServerConnection, shelf: Shelf, hits: Sequence[Mapping[str, Any]]) -> list[Passage]:
    """Return the hits' chunks as passages, in the order of the hits."""
    return [await _chunk(server, shelf, hit) for hit in hits]


async def _chunk(server: ServerConnection, shelf: Shelf, hit: Mapping[str, Any]) -> Passage:
    wanted = {"id": hit["document"], "collection": hit["collection"], "chunk": hit["chunk"], "around": 0}
    try:
        read = (await server.call("get_document", wanted)).structure
    except ToolFailed:  # deleted since the search: only the hit's snippet is left
        return shelf.put(hit, str(hit["snippet"]), str(hit["lines"]))
    return shelf.put({**hit, **read, "document": hit["document"]}, str(read["text"]), str(read["lines"]))


def finds_nothing(structure: Mapping[str, Any]) -> bool:
    """Say whether a search's result is empty or doubtful."""
    return not structure.get("hits") or is_doubtful(structure)


def is_doubtful(structure: Mapping[str, Any]) -> bool:
    """Say whether the server doubts that any hit of a search answers the query. The server may be wrong."""
    return any(each.startswith(NOTHING_RELEVANT) for each in structure.get("notices") or [])


def facts(structure: Mapping[str, Any]) -> str:
    """Return what a model must know of a search besides the passages: where to read on, coverage, and notices."""
    lines = [
        f"{hit['collection']}: document {hit['document']!r}, chunk {hit['chunk']}, lines {hit['lines']}, "
        f"score {hit['score']}"
        for hit in structure.get("hits") or []
    ]
    coverage = structure.get("coverage") or {}
    lines.append(f"{len(lines)} hits; {coverage.get('documents')} of {coverage.get('known')} documents can be found.")
    if structure.get("cursor"):
        lines.append(f"More with cursor {structure['cursor']!r}.")
    return "\n".join([*lines, *(structure.get("notices") or [])])


async def tool_result(
    server: ServerConnection, shelf: Shelf, call: ToolCall, given: Given, budget: int
) -> tuple[ToolResult, bool]:
    """Return a tool's result as a model gets it, and whether it is a search that found nothing.

    budget: tokens that the passages may have.
    """
    structure = given.structure
    if call.name == "search" and "hits" in structure:
        passages = within(await passages_of_hits(server, shelf, list(structure["hits"])), budget)
        return ToolResult(call, facts(structure), passages), finds_nothing(structure)
    if call.name == "get_document" and (read := _read(structure)):
        passages = tuple(shelf.put(each, str(each["text"]), str(each["lines"])) for each in read)
        more = [
            f"More of {each['id']!r} follows: cursor {each['cursor']!r}." for each in read if each.get("cursor")
        ] + [
            f"{each['id']!r} was not read: {each['error']}"
            for each in structure.get("documents") or []
            if "error" in each
        ]
        return ToolResult(call, "\n".join(more), within(passages, budget)), False
    return ToolResult(call, given.text), False


def _read(structure: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the documents whose text a result of `get_document` has, one or several; none where it has outlines."""
    several = [{**each, "collection": structure["collection"]} for each in structure.get("documents") or []]
    return [each for each in [structure, *several] if "text" in each]

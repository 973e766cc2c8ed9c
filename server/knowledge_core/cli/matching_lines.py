"""`kcore search --literal` and `--regex`: lines in the form of grep, `document:line:text`, page after page as they come."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.output import show_as
from knowledge_core.language.printable import one_line

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection

LARGEST_PAGE = 20_000  # tokens: a shell has no model's context to spare


async def show_lines(connection: Connection, arguments: argparse.Namespace, given: dict[str, Any]) -> int:
    """Print the matching lines: all, or one page where its size or its beginning was given. Return exit code 0."""
    one_page = any(given[name] is not None for name in ("limit", "max_tokens", "cursor"))
    several = await _several(connection, arguments)
    structure: dict[str, Any] = {}
    async for page in _pages(connection, given, one_page=one_page):
        notices = [*structure.get("notices", []), *page["notices"]]
        hits = [*structure.get("hits", []), *page["hits"]] if arguments.json else []
        structure = {**page, "hits": hits, "notices": list(dict.fromkeys(notices))}
        if not arguments.json and page["hits"]:
            print("\n".join(line for hit in page["hits"] for line in _grepped(hit, several=several)), flush=True)
    if arguments.json:
        show_as(arguments, structure, "")
        return 0
    more = [f'[more: cursor="{structure["cursor"]}"]'] if structure.get("cursor") else []
    looked = structure["coverage"]["documents"]
    facts = f"{structure['total']} lines, in {structure['documents']} of {looked} documents"
    print("\n".join(f"kcore: {one_line(told)}" for told in [facts, *structure["notices"], *more]), file=sys.stderr)
    return 0


async def _pages(connection: Connection, given: dict[str, Any], *, one_page: bool) -> AsyncIterator[dict[str, Any]]:
    """Yield the structure of each page."""
    given = given if one_page else {**given, "max_tokens": LARGEST_PAGE}
    while True:
        page = (await connection.call("search", given)).structure
        yield page
        if one_page or not page.get("cursor"):
            return
        given = {**given, "cursor": page["cursor"]}


async def _several(connection: Connection, arguments: argparse.Namespace) -> bool:
    """Say whether lines of more than one collection may come."""
    if arguments.collection:
        return len(arguments.collection) > 1
    return bool((await connection.call("list_collections", {})).structure["total"] > 1)


def _grepped(hit: dict[str, Any], *, several: bool) -> list[str]:
    """Return the lines of a hit as grep shows them; with several collections their names before the documents'."""
    first = int(str(hit["lines"]).partition("-")[0])
    name = f"{hit['collection']}:{one_line(hit['document'])}" if several else one_line(hit["document"])
    return [
        f"{name}:{number}:" + "\t".join(map(one_line, text.split("\t")))
        for number, text in enumerate(hit["snippet"].split("\n"), start=first)
    ]

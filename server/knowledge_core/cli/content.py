"""The commands about documents: index, search, get, list, delete."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.folders.asking import agreed, in_a_terminal, said_yes
from knowledge_core.cli.matching_lines import show_lines
from knowledge_core.cli.output import Usage, all_pages, command, connected, file_name, full_path, show
from knowledge_core.cli.waiting import Interrupts, code_of, end_of, finished
from knowledge_core.language.printable import one_line

if TYPE_CHECKING:
    from knowledge_core.serving.client import Answer, Connection


def add(commands: Any) -> None:
    """Add the commands of this family."""
    _add_index(commands)
    _add_search(commands)
    _add_get(commands)
    _add_list(commands)
    _add_delete(commands)


def parsed_filter(text: str | None) -> Any:
    """Return a filter that was given as JSON on the command line; None for none."""
    return None if text is None else parsed_json(text, "--filter", '{"year": {"$gte": 2020}}')


def parsed_json(text: str, option: str, example: str) -> Any:
    """Return the JSON value of an option.

    Raises:
        Usage: it is not JSON; the message shows `example`.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Usage(f"{option} is not JSON ({error}). Write it like '{example}'.") from None


def _add_index(commands: Any) -> None:
    made = command(
        commands, "index", "make files, folders or JSON lines searchable",
        "kcore index ~/notes ~/papers\nkcore index ~/src --include '*.py' --collection code\n"
        "kcore index --jsonl corpus.jsonl --collection corpus\nkcore index ~/notes/.env --include-secrets\n"
        "kcore index ~/notes --exclude private/ --exclude '*.tmp'\nkcore index                     (all known sources)",
        connected(_index),
    )  # fmt: skip
    made.description = (made.description or "") + (
        "\n\nCtrl-C cancels the job and says what was kept; pressed again, it quits at once. A terminal that closes leaves "
        "the\njob alone: it goes on in the owner process."
    )
    made.add_argument(
        "paths",
        nargs="*",
        type=full_path,
        metavar="PATH",
        help="file or folder; becomes an allowed root (none: all known sources)",
    )
    made.add_argument("--collection", default="default", metavar="NAME", help="collection (default: default)")
    made.add_argument(
        "--include",
        action="append",
        metavar="PATTERN",
        help="only files that match, like '*.md', now and in later calls",
    )
    made.add_argument(
        "--exclude", action="append", metavar="PATTERN", help="no files that match, now and in later calls"
    )
    made.add_argument(
        "--restore", action="store_true", help="bring back what was deleted with `kcore delete` or by an agent"
    )
    made.add_argument("--yes", action="store_true", help="open a home folder, or a folder above others, without asking")
    made.add_argument(
        "--include-secrets", action="store_true",
        help="index files named here that look like keys or credentials, without asking; in folders they stay left out",
    )  # fmt: skip
    made.add_argument(
        "--jsonl", type=file_name, metavar="FILE", help="documents, one a line: id (or _id), text, title, uri, metadata"
    )


async def _index(connection: Connection, arguments: argparse.Namespace) -> int:
    if not arguments.paths and not arguments.jsonl:
        return await _index_known(connection, arguments)
    await agreed(connection, arguments.paths, yes=arguments.yes)
    paths, secrets = await _secrets_agreed(connection, arguments)
    if paths:
        # A person typed these paths into their own shell: that allows them, for agents too.
        await connection.ask("roots", add=paths)
    given = {"collection": arguments.collection, "include": arguments.include, "exclude": arguments.exclude}
    if arguments.jsonl:
        documents = _documents(arguments.jsonl)
        answer = await finished(connection, "index", {"paths": paths or None, "documents": documents, **given})
    else:
        with Interrupts() as interrupts:
            started = await connection.ask("index", paths=paths, secrets=secrets, restore=arguments.restore, **given)
            answer = await end_of(connection, started["job"], interrupts)
        answer = await _with_patterns(connection, arguments.collection, paths, answer)
    show(arguments, answer)
    return code_of(answer)


async def _with_patterns(connection: Connection, collection: str, paths: list[str], answer: Answer) -> Answer:
    """Return an answer that says, too, whose patterns held where they left something out."""
    from knowledge_core.serving.client import Answer

    if not {"excluded", "not included"} & {*(answer.structure.get("skipped") or {})}:
        return answer
    sources = (await connection.ask("sources", collection=collection))["sources"]
    real = [os.path.realpath(path) for path in paths]
    lines = [
        f"Patterns of the source {one_line(each['name'])} hold: {each['patterns_told']}. `kcore sources set "
        f"{one_line(each['name'])}` changes them."
        for each in sources
        if each["patterns_told"]
        and any(path == each["path"] or path.startswith(each["path"] + os.sep) for path in real)
    ]
    return Answer("\n".join([answer.text, *lines]), answer.structure)


async def _index_known(connection: Connection, arguments: argparse.Namespace) -> int:
    """Index what is known already: all sources, or all that was deleted."""
    from knowledge_core.cli.folders.sources import sync_all

    if arguments.include or arguments.exclude:
        raise Usage("give a PATH with --include and --exclude, or change a source: kcore sources set NAME.")
    if not arguments.restore:
        return await sync_all(
            connection, arguments, [], arguments.collection if arguments.collection != "default" else None
        )
    with Interrupts() as interrupts:
        started = await connection.ask("restore", collection=arguments.collection)
        answer = await end_of(connection, started["job"], interrupts)
    show(arguments, answer)
    return code_of(answer)


async def _secrets_agreed(connection: Connection, arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the paths to index, and those of them that the person allows though they look like secrets.

    In a terminal, the person is asked about each. Elsewhere they go to the server, whose refusal names the option.

    Raises:
        Usage: the person wants none of what was named.
    """
    paths = list(arguments.paths)
    found = (await connection.ask("secrets", paths=paths))["secrets"] if paths else []
    secrets: list[str] = []
    declined: set[str] = set()
    for each in found if arguments.include_secrets or in_a_terminal() else []:
        what = f"{one_line(each['path'])} looks like {each['what']}"
        if arguments.include_secrets or said_yes(f"{what}. Index it all the same, for agents to find? [y/N] "):
            secrets.append(each["path"])
        else:
            declined.add(
                each["path"]
            )  # it goes to the server, too, which leaves it out, names it, and removes what was there
    if declined == {*paths} and not arguments.jsonl:
        raise Usage(
            "nothing was indexed. Where a file was indexed before, it stays until its folder is indexed again, or `kcore "
            "delete` takes it out."
        )
    if secrets and arguments.jsonl:
        raise Usage("index files with secrets and --jsonl in two commands.")
    return paths, secrets


def _documents(file: str) -> list[dict[str, Any]]:
    documents = []
    try:
        with open(file, encoding="utf-8-sig") as lines:  # Windows' programs begin a file with a byte order mark
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    documents.append(_document(line, f"{file}, line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"--jsonl: {file} cannot be read: {error}.") from None
    return documents


def _document(line: str, where: str) -> dict[str, Any]:
    try:
        given = json.loads(line)
        id = given.get("id")
        return {
            "id": str(given["_id"] if id is None or id == "" else id),
            "text": given["text"],
            "title": given.get("title") or "",
            "uri": given.get("uri") or "",
            "metadata": given.get("metadata") or {},
        }
    except (ValueError, RecursionError, KeyError, AttributeError):
        raise Usage(
            f'--jsonl: {where} is not a JSON object with `id` and `text`, as in {{"id": "a", "text": "..."}}.'
        ) from None


def _add_search(commands: Any) -> None:
    made = command(
        commands, "search", "find passages by meaning and by words",
        'kcore search "how do refunds work"\nkcore search "error 5012" --mode lexical --collection manuals\n'
        "kcore search --like notes/solar.md --limit 3\n"
        "kcore search \"budget\" --filter '{\"year\": {\"$gte\": 2024}}' --json\n"
        "kcore search \"rent\" --why-not notes/lease.md\nkcore search \"meeting notes\" --recency 30 --per-document 1\n"
        "kcore search --literal 'f(x)'\nkcore search --regex '^(def|class) \\w+' --collection code", connected(_search),
    )  # fmt: skip
    made.add_argument("query", nargs="?", metavar="QUERY")
    made.add_argument("--like", action="append", metavar="ID", help="more like this document (repeat for several)")
    made.add_argument("--unlike", action="append", metavar="ID", help="and less like this one")
    made.add_argument("--collection", action="append", metavar="NAME", help="repeat for several (default: all)")
    made.add_argument("--limit", type=int, metavar="N", help="hits at most (default 8; of lines: all)")
    lines = made.add_mutually_exclusive_group()
    lines.add_argument(
        "--literal", dest="match", action="store_const", const="literal", help="every line that holds QUERY as it is"
    )
    lines.add_argument(
        "--regex",
        dest="match",
        action="store_const",
        const="regex",
        help="every line that matches QUERY (ripgrep's syntax)",
    )
    made.add_argument("--mode", choices=["hybrid", "semantic", "lexical"], default="hybrid")
    made.add_argument("--filter", metavar="JSON", help='like \'{"id": {"$glob": "docs/*"}}\'')
    made.add_argument("--max-tokens", type=int, metavar="N", help="budget of the answer")
    made.add_argument("--cursor", help="continue a previous answer")
    made.add_argument("--explain", action="store_true", help="show the parts of each score, and the terms that counted")
    made.add_argument("--why-not", metavar="ID", help="say where this document stands, and what kept it out")
    made.add_argument(
        "--wording", action="append", metavar="QUERY", help="another wording of QUERY (repeat for several)"
    )
    made.add_argument("--per-document", type=int, metavar="N", help="hits of one document at most")
    made.add_argument("--recency", type=float, metavar="DAYS", help="newer first among near-ties: half-life of a date")


async def _search(connection: Connection, arguments: argparse.Namespace) -> int:
    if arguments.query is None and not arguments.like:
        raise Usage("give a QUERY, or --like ID.")
    given = {
        "query": arguments.query,
        "like": {"ids": arguments.like} if arguments.like else None,
        "unlike": {"ids": arguments.unlike} if arguments.unlike else None,
        "collections": arguments.collection,
        "limit": arguments.limit,
        "mode": arguments.mode,
        "match": arguments.match,
        "filter": parsed_filter(arguments.filter),
        "max_tokens": arguments.max_tokens,
        "cursor": arguments.cursor,
        "explain": arguments.explain or None,
        "why_not": arguments.why_not,
        "queries": arguments.wording,
        "per_document": arguments.per_document,
        "recency": arguments.recency,
    }
    if arguments.match:
        return await show_lines(connection, arguments, given)
    return show(arguments, await connection.call("search", given))


def _add_get(commands: Any) -> None:
    made = command(
        commands, "get", "print stored documents, or a part of them",
        "kcore get notes/solar.md\nkcore get notes/solar.md --outline\n"
        "kcore get notes/solar.md --section Setup\nkcore get notes/solar.md:120-180 notes/wind.md#L12\n"
        "kcore get notes/solar.md --lines 120-180\nkcore get notes/solar.md --chunk 3 --around 2",
        connected(_get),
    )  # fmt: skip
    made.add_argument(
        "id", nargs="+", metavar="ID", help="document id, as search and list show it, also with lines: a.md:12-20"
    )
    made.add_argument("--collection", default="default", metavar="NAME")
    made.add_argument("--outline", action="store_true", help="the headings with their lines and tokens, not the text")
    made.add_argument(
        "--section", metavar="HEADING", help="what stands under a heading, or under a path of them: 'Setup > Linux'"
    )
    made.add_argument("--lines", metavar="FROM-TO")
    made.add_argument("--chunk", type=int, metavar="N")
    made.add_argument(
        "--around", type=int, default=1, metavar="N", help="neighbours on each side of --chunk (default 1)"
    )
    made.add_argument("--page", type=int, metavar="N")
    made.add_argument("--max-tokens", type=int, metavar="N", help="budget of the answer, which several documents share")
    made.add_argument("--cursor", help="continue a previous answer")


async def _get(connection: Connection, arguments: argparse.Namespace) -> int:
    """Print documents; exit code 1 where one of several is not there."""
    names = ("collection", "section", "lines", "chunk", "around", "page", "max_tokens", "cursor")
    given = {name: getattr(arguments, name) for name in names} | {"outline": arguments.outline or None}
    which = {"id": arguments.id[0]} if len(arguments.id) == 1 else {"ids": arguments.id}
    answer = await connection.call("get_document", {**which, **given})
    show(arguments, answer)
    return int(any("error" in each for each in answer.structure.get("documents") or []))


def _add_list(commands: Any) -> None:
    made = command(
        commands, "list", "list the collections, or the documents of one",
        "kcore list\nkcore list --collection default --limit 100\nkcore list --sort modified --since friday\n"
        "kcore list --sort indexed_at --since 7d --until yesterday", connected(_list),
    )  # fmt: skip
    made.add_argument("--collection", metavar="NAME", help="list its documents")
    made.add_argument("--filter", metavar="JSON")
    made.add_argument(
        "--sort", choices=["id", "modified", "indexed_at"], help="order of the documents; of a time, the latest first"
    )
    made.add_argument(
        "--since", metavar="WHEN", help="only what changed since: 7d, 12h, friday, 2026-11-28, 2026-11-28T14:30"
    )
    made.add_argument("--until", metavar="WHEN", help="only what changed until then; a day is included")
    made.add_argument("--limit", type=int, default=50, metavar="N")
    made.add_argument("--cursor", help="continue a previous answer")


async def _list(connection: Connection, arguments: argparse.Namespace) -> int:
    times = {"sort": arguments.sort, "since": arguments.since, "until": arguments.until}
    if arguments.collection is None and not any(times.values()):
        return show(arguments, await all_pages(connection, "list_collections", {}, "collections", heads=0))
    given = {
        "collection": arguments.collection or "default",
        "filter": parsed_filter(arguments.filter),
        **times,
        "limit": arguments.limit,
        "cursor": arguments.cursor,
    }
    return show(arguments, await connection.call("list_documents", given))


def _add_delete(commands: Any) -> None:
    made = command(
        commands, "delete", "delete documents, or a whole collection (never your files)",
        "kcore delete --id notes/old.md\nkcore delete --filter '{\"year\": {\"$lt\": 2010}}' --dry-run\n"
        "kcore delete --collection demo --all --yes", connected(_delete),
    )  # fmt: skip
    made.add_argument("--collection", default="default", metavar="NAME")
    made.add_argument("--id", action="append", metavar="ID", help="repeat for several")
    made.add_argument("--filter", metavar="JSON")
    made.add_argument("--all", action="store_true", help="the whole collection")
    made.add_argument("--yes", action="store_true", help="needed with --filter and --all")
    made.add_argument("--dry-run", action="store_true", help="only say what would go")


async def _delete(connection: Connection, arguments: argparse.Namespace) -> int:
    if sum([bool(arguments.id), bool(arguments.filter), arguments.all]) != 1:
        raise Usage("give exactly one of --id, --filter or --all.")
    given = {
        "collection": arguments.collection,
        "ids": arguments.id,
        "filter": parsed_filter(arguments.filter),
        "all": arguments.all or None,
        "confirm": arguments.yes or None,
        "dry_run": arguments.dry_run or None,
    }
    return show(arguments, await connection.call("delete", given))

"""The commands about the folders that are indexed: sources, sync, ignore."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.folders.asking import agreed
from knowledge_core.cli.output import Usage, command, connected, full_path, show, show_as
from knowledge_core.cli.waiting import INTERRUPTED, Interrupts, code_of, end_of
from knowledge_core.language.printable import one_line

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection

NONE = "No folder is indexed yet. Make one searchable with: kcore index PATH"


def add(commands: Any) -> None:
    """Add the commands of this family."""
    made = command(
        commands, "sources", "show the folders that are indexed, change what is wanted of them, move or remove one",
        "kcore sources\nkcore sources set notes --exclude private/ --exclude '*.tmp'\nkcore sources set notes --no-patterns\n"
        "kcore sources set notes --no-watch\nkcore sources move notes ~/archive/notes\n"
        "kcore sources remove notes --keep-documents", connected(_sources),
    )  # fmt: skip
    made.add_argument("action", nargs="?", choices=["list", "set", "move", "remove"], default="list")
    made.add_argument("name", nargs="?", metavar="NAME", help="of the source, or its folder")
    made.add_argument("path", nargs="?", type=full_path, metavar="PATH", help="of move: where the folder is now")
    made.add_argument("--collection", metavar="NAME", help="where several collections have a source of that name")
    made.add_argument("--include", action="append", metavar="PATTERN", help="set: only files that match, from now on")
    made.add_argument("--exclude", action="append", metavar="PATTERN", help="set: no files that match, from now on")
    made.add_argument("--no-patterns", action="store_true", help="set: all files again")
    made.add_argument("--watch", action=argparse.BooleanOptionalAction, help="set: index changes by itself, or not")
    made.add_argument("--delete-documents", action="store_true", help="remove: its documents leave the index")
    made.add_argument("--keep-documents", action="store_true", help="remove: its documents stay as they are")
    made.add_argument("--yes", action="store_true", help="do not ask")
    sync = command(
        commands, "sync", "bring all known sources in step with their folders, once",
        "kcore sync\nkcore sync notes papers", connected(_sync),
    )  # fmt: skip
    sync.add_argument("names", nargs="*", metavar="NAME", help="of sources; all without one")
    sync.add_argument("--collection", metavar="NAME")
    ignore = command(
        commands, "ignore", "leave files out in all sources, by patterns as in .gitignore",
        "kcore ignore '*.tmp' drafts/\nkcore ignore\nkcore ignore --remove drafts/", connected(_ignore),
    )  # fmt: skip
    ignore.add_argument("patterns", nargs="*", metavar="PATTERN")
    ignore.add_argument("--remove", action="append", metavar="PATTERN", help="no longer")
    ignore.add_argument("--no-sync", action="store_true", help="let it count from the next index call on only")


async def _sources(connection: Connection, arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        return await _list(connection, arguments)
    if arguments.name is None:
        raise Usage(f"say which source to {arguments.action}: kcore sources {arguments.action} NAME.")
    return await {"set": _set, "move": _move, "remove": _remove}[arguments.action](connection, arguments)


async def _list(connection: Connection, arguments: argparse.Namespace) -> int:
    found = await connection.ask("sources", collection=arguments.collection, places=True)
    lines = []
    for each in found["sources"]:
        lines.append(f"{one_line(each['name'])} in {each['collection']}: {each['told']}")
        if each["new_place"]:
            name, place = one_line(each["name"]), one_line(each["new_place"])
            lines.append(f"  {place} holds the same files: kcore sources move {name} {place}")
        elif each["gone"]:
            lines.append(
                f"  say where it is with `kcore sources move`, or `kcore sources remove {one_line(each['name'])}`"
            )
    show_as(arguments, found, "\n".join(lines) or NONE)
    return 0


async def _set(connection: Connection, arguments: argparse.Namespace) -> int:
    given = (arguments.include, arguments.exclude, arguments.no_patterns, arguments.watch is not None)
    if not any(given):
        raise Usage("say what to set: --include, --exclude, --no-patterns, --watch or --no-watch.")
    if arguments.no_patterns and (arguments.include or arguments.exclude):
        raise Usage("--no-patterns goes with neither --include nor --exclude.")
    now = await connection.ask(
        "set_source", name=arguments.name, collection=arguments.collection, include=arguments.include,
        exclude=arguments.exclude, no_patterns=arguments.no_patterns, watch=arguments.watch,
    )  # fmt: skip
    if not any(given[:3]):
        show_as(arguments, now, f"{one_line(now['name'])} in {now['collection']}: {now['told']}")
        return 0
    return await _synced(connection, arguments, now["name"], now["collection"])


async def _move(connection: Connection, arguments: argparse.Namespace) -> int:
    if arguments.path is None:
        raise Usage("say where the folder is now: kcore sources move NAME PATH.")
    await agreed(connection, [arguments.path], yes=arguments.yes)
    with Interrupts() as interrupts:
        started = await connection.ask(
            "move_source", name=arguments.name, path=arguments.path, collection=arguments.collection, yes=arguments.yes
        )
        answer = await end_of(connection, started["job"], interrupts)
    show(arguments, answer)
    return code_of(answer)


async def _remove(connection: Connection, arguments: argparse.Namespace) -> int:
    from knowledge_core.cli.folders.asking import in_a_terminal, said_yes

    found = (await connection.ask("sources", collection=arguments.collection))["sources"]
    count = sum(each["documents"] for each in found if arguments.name in (each["name"], each["path"]))
    delete = arguments.delete_documents
    if count and not delete and not arguments.keep_documents:
        if not in_a_terminal():
            raise Usage(f"say what happens to its {count} documents: --delete-documents or --keep-documents.")
        delete = said_yes(f"Delete its {count} documents from the index, too? Files on the disk stay. [y/N] ")
    gone = await connection.ask(
        "remove_source", name=arguments.name, collection=arguments.collection, delete_documents=delete
    )
    name, stay = one_line(gone["name"]), gone["documents"] - gone["deleted"]
    said = f"Forgot the source {name} of {gone['collection']}; its folder is no longer looked after."
    if gone["deleted"]:
        said += f" Deleted {gone['deleted']} documents from the index; the files stay."
    if stay:
        said += (
            f" {stay} documents stay as they are, and are found: kcore delete --collection {gone['collection']} "
            f'--filter \'{{"source": "{name}"}}\' takes them out.'
        )
    show_as(arguments, gone, said)
    return 0


async def _synced(connection: Connection, arguments: argparse.Namespace, name: str, collection: str) -> int:
    with Interrupts() as interrupts:
        started = await connection.ask("sync_source", name=name, collection=collection)
        answer = await end_of(connection, started["job"], interrupts)
    show(arguments, answer)
    return code_of(answer)


async def _sync(connection: Connection, arguments: argparse.Namespace) -> int:
    return await sync_all(connection, arguments, arguments.names, arguments.collection)


async def sync_all(
    connection: Connection, arguments: argparse.Namespace, names: list[str], collection: str | None
) -> int:
    """Bring sources in step one after the other, all without names; one that fails does not stop the others."""
    from knowledge_core.serving.client import Refused

    known = (await connection.ask("sources", collection=collection))["sources"]
    if not known:
        show_as(arguments, {"sources": []}, NONE)
        return 0
    chosen = [each for each in known if not names or each["name"] in names or each["path"] in names]
    chosen = chosen if len(chosen) >= len(names) else [{"name": name, "collection": collection} for name in names]
    results, lines, notices, code = [], [], set[str](), 0
    with Interrupts() as interrupts:
        for each in chosen:
            shown = f"{one_line(each['name'])}{' in ' + each['collection'] if each['collection'] else ''}"
            try:
                started = await connection.ask("sync_source", name=each["name"], collection=each["collection"])
                answer = await end_of(connection, started["job"], interrupts)
            except Refused as error:
                code = 1
                lines.append(f"{shown}: {error}")
                results.append({"name": each["name"], "collection": each["collection"], "error": str(error)})
                continue
            said = answer.text.splitlines()
            lines.append("\n".join([f"{shown}: {said[0]}", *(line for line in said[1:] if line not in notices)]))
            notices.update(answer.structure.get("notices") or ())  # each once: they are of the model, not of the source
            results.append({"name": each["name"], **answer.structure})
            if interrupts.asked:
                code = INTERRUPTED
                break
            code = code or code_of(answer)
    show_as(arguments, {"sources": results}, "\n".join(lines))
    return code


async def _ignore(connection: Connection, arguments: argparse.Namespace) -> int:
    given = {"add": arguments.patterns or None, "remove": arguments.remove}
    now = await connection.ask("ignore", **given)
    said = "\n".join(now["ignored"]) or "Nothing is left out everywhere. Leave files out with: kcore ignore PATTERN"
    if not now["changed"]:
        show_as(arguments, now, said)
        return 0
    if arguments.no_sync:
        show_as(arguments, now, f"{said}\nIt counts from the next index call on.")
        return 0
    return await sync_all(connection, arguments, [], None)

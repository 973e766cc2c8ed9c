"""The commands about the owner process and its data directory: serve, status, stop, logs, uninstall."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.clients.setup import undo_everywhere
from knowledge_core.cli.http import add_http_options, http_options_given, serve_http
from knowledge_core.cli.output import Usage, command, connected, full_path, show_as, unwrapped
from knowledge_core.errors import DataDirectoryHeld, OwnerUnavailable, StorageError
from knowledge_core.language.printable import one_line, printable
from knowledge_core.paths import IGNORED, LOCK_FILE, LOGS, OwnerLock, data_directory, holder, is_held

if TYPE_CHECKING:
    from knowledge_core.serving.client import Connection
    from knowledge_core.serving.pipe.dialling import Link

FORCED_PATIENCE = 5.0  # seconds in which an owner must be reached before --force ends it
ENDS_WITHIN = 30.0  # seconds that an owner has to finish its batch and its calls and to close the collections
# Files and folders of the data directory.
OURS = (LOCK_FILE, "owner.secret", "http-tokens.json", "roots.json", IGNORED, "config.yaml", "engines.json")
OUR_FOLDERS = ("collections", LOGS, "run", "models", "restoring", "set-aside")


def add(commands: Any) -> None:
    """Add the commands of this family."""
    serve = command(
        commands, "serve", "serve MCP on stdin and stdout; this is what clients launch",
        "kcore serve\nkcore serve --home ~/work-knowledge\nkcore serve --root ~/notes ~/papers\n"
        "kcore serve --in-process\nkcore serve --http --port 8321\nkcore serve --http --new-token",
        _serve,
    )  # fmt: skip
    serve.add_argument(
        "--root",
        nargs="*",
        type=full_path,
        default=[],
        metavar="PATH",
        help="folders that the client's agent may index",
    )
    add_http_options(serve)
    command(
        commands, "status", "show the owner, its clients and jobs, the collections with sizes, model and roots",
        "kcore status\nkcore status --json", connected(_status),
    )  # fmt: skip
    stop = command(
        commands, "stop", "end the owner process; jobs go on when the next client starts one",
        "kcore stop\nkcore stop --force", _stop,
    )  # fmt: skip
    stop.add_argument("--force", action="store_true", help="kill it if it does not answer")
    logs = command(
        commands, "logs", "show the end of the owner's log",
        "kcore logs\nkcore logs --lines 200\nkcore logs --follow", _logs,
    )  # fmt: skip
    logs.add_argument("--lines", type=int, default=50, metavar="N", help="how many (default 50)")
    logs.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    uninstall = command(
        commands, "uninstall", "remove the data directory and our entries in clients, never your files",
        "kcore uninstall --dry-run\nkcore uninstall --yes", _uninstall,
    )  # fmt: skip
    uninstall.add_argument("--dry-run", action="store_true", help="only say what would go")
    uninstall.add_argument("--yes", action="store_true", help="do not ask")


def _serve(arguments: argparse.Namespace) -> int:
    from knowledge_core.serving.pipe.dialling import OwnerImpossible

    home = data_directory(arguments.home)
    if arguments.http:
        return serve_http(arguments, home)
    if http_options_given(arguments):
        raise Usage("--port, --host, --new-token and --no-token are for --http.")
    if arguments.in_process:
        return _serve_alone(arguments, home, "asked for with --in-process")
    from knowledge_core.serving.pipe.pipe import serve

    try:
        serve(home, arguments.config, arguments.root)
    except OwnerImpossible as impossible:
        print(f"kcore serve: {impossible}; serving in this process.", file=sys.stderr)
        return _serve_alone(arguments, home, str(impossible))
    return 0


def _serve_alone(arguments: argparse.Namespace, home: Path, why: str) -> int:
    from knowledge_core.config import load_config
    from knowledge_core.serving.stdio import serve_stdio

    def run() -> int:
        config = load_config(home, arguments.config)
        serve_stdio(home, config, why, arguments.root, config_file=arguments.config)
        return 0

    return unwrapped(run)


# -- status ------------------------------------------------------------------------------------------------------------


async def _status(connection: Connection, arguments: argparse.Namespace) -> int:
    result = await connection.ask("status")
    lines = [f"kcore {result['version']} on Python {result['python']}, data directory {result['home']}"]
    lines += _owner_lines(result["owner"]) if result["owner"] else ["owner: none; this command worked by itself"]
    in_memory = ", ".join(result["models_in_memory"]) or "none yet"
    notice = f" ({result['model_notice']})" if result["model_notice"] else ""
    lines.append(f"model: {result['model']}, in memory: {in_memory}{notice}")
    if result["parsing"]:
        lines.append(f"parsing: {len(result['parsing'])} processes, {sum(result['parsing']) / 1e6:.0f} MB")
    lines.append("roots: " + (", ".join(result["roots"]) or "none; allow one with: kcore roots add PATH"))
    for each in result["collections"]:
        waiting = f" of {each['known']} known" if each["known"] > each["documents"] else ""
        lines.append(
            f"{each['name']}: {each['documents']} documents{waiting}, {each['chunks']} chunks, "
            f"{each['bytes'] / 1e6:.1f} MB, {each['model']} ({each['dimensions']} dimensions)"
        )
    lines += [f"source {each['name']} in {each['collection']}: {each['told']}" for each in result["sources"]]
    lines += [f"left out everywhere: {', '.join(result['ignored'])}"] if result["ignored"] else []
    lines += [f"{name} cannot be read: {why}" for name, why in result["unreadable"].items()]
    lines += [*result["losses"], *(f"set aside: {folder}" for folder in result["set_aside"])]
    if not (result["collections"] or result["unreadable"]):
        lines.append("no collection yet; make one with: kcore index PATH")
    lines += [f"job {each['id']}: {each['state']}, {each['error'] or each['message']}" for each in result["jobs"]]
    show_as(arguments, result, "\n".join([*lines, *result["notices"]]))
    return 0


def _owner_lines(owner: dict[str, Any]) -> list[str]:
    memory = f", {owner['memory_bytes'] / 1e6:.0f} MB" if owner["memory_bytes"] else ""
    http = f", HTTP at {owner['http']}" if owner["http"] else ""
    http += " without a token" if http and not owner["http_asks_for_token"] else ""
    lines = [f"owner: process {owner['pid']}, up {_ago(owner['started'])}{memory}, {owner['transport']} socket{http}"]
    lines += [
        f"client {each['id']}: {each['role']}, process {each['pid']}, for {_ago(each['since'])}, {each['calls']} calls"
        for each in owner["clients"]
    ]
    return lines


def _ago(moment: float) -> str:
    seconds = max(time.time() - moment, 0.0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


# -- stop --------------------------------------------------------------------------------------------------------------


def _stop(arguments: argparse.Namespace) -> int:
    home = data_directory(arguments.home)
    try:
        stopped = _ask_to_stop(home, arguments.config, FORCED_PATIENCE if arguments.force else None)
    except (DataDirectoryHeld, OwnerUnavailable) as error:
        if not arguments.force:
            raise
        stopped = _kill(home, str(error))
    if stopped is None:
        show_as(arguments, {"stopped": False}, f"No owner runs on {home}.")
        return 0
    others = (
        f"; {stopped['clients']} other clients will start a new one when they need it" if stopped.get("clients") else ""
    )
    if stopped.get("http"):
        others += f"; `kcore serve --http` opens its door at {stopped['http']} anew at once: Ctrl-C there closes it"
    show_as(arguments, {"stopped": True, **stopped}, f"Stopped the owner (process {stopped['pid']}){others}.")
    return 0


def _ask_to_stop(home: Path, config: str | None, patience: float | None) -> dict[str, Any] | None:
    """Ask the owner to end, wait until it has, and return its answer; None if no owner runs.

    patience: seconds in which it must be reached; None: as of every command.
    """
    import anyio

    from knowledge_core.serving.client import to_owner

    link = _reached(home, config, patience)
    if link is None:
        return None

    stopped: dict[str, Any] = {}

    async def ask() -> int:
        async with to_owner(link) as connection:
            about = await connection.ask("owner")
            stopped.update({"http": about.get("http"), **await connection.ask("stop")})
        return 0

    unwrapped(anyio.run, ask)
    _wait_until_gone(home, stopped["pid"])
    return stopped


def _reached(home: Path, config: str | None, seconds: float | None) -> Link | None:
    """Return a connection to the owner; None if no owner runs. One whose socket was deleted listens anew within seconds."""
    from knowledge_core.serving.pipe.dialling import OWNER_COMMAND, RETRY, patience, reach

    deadline = time.monotonic() + (patience() if seconds is None else seconds)
    while (link := reach(home, config, "cli", deadline)) is None:
        if not is_held(home):
            return None
        held_by = holder(home)
        if held_by is not None and held_by.command != OWNER_COMMAND:
            raise DataDirectoryHeld(f"{home} is held by {held_by}, which is no owner: close its client instead.")
        if time.monotonic() > deadline:
            raise DataDirectoryHeld(
                f"{home} is held by {held_by or 'another process'}, which cannot be reached. End it with "
                "`kcore stop --force`."
            )
        time.sleep(RETRY)
    return link


def _wait_until_gone(home: Path, pid: int) -> None:
    """Wait until a process no longer holds the data directory; another owner may hold it by then."""
    deadline = time.monotonic() + ENDS_WITHIN
    while is_held(home) and (held_by := holder(home)) is not None and held_by.pid == pid:
        if time.monotonic() > deadline:
            raise DataDirectoryHeld(f"{home} is still held by {held_by}. End it with `kcore stop --force`.")
        time.sleep(0.05)


def _kill(home: Path, why: str) -> dict[str, Any]:
    from knowledge_core.serving.pipe.ending import end

    held_by = holder(home)
    if held_by is None or not is_held(home):
        raise OwnerUnavailable(why)
    end(home, held_by)
    return {"pid": held_by.pid, "version": held_by.version, "killed": True}


# -- logs --------------------------------------------------------------------------------------------------------------


def _logs(arguments: argparse.Namespace) -> int:
    # Read from the file, not from the owner: the log matters most when no owner starts.
    from knowledge_core.serving.logs import LOG_FILE, tail

    home = data_directory(arguments.home)
    lines = tail(home, max(arguments.lines, 1))
    show_as(arguments, {"lines": lines}, "\n".join(lines) or f"No log yet in {home / LOGS}.")
    if arguments.follow:
        _follow(home / LOGS / LOG_FILE)
    return 0


def _follow(file: Path) -> None:
    """Print what is appended to a file until interrupted, also after the file was rotated."""
    position = file.stat().st_size if file.exists() else 0
    while True:
        size = file.stat().st_size if file.exists() else 0
        position = min(position, size) if size >= position else 0
        if size > position:
            with open(file, encoding="utf-8", errors="replace") as opened:
                opened.seek(position)
                print(printable(opened.read()), end="", flush=True)
                position = opened.tell()
        time.sleep(0.3)


# -- uninstall ---------------------------------------------------------------------------------------------------------


def _uninstall(arguments: argparse.Namespace) -> int:
    home = data_directory(arguments.home)
    doomed = [home / name for name in (*OUR_FOLDERS, *OURS) if (home / name).exists()]
    if not doomed:
        show_as(arguments, {"home": str(home), "removed": []}, f"There is nothing of Knowledge Core in {home}.")
        return 0
    sizes = {str(path): _bytes(path) for path in doomed}
    listed = [{"path": path, "bytes": size} for path, size in sizes.items()]
    lines = [f"  {path} ({size / 1e6:.1f} MB)" for path, size in sizes.items()]
    if arguments.dry_run:
        show_as(arguments, {"home": str(home), "would_remove": listed}, "\n".join(["This would go:", *lines]))
        return 0
    if not arguments.yes:
        _ask(lines)
    if is_held(home):
        _stop(argparse.Namespace(**{**vars(arguments), "force": True, "json": False}))
    _remove(home, doomed)
    clients = undo_everywhere()
    left = sorted(path.name for path in home.iterdir()) if home.exists() else []
    about_rest = f" Left there, because it is not ours: {', '.join(left)}." if left else ""
    about_clients = f" Took our entry out of {', '.join(clients)}." if clients else ""
    show_as(
        arguments,
        {"home": str(home), "removed": listed, "left": left, "clients": clients},
        f"Removed {home}.{about_rest}{about_clients} Last: pip uninstall knowledge-core",
    )
    return 0


def _ask(lines: list[str]) -> None:
    if not sys.stdin.isatty():
        raise Usage("say --yes to remove, or --dry-run to see what would go.")
    print("\n".join(["This will be removed; your own files are not touched:", *map(one_line, lines)]))
    if input("Type yes to go on: ").strip().lower() != "yes":
        raise Usage("nothing was removed.")


def _remove(home: Path, doomed: list[Path]) -> None:
    lock = OwnerLock(home, "kcore uninstall")  # nobody starts an owner on what is being removed
    try:
        for path in doomed:
            if path.name != LOCK_FILE:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (home / LOCK_FILE).unlink()
    except OSError as error:
        raise StorageError(f"{error.filename or home} could not be removed ({error.strerror}).") from error
    finally:
        lock.release()
    if not any(home.iterdir()):
        home.rmdir()


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())

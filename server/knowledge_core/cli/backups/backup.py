"""`kcore backup`: in its own process, which reads what the owner writes; the owner works on and need not run."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.backups.progress import BytesProgress, amount, private_files
from knowledge_core.cli.output import command, full_path, show_as
from knowledge_core.paths import IGNORED, config_path, data_directory

if TYPE_CHECKING:
    from knowledge_core.backups.making import Backup


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "backup", "copy all collections into a folder or a .zip, while they are in use",
        "kcore backup\nkcore backup /media/disk/knowledge\nkcore backup ~/knowledge.zip\n"
        "kcore backup /media/disk/knowledge --prune --json\nkcore restore /media/disk/knowledge", _backup,
    )  # fmt: skip
    made.description = (made.description or "") + (
        "\n\nInto a folder only what changed is copied the next time; a .zip is written anew. Each collection is copied as it\n"
        "is at one moment, whole and checked; nobody has to stop for that. The configuration and the allowed folders come\n"
        "along. Not in a backup: indexes, which are rebuilt; models, which `kcore pull` fetches; logs, secrets and tokens.\n"
        "Until it is finished, a backup that was there stays as it is."
    )
    made.add_argument(
        "target", nargs="?", type=full_path, metavar="TARGET",
        help="a folder, or a file that ends in .zip (default: knowledge-core-backup-DATE-TIME.zip in this folder)",
    )  # fmt: skip
    made.add_argument("--prune", action="store_true", help="remove from the folder what the data directory has no more")


def _backup(arguments: argparse.Namespace) -> int:
    from knowledge_core.backups.making import back_up

    home = data_directory(arguments.home)
    target = arguments.target or full_path(time.strftime("knowledge-core-backup-%Y-%m-%d-%H%M%S.zip"))
    settings = {
        "config.yaml": config_path(home, arguments.config)[0],
        "roots.json": home / "roots.json",
        IGNORED: home / IGNORED,
    }
    with private_files(), BytesProgress() as line:
        made = back_up(home, Path(target), settings, prune=arguments.prune, report=line.told)
    show_as(arguments, _structure(made), "\n".join(_lines(made)))
    return 1 if made.failed else 0


def _structure(made: Backup) -> dict[str, Any]:
    return {
        "target": str(made.target),
        "collections": [
            {
                "collection": each.name, "documents": each.documents, "chunks": each.chunks, "vectors": each.vectors,
                "bytes": each.bytes, "model": each.model, "made": each.made,
            }
            for each in made.manifest.collections
        ],
        "copied": made.copied, "unchanged": made.unchanged, "failed": dict(made.failed), "gone": made.gone,
        "settings": [each.name for each in made.manifest.settings],
        "bytes_written": made.bytes_written, "seconds": round(made.seconds, 2),
    }  # fmt: skip


def _lines(made: Backup) -> list[str]:
    held = {each.name: each for each in made.manifest.collections}
    lines = []
    for name in made.copied:
        each = held[name]
        lines.append(
            f"{name}: {each.documents} documents, {each.chunks} chunks, {amount(each.bytes)} copied and checked"
        )
    lines += [f"{name}: unchanged since {held[name].made}" for name in made.unchanged]
    for name, why in made.failed.items():
        lines.append(f"{name}: NOT BACKED UP. {why}" + (_stays(held[name].made) if name in held else ""))
    lines += [
        f"{name}: not in the data directory any more.{_stays(held[name].made)} --prune removes it" for name in made.gone
    ]
    where = shlex.quote(str(made.target))
    lines.append(f"Backup: {made.target}, {amount(made.bytes_written)} read in {made.seconds:.1f} s.")
    return [*lines, f"To restore it, here or on another machine: kcore restore {where}"]


def _stays(made: str) -> str:
    return f" Its copy of {made} stays in the backup."

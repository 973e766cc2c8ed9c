"""`kcore restore`: everything is proved in this process; then the owner puts it in place, collection by collection."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge_core.cli.backups.progress import BytesProgress, amount, private_files
from knowledge_core.cli.output import command, connected, full_path, show_as
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.paths import data_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knowledge_core.backups.manifest import StoredRecord
    from knowledge_core.backups.sources import Source
    from knowledge_core.serving.client import Connection


def add(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands, "restore", "put collections back from a backup, here or on another machine",
        "kcore restore /media/disk/knowledge\nkcore restore ~/knowledge.zip --collection notes\n"
        "kcore restore ~/knowledge.zip --collection notes --replace\nkcore restore ~/knowledge.zip --check", _restore,
    )  # fmt: skip
    made.description = (made.description or "") + (
        "\n\nEverything is verified before anything is changed. A collection is replaced as a whole; the former one is\n"
        "set aside under set-aside/ in the data directory, and nothing of it is deleted. Others are searched meanwhile.\n"
        "The allowed folders and the configuration of a backup are taken only where you say so: they decide what an\n"
        "agent may read, and where texts are sent."
    )
    made.add_argument("source", type=full_path, metavar="SOURCE", help="the folder or .zip that `kcore backup` made")
    made.add_argument(
        "--collection", action="append", default=[], metavar="NAME", help="only this one (may be given again)"
    )
    made.add_argument("--replace", action="store_true", help="set collections of the same name aside")
    made.add_argument(
        "--with-roots", action="store_true", help="allow the folders that the backup allowed, if they exist"
    )
    made.add_argument(
        "--with-config", action="store_true", help="take the backup's configuration; the present one is set aside"
    )
    made.add_argument("--check", action="store_true", help="only verify the backup, and say what is in it")


def _restore(arguments: argparse.Namespace) -> int:
    from knowledge_core.backups.restoring import chosen, to_restore, verify
    from knowledge_core.backups.sources import opened

    home = data_directory(arguments.home)
    with opened(Path(arguments.source)) as source:
        records = chosen(source, arguments.collection)
        if arguments.check:
            with BytesProgress() as line:
                verify(source, [*records, *source.manifest.settings], line.told)
            _show_contents(arguments, source, records)
            return 0
        wanted = to_restore(home, records, replace=arguments.replace)
        with private_files():
            return _restored(arguments, home, source, records, wanted)


def _restored(
    arguments: argparse.Namespace,
    home: Path,
    source: Source,
    records: Sequence[StoredRecord],
    wanted: list[StoredRecord],
) -> int:
    from knowledge_core.backups.restoring import stage, staging
    from knowledge_core.backups.settings import allowed_folders, ignored_patterns, read_settings, take_config
    from knowledge_core.types import Progress

    settings = read_settings(source, needed=arguments.with_roots or arguments.with_config)
    total = sum(each.bytes for each in wanted)
    with staging(home, total) as folder, BytesProgress() as line:
        done = 0
        for record in wanted:

            def read(size: int, record: StoredRecord = record, before: int = done) -> None:
                doing = "reading and verifying" if size < record.bytes else "building the indexes of"
                line.told(Progress(before + size, total, f"{doing} {record.name}", "bytes"))

            stage(source, record, folder, read)
            done += record.bytes
        line.clear()
        told = _Told(source, [each.name for each in records if each not in wanted])
        told.config = take_config(home, settings, folder, take=arguments.with_config)
        told.ignored = ignored_patterns(settings)
        roots = allowed_folders(settings)
        return connected(functools.partial(_place, wanted, roots, told))(arguments)


class _Told:
    """What came of a restore so far.

    config: what became of the configuration, a sentence; "" where there is nothing to say. ignored: patterns that hold in all
        sources, which are taken: they leave files out, and open nothing.
    """

    def __init__(self, source: Source, unchanged: list[str]) -> None:
        self.source, self.unchanged = source, unchanged
        self.restored: list[dict[str, Any]] = []
        self.added: list[str] = []
        self.not_added: list[str] = []
        self.config = ""
        self.ignored: list[str] = []


async def _place(
    wanted: Sequence[StoredRecord],
    roots: Sequence[str],
    told: _Told,
    connection: Connection,
    arguments: argparse.Namespace,
) -> int:
    try:
        for record in wanted:
            answer = await connection.ask("put_in_place", name=record.name, replace=arguments.replace or None)
            told.restored.append({**answer, "made": record.made, "model": record.model})
    except KnowledgeCoreError as error:
        in_place = ", ".join(each["collection"] for each in told.restored)
        if in_place:
            print(f"kcore: in place so far: {in_place}; the same command does the rest", file=sys.stderr)
        raise error
    if told.ignored:
        await connection.ask("ignore", add=told.ignored)
    allowed = (await connection.ask("roots"))["roots"]
    for root in roots:
        if root in allowed:
            continue
        if arguments.with_roots and os.path.exists(root):
            with contextlib.suppress(KnowledgeCoreError):  # told as not added
                told.added += (await connection.ask("roots", add=[root]))["added"]
                continue
        told.not_added.append(root)
    missing = sorted({each.model for each in wanted if not _is_here(arguments, each.model)})
    structure = {
        "source": arguments.source, "restored": told.restored, "unchanged": told.unchanged,
        "not_in_backup": told.source.manifest.left_out, "roots_added": told.added, "roots_not_added": told.not_added,
        "config": told.config or None, "ignored": told.ignored, "models_missing": missing,
    }  # fmt: skip
    show_as(arguments, structure, "\n".join(_lines(told, wanted, missing)))
    return 0


def _is_here(arguments: argparse.Namespace, model: str) -> bool:
    """Say whether a collection's model is on this machine; of one behind an endpoint, whether an endpoint is configured."""
    from knowledge_core.config import load_config
    from knowledge_core.embedding.models.models import resolve

    home = data_directory(arguments.home)
    config = load_config(home, arguments.config)
    if model.partition(":")[0] == "remote":
        return config.embedding.remote.url is not None
    try:
        resolve(model, models_folder=config.embedding.folder_of_models(home))
    except KnowledgeCoreError:
        return False
    return True


def _lines(told: _Told, wanted: Sequence[StoredRecord], missing: Sequence[str]) -> list[str]:
    from knowledge_core.storage.catalogue import EXACT_UP_TO

    lines = [
        f"{each['collection']}: restored as of {each['made']}, verified: {each['documents']} documents, "
        f"{each['chunks']} chunks, {each['vectors']} vectors."
        + (f" The former one is in {each['set_aside']} of the data directory." if each["set_aside"] else "")
        for each in told.restored
    ]
    lines += [
        f"{name}: is there as the backup has it, left as it is (--replace restores it anyway)."
        for name in told.unchanged
    ]
    lines += [f"{name}: not in the backup: {why}" for name, why in told.source.manifest.left_out.items()]
    large = [each.name for each in wanted if each.vectors > EXACT_UP_TO]
    if large:
        lines.append(
            f"The graph of {', '.join(large)} is built in the background (about a minute for 100,000 vectors); searches work "
            "meanwhile, a little slower."
        )
    lines += [_about_missing(model) for model in missing]
    if told.added:
        lines.append(f"Allowed, as the backup had it: {', '.join(told.added)}")
    if told.not_added:
        lines.append(
            "Not taken: the folders that may be read. Allow those that are on this machine: kcore roots add "
            + " ".join(map(shlex.quote, told.not_added))
        )
    return [*lines, *([told.config] if told.config else [])]


def _about_missing(model: str) -> str:
    if model.partition(":")[0] == "remote":
        return (
            f"The model {model} is behind an endpoint that is not configured here: set embedding.remote in config.yaml."
        )
    return f"The model {model} is not on this machine, and its collections are not searched without it. Run: kcore pull {model}"


def _show_contents(arguments: argparse.Namespace, source: Source, records: Sequence[StoredRecord]) -> None:
    manifest = source.manifest
    structure = json.loads(manifest.model_dump_json())
    lines = [
        f"{each.name}: {each.documents} documents, {each.chunks} chunks, {amount(each.bytes)}, of {each.made}, {each.model}"
        for each in records
    ]
    lines += [f"{name}: not in the backup: {why}" for name, why in manifest.left_out.items()]
    lines.append(f"The backup of {manifest.home} is whole: made {manifest.made} by version {manifest.product}.")
    show_as(arguments, {"whole": True, **structure}, "\n".join(lines))

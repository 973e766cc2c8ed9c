"""The small files of a backup: the allowed folders and the configuration, which are taken only where a person says so.

Both widen what this program does: which folders an agent may read, and which endpoint is sent texts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from knowledge_core.backups.manifest import SETTINGS
from knowledge_core.backups.sources import Source
from knowledge_core.config import load_config
from knowledge_core.errors import ConfigurationError, StorageDamaged
from knowledge_core.files import flush_folder, replacing, storage_refusal
from knowledge_core.storage.catalogue import SET_ASIDE

LARGEST = 2**20  # bytes; ours have a few hundred
_CONFIG, _ROOTS, _IGNORED = SETTINGS


def read_settings(source: Source, *, needed: bool) -> dict[str, bytes]:
    """Return the small files of a backup by their names, verified.

    needed: they are to be taken; else one that is not whole is left out, so that it keeps no collection back.

    Raises:
        StorageDamaged: one is not as it was written, or no file of ours is so large.
    """
    read: dict[str, bytes] = {}
    for stored in source.manifest.settings:
        if stored.bytes > LARGEST:
            raise StorageDamaged(f"The backup {source.path} cannot be used: {stored.file} is larger than any of ours.")
        content = bytearray()
        try:
            source.read(stored, content.extend)
        except StorageDamaged:
            if needed:
                raise
            continue
        read[stored.name] = bytes(content)
    return read


def allowed_folders(settings: Mapping[str, bytes]) -> list[str]:
    """Return the folders that the backup's data directory allowed to be read."""
    try:
        roots = json.loads(settings.get(_ROOTS, b'{"roots": []}'))["roots"]
        return sorted({root for root in roots if isinstance(root, str) and root})
    except (ValueError, KeyError, TypeError, RecursionError):
        return []  # it was no list there, either


def ignored_patterns(settings: Mapping[str, bytes]) -> list[str]:
    """Return the patterns by which the backup's data directory left files out in all sources, save those that bring some back."""
    lines = settings.get(_IGNORED, b"").decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip() and line[0] not in "#!"]


def take_config(home: Path, settings: Mapping[str, bytes], work: Path, *, take: bool) -> str:
    """Put the backup's configuration in the place of the data directory's, if it is to be taken.

    work: a folder for a file on the way. Returns a sentence about what was done; "" if there is no other configuration.

    Raises:
        ConfigurationError: it is no configuration of this version. StorageError: the disk refused.
    """
    content, place = settings.get(_CONFIG), home / _CONFIG
    try:
        present = place.read_bytes() if place.exists() else None
        if content is None or content == present:
            return ""
        if not take:
            return "Not taken: the backup's config.yaml, which differs from the one here. To take it, restore --with-config."
        tried = work / _CONFIG
        tried.write_bytes(content)
        try:
            load_config(home, str(tried))
        except ConfigurationError as error:
            said = str(error).replace(str(tried), f"{_CONFIG} of the backup")
            raise ConfigurationError(f"{said} Nothing was changed; restore without --with-config.") from error
        kept = ""
        if present is not None:
            (home / SET_ASIDE).mkdir(exist_ok=True, mode=0o700)
            kept = f"{SET_ASIDE}/config-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.yaml"
            with replacing(home / kept, mode=0o600) as file:
                file.write(present)
        with replacing(place, mode=0o600) as file:
            file.write(content)
        flush_folder(home)
    except OSError as error:
        raise storage_refusal(error, _CONFIG) from error
    return "Taken: the backup's config.yaml, from the owner's next start on." + (
        f" The former one: {kept}" if kept else ""
    )

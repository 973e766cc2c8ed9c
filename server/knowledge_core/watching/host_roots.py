"""Folders that a host's entry names (`kcore serve --root PATH`, the bundle's folders) become sources without being asked again.

A person chose them in a host's own settings. Not so what lies in a project's file: whoever wrote the project wrote it, and
must not have a person's folders indexed. Neither is a home folder or what lies above one taken, and a folder that is larger
than the configuration's bounds waits for a person's yes.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import threading
from collections.abc import Sequence
from pathlib import Path

from knowledge_core.engine import Engine
from knowledge_core.errors import Interrupted, KnowledgeCoreError
from knowledge_core.indexing.surveying import covering
from knowledge_core.ingestion.walking.walker import Selecting, walk
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index

log = logging.getLogger(__name__)

COLLECTION = "default"
PROJECT_FILES = (
    ".mcp.json", ".vscode/mcp.json", ".cursor/mcp.json", ".gemini/settings.json", ".qwen/settings.json",
    ".codex/config.toml", "opencode.json", "opencode.jsonc", ".opencode/opencode.json", ".zed/settings.json",
    ".claude/settings.json", ".windsurf/mcp_config.json", ".roo/mcp.json", ".kilocode/mcp.json", ".amazonq/mcp.json",
    ".junie/mcp/mcp.json", ".continue/mcpServers/mcp.json", ".continue/config.yaml", ".goose/config.yaml",
)  # fmt: skip
"""Where hosts look for servers that a project brings along, below the project's folder."""
_LONGEST = 1_000_000  # characters that are read of such a file
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")  # of JSON and TOML
_OURS = ("kcore", "knowledge-core", "knowledge_core")


class _TooLarge(Exception):
    pass


class HostRoots:
    """Takes up the folders that hosts name, one after the other, on a thread of its own for each connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._known: set[tuple[str, str | None]] = set()

    def named(self, roots: Sequence[str], folder: str | None) -> None:
        """Take up folders that a client's entry names; return at once.

        folder: in which the client started its pipe; None where that is not known.
        """
        new = [root for root in roots if (root, folder) not in self._known]
        self._known.update((root, folder) for root in new)
        if new:
            threading.Thread(target=self._take_up, args=(new, folder), name="host-roots", daemon=True).start()

    def _take_up(self, roots: Sequence[str], folder: str | None) -> None:
        for root in roots:
            with self._turn:
                try:
                    self._take(Path(os.path.realpath(os.path.expanduser(root))), folder)
                except Interrupted:
                    return
                except (KnowledgeCoreError, OSError, ValueError) as error:
                    log.warning("the folder that a host names is not indexed by itself: %s", error)

    def _take(self, path: Path, folder: str | None) -> None:
        if not path.is_dir() or self._is_covered(path):
            return
        why = self._refusal(path, folder)
        if why is None:
            self._engine.waiting_roots.pop(str(path), None)
            log.info("%s is named by a host and is indexed", path)
            accept_index(self._engine, IndexRequest(COLLECTION, (str(path),), by_person=True, watching=True), (), ())
        else:
            said = f"{path} is named by a host and waits: {why} Index it with: kcore index {shlex.quote(str(path))}"
            self._engine.waiting_roots[str(path)] = said
            log.info("%s", said)

    def _is_covered(self, path: Path) -> bool:
        """Say whether a folder is, or lies in, a source of any collection."""
        for name in self._engine.names():
            try:
                if covering(path, self._engine.collection(name).sources()):
                    self._engine.waiting_roots.pop(str(path), None)
                    return True
            except KnowledgeCoreError:  # damaged: others say so
                continue
        return False

    def _refusal(self, path: Path, folder: str | None) -> str | None:
        """Return why a folder is not indexed without a person's yes; None where it is."""
        home = Path(os.path.realpath(os.path.expanduser("~")))
        if home.is_relative_to(path):
            return "it is a home folder, or lies above one."
        if folder is None:
            return "its client does not say where it was started, so a project's own file may have named it."
        if project := project_file(folder, home):
            return f"a project's own file ({project}) may have named it."
        settings = self._engine.config.indexing
        if (size := self._size(path)) is None:
            return f"it holds more than {settings.root_files:,} files."
        if size > settings.root_mb * 1e6:
            return f"it holds {size / 1e6:,.0f} MB of files, more than {settings.root_mb:,.0f}."
        return None

    def _size(self, path: Path) -> int | None:
        """Return the bytes of the files that would be indexed; None where there are more files than the bound."""
        settings = self._engine.config.indexing

        def count(found: int) -> None:
            if found > settings.root_files:
                raise _TooLarge

        selecting = Selecting(
            int(settings.max_file_mb * 1e6), ignored=self._engine.ignored(), generated=settings.generated
        )
        try:
            files = walk(path, self._engine.roots.all(), selecting, between=count).files
        except _TooLarge:
            return None
        return None if len(files) > settings.root_files else sum(file.size for file in files)


def project_file(folder: str, home: Path) -> Path | None:
    """Return the file of a project around a folder that may start a server of ours with roots; None for none.

    home: where the settings of hosts themselves lie; it is no project.
    """
    start = Path(os.path.realpath(folder))
    for each in (start, *start.parents):
        if home.is_relative_to(each):
            return None
        for name in PROJECT_FILES:
            try:
                with open(each / name, encoding="utf-8", errors="replace") as file:
                    text = file.read(_LONGEST)
            except OSError:
                continue
            text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
            if "root" in text and any(ours in text for ours in _OURS):
                return each / name
    return None

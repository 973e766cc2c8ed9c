"""Checkouts of git within the walked folder: a second one of the same repository holds old versions of the same files.

Sources: git-worktree(1), gitmodules(5), gitrepository-layout(5), git-config(1) for the syntax of `.gitmodules`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence, Set
from pathlib import Path

from knowledge_core.ingestion.walking.places import is_inside

GIT = ".git"  # the folder of a repository, or a file that says where it is
_MODULES = ".gitmodules"
_LONGEST = 1_000_000  # characters that are read of such a file
_SECTION = re.compile(r'\s*\[\s*([A-Za-z0-9.-]+)(?:\s+"(?:[^"\\]|\\.)*")?\s*\]')
_PATH = re.compile(r'\s*path\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^#;]*))', re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")


def is_work_tree(folder: Path) -> bool:
    """Say whether a checkout is a further work tree of a repository that lies elsewhere (`git worktree add`)."""
    said = _text(folder / GIT).partition("gitdir:")[2].strip()
    return "/worktrees/" in said.replace("\\", "/")


def is_bare(names: Set[str]) -> bool:
    """Say whether a folder with these entries is a repository without a checkout."""
    return {"HEAD", "objects", "refs"} <= names


def lies_in_checkout(folder: Path, roots: Sequence[Path]) -> bool:
    """Say whether a folder is a checkout, or lies in one, as far as the roots reach."""
    above = [each for each in folder.parents if is_inside(each, roots)]
    return any(os.path.lexists(each / GIT) for each in (folder, *above))


def submodules(folder: Path, names: Set[str]) -> list[str]:
    """Return the full paths of the submodules that a checkout names. names: what lies in its folder."""
    found, section = [], ""
    for line in _text(folder / _MODULES).splitlines() if _MODULES in names else ():
        if begun := _SECTION.match(line):
            section, line = begun[1].lower(), line[begun.end() :]  # a variable may follow on the line
        if section == "submodule" and (said := _PATH.match(line)):
            path = _ESCAPED.sub(r"\1", said[1]) if said[1] is not None else said[2].strip()
            found.append(os.path.normpath(os.path.join(folder, path)))
    return found


def _text(file: Path) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read(_LONGEST)
    except OSError:  # a folder, or gone
        return ""

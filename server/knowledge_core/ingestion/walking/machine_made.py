"""Files that programs made for programs: locks, minified code, source maps, generated code, copies of a conflict.

They drown what people wrote, and nobody asks for them: they are left out of folders, counted as "generated". A line like
`!*.lock` in an ignore file brings some back, `indexing.generated: true` all of them, and a file that is named is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from pathlib import PurePath

from knowledge_core.ingestion import formats
from knowledge_core.ingestion.walking.ignoring import Patterns
from knowledge_core.ingestion.walking.path_patterns import PathPatterns

_NAMES = """
package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock deno.lock Cargo.lock poetry.lock uv.lock pdm.lock
pixi.lock Pipfile.lock conda-lock.yml composer.lock Gemfile.lock go.sum go.work.sum flake.lock mix.lock rebar.lock
pubspec.lock Podfile.lock Cartfile.resolved Package.resolved packages.lock.json project.assets.json paket.lock
gradle.lockfile buildscript-gradle.lockfile .terraform.lock.hcl MODULE.bazel.lock Manifest.toml.lock cabal.project.freeze
stack.yaml.lock shard.lock
*.min.js *.min.mjs *.min.css *-min.js *-min.css *.bundle.js *.chunk.js *.js.map *.mjs.map *.cjs.map *.css.map *.ts.map
*_pb2.py *_pb2.pyi *_pb2_grpc.py *.pb.go *.pb.cc *.pb.h *_pb.js *_pb.d.ts *.g.dart *.freezed.dart *.Designer.cs *.g.cs
*.designer.vb
**/vendor/**/LICEN[CS]E* **/vendor/**/COPYING* **/vendor/**/NOTICE* **/third_party/**/LICEN[CS]E* **/third_party/**/COPYING*
**/third_party/**/NOTICE* **/third-party/**/LICEN[CS]E* **/third-party/**/COPYING* **/third-party/**/NOTICE*
htmlcov/ lcov-report/ CMakeFiles/ cmake-build-*/ __snapshots__/ .ipynb_checkpoints/
~$*
"""
BY_NAME = Patterns("", PathPatterns(_NAMES.split()))

# A folder's name -> the files beside it by one of which it is known to be made by a build or filled with copies.
_BESIDE = {
    "dist": ("package.json", "pyproject.toml", "setup.py"),
    "build": ("package.json", "pyproject.toml", "setup.py", "build.gradle", "build.gradle.kts", "pubspec.yaml"),
    "out": ("package.json",),
    "coverage": ("package.json",),
    "target": ("Cargo.toml", "pom.xml", "build.sbt"),
    "vendor": ("go.mod", "composer.json", "Gemfile"),
    "pods": ("Podfile",),
    "deps": ("mix.exs", "rebar.config"),
    "_build": ("conf.py", "make.bat", "mix.exs", "dune-project"),
    "elm-stuff": ("elm.json",),
}
# What programs that keep folders in step call the other version of a file that was changed in two places.
_CONFLICT = re.compile(
    r"\.sync-conflict-\d{8}-\d{6}(?:-\w{7})?"  # Syncthing
    r"| \([^()]{0,60}(?:conflicted copy|case conflict|in conflict|conflict|in Konflikt stehende Kopie)[^()]{0,60}\)",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"@generated\b|<auto-?generated|\bcode generated .{0,80}\bdo not edit\b"
    r"|\b(?:auto(?:matically)?[- ]?|machine[- ])generated\b(?=.{0,200}\bdo not (?:edit|modify|change)\b)"
    r"|\bdo not (?:edit|modify|change)\b.{0,120}\b(?:auto(?:matically)?[- ]?)?generated\b",
    re.IGNORECASE | re.DOTALL,
)
_MARK_WITHIN = 600  # characters; below the licence that often comes first
_MINIFIED = frozenset({"javascript", "css", "typescript"})
_LONG_LINES = 500  # characters per line, on average; code that people write has 30 to 45
_MINIFIED_FROM = 2_000  # characters
_FEW_SPACES = 0.07  # of the characters; code that people write has .15 to .35


def is_generated(name: str, relative: str, stack: Sequence[Patterns], beside: Set[str]) -> bool:
    """Say whether programs made a file or folder, by its name and what lies beside it, and no ignore file wants it back.

    relative: its path below the walked folder; a folder's ends in "/".
    """
    if any(patterns.says(relative) is False for patterns in stack):
        return False
    if relative.endswith("/") and built(name, beside):
        return True
    return BY_NAME.says(relative) is True or conflict_copy_of(name, beside) is not None


def conflict_copy_of(name: str, beside: Set[str]) -> str | None:
    """Return the name of the file that this is another version of, if that file is there; None for any other file.

    >>> conflict_copy_of("a.sync-conflict-20240512-101500-ABCDEFG.md", {"a.md"})
    'a.md'
    >>> conflict_copy_of("plan (Anna's conflicted copy 2024-05-12).md", {"todo.md"})
    """
    found = _CONFLICT.search(name)
    original = name[: found.start()] + name[found.end() :] if found else ""
    return original if original in beside else None


def built(folder: str, beside: Set[str]) -> bool:
    """Say whether a folder is known to be made by a build: by its name, and by a file beside it."""
    return any(each in beside for each in _BESIDE.get(folder.lower(), ()))


def made_by_name(path: PurePath) -> bool:
    """Say whether a file's name shows that a program made it."""
    return BY_NAME.says(path.name) is True


def made_by_content(text: str, path: PurePath) -> bool:
    """Say whether a text is source code that says that it was generated, or that no person can read."""
    language = formats.language(path)
    if not language:
        return False
    if _MARK.search(text, 0, _MARK_WITHIN):
        return True
    if language not in _MINIFIED or len(text) < _MINIFIED_FROM:
        return False
    lines, spaces = text.count("\n") + 1, sum(map(text.count, " \t\n"))
    return len(text) / lines > _LONG_LINES and spaces < _FEW_SPACES * len(text)

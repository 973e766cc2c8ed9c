"""Serving reaches the collections through one file: the place where rights will be asked."""

from __future__ import annotations

import ast
from pathlib import Path

import knowledge_core.serving

DOOR = "surface/collections.py"
# Methods of the engine that reach collections by name.
REACHING = {"collection", "collection_or_new", "names", "overview"}


def test_no_other_file_of_serving_asks_the_engine_for_collections():
    folder = Path(knowledge_core.serving.__file__).parent
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    reaching = {name for name, path in files.items() if _reaches(path.read_text(encoding="utf-8"))}
    assert reaching == {DOOR}


def _reaches(source: str) -> bool:
    members = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
    return any(node.attr in REACHING and ast.unparse(node.value).endswith("engine") for node in members)

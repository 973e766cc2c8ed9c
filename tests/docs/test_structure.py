"""The house holds: short functions, short files, small folders, and no two modules that import each other in a circle."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SOURCES = {"knowledge_core": REPOSITORY / "server", "knowledge_agent": REPOSITORY / "clients"}
LONGEST_FUNCTION = 40  # lines, decorators not counted
LONGEST_FILE = 400  # lines
LARGEST_FOLDER = 15  # files


@cache
def modules() -> dict[str, Path]:
    """The file of each module, by the module's full name."""
    found = {}
    for source in SOURCES.values():
        for file in source.rglob("*.py"):
            found[".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")] = file
    return found


@dataclass(frozen=True)
class Facts:
    """What the tests ask of a module. imports: of our modules, at any depth, but for type checkers alone."""

    functions: tuple[tuple[str, int], ...]  # name, lines
    imports: frozenset[str]


@cache
def facts(module: str) -> Facts:
    functions, imports = [], set[str]()
    for each in _inside(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append((each.name, each.end_lineno - each.lineno + 1))
        elif isinstance(each, ast.Import):
            imports.update(name.name for name in each.names if name.name in modules())
        elif isinstance(each, ast.ImportFrom):
            assert each.level == 0, f"{module} imports relatively; this test reads full names only."
            for name in each.names:
                whole = f"{each.module}.{name.name}"
                imports.update([found for found in (whole, each.module) if found in modules()][:1])
    return Facts(tuple(functions), frozenset(imports))


def _inside(node: ast.AST) -> Iterator[ast.stmt]:
    for_checkers = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    for part in ("orelse",) if for_checkers else ("body", "orelse", "handlers", "finalbody", "cases"):
        for child in getattr(node, part, ()):
            if isinstance(child, ast.stmt):
                yield child
            yield from _inside(child)


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{module}.{name} has {lines} lines"
        for module in modules()
        for name, lines in facts(module).functions
        if lines > LONGEST_FUNCTION
    ]
    assert not long, f"Split what has more than {LONGEST_FUNCTION} lines:\n" + "\n".join(sorted(long))


def test_no_file_is_too_long_to_be_read_at_once():
    lines = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in modules().items()}
    long = [f"{name} has {count} lines" for name, count in lines.items() if count > LONGEST_FILE]
    assert not long, f"Split what has more than {LONGEST_FILE} lines:\n" + "\n".join(sorted(long))


def test_no_folder_holds_more_files_than_a_reader_can_tell_apart():
    counts = Counter(
        file.parent.relative_to(REPOSITORY)
        for name in ("server", "clients", "tests")
        for file in (REPOSITORY / name).rglob("[!.]*")
        if file.is_file() and file.suffix != ".pyc"
    )
    large = [f"{folder} has {count} files" for folder, count in counts.items() if count > LARGEST_FOLDER]
    assert not large, f"Give what has more than {LARGEST_FOLDER} files folders of its own:\n" + "\n".join(sorted(large))


def test_no_modules_import_each_other_in_a_circle_not_even_within_functions():
    circles = [" -> ".join(circle) for circle in circles_of({module: facts(module).imports for module in modules()})]
    assert not circles, "Move what both sides need below them:\n" + "\n".join(circles)


def circles_of(graph: dict[str, frozenset[str]]) -> Iterator[list[str]]:
    """One circle of imports through each module that closes one, in a depth-first walk; none twice."""
    done: set[str] = set()
    path: list[str] = []

    def walk(module: str) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
        elif module not in done:
            path.append(module)
            for each in sorted(graph[module]):
                yield from walk(each)
            path.pop()
            done.add(module)

    for module in sorted(graph):
        yield from walk(module)

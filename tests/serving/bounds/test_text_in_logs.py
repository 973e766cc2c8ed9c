"""Words that stand in documents, queries and arguments are in no log, and an error repeats at most what its caller sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from embedding_endpoint import EmbeddingEndpoint, Misbehave, embedding_endpoint
from knowledge_core.cli.main import parser
from knowledge_core.serving.surface.mcp_server import LONGEST_ERROR
from owner_processes import RawPipe, kcore, own_home

CANARY = "xyloquartz"  # in every word below; no log may have it
STORED = f"{CANARY}stored"  # stands in documents only: no error may have it
MOST_REPEATED = 700  # characters of an argument that an error may repeat, all its quotes together

SECRET = f"The {STORED} lies under the {STORED}key, said {STORED} again. "
DOCUMENTS = [
    {"id": f"a{n}", "title": f"Title {STORED}", "text": SECRET * 3 + f"Number {n}.", "uri": f"file:///{STORED}",
     "metadata": {"place": STORED, f"{STORED}field": 1}}
    for n in range(5)
]  # fmt: skip
FILES = {
    "plain.md": f"# Heading {STORED}\n\n{SECRET}",
    "front.md": f"---\n{STORED}field: [\n---\n{SECRET}",
    "broken.pdf": f"%PDF-1.4\n{SECRET}",
    "notebook.pages": f'{{"cells": "{SECRET}"}}',
    "page.html": f"<title>{STORED}</title><p>{SECRET}",
    "code.py": f'def {STORED}(:\n    """{SECRET}"""\n',
    ".gitignore": f"[{STORED}\n",
}
PROPER: Mapping[str, dict[str, Any]] = {
    "search": {"query": f"where is {CANARY}asked", "filter": {"place": STORED}, "mode": "hybrid"},
    "index": {"documents": DOCUMENTS},
    "embed": {"texts": [f"one {CANARY}embedded", "two"], "output": "vectors"},
    "cluster": {"query": f"{CANARY}grouped"},
    "classify": {"texts": [f"{CANARY}labelled"], "labels": [{"name": f"{CANARY}label", "examples": [f"{CANARY}ex"]}]},
    "get_document": {"id": "a0"},
    "list_documents": {"filter": {f"{STORED}field": 1}},
    "delete": {"collection": "default", "filter": {"place": STORED}, "dry_run": True},
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EmbeddingEndpoint]:
    with embedding_endpoint() as served:
        yield served


@pytest.fixture(scope="module")
def home(endpoint: EmbeddingEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("canaries")
    remote = {"url": endpoint.url, "model": "echo", "dimensions": 8, "timeout_seconds": 1.0}
    (folder / "files").mkdir()
    for name, text in FILES.items():
        (folder / "files" / name).write_text(text)
    with own_home(folder, embedding={"model": "remote", "remote": remote}, roots=[str(folder / "files")]) as made:
        yield made


@pytest.fixture(scope="module")
def pipe(home: Path) -> Iterator[RawPipe]:
    with RawPipe(home) as made:
        made.initialize()
        assert not called(made, "index", {"documents": DOCUMENTS})[0]
        assert not called(made, "index", {"paths": [str(home.parent / "files")]})[0]
        yield made
    assert CANARY not in made.errors.decode()


def called(pipe: RawPipe, tool: str, arguments: Any) -> tuple[bool, str]:
    """Call a tool; return whether it is an error, and its whole answer."""
    said = pipe.answer(pipe.request("tools/call", {"name": tool, "arguments": arguments}))
    failed = "error" in said or said["result"].get("isError", False)
    return failed, json.dumps(said, ensure_ascii=False)


def logged(home: Path) -> str:
    """Return all that stands in the folder of logs."""
    found = "".join(file.read_text(errors="replace") for file in (home / "logs").iterdir())
    assert "list_collections in" in found
    return found


def wrong(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield calls that are wrong in one argument each, for any tool by its schema."""
    word = f"{CANARY}wrong"
    yield {f"{word}argument": word}
    yield {word * 5_000: word}
    for name in schema["properties"]:
        for value in (word, [word], [[word]], {word: word}, {"$eq": {word: word}}, [{word: word}], word * 5_000, 1e300,
                      [{"id": word, "text": [word]}], [{"id": word, "text": "", "metadata": {word * 99: word}}],
                      [{"name": word * 99}] * 2, [word * 99] * 200, f"\x1b[31m{word}\n\u202e", True, None):  # fmt: skip
            yield {"collection": "default", "query": word, "texts": [word], "id": "a0", "labels": [word], name: value}


def test_neither_proper_nor_wrong_calls_of_any_tool_leave_a_word_in_the_log_or_much_in_an_error(home, pipe):
    called(pipe, "list_collections", {})
    errors = 0
    for tool in pipe.answer(pipe.request("tools/list"))["result"]["tools"]:
        known = set(tool["inputSchema"]["properties"])
        failed, told = called(pipe, tool["name"], PROPER.get(tool["name"], {}))
        assert not failed, told
        for arguments in wrong(tool["inputSchema"]):
            needed = {name: value for name, value in arguments.items() if name in known or len(arguments) <= 2}
            failed, told = called(pipe, tool["name"], needed)
            if failed:
                errors += 1
                assert STORED not in told.replace(f"{STORED}field", ""), (tool["name"], told)
                assert len(told) < LONGEST_ERROR + 500, (tool["name"], told)
                assert told.count(CANARY) * len(f"{CANARY}wrong") < MOST_REPEATED, (tool["name"], told)
        assert CANARY not in logged(home), [line for line in logged(home).splitlines() if CANARY in line][:2]
    assert errors > 150


def test_the_headings_that_an_error_names_reach_no_log(home, pipe):
    called(pipe, "list_collections", {})
    failed, told = called(pipe, "get_document", {"id": "files/plain.md", "section": "no such heading"})
    assert failed
    assert f"Heading {STORED}" in told
    assert CANARY not in logged(home)


@pytest.mark.parametrize("status", [400, 404, 422, 503])
def test_what_an_endpoint_repeats_of_a_text_reaches_neither_error_nor_log(home, pipe, endpoint, status):
    called(pipe, "list_collections", {})
    query = f"the {CANARY}asked of harbour {status}"
    bodies = (
        {"error": {"message": f"input '{query}' is too long", "type": "invalid"}},
        {"detail": [{"msg": "bad", "input": query}]},
        {"message": query.upper()},
        query,
        {"error": json.dumps({"input": [query]}).replace("o", "\\u006f")},
    )
    for body in bodies if status < 500 else bodies[:1]:  # which is tried again for a second
        endpoint.always = Misbehave(status, json.dumps(body))
        try:
            answers = [called(pipe, "search", {"query": query, "mode": "semantic"})]
            if status < 500:
                answers.append(called(pipe, "index", {"documents": [{"id": "e", "text": query}]}))
        finally:
            endpoint.always = None
        for failed, told in answers:
            assert failed, told
            assert CANARY not in told.lower()
            assert "embedding endpoint" in told
    assert CANARY not in logged(home).lower()
    assert "/v1" not in logged(home)


@pytest.mark.slow
def test_no_command_leaves_a_word_in_the_log_of_the_owner(home, pipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # `kcore backup` writes into the folder where it is called
    called(pipe, "list_collections", {})
    (choices,) = (each.choices for each in parser()._actions if isinstance(each.choices, dict))
    without = {"serve", "setup", "pull", "demo", "stop", "uninstall"}  # other programs' files, the network, this owner
    word = f"{CANARY}typed"
    for command in sorted(set(choices) - without):
        for argv in ([word], [word, word], ["--collection", "default", word], [f"--{word}"], []):
            kcore(home, command, *argv)
    (home.parent / "labels.json").write_text(f'[{{"name": "{word}", "wrong": "{word}"}}]')
    for argv in (
        ["search", f"what {word} is", "--explain"],
        ["search", word, "--filter", f'{{"{word}": 1}}'],
        ["search", word, "--filter", f"{{{word}"],
        ["embed", f"a {word}", f"b {word}"],
        ["index", str(home.parent / "files"), "--collection", "more"],
        ["classify", "--labels", str(home.parent / "labels.json"), word],
    ):
        kcore(home, *argv)
    found = [line for line in logged(home).splitlines() if CANARY in line]
    assert not found, found[:3]

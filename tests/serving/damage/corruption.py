"""A data directory of two collections, ways to damage one of its files, and what kcore makes of that.

Every answer is one of: "whole" (nothing is lost or served wrong, and
doctor is clean: what is derived was rebuilt), "repaired" (so it is after `doctor --repair`), "named" (an error or a finding
says what is wrong and what to do), "wrong" (silent, or a crash). The other collection must always answer.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import load_config
from knowledge_core.engine import Engine
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private import PrivateRequests
from knowledge_core.storage.vectors import graph_building
from knowledge_core.storage.vectors import snapshot as vector_snapshot

WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron"),
    *("inlet", "juniper", "kelp", "larch", "maple", "nectar", "otter", "pebble"),
)
GENERIC = ("Error executing tool", "unexpected error", "Internal error")
FILES, GIVEN, LATER = 16, 16, 12


@dataclass(frozen=True)
class Case:
    """One harm to one file. file: relative to the data directory."""

    file: str
    harm: str
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    case: Case
    answer: str
    why: str = ""


class Ground:
    """The data directory as a `kill -9` left it, and one of an earlier moment; texts of all documents by id."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.older = folder, folder / "killed", folder / "older"
        self.texts: dict[str, str] = {}

    def make(self) -> None:
        source = self.folder / "papers"
        source.mkdir()
        for n in range(FILES):
            (source / f"p{n:02}.txt").write_text(self._text("papers/", f"p{n:02}.txt"))
        with low_thresholds(), opened(self.folder / "alive") as engine:
            engine.roots.add(source)
            self._index(engine, "sound", [_given("still", "The lantern keeper sleeps in the attic.")])
            self._index(engine, "victim", [_given(id, self._text("", id)) for id in _ids("g", GIVEN)], str(source))
            engine.collection("victim").wait_for_graph()
            engine._collections.pop("victim").close()
            shutil.copytree(self.folder / "alive", self.older)
            self._index(engine, "victim", [_given(id, self._text("", id)) for id in _ids("l", LATER)])
            engine.collection("victim").wait_for_graph()  # else a file may go while it is copied
            shutil.copytree(self.folder / "alive", self.home)

    def _text(self, before: str, id: str) -> str:
        n = len(self.texts)
        words = [WORDS[(n * 7 + step * (1 + n % 5)) % len(WORDS)] for step in range(12)]
        self.texts[before + id] = f"unique{n} {' '.join(words)}."
        return self.texts[before + id]

    def _index(self, engine: Engine, name: str, documents: list[dict[str, Any]], *paths: str) -> None:
        done = anyio.run(_called, engine, "index", {"collection": name, "documents": documents, "paths": [*paths]})
        assert not done.is_error, done.content

    def files(self) -> list[str]:
        """Return the files that are damaged: of the collection "victim", and of the data directory itself."""
        (self.home / "config.yaml").write_text("owner:\n  idle_minutes: 3\n")
        (self.home / "engines.json").write_text("{}")
        found = (path.relative_to(self.home).as_posix() for path in sorted(self.home.rglob("*")) if path.is_file())
        return [each for each in found if "collections/sound" not in each and not each.endswith(".lockfile")]


def _ids(letter: str, count: int) -> list[str]:
    return [f"{letter}{n:02}" for n in range(count)]


def _given(id: str, text: str) -> dict[str, Any]:
    return {"id": id, "text": text, "title": id.upper(), "metadata": {"n": len(text)}}


@contextmanager
def low_thresholds() -> Iterator[None]:
    """Let small collections have a graph."""
    before = vector_snapshot.EXACT_UP_TO, graph_building.EXACT_UP_TO, graph_building.LEAST_GROWN
    vector_snapshot.EXACT_UP_TO = graph_building.EXACT_UP_TO = 20
    graph_building.LEAST_GROWN = 5
    try:
        yield
    finally:
        vector_snapshot.EXACT_UP_TO, graph_building.EXACT_UP_TO, graph_building.LEAST_GROWN = before


def opened(home: Path) -> Engine:
    home.mkdir(parents=True, exist_ok=True)
    return Engine(home, load_config(home, None), make_embedder=lambda model, dimensions: HashEmbedder())


async def _called(engine: Engine, tool: str, arguments: dict[str, Any]) -> Any:
    async with Client(application(engine)) as client:
        return await client.call_tool(tool, arguments)


# -- harms -------------------------------------------------------------------------------------------------------------


def harmed(ground: Ground, home: Path, case: Case) -> None:
    """Do a harm to a copy of the data directory."""
    path, draw = home / case.file, random.Random(f"{case.file} {case.seed}")
    content = bytearray(path.read_bytes())
    if case.harm == "removed":
        path.unlink()
    elif case.harm == "emptied":
        path.write_bytes(b"")
    elif case.harm == "cut in half":
        path.write_bytes(content[: len(content) // 2])
    elif case.harm == "garbage":
        path.write_bytes(draw.randbytes(len(content)))
    elif case.harm == "older copy":
        shutil.copy(ground.older / case.file, path)
    elif content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def cases(ground: Ground, flips: int, first_seed: int = 0) -> list[Case]:
    """Return every harm to every file; `flips` single bits each."""
    made = []
    for file in ground.files():
        harms = ["removed", "emptied", "cut in half", "garbage"]
        if (ground.older / file).is_file():
            harms.append("older copy")
        made += [Case(file, harm, first_seed) for harm in harms]
        made += [Case(file, "a bit flipped", first_seed + n) for n in range(flips)]
    return made


# -- what kcore makes of it --------------------------------------------------------------------------------------------


def examined(ground: Ground, case: Case) -> Outcome:
    """Damage a copy, open it, ask, check, repair and ask again."""
    home = ground.folder / "case"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(ground.home, home)
    harmed(ground, home, case)
    try:
        with low_thresholds(), opened(home) as engine:
            return anyio.run(_examined, ground, case, engine)
    except KnowledgeCoreError as error:
        return Outcome(case, "named", f"not opened: {error}")
    except Exception as error:  # noqa: BLE001  # a crash is an outcome
        return Outcome(case, "wrong", f"crash: {type(error).__name__}: {error}")


async def _examined(ground: Ground, case: Case, engine: Engine) -> Outcome:
    private = PrivateRequests(engine, {})
    told: list[str] = []
    async with Client(application(engine)) as client:

        async def asked(tool: str, **arguments: Any) -> Any:
            said = await client.call_tool(tool, arguments)
            text = "\n".join(block.text for block in said.content)
            if said.is_error:
                told.append(text)
            if any(each in text for each in GENERIC):
                raise AssertionError(f"{tool}: {text}")
            return None if said.is_error else said.structured_content

        async def whole() -> str:
            """Return what is lost or wrong in the answers; "" where nothing is."""
            sound = await asked("search", query="lantern attic", collections=["sound"])
            if not sound or sound["hits"][0]["document"] != "still":
                raise AssertionError(f"the other collection does not answer: {told[-1:]}")
            both = await asked("search", query="lantern attic")
            if not both or "still" not in [hit["document"] for hit in both["hits"]]:
                raise AssertionError(f"a search over all does not answer: {told[-1:]}")
            await asked("list_documents", collection="victim")
            for id, text in ground.texts.items():
                found = await asked("search", query=text.split()[0], collections=["victim"], mode="lexical", limit=3)
                if not found or not found["hits"] or found["hits"][0]["document"] != id:
                    return f"{id} is not found"
                read = await asked("get_document", collection="victim", id=id)
                if not read or (read["text"] != text and not read["notices"]):
                    return f"{id} is not as it was"
                if read["notices"]:
                    told.append(read["notices"][0])
            return ""

        await asked("list_collections")
        lost = await whole()
        await anyio.to_thread.run_sync(private._status)
        before = await anyio.to_thread.run_sync(lambda: private._doctor(deep=True))
        if before["clean"] and not lost:
            return Outcome(case, "whole")
        after = await anyio.to_thread.run_sync(lambda: private._doctor(repair=True, deep=True))
        lost = await whole()
        groups = [after["data_directory"], *after["collections"]]
        found = [each for group in groups for each in group["findings"] if each["level"] == "damaged"]
        if not lost:
            return Outcome(case, "repaired" if after["clean"] else "named", "; ".join(each["what"] for each in found))
        if found or told:
            return Outcome(case, "named", "; ".join([*(each["what"] for each in found), *told[-1:]]))
        return Outcome(case, "wrong", f"silent: {lost}")

"""Secrets are not read for agents, in a folder or by their path; only a person's own command can index one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Request

from knowledge_core.cli import content
from knowledge_core.cli.main import parser
from knowledge_core.engine import Engine
from knowledge_core.indexing import preparing
from knowledge_core.serving.client import Connection, Refused, _AnyResult
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.private_names import PREFIX, PrivateParams
from mcp_text import index, text_of
from owner_processes import KCORE, environment

KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n"
posix = pytest.mark.skipif(os.name != "posix", reason="needs links or a terminal as POSIX has them")
pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with one note and five secrets: two by their content, three by their names."""
    made = tmp_path / "allowed" / "notes"
    (made / ".ssh").mkdir(parents=True)
    (made / "a.md").write_text("# Alpha\n\nalpha speaks of apples\n")
    (made / "server.pem").write_text(KEY)
    (made / "server.key").write_text(KEY)
    (made / "secrets.yml").write_text("password: marmalade\n")
    (made / ".env").write_text("PASSWORD=marmalade\n")
    (made / ".ssh" / "config").write_text("Host marmalade\n")
    engine.roots.add(tmp_path / "allowed")
    return made


async def refused(client: Client, *paths: Path) -> str:
    result = await client.call_tool("index", {"paths": [str(path) for path in paths]})
    assert result.is_error, text_of(result)
    return text_of(result)


async def ids(client: Client) -> list[str]:
    listed = (await client.call_tool("list_documents", {"limit": 100})).structured_content
    return [item["id"] for item in listed["documents"]]


async def test_secrets_in_a_folder_are_left_out_counted_and_named(client, folder):
    for time in range(2):  # a call that changes nothing says it again
        report = await index(client, folder)
        assert (report["indexed"], report["unchanged"], report["failed_total"]) == ((1, 0, 0), (0, 1, 0))[time]
        assert report["skipped"]["secret"] == 5
        assert report["skipped_examples"]["secret"] == ["notes/.env", "notes/.ssh/"]
    assert await ids(client) == ["notes/a.md"]


@pytest.mark.parametrize("name", [".env", "server.pem", "server.key", "secrets.yml", ".ssh/config"])
async def test_a_secret_that_an_agent_names_is_refused_and_the_error_says_what_a_person_can_do(client, folder, name):
    said = await refused(client, folder / name)
    for part in (str(folder / name), "looks like ", "not read for agents", "kcore index FILE"):
        assert part in said
    assert "marmalade" not in said
    report = await index(client, folder / name, folder / "a.md")
    assert [each["reason"] for each in report["failed"]] == ["secret"]
    assert await ids(client) == ["notes/a.md"]
    assert (await index(client, folder / ".ssh" / ".." / "a.md"))["unchanged"] == 1


async def test_a_folder_of_secrets_is_refused_by_name(client, folder):
    said = await refused(client, folder / ".ssh")
    assert ("1 secret (.ssh/)" in said, "marmalade" in said) == (True, False)
    (folder / "keys").mkdir()
    (folder / "keys" / "mine").write_text(KEY)
    assert "1 secret (keys/mine)" in await refused(client, folder / "keys")


@pytest.mark.parametrize("name", ["credentials", "kubeconfig", "etc/shadow", "book.kdb", "Project.env", "master.key"])
async def test_a_folder_that_is_called_like_a_secret_file_is_read_and_stays(client, folder, name):
    (folder / name).mkdir(parents=True)
    (folder / name / "guide.md").write_text("# Guide\n\nHow apples are kept.\n")
    for _ in range(2):
        report = await index(client, folder)
        assert (report["removed"], report["skipped"]["secret"]) == (0, 5)
        assert sorted(await ids(client)) == sorted(["notes/a.md", f"notes/{name}/guide.md"])
    assert (await index(client, folder / name))["unchanged"] == 1
    assert (await index(client, folder / name / "guide.md"))["unchanged"] == 1


@posix
async def test_a_link_to_a_folder_is_judged_as_a_folder(client, folder):
    elsewhere = folder.parent / "book.kdb"
    elsewhere.mkdir()
    (elsewhere / "guide.md").write_text("# Guide\n\nHow apples are kept.\n")
    (folder / "credentials").symlink_to(elsewhere)
    assert (await index(client, folder))["skipped"]["secret"] == 5
    assert await ids(client) == ["notes/a.md", "notes/credentials/guide.md"]


@posix
async def test_a_link_is_judged_by_its_own_name_and_by_what_it_leads_to(client, folder):
    (folder / "apples.md").symlink_to(folder / ".env")
    (folder / "deep").mkdir()
    (folder / "deep" / "pears").symlink_to(folder / ".ssh")
    (folder / "deep" / "id_rsa").symlink_to(folder / "a.md")
    report = await index(client, folder)
    assert report["skipped"]["secret"] == 8
    assert await ids(client) == ["notes/a.md"]
    for name in ("apples.md", "deep/pears/config", "deep/id_rsa"):
        assert "not read for agents" in await refused(client, folder / name)


@posix
async def test_a_file_that_becomes_a_link_to_a_secret_before_it_is_read_is_not_read(client, folder, monkeypatch):
    read = preparing.read_file

    def swapped(path: Path, **options: Any) -> Any:
        path.rename(folder.parent / "before")
        path.symlink_to(folder / ".env")
        return read(path, **options)

    monkeypatch.setattr(preparing, "read_file", swapped)
    said = await refused(client, folder)
    assert ("secret" in said, "marmalade" in said) == (True, False)
    assert (await client.call_tool("list_collections", {})).structured_content["collections"] == []


async def test_what_an_earlier_release_indexed_is_removed_at_the_next_call_and_the_report_says_so(
    engine, folder, embedder, monkeypatch
):
    """The earlier release, played: it knew no secrets, and its reader had another version."""
    from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index

    (folder / ".env").rename(folder / "prod.env")
    monkeypatch.setattr(preparing, "READER_VERSION", 1)
    named = tuple(str(folder / name) for name in ("a.md", "server.pem", "secrets.yml", "prod.env"))
    assert accept_index(engine, IndexRequest("default", named, secrets=named), (), ()).wait(20)
    collection = engine.collection("default")
    states = collection.states("notes")
    assert (len(states), {state.digest[:2] for state in states.values()}) == (4, {"1."})
    monkeypatch.undo()

    async with Client(application(engine)) as client:
        said = text_of(await client.call_tool("index", {"paths": [str(folder / "prod.env")]}))
        assert "1 removed, 1 failed" in said
        embedder.embedded.clear()
        report = await index(client, folder)
        assert (report["indexed"], report["unchanged"], report["removed"]) == (0, 1, 2)
        assert report["skipped"]["secret"] == 5
        assert await ids(client) == ["notes/a.md"]
        assert embedder.embedded == []
        # What the new reader reads the same is known as its own from then on: the next call costs one look again.
        (state,) = collection.states("notes").values()
        assert state.digest.startswith(preparing.reading_version())


async def test_a_folder_that_held_nothing_but_secrets_is_no_unmounted_disk(engine, folder):
    collection = engine.collection_or_new("default")
    from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index

    (folder / "keys").mkdir()
    (folder / "keys" / "prod.env").write_text("PASSWORD=marmalade\n")
    named = (str(folder / "keys" / "prod.env"),)
    assert accept_index(engine, IndexRequest("default", named, secrets=named), (), ()).wait(20)
    assert list(collection.states("keys")) == ["keys/prod.env"]
    async with Client(application(engine)) as client:
        assert (await index(client, folder / "keys"))["removed"] == 1


# -- who may allow it --------------------------------------------------------------------------------------------------


async def test_an_agent_cannot_allow_a_secret_by_an_argument_by_meta_or_by_a_private_request(client, folder):
    path = str(folder / ".env")
    for more in ({"secrets": [path]}, {"include_secrets": True}):
        result = await client.call_tool("index", {"paths": [path], **more})
        assert (result.is_error, "no argument" in text_of(result)) == (True, True)
    result = await client.call_tool("index", {"paths": [path]}, meta={"secrets": [path], "role": "cli"})
    assert "not read for agents" in text_of(result)
    asked = Request[PrivateParams, str](
        method=PREFIX + "index", params=PrivateParams(arguments={"paths": [path], "secrets": [path]})
    )
    with pytest.raises(MCPError, match="not found"):
        await client.session.send_request(asked, _AnyResult)


async def test_a_person_allows_only_the_files_they_named(engine, folder):
    async with Client(application(engine, for_cli=True)) as client:
        connection = Connection(client)
        found = await connection.ask("secrets", paths=[str(folder), str(folder / "a.md"), str(folder / ".env")])
        assert found["secrets"] == [{"path": str(folder / ".env"), "what": "a file of environment variables"}]
        started = await connection.ask(
            "index", paths=[str(folder), str(folder / ".env")], secrets=[str(folder / ".env")]
        )
        report = (await connection.call("job", {"id": started["job"], "wait_seconds": 20})).structure["jobs"][0][
            "result"
        ]
        assert (report["indexed"], report["skipped"]["secret"]) == (2, 4)
        assert await ids(client) == ["notes/.env", "notes/a.md"]
        with pytest.raises(Refused, match="not read for agents"):
            await connection.call("index", {"paths": [str(folder / "server.pem")]})


async def shell(engine: Engine, *argv: str) -> int:
    async with Client(application(engine, for_cli=True)) as client:
        return await content._index(Connection(client), parser().parse_args(["index", *argv]))


async def test_without_a_terminal_the_command_refuses_and_names_the_option(engine, client, folder, capsys):
    with pytest.raises(ExceptionGroup) as raised:
        await shell(engine, str(folder / ".env"))
    assert raised.group_contains(Refused, match="--include-secrets")
    assert await shell(engine, str(folder), str(folder / ".env"), "--include-secrets") == 0
    assert "2 documents indexed" in capsys.readouterr().out
    assert await ids(client) == ["notes/.env", "notes/a.md"]


@pytest.mark.parametrize("text", [KEY * 700, KEY.replace("\n", "\r")], ids=["large", "old line ends"])
async def test_a_key_of_any_size_and_with_any_line_ends_is_indexed_where_a_person_says_so(engine, client, folder, text):
    (folder / "big.pem").write_bytes(text.encode())
    with pytest.raises(ExceptionGroup) as raised:
        await shell(engine, str(folder / "big.pem"))
    assert raised.group_contains(Refused, match="--include-secrets")
    assert await shell(engine, str(folder / "big.pem"), "--include-secrets") == 0
    assert await ids(client) == ["notes/big.pem"]


@posix
@pytest.mark.parametrize("answer", ["y", ""])
async def test_in_a_terminal_the_command_asks_about_each_file(engine, client, folder, capsys, monkeypatch, answer):
    import pty

    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with open(theirs, "r+b", buffering=0) as terminal, io.TextIOWrapper(terminal) as text:
        monkeypatch.setattr(sys, "stdin", text)
        monkeypatch.setattr(sys, "stderr", text)
        assert await shell(engine, str(folder / "a.md"), str(folder / ".env")) == 0
        assert await ids(client) == (["notes/.env", "notes/a.md"] if answer else ["notes/a.md"])
        question = f"{folder / '.env'} looks like a file of environment variables. Index it all the same"
        assert question.encode() in os.read(ours, 4096)
    os.close(ours)


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 2), ("\x03", 130)])
def test_a_person_answers_the_question_or_presses_ctrl_c(tmp_path, answer, code):
    import pty

    (tmp_path / "prod.env").write_text("PASSWORD=marmalade\n")
    ours, theirs = pty.openpty()
    command = [*KCORE, "index", str(tmp_path / "prod.env"), "--in-process"]
    # A session of its own, whose terminal this is: that is what makes Ctrl-C a signal.
    asked = subprocess.Popen(
        [sys.executable, "-c", "import os, sys, fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
         "os.execv(sys.argv[1], sys.argv[1:])", *command],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(tmp_path / "own"), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the terminal's other side is closed
        while part := os.read(ours, 4096):
            said += part
            if said.endswith(b"[y/N] "):
                os.write(ours, answer.encode())
    os.close(ours)
    text = said.decode()
    assert asked.wait(60) == code, text
    assert "looks like a file of environment variables" in text
    assert ("1 documents indexed" in text) is (code == 0)
    assert "Traceback" not in text


async def test_a_person_who_says_no_later_takes_out_what_was_indexed_before(engine, client, folder, monkeypatch):
    monkeypatch.setattr(content, "in_a_terminal", lambda: True)
    for answer, left in ((True, ["notes/.env", "notes/a.md"]), (False, ["notes/a.md"])):
        monkeypatch.setattr(content, "said_yes", lambda question, said=answer: said)
        assert await shell(engine, str(folder / "a.md"), str(folder / ".env")) == 0
        assert await ids(client) == left

"""`kcore setup CLIENT`: our entry goes in and out of a client's configuration, and nothing else changes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from knowledge_core.cli.clients.clients_config import CLIENTS, ENTRY, config_snippet, entry, find, http_entry
from knowledge_core.cli.main import main
from knowledge_core.paths import data_directory

EDITED = [name for name, client in CLIENTS.items() if client.editable]
PRINTED = [name for name in CLIENTS if name not in EDITED]
CLIENTS_PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    """A user's home of the test's own."""
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    return home


def run(capsys, *argv):
    capsys.readouterr()
    code = main([*argv, "--in-process"])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", EDITED)
def test_an_entry_goes_in_beside_others_with_a_backup_and_out_again(capsys, user, name):
    client = CLIENTS[name]
    file = find(client)
    assert file.is_relative_to(user)
    before = {client.section: {"other": {"command": "other", "args": []}}, "unrelated": {"ü": [1, 2]}}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(before, indent=4, ensure_ascii=False), encoding="utf-8")
    file.chmod(0o600)

    code, out, _ = run(capsys, "setup", name, "--yes")
    assert (code, f'+    "{ENTRY}"' in out.replace("      ", "    ")) == (0, True), out
    after = json.loads(file.read_text(encoding="utf-8"))
    ours = after[client.section].pop(ENTRY)
    assert after == before
    assert Path(ours["command"]).is_absolute()
    assert ours["args"][-1] == "serve"
    assert file.stat().st_mode & 0o777 == 0o600
    (backup,) = file.parent.glob("*.before-kcore")
    assert json.loads(backup.read_text(encoding="utf-8")) == before

    assert "is set up already" in run(capsys, "setup", name, "--yes")[1]
    assert run(capsys, "setup", name, "--undo", "--yes")[0] == 0
    assert json.loads(file.read_text(encoding="utf-8")) == before
    assert "has no entry of ours" in run(capsys, "setup", name, "--undo", "--yes")[1]


def test_a_file_that_is_not_there_yet_is_made(capsys, user):
    assert run(capsys, "setup", "cursor", "--yes")[0] == 0
    assert list(json.loads((user / ".cursor" / "mcp.json").read_text())["mcpServers"]) == [ENTRY]


@pytest.mark.parametrize("text", ['{\n  // my servers\n  "servers": {}\n}', "[]", '{"servers": 3}', "{"])
def test_a_file_with_comments_or_of_another_shape_is_left_alone_and_the_lines_are_printed(capsys, user, text):
    file = find(CLIENTS["vscode"])
    file.parent.mkdir(parents=True)
    file.write_text(text)
    code, out, err = run(capsys, "setup", "vscode", "--yes")
    assert (code, "was left as it is" in err, f'"{ENTRY}"' in out) == (1, True, True)
    assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_without_a_yes_nothing_is_written(capsys, user):
    code, _, err = run(capsys, "setup", "cursor")
    assert (code, "--yes" in err) == (2, True)
    assert not (user / ".cursor").exists()


def test_without_a_yes_no_folder_is_allowed_and_with_one_that_is_asked_and_told(capsys, user, tmp_path, monkeypatch):
    (tmp_path / "notes").mkdir()
    argv = ["setup", "cursor", "--root", str(tmp_path / "notes")]
    assert run(capsys, *argv)[0] == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code in (("n", 2), ("y", 0)):
        asked = []
        monkeypatch.setattr("builtins.input", lambda question, a=answer, q=asked: (q.append(question), a)[1])
        done, out, _ = run(capsys, *argv)
        assert (done, f"allow agents to index {tmp_path / 'notes'}" in asked[0]) == (code, True)
        assert (f"Agents may index {tmp_path / 'notes'}" in out) is (code == 0)
        assert (str(tmp_path / "notes") in run(capsys, "roots")[1]) is (answer == "y")
    (user / ".cursor" / "mcp.json").write_text("{ // a comment\n}")
    (tmp_path / "more").mkdir()
    assert run(capsys, "setup", "cursor", "--yes", "--root", str(tmp_path / "more"))[0] == 1
    assert str(tmp_path / "more") not in run(capsys, "roots")[1]
    assert run(capsys, "setup", "cursor", "--undo", "--print")[0] == 2


@pytest.mark.parametrize("name", PRINTED)
def test_for_other_clients_the_lines_and_their_place_are_printed(capsys, user, name):
    code, out, _ = run(capsys, "setup", name)
    assert (code, str(find(CLIENTS[name])) in out, ENTRY in out) == (0, True, True)
    assert list(user.iterdir()) == []
    assert run(capsys, "setup", name, "--undo")[0] == 2


def test_options_of_the_command_go_into_the_entry_and_roots_are_allowed(capsys, user, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "config.yaml").write_text("roots: []\n")
    argv = ["--config", str(tmp_path / "config.yaml"), "--root", str(tmp_path / "notes")]
    assert run(capsys, "setup", "cursor", "--yes", *argv)[0] == 0
    ours = json.loads((user / ".cursor" / "mcp.json").read_text())["mcpServers"][ENTRY]
    assert ours["args"][-2:] == ["--config", str(tmp_path / "config.yaml")]
    assert run(capsys, "roots")[1].strip() == str(tmp_path / "notes")
    code, _, err = run(capsys, "setup", "cursor", "--yes", "--root", "/nowhere/at/all")
    assert (code, "/nowhere/at/all" in err) == (1, True)


def test_uninstall_takes_the_entries_out(capsys, user):
    run(capsys, "setup", "cursor", "--yes")
    assert run(capsys, "list")[0] == 0
    code, out, _ = run(capsys, "uninstall", "--yes")
    assert (code, "Cursor" in out) == (0, True)
    assert json.loads((user / ".cursor" / "mcp.json").read_text()) == {"mcpServers": {}}


@pytest.mark.parametrize("name", list(CLIENTS))
def test_the_documented_lines_are_what_setup_writes(name):
    client = CLIENTS[name]
    section = re.search(rf"^## {re.escape(client.title)}$.*?```(json|toml)\n(.*?)```", CLIENTS_PAGE, re.M | re.S)
    assert section is not None
    kind, shown = section.groups()
    parse = json.loads if kind == "json" else tomllib.loads
    assert parse(shown) == parse(config_snippet(client, entry(client, ["kcore", "serve"])))


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def the_token():
    return json.loads((data_directory() / "http-tokens.json").read_text())["tokens"][0]["token"]


def mode(file):
    return file.stat().st_mode & 0o777


@pytest.mark.parametrize("name", [name for name in EDITED if CLIENTS[name].url is not None])
def test_with_http_the_entry_has_address_and_token_and_nobody_else_can_read_the_file(capsys, user, name):
    client = CLIENTS[name]
    file = find(client)
    before = {client.section: {"other": {"command": "other", "args": []}}}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(before, indent=2))
    file.chmod(0o644)

    code, out, err = run(capsys, "setup", name, "--http", "--port", "8400", "--yes")
    assert (code, err, mode(file)) == (0, "", 0o600)
    token = the_token()
    assert token not in out  # it is on the screen, and in the scrollback
    after = json.loads(file.read_text())
    ours = after[client.section].pop(ENTRY)
    assert after == before
    assert (ours["url"], ours["headers"]) == ("http://127.0.0.1:8400/mcp", {"Authorization": f"Bearer {token}"})

    file.chmod(0o644)
    assert "is set up already" in run(capsys, "setup", name, "--http", "--port", "8400", "--yes")[1]
    assert mode(file) == 0o600
    file.chmod(0o644)  # some clients write their file anew
    code, out, _ = run(capsys, "setup", name, "--undo", "--yes")
    assert (code, token in out, json.loads(file.read_text())) == (0, False, before)
    holding = [each for each in file.parent.iterdir() if token in each.read_text()]
    assert [mode(each) for each in holding] == [0o600]  # the backup


def test_a_token_never_gets_into_a_projects_file(capsys, user, tmp_path):
    project = tmp_path / "dotfiles"
    (project / ".git").mkdir(parents=True)
    (project / "mcp.json").write_text("{}")
    (user / ".cursor").mkdir()
    (user / ".cursor" / "mcp.json").symlink_to(project / "mcp.json")
    code, out, err = run(capsys, "setup", "cursor", "--http", "--yes")
    assert (code, out, str(project) in err, "--print" in err) == (1, "", True, True)
    assert (project / "mcp.json").read_text() == "{}"
    assert run(capsys, "setup", "cursor", "--yes")[0] == 0  # without a token it may
    assert not (data_directory() / "http-tokens.json").exists()


@pytest.mark.parametrize("name", [name for name in CLIENTS if CLIENTS[name].url is not None])
def test_the_lines_for_http_are_printed_with_the_token_for_those_who_put_them_in_themselves(capsys, user, name):
    client = CLIENTS[name]
    code, out, _ = run(capsys, "setup", name, "--http", "--print", "--json")
    lines = json.loads(out)["lines"]
    shown = tomllib.loads(lines) if client.shape == "toml" else json.loads(lines)
    ours = shown[client.section][ENTRY]
    assert (code, ours[client.url]) == (0, "http://127.0.0.1:8321/mcp")
    assert ours[client.headers] == {"Authorization": f"Bearer {the_token()}"}
    assert list(user.iterdir()) == []


def test_a_client_that_cannot_send_a_header_is_refused_with_the_way_that_works(capsys):
    code, _, err = run(capsys, "setup", "claude-desktop", "--http", "--yes")
    assert (code, "Leave out --http" in err) == (1, True)
    assert not (data_directory() / "http-tokens.json").exists()
    assert run(capsys, "setup", "cursor", "--port", "1")[0] == 2


def test_the_documented_lines_for_http_are_what_setup_writes():
    section = re.search(r"^## Over HTTP$(.*?)^## ", CLIENTS_PAGE, re.M | re.S)
    assert section is not None
    for name, kind, parse in (("claude-code", "json", json.loads), ("codex", "toml", tomllib.loads)):
        (shown,) = re.findall(rf"```{kind}\n(.*?)```", section[1], re.S)
        client = CLIENTS[name]
        written = config_snippet(client, http_entry(client, "http://127.0.0.1:8321/mcp", "kcore_..."))
        assert parse(shown) == parse(written)

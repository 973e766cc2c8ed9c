"""The file that holds the HTTP door's tokens."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from knowledge_core.errors import StorageDamaged, StorageError, StorageTooNew
from knowledge_core.serving.http import tokens
from knowledge_core.serving.http.tokens import TOKENS_FILE, TokenStore

HASHED = {"name": "reader", "scopes": ["read"], "sha256": "ab" * 32}  # what a later version may write


def written(home) -> list[dict]:
    return json.loads((home / TOKENS_FILE).read_text())["tokens"]


def test_the_first_opening_makes_a_random_token_that_only_its_owner_can_read(tmp_path):
    store = TokenStore(tmp_path / "new" / "home")
    token = store.open().token
    assert (store.path.stat().st_mode & 0o777, store.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(store.path.parent) == [TOKENS_FILE]
    assert len(token) > 43  # 256 bits in base64, and a prefix
    assert (store.open().token, TokenStore(store.path.parent).open().token) == (token, token)
    assert TokenStore(tmp_path).open().token != token
    assert (store.accepts(token.encode()), store.accepts(token[:-1].encode()), store.accepts(b"")) == (
        True,
        False,
        False,
    )


def test_processes_that_open_it_at_once_agree_on_one_token(tmp_path, monkeypatch):
    homes = [tmp_path / str(number) for number in range(20)]

    def token(home) -> str:
        return TokenStore(home).open().token

    numbers = iter(range(1_000_000))
    monkeypatch.setattr(tokens.os, "getpid", lambda: next(numbers))  # threads stand for processes
    with ThreadPoolExecutor(8) as at_once:
        for home in homes:
            assert len(set(at_once.map(token, [home] * 8))) == 1


def test_a_replaced_token_opens_nothing_any_more(tmp_path):
    store, door = TokenStore(tmp_path), TokenStore(tmp_path)
    old = store.open().token
    assert door.accepts(old.encode())
    new = store.replace()
    assert (door.accepts(old.encode()), door.accepts(new.encode())) == (False, True)
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name == "nt", reason="permissions are an access list there")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_could_read_opens_nothing_and_is_replaced_with_a_word(tmp_path, mode):
    store = TokenStore(tmp_path)
    old = store.open().token
    store.path.chmod(mode)
    with pytest.raises(StorageError, match="other users"):
        store.accepts(old.encode())
    opened = store.open()
    assert (opened.token != old, str(store.path) in opened.notice, store.path.stat().st_mode & 0o777) == (
        True,
        True,
        0o600,
    )
    assert (store.accepts(old.encode()), store.open().notice) == (False, "")


def test_where_the_file_system_keeps_no_permissions_there_is_no_token(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "_is_shared", lambda stamp: True)
    for attempt in (TokenStore(tmp_path).open, TokenStore(tmp_path).replace):
        with pytest.raises(StorageError, match="--no-token"):
            attempt()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 1}', '{"version": "1", "tokens": []}', '{"version": 1, "tokens": ["x"]}']
)
def test_a_damaged_file_is_named_with_the_remedy_and_left_until_that_is_used(tmp_path, text):
    store = TokenStore(tmp_path)
    store.path.write_text(text)
    store.path.chmod(0o600)
    with pytest.raises(StorageDamaged, match="--new-token") as damaged:
        store.open()
    assert str(store.path) in str(damaged.value)
    assert store.path.read_text() == text
    with pytest.raises(StorageError):
        store.accepts(b"")
    assert store.accepts(store.replace().encode())


def test_what_a_newer_version_wrote_is_kept_and_opens_nothing(tmp_path):
    store = TokenStore(tmp_path)
    readable = {"name": "half", "scopes": ["read"], "token": "kcore_" + "r" * 40}
    short = {"name": "empty", "scopes": ["all"], "token": ""}
    store.path.write_text(json.dumps({"version": 1, "tokens": [HASHED, readable, short]}))
    store.path.chmod(0o600)
    token = store.open().token
    assert [each["name"] for each in written(tmp_path)] == ["default", "reader", "half", "empty"]
    assert store.accepts(token.encode())
    assert not any(store.accepts(given) for given in (readable["token"].encode(), b"", HASHED["sha256"].encode()))
    store.replace()
    assert written(tmp_path)[1:] == [HASHED, readable, short]
    store.path.chmod(0o644)
    store.open()
    assert written(tmp_path)[1:] == [HASHED]

    store.path.write_text(json.dumps({"version": 2, "tokens": []}))
    for attempt in (store.open, store.replace):
        with pytest.raises(StorageTooNew, match="Upgrade"):
            attempt()

"""`kcore embed` to files and pipes, and `kcore models`: what a person sees of models and vectors."""

from __future__ import annotations

import base64
import errno
import json

import numpy as np
import pytest

from knowledge_core.cli import embed as command
from knowledge_core.cli.main import main
from knowledge_core.embedding.models.packaged import packaged_folder

pytestmark = pytest.mark.skipif(
    packaged_folder() is None, reason="the packaged model is not installed (extra `offline`)"
)


@pytest.fixture
def run(capsys):
    def kcore(*argv):
        capsys.readouterr()
        code = main([*argv, "--in-process"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return kcore


@pytest.fixture
def lines(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"line {number} about lighthouses\n\n" for number in range(10)))
    return str(file)


def test_every_format_holds_the_same_vectors_in_the_order_of_the_texts(run, lines, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "TEXTS_PER_REQUEST", 4)  # three requests
    out = tmp_path / "v.npy"
    assert run("embed", "--lines", lines, "--task", "query", "--output", str(out))[0] == 0
    array = np.load(out)
    assert (array.shape, array.dtype) == ((10, 384), np.float32)
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-5)

    _, told, _ = run("embed", "--lines", lines, "--task", "query", "--vectors")
    np.testing.assert_allclose([json.loads(line) for line in told.splitlines()], array, atol=2e-3)

    _, told, _ = run("embed", "--lines", lines, "--task", "query", "--format", "base64")
    rows = [np.frombuffer(base64.b64decode(line), "<f4") for line in told.splitlines()]
    np.testing.assert_allclose(np.stack(rows), array, atol=2e-3)


def test_files_are_texts_of_their_own_and_what_was_not_read_is_told(run, tmp_path):
    long, short = tmp_path / "long.txt", tmp_path / "short.txt"
    long.write_text("word " * 3000)
    short.write_text("two\nlines")
    code, out, err = run("embed", "--files", str(long), str(short), "--task", "document", "--title", "T", "--vectors")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "1 of 2 texts were longer than 256 tokens; 27" in err


def test_a_wrong_call_names_what_is_wrong_and_leaves_no_file(run, lines, tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    kept = tmp_path / "kept.npy"
    kept.write_bytes(b"what was here")
    for argv, code, said in (
        (["embed"], 2, "one of them"),
        (["embed", "a", "--lines", lines], 2, "one of them"),
        (["embed", "--lines", str(tmp_path / "absent")], 2, "cannot be read"),
        (["embed", "--files", str(binary)], 2, "cannot be read"),
        (["embed", "--lines", lines, "--output", str(tmp_path / "x.foo")], 2, "says no format"),
        (["embed", "--lines", lines, "--format", "npy"], 2, "--output"),
        (["embed", "--lines", lines, "--output", str(tmp_path / "no" / "x.npy")], 2, "cannot be written"),
        (["embed", "--lines", lines, "--task", "poetry", "--output", str(kept)], 1, "Unknown task 'poetry'"),
        (["embed", "--lines", lines, "--dimensions", "77", "--output", str(kept)], 1, "dimensions is 77"),
        (["embed", "--lines", lines, "--title", "T", "--output", str(kept)], 1, "title"),
        (["embed", "--lines", lines, "--collection", "none", "--output", str(kept)], 1, "No collection 'none'"),
    ):
        found, _, err = run(*argv)
        assert (found, said in err) == (code, True), err
    assert kept.read_bytes() == b"what was here"
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []


def test_vectors_that_find_no_room_on_the_disk_leave_the_former_file(run, lines, tmp_path, monkeypatch):
    kept = tmp_path / "kept.npy"
    kept.write_bytes(b"what was here")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("knowledge_core.files.os.fsync", full)
    code, _, err = run("embed", "--lines", lines, "--output", str(kept))
    assert (code, "kept.npy cannot be written: No space left" in err) == (2, True), err
    assert kept.read_bytes() == b"what was here"
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_models_shows_size_licence_use_and_the_endpoint_but_never_a_key(run, lines, tmp_path, monkeypatch):
    import os

    home = os.environ["KNOWLEDGE_CORE_HOME"]
    remote = {"url": "https://models.example/v1", "model": "elsewhere", "api_key_env": "SECRET_KEY"}
    with open(os.path.join(home, "config.yaml"), "w", encoding="utf-8") as file:
        json.dump({"embedding": {"remote": remote}}, file)
    monkeypatch.setenv("SECRET_KEY", "s3cr3t")
    (tmp_path / "c.jsonl").write_text('{"id": "a", "text": "One text."}')
    assert run("index", "--jsonl", str(tmp_path / "c.jsonl"), "--collection", "notes")[0] == 0
    code, out, _ = run("models")
    assert code == 0
    for said in (
        "384 dimensions",
        "92 MB",
        "Apache-2.0",
        "used by notes",
        "<- used for new",
        "elsewhere at models.example",
    ):
        assert said in out
    _, out, _ = run("models", "--json")
    listed = json.loads(out)
    assert listed["installed"][0]["collections"] == ["notes"]
    assert listed["resolved"]["model"] == "all-MiniLM-L6-v2"
    assert "s3cr3t" not in out


def test_the_check_tells_what_each_precision_loses(run, lines):
    code, out, _ = run("models", "--check", "--texts", lines, "--json")
    rows = {row["precision"]: row for row in json.loads(out)["checked"]}
    assert code == 0
    assert rows["float32"]["mean_cosine"] > 0.99999
    assert rows["bfloat16"]["mean_cosine"] > 0.999
    assert all(row["good_enough"] for row in rows.values())
    code, _, err = run("models", "--check", "nobody/nothing")
    assert (code, "not on this machine" in err) == (1, True)

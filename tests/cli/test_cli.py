"""`kcore` as a person uses it: what it prints, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge_core.cli.main import main, parser

COMMANDS = [
    "index", "search", "get", "list", "delete", "cluster", "classify", "embed", "serve", "roots", "models", "status",
    "stop", "logs", "uninstall", "doctor", "demo", "pull", "reembed", "backup", "restore",
]  # fmt: skip


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "solar.md").write_text("# Solar\n\nA solar panel turns sunlight into electricity.\n")
    (folder / "bread.md").write_text("# Bread\n\nKnead the dough and bake the loaf in a hot oven.\n")
    return folder


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    # In this process, which has the model's libraries already; tests/cli/test_owner_commands.py goes the usual way.
    code = main([*argv, "--in-process"])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_the_main_job_from_a_shell(capsys, notes):
    code, out, _ = run(capsys, "index", str(notes))
    assert (code, "2 documents indexed" in out) == (0, True)

    code, out, _ = run(capsys, "index", str(notes))
    assert (code, "2 unchanged" in out) == (0, True)

    code, out, _ = run(capsys, "search", "power from the sun", "--json", "--limit", "1")
    assert (code, json.loads(out)["hits"][0]["document"]) == (0, "notes/solar.md")

    code, out, _ = run(capsys, "search", "--like", "notes/solar.md")
    assert code == 0
    assert "notes/bread.md" in out

    code, out, _ = run(capsys, "get", "notes/bread.md", "--lines", "3")
    assert "Knead the dough" in out

    code, out, _ = run(capsys, "list")
    assert "default: 2 documents" in out
    code, out, _ = run(capsys, "list", "--collection", "default")
    assert "notes/bread.md" in out

    code, out, _ = run(capsys, "roots")
    assert out.strip() == str(notes)

    code, out, _ = run(capsys, "doctor")
    assert (code, "All is well." in out) == (0, True)

    code, out, _ = run(capsys, "status", "--json")
    assert json.loads(out)["collections"][0]["documents"] == 2

    (notes / "bread.md").unlink()
    code, out, _ = run(capsys, "index", str(notes))
    assert "1 removed" in out

    code, out, _ = run(capsys, "delete", "--all", "--yes")
    assert (code, "The collection is gone" in out) == (0, True)


def test_outlines_sections_and_several_documents_are_read_from_a_shell(capsys, notes):
    (notes / "manual.md").write_text("# Manual\n\n## Setup\n\nInstall it.\n\n## Usage\n\nTurn it on.\n")
    run(capsys, "index", str(notes))
    code, out, _ = run(capsys, "get", "notes/manual.md", "--outline")
    assert (code, "\n3-5 (7)   Setup\n" in out, "Install it" in out) == (0, True, False)
    code, out, _ = run(capsys, "get", "notes/manual.md", "--section", "manual > usage", "--json")
    assert (code, json.loads(out)["text"]) == (0, "## Usage\n\nTurn it on.")
    code, out, _ = run(capsys, "get", "notes/manual.md#L5", "notes/bread.md")
    assert (code, "Install it." in out, "Knead the dough" in out, "Turn it on" in out) == (0, True, True, False)
    code, out, _ = run(capsys, "get", "notes/solar.md", "notes/soler.md")
    assert (code, "sunlight" in out, "Did you mean 'notes/solar.md'" in out) == (1, True, True)
    code, _, err = run(capsys, "get", "notes/manual.md", "--section", "Useage")
    assert (code, "'Manual > Usage' (7-9)" in err) == (1, True)


def test_matching_lines_are_printed_as_grep_prints_them(capsys, notes):
    (notes / "many.txt").write_text("".join(f"row {number}: f(x)\n" for number in range(1, 121)))
    assert run(capsys, "index", str(notes))[0] == 0

    code, out, err = run(capsys, "search", "--literal", "f(x)")
    assert (code, out) == (0, "".join(f"notes/many.txt:{number}:row {number}: f(x)\n" for number in range(1, 121)))
    assert "120 lines, in 1 of 3 documents" in err

    code, out, _ = run(capsys, "search", "--regex", "^A solar|oven[.]$")
    assert out.splitlines() == [
        "notes/bread.md:3:Knead the dough and bake the loaf in a hot oven.",
        "notes/solar.md:3:A solar panel turns sunlight into electricity.",
    ]

    code, out, err = run(capsys, "search", "--regex", "^row", "--limit", "2")
    assert (out.count("\n"), "[more: cursor=" in err) == (2, True)

    found = json.loads(run(capsys, "search", "--regex", "^row", "--json")[1])
    assert (len(found["hits"]), found["total"], "cursor" in found) == (120, 120, False)

    assert run(capsys, "index", str(notes), "--collection", "copy")[0] == 0
    code, out, _ = run(capsys, "search", "--regex", "oven", "--collection", "copy", "--collection", "default")
    assert [line.partition("notes/")[0] for line in out.splitlines()] == ["copy:", "default:"]

    code, _, err = run(capsys, "search", "--regex", "(")
    assert (code, "unclosed group" in err) == (1, True)


def test_json_lines_are_indexed(capsys, tmp_path):
    lines = [
        {"_id": "a", "title": "A", "text": "rivers flow"},
        {"id": "b", "text": "mountains stand", "metadata": {"n": 1}},
        {"id": 0, "text": "a valley lies"},
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    code, out, _ = run(capsys, "index", "--jsonl", str(tmp_path / "corpus.jsonl"), "--collection", "corpus")
    assert (code, "3 documents indexed" in out) == (0, True)
    code, out, _ = run(capsys, "search", "rivers", "--filter", '{"n": 1}', "--json")
    assert [hit["document"] for hit in json.loads(out)["hits"]] == ["b"]


def test_json_lines_may_begin_with_a_byte_order_mark(capsys, tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "a", "text": "rivers flow"}\n')
    code, out, _ = run(capsys, "index", "--jsonl", str(tmp_path / "rows.jsonl"))
    assert (code, "1 documents indexed" in out) == (0, True)


def test_a_pdf_with_an_outline_is_sound_for_doctor(capsys, tmp_path):
    drawn = b"BT /F1 12 Tf 72 720 Td (Introduction) Tj 0 -14 Td (Rivers flow to the sea.) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", b"<< /Type /Outlines /First 7 0 R /Last 7 0 R >>",
        b"<< /Title (Introduction) /Parent 6 0 R /Dest [3 0 R /Fit] >>",
    ]  # fmt: skip
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % each for each in enumerate(objects, start=1))
    (tmp_path / "rivers.pdf").write_bytes(b"%PDF-1.6\n" + body + b"trailer << /Root 1 0 R /Size 8 >>\n%%EOF\n")
    code, out, _ = run(capsys, "index", str(tmp_path / "rivers.pdf"))
    assert (code, "1 documents indexed" in out) == (0, True)
    assert "Introduction" in run(capsys, "search", "where do rivers flow", "--json")[1]
    code, out, _ = run(capsys, "doctor")
    assert (code, "All is well." in out) == (0, True), out


@pytest.mark.parametrize("line", ["[1]", '{"text": "a"}', '{"id": "a"}', "7", "{"])
def test_a_line_that_is_no_document_is_told_with_what_one_looks_like(capsys, tmp_path, line):
    (tmp_path / "corpus.jsonl").write_text(line)
    code, _, err = run(capsys, "index", "--jsonl", str(tmp_path / "corpus.jsonl"))
    assert (code, '{"id": "a", "text": "..."}' in err, "Error" in err) == (2, True, False)


def test_the_texts_of_a_shell_are_embedded_clustered_and_classified(capsys, tmp_path):
    code, out, _ = run(capsys, "embed", "a cat", "a kitten", "a lawnmower", "--json")
    near, far = json.loads(out)["similarity"][0][1:]
    assert (code, near > far) == (0, True)

    code, out, _ = run(capsys, "embed", "--vectors", "--task", "query", "a cat")
    assert (code, len(json.loads(out))) == (0, 384)

    (tmp_path / "lines.txt").write_text(
        "the cat sleeps\na kitten naps\nthe cat is asleep\nbake bread\nbread dough\nbaking a loaf\n"
    )
    code, out, _ = run(capsys, "cluster", "--texts", str(tmp_path / "lines.txt"), "--k", "2", "--json")
    assert (code, [cluster["size"] for cluster in json.loads(out)["clusters"]]) == (0, [3, 3])

    code, out, _ = run(
        capsys, "classify", "--label", "animals", "--label", "food", "--text", "the kitten purrs", "--json"
    )
    assert (code, json.loads(out)["items"][0]["label"]) == (0, "animals")

    many = tmp_path / "many.txt"
    many.write_text("".join(f"the kitten purrs {number}\n" for number in range(101)))
    labelling = ["classify", "--label", "animals", "--label", "food", "--texts", str(many)]
    code, out, _ = run(capsys, *labelling, "--json")
    made = json.loads(out)
    assert (code, len(made["items"]), made["total"], made["truncated"], "cursor" in made) == (0, 101, 101, False, False)
    code, out, _ = run(capsys, *labelling)
    assert [line.split(":")[0] for line in out.splitlines()[1:]] == [f"#{number}" for number in range(101)]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["index", "/nowhere/at/all"], ["/nowhere/at/all", "does not exist"]),
        (["search", "x"], ["Index a folder"]),
        (["search", "x", "--collection", "nope"], ["No collection 'nope'"]),
        (["search", "x", "--collection", "../x"], ["../x"]),
        (["get", "nope"], ["No collection 'default'"]),
        (["delete", "--all"], ["No collection"]),
        (["roots", "remove", "/tmp"], ["not a recorded root"]),
    ],
)
def test_a_failure_is_one_line_that_says_what_to_do_and_exit_code_1(capsys, argv, words):
    code, out, err = run(capsys, *argv)
    assert (code, out) == (1, "")
    assert all(word in err for word in words), err


@pytest.mark.parametrize(
    "argv",
    [
        ["index", "--exclude", "x"],
        ["sources", "set"],
        ["search"],
        ["search", "x", "--filter", "{"],
        ["delete"],
        ["classify", "--text", "x"],
        ["classify", "--label", "a"],
        ["index", "--jsonl", "/nowhere.jsonl"],
    ],
)
def test_wrong_usage_ends_with_exit_code_2(capsys, argv):
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert err.startswith(f"kcore {argv[0]}: ")


def test_an_unknown_command_ends_with_exit_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["serch", "x"])
    assert ended.value.code == 2


def test_an_empty_folder_is_an_error_and_leaves_no_collection(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "index", str(tmp_path / "empty"))
    assert (code, "Nothing to index" in err) == (1, True)
    code, out, _ = run(capsys, "list")
    assert "No collection yet" in out


def test_a_wrong_configuration_is_one_line(capsys, tmp_path):
    (tmp_path / "bad.yaml").write_text("indexing: {chunk_sise: 3}\n")
    code, _, err = run(capsys, "status", "--config", str(tmp_path / "bad.yaml"))
    assert (code, "Did you mean 'chunk_size'" in err) == (1, True)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"kcore {command}" in out.split("examples:")[1]
    assert "--json" in out


def test_every_example_of_the_help_can_be_parsed():
    import shlex

    made = parser()
    actions = next(action for action in made._actions if hasattr(action, "choices") and action.choices)
    for command in actions.choices.values():
        for line in command.epilog.splitlines()[1:]:
            words = shlex.split(line.split(" | ")[-1].split(" > ")[0].strip())
            assert words[0] == "kcore", line
            made.parse_args(words[1:])


def test_help_is_instant_because_nothing_heavy_is_imported():
    code = (
        "import sys; from knowledge_core.cli.main import parser; parser(); "
        "print([name for name in ('torch', 'sentence_transformers', 'mcp', 'numpy', 'tantivy') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "argv",
    [["index", ""], ["index", "  "], ["roots", "add", ""], ["roots", "remove", ""], ["serve", "--root", ""],
     ["setup", "claude-desktop", "--root", ""], ["status", "--home", ""], ["status", "--config", ""]],
)  # fmt: skip
def test_an_empty_path_is_an_error_and_never_the_current_folder(capsys, argv):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "the path is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [["cluster", "--texts", ""], ["classify", "--labels", "", "--text", "a"], ["classify", "--label", "a", "--texts", ""],
     ["embed", "--lines", ""], ["embed", "--files", "a.txt", ""], ["embed", "a", "--output", ""], ["index", "--jsonl", ""],
     ["models", "--texts", ""]],
)  # fmt: skip
def test_an_empty_name_of_a_file_is_an_error_and_never_as_if_it_was_not_given(capsys, argv):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "the file's name is empty" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets no such name be")
def test_nothing_of_a_file_steers_the_terminal(capsys, tmp_path):
    folder = tmp_path / "files \x1b[32m"
    folder.mkdir()
    (folder / "ansi \x1b[31m.md").write_text("A heron sensor \x1b]0;new title\x1b\\ failed \u202ein the night.\n" * 3)
    (folder / "broken \x1b[5m.pdf").write_bytes(b"no PDF")
    printed = [
        run(capsys, "index", str(folder), "--collection", "c"),
        run(capsys, "search", "heron", "--collection", "c"),
    ]
    printed += [
        run(capsys, "list"),
        run(capsys, "list", "--collection", "c"),
        run(capsys, "status"),
        run(capsys, "roots"),
    ]
    printed += [run(capsys, "cluster", "--collection", "c"), run(capsys, "doctor"), run(capsys, "logs")]
    id = json.loads(run(capsys, "list", "--collection", "c", "--json")[1])["documents"][0]["id"]
    printed += [run(capsys, "get", id, "--collection", "c"), run(capsys, "get", "no\x1b[31m", "--collection", "c")]
    printed += [run(capsys, "index", str(folder / "not \x1b[31m there"))]
    printed += [run(capsys, "delete", "--id", id, "--collection", "c", "--dry-run")]
    for _, out, err in printed:
        assert not {"\x1b", "\u202e"} & {*out, *err}, out + err
    assert "heron" in printed[1][1]

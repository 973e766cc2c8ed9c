"""JSON becomes text that is found and says where it is; JSON lines stay lines; what is no JSON stays as it is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ingestion_material import Write, checked_chunks, count_words

from knowledge_core.ingestion.readers import read_file
from knowledge_core.types import Document

DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")


def read(path: Path) -> Document:
    return read_file(path, document_id=path.name, limit=60_000_000)


def test_keys_stand_beside_values_under_the_keys_above_them(write: Write) -> None:
    package = {
        "name": "engine",
        "version": "1.10",
        "repository": {"type": "git", "url": "there"},
        "files": ["lib", "doc"],
        "license": None,
        "bugs": {},
        "scripts": {"build": "tsc --project tsconfig.build.json" * 4, "nested": {"deep": "x" * 300}},
        "contributors": [{"name": "Ada", "home": {"city": "London"}, "bio": "one\n# two"}, {"name": "Bob" * 100}],
    }
    document = read(write("package.json", json.dumps(package)))
    assert document.media_type == "text/markdown"
    assert document.metadata == {"format": "json"}
    assert document.title == "package.json"
    assert document.text == (
        "- name: engine\n- version: 1.10\n- repository.type: git\n- repository.url: there\n- files: lib, doc\n\n"
        f"# scripts\n\n- build: {'tsc --project tsconfig.build.json' * 4}\n\n## nested\n\n- deep: {'x' * 300}\n\n"
        "# contributors\n\n- name: Ada\n    home.city: London\n    bio: one\n    # two\n"
        f"- name: {'Bob' * 100}"
    )


def test_escapes_are_decoded_and_numbers_stay_as_they_are_written(write: Write) -> None:
    text = r'{"greeting": "\u4f60\u597d", "tab": "a\tb", "\u00fc": 1.50, "big": 12345678901234567890123, "e": 1E400}'
    document = read(write("a.json", text))
    assert document.text == ("- greeting: 你好\n- tab: a\tb\n- ü: 1.50\n- big: 12345678901234567890123\n- e: 1E400")


def test_many_numbers_are_cut_with_their_count(write: Write) -> None:
    line = [[n / 10, n] for n in range(1000)]
    features = [{"properties": {"name": "the river"}, "geometry": {"type": "LineString", "coordinates": line}}] * 2
    document = read(write("a.geojson", json.dumps({"type": "FeatureCollection", "features": features})))
    assert document.metadata == {"format": "geojson"}
    assert document.text == "- type: FeatureCollection\n\n# features\n\n" + "\n".join(
        [
            "- properties.name: the river\n    geometry.type: LineString\n"
            "    geometry.coordinates: 0.0, 0, 0.1, 1, 0.2, 2, 0.3, 3, … (2000 numbers)"
        ]
        * 2
    )


def test_a_record_of_a_list_is_not_torn_where_it_fits(write: Write) -> None:
    people = [{"id": n, "name": f"person {n}", "note": f"a note of some words on {n}"} for n in range(100)]
    found = checked_chunks(read(write("a.json", json.dumps({"people": people}))), count_words, 60)
    assert len(found) > 10
    for one in found:
        assert one.text.count("id: ") == one.text.count("name: ") == one.text.count("note: ")


def test_json_lines_stay_one_line_each_and_are_not_torn(write: Write) -> None:
    records = [{"id": n, "text": f"第{n}\nline", "of": {"who": "Ada"}} for n in range(100)]
    text = "".join(json.dumps(record) + "\n" for record in records)
    for name in ("a.jsonl", "a.ndjson", "a.json"):
        path = write(name, text)
        assert read(path).text.split("\n")[7] == "id: 7; text: 第7 line; of.who: Ada"
        found = checked_chunks(read(path), count_words, 30)
        assert found[3].text.startswith(f"id: {found[3].lines.first - 1}; ")
        assert all(one.text.count("id: ") == one.text.count("Ada") for one in found)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1,}',
        '{"a": 1',
        '// why\n{"a": 1}',
        '{"a": [1}',
        '{"a" 1}',
        "[1, 2]]",
        '{"a": 1} x',
        '"open',
        "just words",
    ],
)
def test_what_is_no_sound_json_stays_as_it_is(write: Write, text: str) -> None:
    document = read(write("a.json", text))
    assert (document.text, document.media_type) == (text, "application/json")


def test_damaged_lines_of_json_lines_stay_as_they_are(write: Write) -> None:
    assert read(write("a.jsonl", '{"a": 1}\n{"a": \n\n[2]\n')).text == 'a: 1\n{"a": \n\n2\n'


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000 + "]" * 20_000,
        '{"a":[' * 10_000 + "1" + "]}" * 10_000,
        "[" * 20_000,
        '[1,"a",' * 10_000,
        '[{"a":' * 10_000,
    ],
)
def test_depth_costs_no_recursion_and_time_in_proportion(write: Write, text: str) -> None:
    begun = time.process_time()
    path = write("a.json", text + '\n"words"' if text.endswith("]") else text)
    assert read(path).text
    assert time.process_time() - begun < 1


def test_long_paths_do_not_multiply_a_text(write: Write) -> None:
    text = ('{"' + "k" * 90 + '":') * 20 + "[" + ",".join(['{"a":""}'] * 20_000) + "]" + "}" * 20
    assert len(read(write("a.json", text)).text) <= 4 * len(text) + 1000


@pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
def test_a_real_broken_json_stays_as_it_is() -> None:
    path = Path(DATA or "") / "files" / "text" / "fake-incomplete-json.txt"
    assert read(path).text == path.read_text("utf-8").replace("\r\n", "\n")

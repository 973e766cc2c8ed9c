"""`search` with `match`: every line that holds a text or matches a regular expression, counted, in order, page by page."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from typing import Any

import anyio
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.ingestion.workers.worker import CannotStart
from knowledge_core.retrieval.fair_semaphore import FairSemaphore
from knowledge_core.retrieval.lines import scanners
from knowledge_core.retrieval.lines.normal_form import is_composed
from knowledge_core.serving.surface import application as application_module
from knowledge_core.serving.surface.application import application
from knowledge_core.verbs import find as find_module
from mcp_text import index, text_of
from owner_processes import until

pytestmark = pytest.mark.anyio

COSTLY = r"(?:[ab]{1,50}){300}[^ab]"  # takes 0.2 ms for each character of a text of a and b
POEM = "The otter (Lutra lutra) swims.\n\n  An otter's path: rivers.get(0)\nNo fox here; Otter\n"


async def put(client: Client, texts: dict[str, str], collection: str = "default", **metadata: Any) -> None:
    documents = [{"id": id, "text": text, "metadata": metadata} for id, text in texts.items()]
    result = await client.call_tool("index", {"documents": documents, "collection": collection})
    assert not result.is_error, text_of(result)


async def ask(client: Client, query: str, match: str = "regex", **more: Any) -> dict[str, Any]:
    result = await client.call_tool("search", {"query": query, "match": match, **more})
    assert not result.is_error, text_of(result)
    return result.structured_content


async def lines(client: Client, query: str, match: str = "regex", **more: Any) -> list[str]:
    return [f"{hit['document']}:{hit['lines']}" for hit in (await ask(client, query, match, **more))["hits"]]


async def refused(client: Client, **arguments: Any) -> str:
    result = await client.call_tool("search", arguments)
    assert result.is_error
    return text_of(result)


@pytest.fixture
async def client(connect):
    async with connect() as made:
        await put(made, {"poem": POEM, "b/second": "an otter\nOTTER\nlast line without an end: otter"})
        yield made


async def test_every_line_comes_in_document_order_with_a_true_count(client):
    found = await ask(client, "otter", "literal")
    assert [(hit["document"], hit["lines"], hit["snippet"]) for hit in found["hits"]] == [
        ("b/second", "1", "an otter"),
        ("b/second", "3", "last line without an end: otter"),
        ("poem", "1", "The otter (Lutra lutra) swims."),
        ("poem", "3", "  An otter's path: rivers.get(0)"),
    ]
    assert (found["total"], found["documents"], found["exact"]) == (4, 2, True)
    assert found["coverage"] == {"documents": 2, "known": 2}


async def test_the_text_names_each_document_once_and_numbers_its_lines(client):
    text = text_of(await client.call_tool("search", {"query": "otter", "match": "literal"}))
    assert text.startswith(
        "b/second\n  1: an otter\n  3: last line without an end: otter\npoem\n  1: The otter (Lutra lutra) swims.\n"
    )
    assert text.endswith("4 of 4 lines, in 2 of 2 documents.")


async def test_a_literal_text_means_its_signs_and_its_capitals(client):
    assert await lines(client, "(Lutra lutra)", "literal") == ["poem:1"]
    assert await lines(client, "rivers.get(0)", "literal") == ["poem:3"]
    assert await lines(client, "rivers.get.0.", "literal") == []
    assert await lines(client, "Otter", "literal") == ["poem:4"]
    assert await lines(client, " ", "literal") == ["b/second:1", "b/second:3", "poem:1", "poem:3", "poem:4"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("^$", ["poem:2"]),
        ("", ["b/second:1", "b/second:2", "b/second:3", "poem:1", "poem:2", "poem:3", "poem:4"]),
        ("x*", ["b/second:1", "b/second:2", "b/second:3", "poem:1", "poem:2", "poem:3", "poem:4"]),
        ("otter$", ["b/second:1", "b/second:3"]),
        (r"(?i)\botter\b$", ["b/second:1", "b/second:2", "b/second:3", "poem:4"]),
        (r"^\s+An", ["poem:3"]),
        (r"\Aan|r\z", ["b/second:1", "b/second:3", "poem:4"]),
        (r"swims\.\s*An", []),
        (r"lutra[^x]*rivers", []),
        ("(?s)swims.*An", []),
    ],
)
async def test_a_regular_expression_is_matched_within_each_line(client, query, found):
    assert await lines(client, query) == found


async def test_letters_digits_and_word_bounds_are_those_of_all_scripts(client):
    await put(client, {"world": "Łódź leży\nwŁódź\n東京 ٣٤\nüber\nstraße STRASSE\nа б в"})
    assert await lines(client, r"\bŁódź\b") == ["world:1"]
    assert await lines(client, r"\d{2}") == ["world:3"]
    assert await lines(client, r"\p{Han}+") == ["world:3"]
    assert await lines(client, r"\b\w{4}$") == ["world:1", "world:4"]
    assert await lines(client, r"\p{Cyrillic}") == ["world:6"]


@pytest.mark.parametrize("match", ["literal", "regex"])
async def test_a_text_is_found_in_either_unicode_normal_form(client, match):
    composed, apart = "Łódź café", unicodedata.normalize("NFD", "Łódź café")
    await put(client, {"one": f"x\n{composed}\n", "two": f"{apart}\nx\n"})
    for query in (composed, apart):
        assert await lines(client, query, match) == ["one:2", "two:1"]
    assert await lines(client, r"caf[eé]$") == ["one:2", "two:1"]


async def test_a_literal_text_of_several_lines_is_found_across_them(client):
    await put(client, {"poem": "a\r\nb\r\na\r\nb\r\n"})
    found = await ask(client, "a\r\nb\n", "literal")
    assert [(hit["lines"], hit["snippet"]) for hit in found["hits"]] == [("1-2", "a\nb"), ("3-4", "a\nb")]
    assert (found["total"], found["documents"]) == (2, 1)


async def test_pages_of_any_size_show_every_line_once_and_in_one_order(client):
    await put(client, {f"d{n:02}": "\n".join(f"line {k} of {n}" for k in range(37)) for n in range(9)}, "large")
    await put(client, {"last": "line 3 of all"}, "small")
    whole = [("large", f"d{n:02}", str(k + 1)) for n in range(9) for k in range(37) if "3" in f"{k} of {n}"]
    whole.append(("small", "last", "1"))
    for size in (1, 7, 100, None):
        seen, cursor = [], None
        while True:
            page = await ask(client, r"line \d*3|of \d*3", limit=size, cursor=cursor, collections=["large", "small"])
            seen += [(hit["collection"], hit["document"], hit["lines"]) for hit in page["hits"]]
            assert page["total"] == len(whole)
            if (cursor := page.get("cursor")) is None:
                break
            assert len(page["hits"]) == (size or 100) or page["truncated"]
        assert seen == whole


async def test_a_cursor_says_that_a_collection_changed_and_goes_on_after_its_line(client):
    first = await ask(client, "otter", "literal", limit=2)
    await put(client, {"a": "an otter before", "poem": "otter\nand otter"})
    rest = await ask(client, "otter", "literal", limit=2, cursor=first["cursor"])
    assert [(hit["document"], hit["lines"]) for hit in rest["hits"]] == [("poem", "1"), ("poem", "2")]
    assert rest["total"] == 5
    assert any("changed since the first page" in notice for notice in rest["notices"])
    assert "another request" in await refused(client, query="fox", match="literal", cursor=first["cursor"])


async def test_filters_and_collections_narrow_what_is_looked_through(client):
    await put(client, {"old": "an otter of 1999"}, year=1999)
    await put(client, {"other": "an otter elsewhere"}, "other")
    assert await lines(client, "otter", filter={"year": 1999}) == ["old:1"]
    assert await lines(client, "otter", filter={"id": {"$glob": "b/*"}}) == ["b/second:1", "b/second:3"]
    assert await lines(client, "otter", collections=["other"]) == ["other:1"]
    everywhere = await ask(client, "an otter", "literal")
    assert {hit["collection"] for hit in everywhere["hits"]} == {"default", "other"}
    assert "other: other\n" in text_of(await client.call_tool("search", {"query": "otter", "match": "literal"}))
    assert "yaer" in await refused(client, query="x", match="literal", filter={"yaer": 1})


async def test_a_long_line_is_shown_around_its_match_and_the_answer_says_so(client):
    await put(client, {"long": "a" * 70_000 + " needle 7 " + "b" * 90_000})
    for query, match in ((r"needle \d\b", "regex"), ("needle 7", "literal")):
        found = await ask(client, query, match)
        (hit,) = found["hits"]
        assert " needle 7 " in hit["snippet"]
        assert len(hit["snippet"]) < 310
        assert any("more than 300 characters" in notice for notice in found["notices"])


async def test_a_default_answer_of_many_lines_stays_small(client):
    await put(client, {f"d{n}": ("é🔴" * 100 + "\n") * 40 for n in range(5)})
    result = await client.call_tool("search", {"query": "🔴", "match": "literal"})
    assert len(text_of(result).encode()) < 8 * 1024
    assert result.structured_content["total"] == 200
    assert result.structured_content["truncated"]


async def test_lines_steer_nothing_and_keep_their_tabs(client):
    await put(client, {"steering": "\tred \x1b[31m\u202egnp.exe\u2028forged"})
    text = text_of(await client.call_tool("search", {"query": "red", "match": "literal"}))
    assert "  1: \tred \\x1b[31m\\u202egnp.exe\\u2028forged\n" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"query": "(a", "match": "regex"}, ["unclosed group at character 1 ('(a')", "match: 'literal'"]),
        ({"query": "ab{3,1}", "match": "regex"}, ["at character 3"]),
        ({"query": r"a(?=b)", "match": "regex"}, ["look-around", "at character 2", "ripgrep"]),
        ({"query": r"(a)\1", "match": "regex"}, ["backreferences", "at character 4"]),
        ({"query": r"a\nb", "match": "regex"}, ["line end", "match: 'literal'"]),
        ({"query": r"((\w{30}){30}){30}", "match": "regex"}, ["too large", "counted repetitions"]),
        ({"query": "", "match": "literal"}, ["query is empty"]),
        ({"query": "\n", "match": "literal"}, ["query is empty"]),
        ({"query": "a" * 10_001, "match": "literal"}, ["10,001", "10,000"]),
        ({"match": "regex"}, ["match needs a query"]),
        ({"query": "a", "match": "regex", "mode": "lexical"}, ["mode is 'lexical'", "leave mode out"]),
        ({"query": "a", "match": "regex", "recency": 7}, ["recency is 7", "leave recency out"]),
        ({"query": "a", "match": "regex", "queries": ["b"]}, ["queries", "every line"]),
        ({"query": "a", "match": "regex", "like": {"ids": ["poem"]}}, ["like", "meanings"]),
        ({"query": "a", "match": "exact"}, ["match", "literal", "regex"]),
        ({"query": "a", "match": "regex", "cursor": "abc"}, ["cursor"]),
        ({"query": "a", "match": "regex", "max_tokens": 1}, ["max_tokens", "100"]),
    ],
)  # fmt: skip
async def test_a_wrong_call_says_what_and_where_and_what_next(client, arguments, words):
    said = await refused(client, **arguments)
    assert all(word in said for word in words), said
    assert len(said) < 700


async def test_nothing_found_says_how_to_leave_capitals_out(client):
    found = await ask(client, "oTTer", "literal", explain=True)
    assert (found["hits"], found["total"]) == ([], 0)
    assert any("(?i)" in notice for notice in found["notices"])
    assert any("explain has nothing to add" in notice for notice in found["notices"])


@pytest.mark.parametrize("query", ["(a+)+$", "(a|a)*b", "(x+x+)+y", r"(\w+\s?)*!", "(?:a?){25}a{25}b"])
async def test_an_expression_that_ruins_others_takes_a_moment(client, query):
    await put(client, {"hostile": "a" * 50_000 + "!" * 3 + "\n" + "x" * 50_000})
    began = time.monotonic()
    await ask(client, query)
    assert time.monotonic() - began < 10


def _ab(size: int) -> str:
    return "".join(random.Random(1).choices("ab", k=size))


async def test_who_withdraws_a_costly_search_frees_its_place_at_once_and_others_went_on_meanwhile(client, monkeypatch):
    monkeypatch.setattr(find_module, "PASSES", FairSemaphore(1))
    await put(client, {"costly": _ab(200_000)})
    began = time.monotonic()
    with anyio.move_on_after(0.5) as giving_up:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, COSTLY)
            await anyio.sleep(0.2)
            other = time.monotonic()
            assert not (await client.call_tool("search", {"query": "otter", "mode": "lexical"})).is_error
            assert time.monotonic() - other < 5
    assert giving_up.cancelled_caught
    assert await lines(client, "OTTER", "literal") == ["b/second:2"]
    assert time.monotonic() - began < 10


async def test_a_costly_search_becomes_a_job_and_ends_when_that_is_cancelled(client, engine, monkeypatch):
    monkeypatch.setattr(application_module, "LONGEST_CALL", 0.2)
    monkeypatch.setattr(find_module, "PASSES", FairSemaphore(1))
    await put(client, {"costly": _ab(200_000)})
    async with Client(application(engine)) as impatient:
        said = await refused(impatient, query=COSTLY, match="regex")
        job = re.search(r'job\(id="(search-\w+)"', said)
        assert job, said
        await impatient.call_tool("job", {"id": job[1], "action": "cancel"})
        until(lambda: not engine.jobs.running())
        ended = await impatient.call_tool("job", {"id": job[1]})
        assert ended.structured_content["jobs"][0]["state"] == "cancelled"
    assert await lines(client, "OTTER", "literal") == ["b/second:2"]


@pytest.mark.slow
async def test_an_expression_that_takes_too_long_for_a_text_ends_with_an_error(client, monkeypatch):
    monkeypatch.setattr(scanners, "SECONDS", 0)
    await put(client, {"costly": _ab(200_000)})
    said = await refused(client, query=COSTLY, match="regex")
    assert "more than 0 s" in said
    assert "counted repetitions" in said


async def test_where_no_child_process_can_start_lines_are_found_all_the_same(client, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise CannotStart("Operation not permitted")

    monkeypatch.setattr(scanners, "CHILDREN", scanners.Children())
    monkeypatch.setattr(scanners, "Worker", refuse)
    assert await lines(client, "^an?\\b") == ["b/second:1"]
    assert "unclosed group" in await refused(client, query="(", match="regex")


async def test_lines_of_a_file_that_changed_say_so(tmp_path, home):
    file = tmp_path / "notes" / "otter.md"
    file.parent.mkdir()
    file.write_text("# Otter\n\nAn otter swims.\n")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder()) as engine:
        engine.roots.add(file.parent)
        async with Client(application(engine)) as client:
            await index(client, file.parent)
            assert await lines(client, "swims", "literal") == ["notes/otter.md:3"]
            file.write_text("# Otter\n\nAn otter swam.\n")
            until(lambda: not engine.jobs.running())
            found = await ask(client, "swims", "literal")
    assert (found["hits"][0]["file"], found["stale"]) == ("changed since", ["notes/otter.md"])


def test_a_text_is_taken_for_composed_by_its_bytes_only_where_it_is():
    joins = {
        *range(0x1161, 0x1176),
        *range(0x11A8, 0x11C3),
    }  # vowels and ends of Hangul; others by their decompositions
    characters = [chr(point) for point in [*range(0x20000), *range(0x2F800, 0x2FA20)] if not 0xD800 <= point < 0xE000]
    for character in characters:
        parts = unicodedata.decomposition(character).split()
        joins |= {int(parts[1], 16)} if len(parts) == 2 and not parts[0].startswith("<") else set()
    for character in characters:
        alone = unicodedata.normalize("NFC", character) == character and not unicodedata.combining(character)
        if not alone or ord(character) in joins:
            for before in "aᄀ":
                text = before + character
                assert is_composed(text.encode()) == unicodedata.is_normalized("NFC", text), hex(ord(character))
    assert is_composed("Łódź 東京 ばか 서울 Привет “…” 🔴 ά\n".encode())
    assert not is_composed("a\nb\ncafe\u0301\nd".encode())

"""Answers hold whole items: the text ends where the structure ends, the cursor stands last, and pages lose nothing."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.from_thread
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.ingestion.walking.left_out import shown
from knowledge_core.language.printable import printable
from knowledge_core.serving.surface.application import application
from knowledge_core.serving.surface.calls.pages import STRUCTURE_CAP, TEXT_CAP
from mcp_text import text_of

pytestmark = pytest.mark.anyio

PLACES = ["north quay", "south quay", "dry dock", "ferry steps", "fish market", "customs shed"]
COUNT = 130
LABELS = [{"name": "keys", "description": "the key for the berth"}, {"name": "winch", "description": "slow winch"}]


def slip(number: int) -> dict[str, Any]:
    """A document of which a hundred do not fit into one answer; some have all that a document may have of everything."""
    large = number % 10 == 3
    return {
        "id": f"slip-{number:03d}" + ("/係留場" * 90 if large else ""),
        "title": "係留" * 240 if large else f"Slip {number}",
        "uri": "file:///" + "x" * 1900 if large else "",
        "metadata": {"log": "係" * 4000, **{f"field {n} " + "x" * 80: "y" * 40 for n in range(20)}}
        if large
        else {f"field{n}": n for n in range(8)} | {"log": "x" * 15_000}  # of which the text of a list shows nothing
        if number % 10 in (5, 6, 7)
        else {},
        "text": f"Boathouse slip {number:03d}: the key for berth {number:03d} at the {PLACES[number % 6]} was handed back on "
        f"day {number % 28 + 1} of the month together with two lanterns, a coil of rope and the list that the night watch "
        f"signed; whoever borrows that key next asks the harbour office at slip {number:03d} first.",
    }


IDS = [slip(number)["id"] for number in range(COUNT)]
ALL = ["ledger", *IDS, "tape"]


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("harbour")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: HashEmbedder()) as engine:

        async def fill() -> None:
            async with Client(application(engine)) as client:
                documents = [slip(number) for number in range(COUNT)]
                documents.append({"id": "ledger", "title": "係留" * 240, "text": "\n".join(ledger())})
                documents.append({"id": "tape", "text": "\n".join(TAPE)})
                result = await client.call_tool("index", {"documents": documents, "wait_seconds": 300})
                assert result.structured_content["indexed"] == len(ALL), text_of(result)
                await client.call_tool("index", {"documents": [{"id": "a", "text": "Fish."}], "collection": "nets"})

        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(fill)
        yield engine


TAPE = ["\x01" * 70] * 700  # six times as long as JSON


def ledger() -> list[str]:
    """Lines, among them empty ones, blank ones where a page ends, and one that is longer than any page."""
    return ["Ledger", "", "x" * 60_000, *(f"line {n}" if n % 3 else "" for n in range(3_000)), "end"]


@pytest.fixture
async def client(harbour: Engine) -> AsyncIterator[Client]:
    async with Client(application(harbour)) as made:
        yield made


async def page(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Call a tool and hold its answer against what every answer promises."""
    result = await client.call_tool(tool, arguments)
    text, structure = text_of(result), result.structured_content
    assert not result.is_error, text
    assert len(text.encode()) <= TEXT_CAP
    assert len(json.dumps(structure, ensure_ascii=False)) <= STRUCTURE_CAP + 2_000
    if cursor := structure.get("cursor"):
        assert structure["truncated"] or tool == "search"
        assert text.splitlines()[-1] == f'[more: cursor="{cursor}"]'
    return structure, text


async def pages(client: Client, tool: str, arguments: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    read = [await page(client, tool, arguments)]
    while cursor := read[-1][0].get("cursor"):
        read.append(await page(client, tool, {**arguments, "cursor": cursor}))
        assert len(read) <= 200
    assert not read[-1][0]["truncated"]
    return read


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("collections", [["default"], ["default", "nets"]])
async def test_all_pages_of_a_search_for_a_hundred_show_every_hit_once_as_text_and_as_structure(
    client: Client, collections: list[str], explain: bool
) -> None:
    arguments = {"query": "boathouse key berth lanterns rope", "limit": 100, "filter": {"id": {"$glob": "slip-*"}},
                 "collections": collections, "explain": explain}  # fmt: skip
    read = await pages(client, "search", arguments)
    found = [hit["document"] for structure, _ in read for hit in structure["hits"]]
    assert sorted(found) == sorted(IDS)
    for structure, text in read:
        assert re.findall(r"slip-\d{3}(?:/係留場)*(?=, chunk)", text) == [hit["document"] for hit in structure["hits"]]
        assert all(hit["snippet"] in text for hit in structure["hits"])
    assert read[0][0]["truncated"]
    whole = [hit for structure, _ in read for hit in structure["hits"]]
    in_tens = await pages(client, "search", {**arguments, "limit": 10})
    assert [hit for structure, _ in in_tens for hit in structure["hits"]] == whole


@pytest.mark.parametrize("limit", [7, 50, 100])
async def test_documents_of_any_size_are_listed_once_and_in_order(client: Client, limit: int) -> None:
    read = await pages(client, "list_documents", {"limit": limit})
    assert [item["id"] for structure, _ in read for item in structure["documents"]] == ALL
    for structure, text in read:
        assert [line.split(" ")[0] for line in text.splitlines() if " chunks" in line] == [
            item["id"] for item in structure["documents"]
        ]


@pytest.mark.parametrize(("id", "whole"), [("ledger", ledger()), ("tape", TAPE)])
async def test_a_document_is_read_to_its_end_without_losing_a_line_or_a_part_of_one(
    client: Client, id: str, whole: list[str]
) -> None:
    read = await pages(client, "get_document", {"id": id, "max_tokens": 6_500})
    lines: list[str] = []
    last = 0
    for structure, text in read:
        first, _, end = structure["lines"].partition("-")
        shown = structure["text"].split("\n")
        assert printable(structure["text"]) in text
        if int(first) == last:  # it goes on within a line
            lines[-1] += shown.pop(0)
        lines += shown
        last = int(end or first)
    assert lines == whole


async def test_a_document_with_all_that_it_may_have_is_read_within_the_bounds(client: Client) -> None:
    structure, text = await page(client, "get_document", {"id": slip(3)["id"], "max_tokens": 6_500})
    assert structure["text"] == slip(3)["text"]
    assert structure["text"] in text


async def test_the_cursor_of_a_document_that_changed_is_refused(connect) -> None:
    async with connect() as client:
        for text in ("old\n" * 4_000, "new\n" * 4_000):
            await client.call_tool("index", {"documents": [{"id": "d", "text": text}]})
            if text.startswith("old"):
                cursor = (await client.call_tool("get_document", {"id": "d"})).structured_content["cursor"]
        result = await client.call_tool("get_document", {"id": "d", "cursor": cursor})
        assert result.is_error
        assert "as it is now" in text_of(result)


async def test_classify_labels_a_whole_collection_in_pages_whose_counts_cover_all(client: Client) -> None:
    read = await pages(client, "classify", {"collection": "default", "labels": LABELS})
    assert [item["item"] for structure, _ in read for item in structure["items"]] == ALL
    assert len({json.dumps(structure["counts"]) for structure, _ in read}) == 1
    assert sum(read[0][0]["counts"].values()) == read[0][0]["total"] == len(ALL)
    for structure, text in read:
        assert all(f"\n{item['item']}: " in text for item in structure["items"])


async def test_classify_pages_given_texts_with_many_labels_too(client: Client) -> None:
    labels = [{"name": "𠮷" * 190 + f" {n}", "examples": ["key"]} for n in range(100)]
    arguments = {"texts": [f"key {n}" for n in range(12)], "labels": labels, "multiple": True}
    read = await pages(client, "classify", arguments)
    assert [item["item"] for structure, _ in read for item in structure["items"]] == [f"#{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("tool", "arguments", "other"),
    [
        ("classify", {"collection": "default", "labels": LABELS}, {"labels": LABELS[:1]}),
        ("classify", {"collection": "default", "labels": LABELS}, {"multiple": True}),
        ("cluster", {"limit": 100, "k": 100}, {"limit": 99}),
        ("search", {"query": "boathouse key", "limit": 100}, {"query": "winch"}),
        ("list_documents", {"limit": 2}, {"filter": {"id": {"$glob": "slip*"}}}),
        ("list_documents", {"limit": 2, "filter": {"id": {"$glob": "slip*"}}}, {"filter": None}),
    ],
)
async def test_a_cursor_of_another_request_is_refused(
    client: Client, tool: str, arguments: dict[str, Any], other: dict[str, Any]
) -> None:
    structure, _ = await page(client, tool, arguments)
    result = await client.call_tool(tool, {**arguments, **other, "cursor": structure["cursor"]})
    assert result.is_error
    assert "another request" in text_of(result)


async def test_the_cursor_of_one_list_goes_on_with_no_other(connect) -> None:
    async with connect() as client:
        for collection in ("a", "b"):
            documents = [{"id": f"{collection}{n}", "text": f"Key number {n}."} for n in range(3)]
            await client.call_tool("index", {"documents": documents, "collection": collection})
        first = (await client.call_tool("list_documents", {"collection": "b", "limit": 1})).structured_content
        for tool, arguments in (("list_documents", {"collection": "a", "limit": 1}), ("list_collections", {})):
            result = await client.call_tool(tool, {**arguments, "cursor": first["cursor"]})
            assert "another request" in text_of(result)
        rest = await client.call_tool("list_documents", {"collection": "b", "limit": 50, "cursor": first["cursor"]})
        assert [each["id"] for each in rest.structured_content["documents"]] == ["b1", "b2"]


async def test_classify_says_when_the_collection_changed_since_the_first_page(connect) -> None:
    async with connect() as client:
        documents = [{"id": f"d{n:03d}", "text": f"Key number {n}."} for n in range(101)]
        await client.call_tool("index", {"documents": documents})
        arguments = {"collection": "default", "labels": LABELS}
        first = (await client.call_tool("classify", arguments)).structured_content
        await client.call_tool("index", {"documents": [{"id": "z", "text": "Another."}]})
        second = (await client.call_tool("classify", {**arguments, "cursor": first["cursor"]})).structured_content
        assert [item["item"] for item in second["items"]] == ["d100", "z"]
        assert "changed since the first page" in second["notices"][0]


async def test_clusters_are_paged_up_to_their_limit_and_made_once(client: Client, harbour: Engine) -> None:
    arguments = {"k": 100, "limit": 100}
    read = await pages(client, "cluster", arguments)
    clusters = [each for structure, _ in read for each in structure["clusters"]]
    assert [each["place"] for each in clusters] == list(range(1, 101))
    assert len({each["id"] for each in clusters}) == 100
    assert len({structure["job"] for structure, _ in read}) == 1
    for structure, text in read:
        assert re.findall(r"id ([0-9a-f]{12})$", text, flags=re.M) == [each["id"] for each in structure["clusters"]]
    for number in range(202):  # more than are remembered
        assert harbour.jobs.start("cluster", f"other {number}", lambda job, report: None).wait(60)
    # What is forgotten is made again, and comes to the same clusters.
    again, _ = await page(client, "cluster", {**arguments, "cursor": read[0][0]["cursor"]})
    assert again["clusters"] == read[1][0]["clusters"]


async def test_a_list_of_jobs_is_paged_and_each_job_keeps_its_result_short(client: Client, harbour: Engine) -> None:
    for _ in range(23):
        assert harbour.jobs.start("cluster", "nets", lambda job, report: None).wait(60)
    await client.call_tool("cluster", {"k": 90, "limit": 100})
    read = await pages(client, "job", {})
    listed = [job["id"] for structure, _ in read for job in structure["jobs"]]
    assert len(listed) == len(set(listed)) == read[0][0]["total"] >= 24
    for structure, text in read:
        assert all(job["id"] in text for job in structure["jobs"])
    newest = read[0][0]["jobs"][0]
    assert newest["kind"] == "cluster"
    alone, text = await page(client, "job", {"id": newest["id"]})
    made = alone["jobs"][0]["result"]
    assert len(newest["result"]["clusters"]) < len(made["clusters"])
    assert made["cursor"] in text  # of cluster, for the same arguments
    rest, _ = await page(client, "cluster", {"k": 90, "limit": 100, "cursor": made["cursor"]})
    assert rest["clusters"][0]["place"] == len(made["clusters"]) + 1


async def test_collections_are_listed_in_pages_and_one_that_cannot_be_read_hides_no_other(connect, engine) -> None:
    async with connect() as client:
        await client.call_tool("index", {"documents": [{"id": "a", "text": "Fish."}], "collection": "c"})
        names = [f"collection-{'x' * 45}-{n:03d}" for n in range(150)]
        for name in names:
            folder = engine.home / "collections" / name
            folder.mkdir()
            (folder / "documents.db").write_bytes(b"no record at all")
        with engine.collection("c").view():
            pass
        result = await client.call_tool("list_collections", {})
        structure, text = result.structured_content, text_of(result)
        assert [item["name"] for item in structure["collections"]] == ["c"]
        assert structure["total"] == 151
        assert f"{names[0]} cannot be read" in text
        assert len(text.encode()) <= TEXT_CAP
        assert structure["notices"][-1].endswith("more notices like these are left out.")


async def test_many_collections_with_many_folders_are_listed_whole(client: Client, monkeypatch) -> None:
    from knowledge_core.serving.surface.results import CollectionItem
    from knowledge_core.serving.surface.tools import list_collections

    names = [f"c{n:03d}" for n in range(300)]
    sources = [f"/home/user/a folder with a long name/{n}" for n in range(200)]
    item = {"documents": 1, "known": 1, "chunks": 1, "model": "m", "dimensions": 8, "sources": sources,
            "fields": {f"field{n}": "text" for n in range(90)}}  # fmt: skip
    monkeypatch.setattr(Engine, "names", lambda engine: names)
    monkeypatch.setattr(list_collections, "collection_item", lambda engine, name: CollectionItem(name=name, **item))
    read = await pages(client, "list_collections", {})
    assert [each["name"] for structure, _ in read for each in structure["collections"]] == names
    first = read[0][0]["collections"][0]
    assert len(first["sources"]) + first["sources_left_out"] == 200
    assert len(first["fields"]) + first["fields_left_out"] == 90
    assert f"and {first['sources_left_out']} more; metadata" in read[0][1]
    for structure, text in read:
        assert re.findall(r"^c\d{3}", text, flags=re.M) == [each["name"] for each in structure["collections"]]


async def test_a_dry_run_of_a_deletion_lists_the_same_ids_in_both_and_says_how_to_see_all(client: Client) -> None:
    structure, text = await page(client, "delete", {"collection": "default", "all": True, "dry_run": True})
    assert structure["truncated"]
    assert all(id in text for id in structure["documents"])
    assert f"{structure['deleted'] - len(structure['documents'])} more ids" in text
    assert "list_documents" in text


async def test_a_report_of_hundreds_of_failures_shows_whole_ones_and_counts_the_rest(connect) -> None:
    async with connect() as client:
        documents = [{"id": "係" * 150 + f"{n}", "text": " ", "metadata": {}} for n in range(499)]
        structure, text = await page(client, "index", {"documents": [*documents, {"id": "good", "text": "Fish."}]})
        assert structure["failed_total"] == 499
        assert all(
            f"Failed: {shown(each['document'])}: {each['reason']}: {each['message']}" in text
            for each in structure["failed"]
        )
        assert text.count("Failed: ") == len(structure["failed"]) > 3
        assert f"and {499 - len(structure['failed'])} more failures" in text


@pytest.mark.parametrize("count", [1, 30, 31, 45, 46, 60])
async def test_similarities_of_as_many_texts_as_are_allowed_are_shown_whole(client: Client, count: int) -> None:
    structure, text = await page(client, "embed", {"texts": [f"key {n}" for n in range(count)]})
    rows = [[float(value) for value in line.split(": ")[1].split()] for line in text.splitlines()[1:]]
    unit = 100 if "in hundredths" in text else 1
    assert [len(row) for row in structure["similarity"]] == [count] * count
    whole = count <= 30
    assert [len(row) for row in rows] == ([count] * count if whole else list(range(count - 1, 0, -1)))  # each pair once
    for place, row in enumerate(rows):
        expected = structure["similarity"][place][0 if whole else place + 1 :]
        assert row == pytest.approx([unit * value for value in expected], abs=0.51 if unit > 1 else 0.001)


async def test_an_error_does_not_repeat_all_of_a_value_that_is_wrong(client: Client) -> None:
    for arguments in (
        {"id": "ledger", "lines": "9" * 100_000},
        {"id": "x" * 100_000},
        {"id": "ledger", "y" * 100_000: 1},
    ):
        result = await client.call_tool("get_document", arguments)
        assert result.is_error
        assert len(text_of(result)) < 2_100

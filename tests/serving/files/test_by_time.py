"""Documents by the time at which they were modified or indexed: "what is new since Friday" is one call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from knowledge_core.cli.main import main
from knowledge_core.engine import Engine
from knowledge_core.language.moments import moment
from mcp_text import index, text_of

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)  # a Tuesday
WITH_ZONES = pytest.mark.skipif(not hasattr(time, "tzset"), reason="a process has no zone of its own there")


@pytest.fixture
def folder(tmp_path: Path, engine: Engine) -> Path:
    """An allowed folder with ten notes: note n was changed n days ago."""
    made = tmp_path / "notes"
    made.mkdir()
    engine.roots.add(made)
    return fill(made)


def fill(made: Path) -> Path:
    for days in range(10):
        (made / f"n{days}.md").write_text(f"# Note {days}\n\nThe otter of lake {days} swims.\n")
        changed = (datetime.now(UTC) - timedelta(days=days, minutes=5)).timestamp()
        os.utime(made / f"n{days}.md", (changed, changed))
    return made


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the zone of this process, until the test ends."""

    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


async def listed(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("list_documents", arguments)
    assert not result.is_error, text_of(result)
    content = result.structured_content
    assert content is not None
    return content


def names(answer: dict[str, Any]) -> list[str]:
    return [item["id"].removeprefix("notes/n").removesuffix(".md") for item in answer["documents"]]


async def test_what_is_new_since_is_one_call_latest_first_with_the_bounds_that_were_taken(connect, folder):
    async with connect() as client:
        await index(client, folder)
        result = await client.call_tool("list_documents", {"sort": "modified", "since": "3d", "until": "20h"})
        answer = result.structured_content
        assert names(answer) == ["1", "2"]
        assert answer["total"] == 2
        assert answer["since"] < answer["documents"][1]["modified"] < answer["until"]
        head, first, *_ = text_of(result).splitlines()
        assert head == (
            f"2 of 2 documents of 'default', modified since {answer['since']} until {answer['until']}, latest modified first:"
        )
        assert first.startswith(f"{answer['documents'][0]['modified']}  notes/n1.md")


async def test_the_bounds_are_of_indexed_at_where_that_sorts_and_join_with_a_filter(connect, folder):
    async with connect() as client:
        await index(client, folder)
        assert (await listed(client, sort="indexed_at", since="1h"))["total"] == 10
        assert (await listed(client, since="5h"))["total"] == 1
        glob = {"id": {"$glob": "notes/n[0-4].md"}, "modified": {"$lt": "2999"}}
        assert names(await listed(client, filter=glob, since="60h", sort="modified")) == ["0", "1", "2"]


async def test_pages_go_on_where_they_stopped_whatever_is_written_between_them(connect, folder):
    async with connect() as client:
        await index(client, folder)
        arguments: dict[str, Any] = {"sort": "modified", "since": "9d", "limit": 4}
        first = await listed(client, **arguments)
        (folder / "newest.md").write_text("# Newest\n\nfresh\n")
        (folder / "n1.md").write_text("# Note 1\n\nedited, and therefore the latest\n")
        await index(client, folder)
        second = await listed(client, **arguments, cursor=first["cursor"])
        third = await listed(client, **arguments, cursor=second["cursor"])
        assert [*names(first), *names(second), *names(third)] == [str(n) for n in range(9)]
        assert second["since"] == third["since"] == first["since"]
        assert "cursor" not in third
        other = await client.call_tool("list_documents", {**arguments, "since": "8d", "cursor": first["cursor"]})
        assert "another request" in text_of(other)


@pytest.mark.parametrize("wrong", ["soon", "7", "7 days", "2026-02-30", "9999999d", "999999y", "0001-01-01", "", "-3d"])
@pytest.mark.parametrize("side", ["since", "until"])
async def test_a_moment_that_is_none_is_named_and_the_forms_are_shown(connect, indexed, side, wrong):
    async with connect() as client:
        result = await client.call_tool("list_documents", {side: wrong})
        if wrong == "0001-01-01" and not result.is_error:
            return  # a zone at or behind UTC reaches it
        assert result.is_error
        assert f"{side} is {wrong!r}; write a date" in text_of(result)
        assert "7d" in text_of(result)


async def test_a_beginning_after_the_end_is_an_error(connect, indexed):
    async with connect() as client:
        result = await client.call_tool("list_documents", {"since": "1d", "until": "2d"})
        assert result.is_error
        assert "lies after until" in text_of(result)


@WITH_ZONES
@pytest.mark.parametrize(
    ("text", "side", "expected"),
    [
        ("2026-11-28", "since", "2026-11-28T00:00:00Z"),
        ("2026-11-28", "until", "2026-11-28T23:59:59Z"),
        ("2026-11-28T14:30", "since", "2026-11-28T14:30:00Z"),
        ("2026-11-28T14:30:05.5-05:00", "until", "2026-11-28T19:30:05Z"),
        ("12h", "since", "2026-11-30T22:00:00Z"),
        ("2w", "since", "2026-11-17T10:00:00Z"),
        ("9mo", "since", "2026-03-01T10:00:00Z"),
        ("1y", "until", "2025-12-01T10:00:00Z"),
        ("today", "since", "2026-12-01T00:00:00Z"),
        ("Yesterday", "until", "2026-11-30T23:59:59Z"),
        ("friday", "since", "2026-11-27T00:00:00Z"),
        ("tue", "since", "2026-11-24T00:00:00Z"),
    ],
)
def test_moments_are_read_as_people_mean_them(zone, text, side, expected):
    zone("UTC")
    assert moment(text, side, NOW) == expected


def test_a_month_before_the_31st_is_the_last_day_of_a_shorter_one():
    noon = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
    assert moment("1mo", "since", noon)[:10] == "2026-02-28"


@WITH_ZONES
def test_what_names_no_zone_is_in_the_machines_own_summer_and_winter(zone):
    zone("CET-1CEST,M3.5.0,M10.5.0/3")
    assert moment("2026-07-01", "since", NOW) == "2026-06-30T22:00:00Z"
    assert moment("2026-11-28T00:30", "since", NOW) == "2026-11-27T23:30:00Z"
    assert moment("2026-10-25", "until", NOW) == "2026-10-25T22:59:59Z"  # the day of 25 hours


async def test_filters_of_every_tool_know_both_times(connect, folder):
    recent = {"modified": {"$gte": moment("60h", "since")}, "indexed_at": {"$gte": moment("1h", "since")}}
    async with connect() as client:
        await index(client, folder)
        found = (
            await client.call_tool("search", {"query": "otter", "mode": "lexical", "filter": recent})
        ).structured_content
        assert sorted(hit["document"] for hit in found["hits"]) == ["notes/n0.md", "notes/n1.md", "notes/n2.md"]
        dry = {"collection": "default", "filter": recent, "dry_run": True}
        assert (await client.call_tool("delete", dry)).structured_content["deleted"] == 3
        clustered = await client.call_tool("cluster", {"filter": recent, "k": 2})
        assert clustered.structured_content["considered"] == 3


def test_the_command_lists_what_is_new(capsys, tmp_path):
    made = tmp_path / "notes"
    made.mkdir()
    assert main(["index", str(fill(made)), "--in-process"]) == 0
    capsys.readouterr()
    assert main(["list", "--sort", "modified", "--since", "60h", "--in-process"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines()[1:4]] == ["notes/n0.md", "notes/n1.md", "notes/n2.md"]
    assert main(["list", "--since", "soon", "--in-process"]) != 0
    assert "since is 'soon'; write a date" in capsys.readouterr().err

"""Queries as agents write them: what finds nothing says what does, signs of other search boxes are told once, length is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio.from_thread
import pytest
from mcp.client import Client

from hash_embedder import HashEmbedder
from knowledge_core.config import Config
from knowledge_core.engine import Engine
from knowledge_core.retrieval.query_reading import LONGEST, read
from knowledge_core.serving.surface.application import application
from mcp_text import NOTES, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for tests that leave it as it is, with three notes."""
    embedder = HashEmbedder()
    home = tmp_path_factory.mktemp("shared")
    with Engine(home, Config(), make_embedder=lambda model, dimensions: embedder) as engine:

        async def fill() -> None:
            async with Client(application(engine)) as client:
                await client.call_tool("index", {"documents": NOTES})

        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(fill)
        yield engine


@pytest.fixture
async def client(shared: Engine) -> AsyncIterator[Client]:
    async with Client(application(shared)) as made:
        yield made


# -- without a word ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["*", "**", "?", "...", "", "  \n", "--", "\u00a0", "_", '""', "|"])
async def test_a_query_without_a_word_has_no_hits_and_the_answer_says_what_lists_all(client, query):
    for mode in ("hybrid", "semantic", "lexical"):
        result = await client.call_tool("search", {"query": query, "mode": mode})
        assert not result.is_error, text_of(result)
        assert result.structured_content["hits"] == []
        assert "list_documents" in text_of(result)
        assert len(result.structured_content["notices"]) == 1


@pytest.mark.parametrize("query", ["to be or not to be", "what is it", "9", "東", "the"])
async def test_a_query_of_words_that_say_little_is_searched_for(client, query):
    result = await client.call_tool("search", {"query": query})
    assert result.structured_content["hits"]
    assert "list_documents" not in text_of(result)


@pytest.mark.parametrize(
    "query",
    [
        "all documents", "All documents.", "show me all files", "list everything", "every note", "alle Dokumente", "* documents",
        "tous les documents", "list all the notes in this collection",
    ],
)  # fmt: skip
async def test_a_query_for_everything_is_told_what_lists_all(client, query):
    result = await client.call_tool("search", {"query": query})
    assert result.structured_content["hits"]
    assert "list_documents" in text_of(result)


@pytest.mark.parametrize("query", ["all documents about tides", "every electricity bill", "show me the oven"])
def test_a_query_with_a_subject_is_none_for_everything(query):
    assert read(query).notices == ()


# -- signs of other search boxes ---------------------------------------------------------------------------------------

MEANT = {
    # an exclusion, a restriction, words between words
    "jaguar -car": '"*car*"',
    "oven recipes -bread -cake": "$not",
    'tides -"spring tide"': "$not",
    "-draft budget": "$not",
    "title:bread oven": '{"title": {"$glob": "*bread*"}}',
    "path:docs/api rate limits": '{"id": {"$glob": "*docs/api*"}}',
    "site:example.org tides": '{"uri": {"$glob": "*example.org*"}}',
    "budget filetype:pdf": '"*.pdf"',
    "tag:energy batteries": '{"tags": "energy"}',
    "minutes after:2024-05-01": '"modified"',
    "solar AND wind": "filter",
    "solar panel NOT thermal": "filter",
    "bread OR cake": "filter",
    # patterns
    "error|warning": 'match: "regex"',
    "(foo|bar) baz": 'match: "regex"',
    "get.*Name": 'match: "regex"',
    "*.md": '{"id": {"$glob": "*.md"}}',
    "docs/*": '{"id": {"$glob": "docs/*"}}',
    "auth*": "$glob",
}
LITERAL = [
    # commands and their options
    "tar -xzf backup.tar.gz", "tar -xzf", "--no-cache", "pip install --no-cache-dir", "docker build --no-cache .", "ls -la",
    "find . -name notes", "git commit -am fix", "java -jar app.jar", "gcc -Wall main.c", "rm -rf build/*", "ls *.md",
    "ffmpeg -i in.mp4 -preset slow out.mp4", "Get-ChildItem -Recurse -Filter", "kubectl get pods -n web", "grep -rn TODO src",
    "curl -X POST http://localhost:8080/api", "ps aux | grep python", "what does chmod -R do", "-xzf", "python -m pytest -x",
    "openssl s_client -connect example.org:443", "my-tool -verbose --out=x",
    # numbers, dashes, times, addresses, code
    "-40 degrees", "temperatures from -5 to -10", "foo - bar", "state-of-the-art retrieval", "pages 12-18", "meeting at 18:05",
    "https://example.org/a?b=c", "http://localhost:8080", "file:///etc/hosts", "std::vector<int>", "Foo::bar",
    "C:\\Users\\title:x", "how do I use -name with find", "do NOT restart the server", "why is it -verbose", "x*y*z", "5*",
    "C:\\data\\backup", "D:/path", "ratio 3:1", "Note: the oven", "title: bread", "John 3:16", "a || b", "str | None", "str|None",
    "int|float", "| a | b |", "2 * 3", "**bold**", "SELECT * FROM notes", "f(*args, **kwargs)", "char *p", "a*b",
    "SELECT id FROM a WHERE x AND y", "NOT NULL constraint", "IF NOT EXISTS", "difference between AND and OR gates",
    "WHO AND UNICEF", "CREATE AND DROP", "Portland OR", "error: expected ';' before '}'", "- bread\n- cake -pie", "x -= y",
    "node.js", "foo.bar", "e.g. tides", "what is the capital of Mongolia?", "10.0.1.2", "2024-05-12", "--", "C++ -std=c++20",
    "key=-value", "vitamin B-12", "foo.* bar", "user@example.org", "tag 5", "before lunch", "source code", "R&D",
]  # fmt: skip


@pytest.mark.parametrize("query", MEANT)
async def test_a_sign_of_another_search_box_is_told_once_with_what_does_it(client, query):
    result = await client.call_tool("search", {"query": query})
    told = [each for each in result.structured_content["notices"] if "seems relevant" not in each]
    assert len(told) == 1, told
    assert MEANT[query] in told[0]
    assert result.structured_content["hits"], "the rest of the query is searched for all the same"


@pytest.mark.parametrize("query", LITERAL)
def test_nothing_is_told_of_commands_numbers_times_addresses_and_code(query):
    assert [each for each in read(query).notices if "no word in it" not in each] == []


def test_nothing_is_told_of_a_passage():
    assert (
        read("We said title:foo in a mail and -bar in another, and this goes on for a while with AND between").notices
        == ()
    )


# -- long queries ------------------------------------------------------------------------------------------------------


def trace(lines: int) -> str:
    """A stack trace whose last line tells what happened."""
    frames = [f'  File "/srv/port/s{number:03d}.py", line {100 + number}, in run' for number in range(lines)]
    return "\n".join(["Traceback (most recent call last):", *frames, "KeyError: the kernel schedules processes"])


async def test_a_long_query_says_which_part_of_it_was_read_for_meaning(client):
    for mode, rest in (
        ("hybrid", "all of it counts for words"),
        ("semantic", "the rest was not read"),
        ("lexical", ""),
    ):
        result = await client.call_tool("search", {"query": trace(200), "mode": mode})
        said = [each for each in result.structured_content["notices"] if "for meaning" in each]
        assert len(said) == (1 if rest else 0), said
        if rest:
            assert rest in said[0]
            assert f"Of the query's {len(trace(200)):,} characters its first line and its last ones" in said[0]
        prose = " ".join(["The oven is warm and the bread is in it."] * 60)
        result = await client.call_tool("search", {"query": prose, "mode": mode})
        said = [each for each in result.structured_content["notices"] if "for meaning" in each]
        assert [f"of {len(prose):,} characters" in each for each in said] == ([True] if rest else [])
    assert not [each for each in (await notices(client, "how does an oven work")) if "characters" in each]


async def test_a_query_of_any_length_is_answered_by_its_beginning_and_its_end(client):
    query = trace(400)
    assert len(query) > LONGEST
    result = await client.call_tool("search", {"query": query, "mode": "lexical"})
    assert result.structured_content["hits"][0]["document"] == "kernel"
    assert f"The query has {len(query):,} characters: the first 6,000 and the last 6,000 were read" in text_of(result)
    assert len(read(query).text) == LONGEST
    assert read("x " * (LONGEST // 2)).notices == ()


async def test_a_query_of_very_many_words_says_how_many_count(client):
    query = " ".join(f"word{number}" for number in range(1_100))
    assert "1,024 most frequent" in " ".join(await notices(client, query))


async def test_a_long_query_whose_words_were_found_is_not_said_to_share_none(client):
    assert not [each for each in await notices(client, trace(200)) if "seems relevant" in each]


async def test_a_long_example_is_cut_and_that_is_told(client):
    result = await client.call_tool("search", {"like": {"texts": ["the dough " * 2_000]}})
    assert not result.is_error, text_of(result)
    assert "An example has 20,000 characters" in text_of(result)
    assert "512 tokens" in text_of(result)


async def notices(client: Client, query: str) -> list[str]:
    result = await client.call_tool("search", {"query": query})
    return list(result.structured_content["notices"])

"""Words as they were written: compounds, identifiers, accents, symbols, single characters, names and phrases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from knowledge_core.contract import text_digest
from knowledge_core.storage.collection import NewDocument
from knowledge_core.types import Chunk, Document, Lines, Span
from knowledge_core.verbs.search import SearchRequest, SearchResponse
from search.library import Library

FILLER = {f"filler{n}": text for n, text in enumerate(
    ["Bread needs yeast and a warm place.", "The tap drips since the frost.", "The club meets in the library.",
     "Roses are pruned in March.", "A letter from the school came about the trip.", "The tyre holds five bar."]
)}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """One library for all tests that change nothing: a collection for each set of texts, filled when it is first asked."""
    made = Library(tmp_path_factory.mktemp("shelf"))
    yield made
    made.close()


def put(library: Library, texts: Mapping[str, str]) -> None:
    library.put([Document(id, text) for id, text in {**FILLER, **texts}.items()])


def first(library: Library, query: str, mode: str = "lexical") -> str | None:
    hits = library.ask(SearchRequest(query=query, mode=mode)).hits
    return hits[0].document if hits else None


def asked(shelf: Library, name: str, texts: Mapping[str, str], query: str, mode: str = "lexical") -> SearchResponse:
    if name not in shelf.collections:
        shelf.put([Document(id, text) for id, text in {**FILLER, **texts}.items()], name)
    return shelf.ask(SearchRequest(query=query, mode=mode), [name])


COMPOUNDS = {
    "v-a": "Upgrade to 3.12.4 before Friday.", "v-b": "Upgrade to 4.3.12 before Friday.", "v-c": "Upgrade to 12.4.3 on Friday.",
    "day-a": "Meeting on 2025-03-09.", "day-b": "Meeting on 2025-09-03.", "day-c": "Meeting on 09/03/2025, moved.",
    "ip-a": "Gateway 192.168.4.17 answers.", "ip-b": "Gateway 192.168.17.4 answers.", "ip-port": "Proxy at 192.168.9.9:3128.",
    "at-a": "Train at 07:42.", "at-b": "Train at 42:07 of the recording.", "option": "Start it with --dry-run first.",
    "no-option": "The run was dry; a dry cellar, a run.", "mail-a": "Write to kim.lee@harbour.example today.",
    "mail-b": "Write to lee.kim@harbour.example today.", "path-a": "It lies in /srv/media/photos.db now.",
    "path-b": "It lies in /srv/photos/media.db now.", "url": "See https://www.harbour.example/tides/table-2 for it.",
    "c": "The driver is written in C by hand.", "cpp": "The driver is written in C++ by hand.",
    "cs": "The driver is written in C# by hand.", "net": "The service runs on .NET in the cellar.",
    "fish": "The net is full of fish in the cellar.", "node": "It needs node.js on the server.",
    "hyphen": "The multi-tenant planner is new.", "parts": "One tenant may hold multi user rights; a tenant asks.",
    "article": "Order part 88-204-K again.", "article-b": "Order part 204-88-K again.",
}  # fmt: skip


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("3.12.4", "v-a"), ("v4.3.12", "v-b"), ("which of them is 12.4.3", "v-c"), ("2025-03-09", "day-a"),
        ("2025-09-03", "day-b"), ("09/03/2025", "day-c"), ("192.168.4.17", "ip-a"), ("192.168.17.4", "ip-b"),
        ("192.168.9.9", "ip-port"), ("07:42", "at-a"), ("--dry-run", "option"), ("dry-run", "option"),
        ("lee.kim@harbour.example", "mail-b"), ("/srv/photos/media.db", "path-b"), ("photos.db", "path-a"),
        ("http://harbour.example/tides/table-2", "url"), ("C", "c"), ("C++", "cpp"), ("C#", "cs"), (".NET", "net"),
        ("node.js", "node"), ("Node.js?", "node"), ("multi-tenant", "hyphen"), ("(204-88-K)", "article-b"),
        ("multi‑tenant", "hyphen"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_what_is_written_as_one_is_found_as_one(shelf: Library, query: str, wanted: str, mode: str) -> None:
    assert asked(shelf, "compounds", COMPOUNDS, query, mode).hits[0].document == wanted


IDENTIFIERS = {
    "defines": "import re\n\ndef flush_write_cache(rows, strict=False):\n    " + "\n    ".join(
        f"step_{n} = normalise(rows[{n}], strict=strict)" for n in range(14)),
    "prose": "To flush the write cache we flush it. The step to flush the write cache runs nightly: flush, write, cache.",
    "constant": "The time-out is read from MAX_RETRY_SECONDS at the start, after all other settings were read and checked.",
    "about": "The max seconds of a retry: retry after some seconds, at max thirty seconds, and retry again, max five.",
    "camel": "Call refreshAccessToken(user) before the request, and never in a loop over users, since it is slow and is logged.",
    "spoken": "Refresh the access token: an access token that is old is refreshed by asking for an access token again.",
    "dotted": "The settings are read by np.linalg.solve of the package, which is documented elsewhere in some detail.",
    "apart": "Solve it with linalg: np solve, linalg solve, np.",
}  # fmt: skip


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("flush_write_cache", "defines"), ("MAX_RETRY_SECONDS", "constant"), ("max_retry_seconds", "constant"),
        ("where is refreshAccessToken called", "camel"), ("np.linalg.solve", "dotted"), ("flush write cache", "prose"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_an_identifier_beats_prose_that_repeats_its_parts(shelf: Library, query: str, wanted: str, mode: str) -> None:
    assert asked(shelf, "identifiers", IDENTIFIERS, query, mode).hits[0].document == wanted


CHARACTERS = {
    "dog": "公園で犬と散歩した。",
    "tea": "お茶を飲む。",
    "ticket": "学生券三百元。",
    "book": "책이 많다",
    "rain": "明日下雨。今日是雨天。",
    "thai": "รถไฟ",
}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("犬", "dog"),
        ("茶", "tea"),
        ("券", "ticket"),
        ("책", "book"),
        ("雨 ", "rain"),
        ("値段は 茶", "tea"),
        ("ร", "thai"),
    ],
)
def test_one_character_of_a_script_without_spaces_is_found(shelf: Library, query: str, wanted: str) -> None:
    response = asked(shelf, "characters", CHARACTERS, query)
    assert response.hits[0].document == wanted
    assert response.notices == ()


@pytest.mark.parametrize("query", ["猫", "tenant complaints", "🔴"])
def test_the_notice_that_nothing_shares_a_word_is_never_untrue(library: Library, query: str) -> None:
    library.put([Document(id, text) for id, text in FILLER.items()])
    library.put([file("home/tenant complaints.md", "私の猫は白いです。 🔴", "Vermieter")])
    response = library.ask(SearchRequest(query=query))
    assert response.hits[0].document == "home/tenant complaints.md"
    assert response.notices == ()


ACCENTED = {
    "a": "Please send your résumé to Ana.", "b": "We resume the work on Monday.", "c": "Český Krumlov is a town.",
    "d": "Łódź has a film school.", "e": "Nhà ở đường Lê Lợi.", "f": "Ødegård har nøklene.", "g": "Der Schlüssel liegt im Büro.",
    "h": "İzmir'de güzel bir gün.", "i": "El año que viene.", "j": "Το σπίτι είναι μεγάλο, μεγάλο.", "k": "Zoë comes on Friday.",
}  # fmt: skip


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("résumé", "a"), ("Cesky", "c"), ("Lodz", "d"), ("duong", "e"), ("Odegard", "f"), ("Schlussel", "g"), ("buro", "g"),
        ("Izmir", "h"), ("ano", "i"), ("σπιτι", "j"), ("Zoe", "k"), ("ŁÓDŹ", "d"), ("Le Loi", "e"),
    ],
)  # fmt: skip
def test_accents_may_be_left_out_and_are_preferred_where_they_are_given(
    shelf: Library, query: str, wanted: str
) -> None:
    response = asked(shelf, "accented", ACCENTED, query)
    assert response.hits[0].document == wanted
    assert response.notices == ()


def test_a_word_without_its_accents_finds_both(library: Library) -> None:
    put(library, ACCENTED)
    assert {hit.document for hit in library.ask(SearchRequest(query="resume", mode="lexical")).hits[:2]} == {"a", "b"}


@pytest.mark.parametrize(("query", "wanted"), [("🔴", "red"), ("✅", "done"), ("→", "arrow"), ("🇳🇴", "flag"), ("€", "euro"),
                                                ("👍🏽", "thumb"), ("❤️", "heart")])  # fmt: skip
def test_symbols_are_terms(shelf: Library, query: str, wanted: str) -> None:
    symbols = {"red": "🔴 blocked by the vendor", "done": "✅ paid", "arrow": "old → new", "flag": "🇳🇴 trip", "euro": "five €",
                  "thumb": "👍 agreed", "heart": "❤ roses"}  # fmt: skip
    assert asked(shelf, "symbols", symbols, query).hits[0].document == wanted


def file(
    id: str, text: str, title: str = "", heading: tuple[str, ...] = (), type: str = "text/markdown"
) -> NewDocument:
    document = Document(id, text, title, media_type=type)
    lines = Lines(1, text.count("\n") + 1)
    return NewDocument(
        document, [Chunk(0, text, Span(0, len(text)), lines, heading)], text_digest(text), "home", f"/{id}"
    )


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("tenant complaints", "home/tenant complaints.md"), ("2026-01-14", "home/log/2026-01-14 standup.md"),
        ("house_rules", "home/house_rules.md"), ("Projekt Kranich", "home/Projekt Kranich/plan.md"),
        ("plan.md", "home/Projekt Kranich/plan.md"), ("Projekt Kranich/plan.md", "home/Projekt Kranich/plan.md"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_names_of_files_and_folders_are_words_of_every_document(
    library: Library, query: str, wanted: str, mode: str
) -> None:
    library.put([Document(id, text) for id, text in FILLER.items()])
    library.put([
        file("home/tenant complaints.md", "Nachzahlung bis Ende des Monats.", "Vermieter"),
        file("home/log/2026-01-14 standup.md", "The export screen is finished.", "Daily"),
        file("home/house_rules.md", "Quiet after ten in the evening.", "Returns"),
        file("home/Projekt Kranich/plan.md", "Phase two begins in June.", "Overview"),
    ])  # fmt: skip
    assert first(library, query, mode) == wanted


def test_words_in_the_name_that_code_defines_count_again(library: Library) -> None:
    def code(name: str, body: str) -> NewDocument:
        return file(f"home/{name}.py", f"def {name}(x):\n    {body}", f"{name}.py", (f"def {name}",), "text/x-python")

    body = "total = total + step(x)\n    total = check(total)\n    return total"
    library.put([
        code("mean_deviation", body),
        code("report", "return mean_deviation(x)  # mean, deviation: mean deviation of the mean, as a deviation"),
    ])  # fmt: skip
    assert first(library, "mean deviation") == "home/mean_deviation.py"


def test_the_name_of_a_file_comes_before_a_text_that_has_its_words(library: Library) -> None:
    library.put([
        file("home/tenant complaints.md", "Die Heizung bleibt kalt.", "Schreiben"),
        file("home/choir.md", "The tenant of the hall had complaints; complaints of a tenant.", "Choir"),
    ])  # fmt: skip
    for query in ("tenant complaints", "the tenant complaints", "tenant_complaints"):
        assert first(library, query) == "home/tenant complaints.md"


def test_names_are_found_that_a_chunk_defines_under_no_heading(library: Library) -> None:
    calls = "waitWithJitter(1)\nwaitWithJitter(2)\nwaitWithJitter(3)\n"
    library.put([
        file("home/fetch.go", f"package app\n{calls}", "fetch.go", (), "text/x-go"),
        file("home/wait.go", "package app\n\nfunc waitWithJitter(n int) int { return n }", "wait.go", (), "text/x-go"),
    ])  # fmt: skip
    assert first(library, "waitWithJitter") == "home/wait.go"


def test_a_repeated_word_does_not_outweigh_the_one_that_tells(library: Library) -> None:
    put(library, {"ledger": "The ledger lost its entry acct_77.", "hatch": "The hatch is shut."})
    frames = "\n".join(f"  at hatch, {n}" for n in range(150))
    assert first(library, f"{frames}\nKeyError: 'acct_77'") == "ledger"


def test_a_negative_number_is_not_the_number(library: Library) -> None:
    put(library, {"frost": "At -18 degrees the lock freezes, and so does the tap.", "age": "At 18 degrees 18 is 18."})
    assert first(library, "-18") == "frost"


PHRASES = {
    "sentences": "The drill was half. Tide and half; tide, half-tide-like.",
    "together": "The keeper opens the gate at half tide, and the boats wait below the weir for as long as it takes them.",
    "apart": "Tide: the tide at half past two. Half of the gate, half of the tide, tide table, half tides.",
    "kanji": "昨日、東京都庁に行った。", "kanji-apart": "都庁は東京にある。東京の東京。",
}  # fmt: skip


@pytest.mark.parametrize("marks", ['""', "“”", "„“", "«»", "»«", "「」"])
def test_a_phrase_in_quotation_marks_raises_what_has_it_and_filters_nothing(library: Library, marks: str) -> None:
    put(library, PHRASES)
    query = f"{marks[0]}half tide{marks[1]}"
    found = [hit.document for hit in library.ask(SearchRequest(query=query, mode="lexical")).hits]
    assert found[:2] == ["together", "apart"]


def test_a_phrase_without_spaces_between_its_words_is_found(library: Library) -> None:
    put(library, PHRASES)
    assert first(library, "「東京都庁」") == "kanji"

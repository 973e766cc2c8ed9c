"""What notes say in their programs' own marks is read as it is shown, and told as metadata; no line moves."""

from __future__ import annotations

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.readers import read_file
from knowledge_core.types import Document


@pytest.fixture
def note(write: Write):
    def made(text: str, name: str = "note.md") -> Document:
        document = read_file(write(name, text), document_id=f"vault/{name}", limit=10**7)
        assert document.text.count("\n") == text.count("\n"), "a line moved"
        return document

    return made


@pytest.mark.parametrize(
    ("written", "shown", "links"),
    [
        ("See [[Old mill]].", "See Old mill.", ["Old mill"]),
        ("See [[Old mill|the mill]].", "See the mill.", ["Old mill"]),
        ("| [[Old mill\\|the mill]] |", "| the mill |", ["Old mill"]),
        ("See [[Old mill#Roof]].", "See Old mill > Roof.", ["Old mill"]),
        ("See [[Old mill#Roof|there]].", "See there.", ["Old mill"]),
        ("See [[Old mill#^a1b2c3]].", "See Old mill.", ["Old mill"]),
        ("See [[#Roof]].", "See Roof.", None),
        ("See [[places/Old mill.md]].", "See places/Old mill.md.", ["places/Old mill", "Old mill"]),
        ("![[Old mill]]", "Old mill", ["Old mill"]),
        ("![[mill.png|300x200]]", "mill.png", ["mill.png"]),
        ("[the mill](places/Old%20mill.md#roof).", "[the mill](places/Old%20mill.md#roof).", ["places/Old mill", "Old mill"]),
        ("See [[1]](https://example.org/a.md).", "See [[1]](https://example.org/a.md).", None),
        ("`[[code]]` and ``a ` [[b]]`` and [[c]]", "`[[code]]` and ``a ` [[b]]`` and c", ["c"]),
        ("an open ` and [[c]] and ``", "an open ` and c and ``", ["c"]),
        ("if [[ -f x ]]; then", "if [[ -f x ]]; then", None),
        ("[[a", "[[a", None),
        ("[[旧い水車|水車]]", "水車", ["旧い水車"]),
    ],
)  # fmt: skip
def test_wikilinks_read_as_what_is_shown_and_name_the_page(
    note, written: str, shown: str, links: list[str] | None
) -> None:
    document = note(f"{written}\n")
    assert document.text == f"{shown}\n"
    assert document.metadata.get("links") == links


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        (
            "#one two #three/four (#five), #six_6; #2024a #日本 #año",
            ["one", "three/four", "five", "six_6", "2024a", "日本", "año"],
        ),
        ("| #cell | #other |", ["cell", "other"]),
        ("#[[two words]]", ["two words"]),
        ("# Heading #tag\n\n##no\n\n#### no", ["tag"]),
        ("#2024 #1 a#no x/#no &#39; https://a.b/c#no [x](#no) <a href='#no'>", None),
        ("color #fff, #FFFFFF, #a1b2c3 and #1e90ff80, but #fade and #bed", ["fade", "bed"]),
        ("`#no` and\n\n```\n#no\n```\n\n    #no\n\n- item\n\n    #yes", ["yes"]),
    ],
)
def test_tags_in_the_text_follow_the_rules_of_obsidian(note, text: str, tags: list[str] | None) -> None:
    assert note(text).metadata.get("tags") == tags


def test_tags_of_front_matter_and_text_are_one_list_and_aliases_another(note) -> None:
    document = note("---\ntags: '#a, b'\ntag: c\nalias: Second, Third\n---\n#b #d\ntags:: e\n")
    assert document.metadata == {"format": "markdown", "tags": ["a", "b", "c", "d"], "aliases": ["Second", "Third"]}


def test_links_and_tags_have_room_in_the_metadata_however_many_there_are(note) -> None:
    document = note("---\nauthor: Ann\n---\n" + "".join(f"[[Page {n}]] #tag{n}\n" for n in range(2000)))
    assert document.metadata["author"] == "Ann"
    assert document.metadata["links"][:2] == ["Page 0", "Page 1"]
    assert len(document.metadata["links"]) > 300
    assert len(document.metadata["tags"]) > 300


def test_fields_of_dataview_are_metadata(note) -> None:
    document = note(
        "---\nrating: 9\n---\nrating:: 5\n- **status**:: open\nText [due:: 2024-05-01] and (by:: [[Ann Lee]]).\n"
        "name:: a\nname:: b\n`code:: no` std::vector, Foo::Bar and foo :: Int\n> quoted:: yes\n"
    )
    assert document.metadata == {
        "format": "markdown", "links": ["Ann Lee"], "rating": 9, "status": "open", "due": "2024-05-01", "by": "Ann Lee",
        "name": ["a", "b"], "quoted": "yes",
    }  # fmt: skip


@pytest.mark.parametrize(
    "left_out",
    [
        "```dataview\nTABLE x\n```",
        "~~~Tasks\nnot done\n~~~",
        "> ```query\n> x\n> ```",
        "%%\nhidden\n\n# hidden\n%%",
        "%% hidden %%",
        "%% hidden\nhidden %%",
        "<% tp.file.cursor() %>",
        "<%*\nlet x = 1\n%>",
        "#+BEGIN_QUERY\n{:title x}\n#+END_QUERY",
        "{{query (and [[x]])}}",
        "`= this.file.name`",
        "^b1ock-id",
        "id:: 6480a1b2-aaaa-bbbb-cccc-0123456789ab",
        "import Tabs from '@theme/Tabs';\nimport {\n  One,\n  Two,\n} from './x';",
        "export const toc = [\n  { a: 1 },\n\n  { b: 2 },\n]",
    ],
)
def test_what_is_there_for_the_program_alone_is_left_out(note, left_out: str) -> None:
    assert note(f"before\n\n{left_out}\n\nafter [[x]]").text.split() == ["before", "after", "x"]


@pytest.mark.parametrize("word", ["query", "tasks", "base", "button", "tracker"])
def test_a_fence_with_an_ordinary_word_stays_where_nothing_else_is_of_a_vault(note, word: str) -> None:
    assert "SELECT walrus" in note(f"# Readme\n\n```{word}\nSELECT walrus\n```\n").text


@pytest.mark.parametrize(
    "text",
    [
        "%%time\n\nwords between two magics\n\n%%timeit",
        "%%\nnever closed",
        "100%% sure, 50%% not",
        "<%= erb %>",
        "x = a ^2\ny^abcd",
        "import the list from the other house",
        "words\nimport a from 'b'",
        "export const is a keyword",
        "```js\nimport a from 'b'\n%%\n[[x]]\n#no\n```",
        "```\n%%\n```\n\n%%\n\nwords",
        "    %% code %%\n    [[x]]",
        "- item\n\n      [[x]",
        "<!-- a comment -->",
        "a `%%` b `%%` c",
    ],
)
def test_what_only_looks_like_that_stays_as_it_is(note, text: str) -> None:
    assert note(text).text == text


def test_in_mdx_imports_and_exports_are_left_out_and_the_text_between_stays(note) -> None:
    text = "import A from './a'\n\nexport default function x() {\n  return 1\n}\n\n# Title\n\n<A>words</A>\n"
    assert note(text, "page.mdx").text.split() == ["#", "Title", "<A>words</A>"]
    assert note(text, "page.mdx").title == "Title"


def test_an_export_whose_brackets_never_close_does_not_take_the_text(note) -> None:
    text = "export const a = `{`\n\n" + "words\n" * 300
    assert note(text, "page.mdx").text.count("words") > 90


def test_of_a_drawing_only_what_a_person_wrote_is_kept(note) -> None:
    text = (
        "---\nexcalidraw-plugin: parsed\ntags: [drawn]\n---\n==⚠  Switch to EXCALIDRAW VIEW in the menu ⚠==\n\n"
        "On the back. #pier\n\n# Excalidraw Data\n\n## Text Elements\nTide gauge\nat pier [[Four]] ^m1Zx7LwB\n\n"
        "Fuse ^-a_8Rc2Y\n\n"
        '## Element Links\nm1Zx7LwB: [[Plan]]\n\n## Embedded Files\n0a1b: [[x.png]]\n\n%%\n## Drawing\n```json\n{"a": 1}\n```\n%%'
    )
    document = note(text, "plan.excalidraw.md")
    assert document.text.split("---\n")[2].split() == [
        "On",
        "the",
        "back.",
        "#pier",
        "Tide",
        "gauge",
        "at",
        "pier",
        "Four",
        "Fuse",
    ]
    assert document.metadata["tags"] == ["drawn", "pier"]
    assert document.title == "plan"
    assert document.text.split("\n")[12] == "at pier Four"


@pytest.mark.parametrize(
    "unit",
    [
        "[[",
        "[[a|",
        "]]",
        "`",
        "`` ` ",
        "%%",
        "%% a\n",
        "<%",
        "a:: ",
        "[a:: ",
        "#a",
        "\n\n    ",
        "![",
        "{{query",
        "((",
        "^",
        "#+BEGIN_QUERY\n",
        "\nimport {",
        "\nexport const a = {",
        "> ```query\n",
        "[x](a.md",
        "**a",
        "<!--",
        "<h1>",
        "<a>",
        "[![",
        "#a ",
        "1. ",
    ],
)
def test_a_note_of_any_marks_is_read_in_time_that_grows_with_it(note, unit: str) -> None:
    note("x" + unit * (100_000 // len(unit)))

"""HTML: which part of a page is its content, and how headings, code, tables, formulas and titles are written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.readers import read_file
from knowledge_core.types import Document

DATA = os.environ.get("KNOWLEDGE_CORE_TEST_DATA")
PROSE = "A long paragraph about the subject of this section, with enough words in it to be taken for content. " * 3


def read(write: Write, body: str, head: str = "") -> Document:
    path = write("page.html", f"<!doctype html><html><head>{head}</head><body>{body}</body></html>")
    return read_file(path, document_id="files/page.html", limit=1_000_000)


def test_a_page_of_documentation_keeps_its_headings_and_loses_its_navigation(write: Write) -> None:
    sections = "".join(
        f"<div class='refsect1'><a name='s{at}'></a><h2>Section {at}</h2><table><tr><td>gint</td><td>f{at} ()</td></tr>"
        f"<tr><td>void</td><td>g{at} ()</td></tr></table><p>{PROSE}</p></div>"
        for at in range(6)
    )
    text = read(
        write,
        "<div class='navheader'><a href='/'>Previous page</a></div><nav>All chapters</nav>"
        "<div id='cookie-banner'>We use cookies</div>"
        f"<h1>Reference</h1>{sections}<footer>Copyright of a company</footer>",
    ).text
    assert re.findall("^#+ .*$", text, re.MULTILINE) == ["# Reference", *(f"## Section {at}" for at in range(6))]
    for left_out in ("Previous page", "All chapters", "cookies", "Copyright"):
        assert left_out not in text


def test_a_page_that_is_called_navigation_as_a_whole_keeps_its_text(write: Write) -> None:
    assert "subject of this section" in read(write, f"<div class='menu'><h1>Dinner</h1><p>{PROSE}</p></div>").text


def test_what_nobody_sees_is_left_out_unless_it_is_the_page(write: Write) -> None:
    shown = f"<p>{PROSE}</p>"
    unseen = ("<p hidden>one</p>", "<div aria-hidden='true'>two</div>", "<p style='color:red; display: none'>three</p>",
              "<template><p>four</p></template>", "<noscript>five</noscript>", f"<p>{PROSE} kept<del> six</del></p>")  # fmt: skip
    text = read(write, shown + "".join(unseen)).text
    assert not re.search("one|two|three|four|five|six", text.replace(PROSE, ""))
    assert "kept" in text
    assert read(write, f"<div style='display:none'><p>{PROSE}</p></div><p>Loading</p>").text.startswith(
        "A long paragraph"
    )
    assert "five" in read(write, "<div id='root'></div><noscript><p>five</p></noscript>").text


def test_a_page_that_a_script_fills_gives_the_article_of_its_data(write: Write) -> None:
    data = '<script type="application/ld+json">{"@graph": [{"@type": "Article", "articleBody": "All of it."}]}</script>'
    assert read(write, "<div id='app'></div>", data).text == "All of it."


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("<pre>one<br>two<br/>three</pre>", "```\none\ntwo\nthree\n```"),
        ("<pre><code class='language-python'>x = 1\ny = 2</code></pre>", "```python\nx = 1\ny = 2\n```"),
        ("<div class='highlight-python3'><div class='highlight'><pre>x = 1</pre></div></div>", "```python\nx = 1\n```"),
        ("<ul><li>First:<pre>a\nb</pre><li>Second</ul>", "- First:\n\n```\na\nb\n```\n\n- Second"),
        ("<pre><span class='lineno'>1</span>a = 1\n<span class='lineno'>2</span>b</pre>", "```\na = 1\nb\n```"),
        ("<pre><code>one</code><code>two</code></pre>", "```\none\ntwo\n```"),
        ("<table><tr><td class='gutter'><pre>1\n2</pre></td><td><pre>a\nb</pre></td></tr></table>", "```\na\nb\n```"),
    ],
)
def test_code_keeps_its_lines_and_its_language(write: Write, code: str, lines: str) -> None:
    assert lines in read(write, f"<h1>Code</h1>{code}").text


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("<tr><th>a<th>b<tr><td>1<td>2|3", "| a | b |\n| --- | --- |\n| 1 | 2\\|3 |"),
        ("<caption>Sizes</caption><tr><th>a<th>b<tr><td>1<td>2", "Sizes\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("<tr><th rowspan=2>year<th colspan=2>sold<tr><th>here<th>there<tr><td>1<td>2<td>3",
         "| year | sold here | sold there |\n| --- | --- | --- |\n| 1 | 2 | 3 |"),
        ("<tr><th>a<th>b<tr><td rowspan=2>x<td>1<tr><td>2", "| a | b |\n| --- | --- |\n| x | 1 |\n| x | 2 |"),
        ("<tr><th>Born<td>1950<tr><th>Died<td>2020", "Born: 1950\nDied: 2020"),
        ("<tr><td><p>One</p><table><tr><th>a<th>b<tr><td>1<td>2</table><td>Two",
         "One\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nTwo"),
        ("<tr><td>Only<tr><td>cells", "Only\n\ncells"),
    ],
)  # fmt: skip
def test_tables_have_their_header_in_one_row_and_what_spans_in_each(write: Write, table: str, text: str) -> None:
    assert read(write, f"<h1>Table</h1><table>{table}</table>").text == f"# Table\n\n{text}"


def test_spans_of_a_table_cost_no_more_than_the_table(write: Write) -> None:
    rows = f"<tr><td rowspan=1000 colspan=1000>{'x' * 900}</td></tr>" * 500
    assert len(read(write, f"<table>{rows}</table>").text) < 1_500_000


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>x_{1}</annotation></semantics></math>",
         "$x_{1}$"),
        ("<math alttext='{\\displaystyle a+b}'><mi>a</mi></math>", "$a+b$"),
        ("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mn>1</mn></mrow><mi>b</mi></mfrac></math>", "(a+1)/b"),
        ("<math><msqrt><mi>x</mi></msqrt><mo>=</mo><msubsup><mi>y</mi><mn>1</mn><mn>2</mn></msubsup></math>", "√(x)=y_1^2"),
        ("<img alt='{\\displaystyle E=mc^{2}}'>", "$E=mc^{2}$"),
        ("<script type='math/tex'>\\pi r^2</script>", "$\\pi r^2$"),
    ],
)  # fmt: skip
def test_formulas_are_read(write: Write, formula: str, text: str) -> None:
    assert f"where {text} holds" in read(write, f"<p>where {formula} holds</p>").text
    assert (
        f"where {text} holds" in read(write, f"<article><p>{PROSE * 4}</p><p>where {formula} holds</p></article>").text
    )


def test_definitions_pictures_readings_and_details_are_text(write: Write) -> None:
    text = read(
        write,
        "<h1>All</h1><dl><dt>kiln<dt>oven<dd>A hot box.<dt>alone</dl><img alt='A map of Graz'><img alt='logo.png'>"
        "<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby></p>"
        "<details><summary>More</summary><p>Inside</p></details><ol start=3><li>third<li>fourth</ol>",
    ).text
    for expected in ("kiln, oven: A hot box.\n\nalone", "A map of Graz", "漢字(かんじ)", "More\n\nInside",
                     "3. third\n4. fourth"):  # fmt: skip
        assert expected in text
    assert "logo" not in text


def test_a_paragraph_that_looks_like_structure_is_none(write: Write) -> None:
    text = read(write, "<h1>Real</h1><p># 3 pieces</p><p>---</p><p>```</p><p>| a</p>").text
    assert text == "# Real\n\n    # 3 pieces\n\n    ---\n\n` ``\n\n| a"


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>Boil eggs | Acme</title><meta property='og:site_name' content='Acme'>", "", "Boil eggs"),
        ("<title>Acme – Boil eggs</title><meta property='og:site_name' content='ACME'>", "", "Boil eggs"),
        ("<title>Boil eggs - Acme Cooking</title>", "<h1>Boil eggs</h1>", "Boil eggs"),
        ("<title>Boil eggs » News » Acme</title><meta property='og:title' content='Boil eggs'>", "", "Boil eggs"),
        ("<title>Eggs - a history</title>", "<h1>Welcome</h1>", "Eggs - a history"),
        ("<meta property='og:title' content='Boil eggs'>", "<h1>Acme</h1>", "Boil eggs"),
        ("", "<h1>Boil eggs</h1>", "Boil eggs"),
    ],
)
def test_a_title_is_the_pages_own_without_the_name_of_its_site(write: Write, head: str, body: str, title: str) -> None:
    assert read(write, f"{body}<p>{PROSE}</p>", head).title == title


def test_control_characters_in_a_page_cost_nothing_else(write: Write) -> None:
    odd = "<p>one &#1;two</p><script>x</script>\x0b three<p><math><mi>a&#2;</mi></math> four</p><nav>five</nav>\x01 six"
    text = read(write, f"<h1>Odd</h1>{odd}").text
    for word in ("two", "three", "four", "six"):
        assert word in text
    assert "five" not in text


def test_a_page_says_its_language_and_dates(write: Write) -> None:
    page = f"<html lang='de_AT'><meta property='article:modified_time' content='2026-01-31'><p>{PROSE}"
    found = read_file(write("page.html", page), document_id="files/page.html", limit=1_000_000)
    assert found.metadata == {"format": "html", "language": "de-AT", "modified": "2026-01-31"}


@pytest.mark.skipif(DATA is None, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files")
def test_real_pages_keep_their_headings_and_facts() -> None:
    page = read_file(
        Path(DATA or "") / "files" / "html" / "test_wikipedia.html", document_id="page.html", limit=50_000_000
    )
    assert page.title == "Microsoft"
    assert len(re.findall("^#+ ", page.text, re.MULTILINE)) > 15
    assert "\nISIN: US5949181045\n" in page.text


def test_content_that_stands_beside_a_sidebar_is_content(write: Write) -> None:
    words = "<p>The harbour master counts the boats each morning and writes them into the long blue book.</p>" * 12
    side = '<div class="VPSidebar"><nav><a href="/">Guide</a></nav></div>'
    page = f'{side}<div class="VPContent has-sidebar"><h1>Boats</h1>{words}</div>'
    found = read_file(write("a.html", f"<html><body>{page}</body></html>"), document_id="a.html", limit=10**6).text
    assert found.count("harbour master") == 12
    assert "Guide" not in found

"""XML of any kind: documents as prose under headings, data as names and values, programs as they are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ingestion_material import checked_chunks, count_words
from read_by_name import read, reason

DOCBOOK = """<?xml version="1.0"?>
<!DOCTYPE article PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN" "http://x/docbookx.dtd" [<!ENTITY tool "The <b>Tool</b>">]>
<article xmlns="http://docbook.org/ns/docbook"><info><title>Guide</title>
<author><firstname>Ann</firstname><surname>Lee</surname></author></info>
<section xml:id="first-part"><title>Setup of &tool;</title><para>Text with
<emphasis role="bold">words</emphasis><footnote><para>A note.</para></footnote>
 and <footnote><para>another</para></footnote>&nbsp;end.</para>
<itemizedlist><listitem><para>one</para></listitem>
<listitem><para>two</para><itemizedlist><listitem><para>deep</para></listitem></itemizedlist></listitem></itemizedlist>
<programlisting>a &lt; b
  c</programlisting>
<section><title>Deeper</title><table><title>Sizes</title><tgroup><thead><row><entry>Name</entry><entry>Size</entry></row></thead>
<tbody><row><entry>x</entry><entry>1</entry></row></tbody></tgroup></table>
<variablelist><varlistentry><term>Wheel</term>
<listitem><para>It turns.</para></listitem></varlistentry>
</variablelist></section></section></article>"""


def test_a_document_is_prose_under_its_headings(tmp_path: Path) -> None:
    document = read(tmp_path, "a.xml", DOCBOOK)
    assert document.title == "Guide"
    assert document.metadata == {"format": "xml", "author": "Ann Lee"}
    lines = [line for line in document.text.split("\n") if line]
    assert lines[0] == "- author: firstname: Ann; surname: Lee"
    assert lines[1:13] == [
        "# Setup of The Tool", "Text with words[1] and [2] end.", "[1] A note.", "[2] another", "- one", "- two", "  - deep",
        "```", "a < b", "  c", "```", "## Deeper",
    ]  # fmt: skip
    assert lines[13] == "Sizes"
    assert lines[14:16] == ["| Name | Size |", "| --- | --- |"]
    assert lines[-3:-1] == ["| x | 1 |", "- Wheel:"]
    assert lines[-1] == "  It turns."
    assert checked_chunks(document, count_words, 20)[-1].heading == ("Setup of The Tool", "Deeper")


def test_jats_tei_and_dita_have_their_headings(tmp_path: Path) -> None:
    jats = """<article xmlns:xlink="x"><front><article-meta>
    <title-group><article-title>Of Wheels</article-title></title-group><contrib-group>
    <contrib><name><surname>Lee</surname><given-names>Ann</given-names></name></contrib></contrib-group></article-meta></front>
    <body><sec id="s1"><title>Methods</title><p>We <italic>turn</italic> it <xref>1</xref>.</p>
    <list><list-item><p>a</p></list-item></list></sec>
    </body></article>"""
    document = read(tmp_path, "a.nxml", '<?xml version="1.0"?>' + jats)
    assert (document.title, document.metadata["author"]) == ("Of Wheels", "Ann Lee")
    assert document.text.endswith("# Methods\n\nWe turn it 1.\n\n- a")
    tei = """<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title>Poems</title></titleStmt></fileDesc></teiHeader>
    <text><body><div><head>Spring</head><lg><l>first line</l><l>second <hi>line</hi></l></lg>
    <p>A <persName><forename>Ann</forename><surname>Lee</surname></persName>.</p>
    </div></body></text></TEI>"""
    document = read(tmp_path, "a.xml", tei)
    assert document.title == "Poems"
    assert "# Spring" in document.text
    assert "first line" in document.text
    assert "second line" in document.text
    assert "A Ann Lee." in document.text
    dita = """<task id="t"><title>Oil</title><taskbody>
    <steps><step><cmd>Open the <uicontrol>cap</uicontrol>.</cmd></step></steps></taskbody></task>"""
    assert read(tmp_path, "a.dita", '<?xml version="1.0"?>' + dita).text == "# Oil\n\n- Open the cap."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<config><db><host>local one</host><port>5432</port></db><name>X</name></config>",
         "- db: host: local one; port: 5432\n- name: X"),
        ('<resources><string name="app_name">My App</string></resources>', "- app_name: My App"),
        (
            "<plist><dict><key>Name</key><string>Foo</string><key>On</key><true/><key>All</key><array><string>a</string></array></dict></plist>",
            "dict:\n\n- Name: Foo\n- On: true\n- All: a",
        ),
        (
            '<posts><row Id="1" Title="How to cook" Body="&lt;p&gt;With &lt;b&gt;fire&lt;/b&gt;"/></posts>',
            "- row: Title: How to cook; Body: With fire",
        ),
        ('<opml><body><outline text="News" xmlUrl="https://x.org/f"><outline text="Wheels"/></outline></body></opml>',
         "- outline: text: News; outline: text: Wheels"),
        ("<r xmlns:a='u'><a:note>One <a:b>mixed</a:b> text</a:note></r>", "One mixed text"),
        ("<r><![CDATA[<p>A <b>page</b></p><ul><li>x</ul>]]></r>", "A page\n\n- x"),
        ("<r><e>AT&T &eacute; &#8217; &nosuch;</e></r>", "- e: AT&T é ’ &nosuch;"),
        ("<entry>1</entry>\n<entry>2</entry>", "- entry: 1\n- entry: 2"),
        ("<r><open>cut off he", "- open: cut off he"),
        ("no markup", "no markup"),
    ],
)  # fmt: skip
def test_data_is_names_beside_values(tmp_path: Path, content: str, text: str) -> None:
    assert read(tmp_path, "a.xml", content).text == text


def test_a_maven_project_is_called_by_its_name(tmp_path: Path) -> None:
    pom = "<project xmlns='http://maven.apache.org/POM/4.0.0'><artifactId>bar</artifactId><name>Bar Tools</name></project>"
    assert read(tmp_path, "pom.xml", pom).title == "Bar Tools"


def test_programs_stay_as_they_are_with_their_lines(tmp_path: Path) -> None:
    sheet = '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform">\n<xsl:template match="a"/>\n</xsl:stylesheet>'
    assert read(tmp_path, "a.xml", sheet).text == sheet
    schema = '<xs:schema xmlns:xs="u">\n<xs:element name="x"/>\n</xs:schema>'
    document = read(tmp_path, "a.xsd", schema)
    assert (document.text, document.metadata["format"]) == (schema, "xsd")


def test_workbooks_and_documents_of_office_2003_are_tables_and_paragraphs(tmp_path: Path) -> None:
    sheet = """<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook xmlns="urn:s" xmlns:ss="urn:s">
    <Worksheet ss:Name="Sums"><Table><Row><Cell><Data>Name</Data></Cell><Cell><Data>Sum</Data></Cell></Row>
    <Row><Cell ss:Index="2"><Data>7</Data></Cell></Row></Table></Worksheet></Workbook>"""
    assert read(tmp_path, "a.xls", sheet).text == "## Sums\n\n| Name | Sum |\n| --- | --- |\n|  | 7 |"
    word = """<w:wordDocument xmlns:w="u"><w:fonts><w:font w:name="Arial Black"/></w:fonts>
    <w:body><w:p><w:pPr><w:pStyle w:val="Heading2"/></w:pPr>
    <w:r><w:t>Plan</w:t></w:r></w:p>
    <w:p><w:r><w:t>Two </w:t></w:r><w:r><w:t>words</w:t></w:r></w:p></w:body></w:wordDocument>"""
    assert read(tmp_path, "a.xml", word).text == "## Plan\n\nTwo words"


def test_xml_without_a_known_name_is_known_by_its_declaration(tmp_path: Path) -> None:
    content = '<?xml version="1.0"?><note><to>Bob</to></note>'
    assert read(tmp_path, "a.plist2", content).text == "- to: Bob"
    assert read(tmp_path, "a.txt", content).text == content
    assert read(tmp_path, "a.unknown", content[content.index("<note") :]).metadata["format"] == "text"


@pytest.mark.parametrize("place", ["<a>&l9;</a>", "<a x='&l9;'/>"])
def test_entities_that_grow_are_not_put_in_and_files_are_not_opened(tmp_path: Path, place: str) -> None:
    grow = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY l0 "lol">{grow}]><r>{place}<b>text</b></r>'
    assert len(read(tmp_path, "a.xml", bomb).text) < 1000
    (tmp_path / "other.txt").write_text("OTHERWORD")
    outside = f'<!DOCTYPE r [<!ENTITY x SYSTEM "{(tmp_path / "other.txt").as_uri()}">]><r>&x;<b>text</b></r>'
    assert "OTHERWORD" not in read(tmp_path, "a.xml", outside).text
    many = '<!DOCTYPE r [<!ENTITY x "' + "y" * 500 + '">]><r>' + "&x;" * 20_000 + "</r>"
    assert len(read(tmp_path, "a.xml", many).text) < 2_000_000


def test_deep_and_wide_texts_take_linear_time(tmp_path: Path) -> None:
    start = time.process_time()
    deep = "<a>" * 2_000 + "text" + "</a>" * 2_000
    assert "text" in read(tmp_path, "a.xml", deep).text
    wide = "<r>" + "words <b>x</b>" * 2_000 + "<e>v</e>" * 2_000 + "</r>"
    assert read(tmp_path, "b.xml", wide).text
    unclosed = "<r>" + "<![CDATA[ " * 8_000 + "<!-- " * 8_000
    try_to_read = reason if False else read
    try_to_read(tmp_path, "c.xml", unclosed + "x")
    notes = "<article><para>" + "t<footnote><para>n</para></footnote>" * 1_000 + "</para></article>"
    assert "[1000] n" in read(tmp_path, "d.xml", notes).text
    assert time.process_time() - start < 3


def test_an_xml_of_names_and_comments_alone_stays_as_it_is(tmp_path: Path) -> None:
    text = '<?xml version="1.0"?>\n<!-- the licence -->\n<project/>\n'
    assert read(tmp_path, "a.xml", text).text == text

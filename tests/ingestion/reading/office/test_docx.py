"""Word documents: what of their structure becomes text, and what of a broken one is still read."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from office_material import (
    cell,
    docx,
    docx_parts,
    listed,
    paragraph,
    part,
    read,
    real_files,
    relations,
    styled,
    table,
    zipped,
)

from knowledge_core.ingestion.readers import Unreadable

REAL = real_files("docx")
NUMBERING = part(
    "w:numbering",
    '<w:abstractNum w:abstractNumId="0">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:lvlText w:val="x"/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl></w:abstractNum>'
    '<w:abstractNum w:abstractNumId="1">'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%2)"/></w:lvl>'
    '<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%3"/></w:lvl></w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/>'
    "</w:lvlOverride></w:num>",
)
STYLES = part(
    "w:styles",
    '<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr>'
    '</w:style><w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Chapter"/><w:basedOn w:val="berschrift1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Kopf2"><w:name w:val="Überschrift 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Off"><w:name w:val="Off"/><w:basedOn w:val="berschrift1"/><w:pPr>'
    '<w:outlineLvl w:val="9"/></w:pPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="T"><w:name w:val="Title"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Code"><w:name w:val="Source Code"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="B"><w:name w:val="List Bullet"/><w:pPr><w:numPr><w:numId w:val="1"/>'
    '</w:numPr></w:pPr></w:style><w:style w:type="character" w:styleId="Secret"><w:rPr><w:vanish/></w:rPr></w:style>',
)


def text(folder: Path, body: str, **parts: str) -> str:
    return read(folder, "a.docx", docx(body, **parts)).text


def run(inner: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr>{inner}</w:r>"


def test_headings_come_from_styles_of_any_language_and_of_a_persons_own(tmp_path: Path) -> None:
    body = styled("One", "Own") + styled("Two", "Kopf2") + styled("Three", "Titre3") + styled("Body", "Off")
    body += paragraph("Four", '<w:outlineLvl w:val="3"/>') + styled("of a missing style", "Nothing")
    assert text(tmp_path, body, styles=STYLES) == (
        "# One\n\n## Two\n\n### Three\n\nBody\n\n#### Four\n\nof a missing style"
    )


def test_a_title_is_the_documents_title_unless_its_properties_have_one(tmp_path: Path) -> None:
    parts = docx_parts(styled("The title", "T") + paragraph("x"), styles=STYLES)
    assert read(tmp_path, "a.docx", zipped(parts)).title == "The title"
    parts["_rels/.rels"] = relations(
        {"1": ("officeDocument", "word/document.xml"), "2": ("core-properties", "/docProps/core.xml")}
    )
    core = (
        "<dc:title>{}</dc:title><dc:creator>Ann</dc:creator><dcterms:created>2024-02-01T10:00:00Z</dcterms:created>"
        "<dcterms:modified>2024-03-01T10:00:00Z</dcterms:modified><cp:keywords>a, b; c</cp:keywords>"
        "<dc:language>de-AT</dc:language><dc:description>About x</dc:description>"
    )
    parts["docProps/core.xml"] = part("cp:coreProperties", core.format("Report on wheels"))
    document = read(tmp_path, "b.docx", zipped(parts))
    assert document.title == "Report on wheels"
    assert document.metadata == {
        "format": "docx", "language": "de-AT", "author": "Ann", "date": "2024-02-01", "modified": "2024-03-01",
        "tags": ["a", "b", "c"], "description": "About x",
    }  # fmt: skip
    for placeholder in ("Microsoft Word - letter.doc", "untitled", "letter.docx"):
        parts["docProps/core.xml"] = part("cp:coreProperties", core.format(placeholder))
        assert read(tmp_path, "c.docx", zipped(parts)).title == "The title"


def test_a_heading_is_the_title_only_where_the_document_begins_with_it(tmp_path: Path) -> None:
    head = styled("Report", "Own")
    assert read(tmp_path, "a.docx", docx(paragraph(" ") + head + paragraph("x"), styles=STYLES)).title == "Report"
    assert read(tmp_path, "b", docx(paragraph("x") + head, styles=STYLES)).title == "b"
    assert read(tmp_path, "c", docx(styled("Two", "Kopf2"), styles=STYLES)).title == "c"


def test_lists_keep_their_depth_and_their_numbers(tmp_path: Path) -> None:
    body = "".join([listed("a", 1), listed("b", 1, 1), listed("c", 1), paragraph("between"), listed("one", 2)])
    body += "".join([listed("x", 2, 1), listed("y", 2, 1), listed("deep", 2, 2), listed("two", 2), listed("none", 0)])
    body += listed("seven", 3) + styled("by style", "B")
    assert text(tmp_path, body, numbering=NUMBERING, styles=STYLES) == (
        "- a\n  - b\n- c\n\nbetween\n\n1. one\n  - a) x\n  - b) y\n    - 1.1 deep\n2. two\n\nnone\n\n7. seven\n- by style"
    )


def test_a_headings_number_is_part_of_it(tmp_path: Path) -> None:
    first = '<w:pStyle w:val="berschrift1"/><w:numPr><w:ilvl w:val="0"/><w:numId w:val="2"/></w:numPr>'
    assert text(tmp_path, paragraph("Scope", first), numbering=NUMBERING, styles=STYLES) == "# 1. Scope"


def test_tables_keep_their_header_and_the_places_of_merged_cells(tmp_path: Path) -> None:
    wide, down = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>'
    body = table(
        ["Name", "Age", "Town"],
        [cell("Ann | Bo", wide), "Wien"],
        [cell("Cy", down), "4", ""],
        [cell("", "<w:vMerge/>"), "5", "x"],
    )
    assert text(tmp_path, body) == (
        "| Name | Age | Town |\n| --- | --- | --- |\n| Ann \\| Bo |  | Wien |\n| Cy | 4 |  |\n|  | 5 | x |"
    )


def test_header_rows_that_repeat_on_pages_become_one(tmp_path: Path) -> None:
    head = "<w:tr><w:trPr><w:tblHeader/></w:trPr>{}{}</w:tr>"
    rows = head.format(cell("2024"), cell("2025")) + head.format(cell("spring"), cell("fall"))
    body = table(["1", "2"]).replace("<w:tbl>", f"<w:tbl>{rows}")
    assert text(tmp_path, body) == "| 2024 spring | 2025 fall |\n| --- | --- |\n| 1 | 2 |"


def test_tables_that_arrange_a_page_are_read_as_text_and_nested_ones_as_tables(tmp_path: Path) -> None:
    inner = table(["a", "b"], ["1", "2"])
    assert text(tmp_path, table([paragraph("first") + paragraph("second")], [inner])) == (
        "first\n\nsecond\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    )
    outer = table(["Key", "Value"], ["k", paragraph("see below") + inner], ["l", "v"])
    assert text(tmp_path, outer) == (
        "| Key | Value |\n| --- | --- |\n| k | see below |\n| l | v |\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    )


def test_notes_and_comments_follow_what_refers_to_them_each_once(tmp_path: Path) -> None:
    def reference(kind: str, id: int) -> str:
        return f'<w:r><w:{kind}Reference w:id="{id}"/></w:r>'

    body = f"<w:p><w:r><w:t>Text</w:t></w:r>{reference('footnote', 2)}{reference('comment', 0)}</w:p>"
    body += paragraph("next") + table(["a", f"<w:p><w:r><w:t>b</w:t></w:r>{reference('endnote', 2)}</w:p>"], ["c", "d"])
    notes = '<w:{0} w:id="0" w:type="separator">{1}</w:{0}><w:{0} w:id="2">{2}</w:{0}>'
    found = text(
        tmp_path, body,
        footnotes=part("w:footnotes", notes.format("footnote", paragraph("---"), paragraph("below"))),
        endnotes=part("w:endnotes", notes.format("endnote", "", paragraph("at the end"))),
        comments=part("w:comments", f'<w:comment w:id="0" w:author="Ann">{paragraph("Why?")}</w:comment>'),
    )  # fmt: skip
    assert found == (
        "Text[^1]\n\n[^1]: below\n\nComment (Ann): Why?\n\nnext\n\n| a | b[^2] |\n| --- | --- |\n| c | d |\n\n[^2]: at the end"
    )


def test_a_text_box_is_read_once_behind_its_paragraph(tmp_path: Path) -> None:
    box = f"<w:txbxContent>{paragraph('in the box')}{paragraph('twice')}</w:txbxContent>"
    drawn = (
        f'<mc:AlternateContent><mc:Choice Requires="wps"><wps:txbx>{box}</wps:txbx></mc:Choice>'
        f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent>"
    )
    body = f"<w:p><w:r><w:t>before </w:t></w:r><w:r>{drawn}</w:r><w:r><w:t>after</w:t></w:r></w:p>"
    assert text(tmp_path, body) == "before after\n\nin the box\n\ntwice"
    assert text(tmp_path, body.replace(f"<wps:txbx>{box}</wps:txbx>", "")) == "before after\n\nin the box\n\ntwice"


def test_tracked_changes_are_accepted_and_hidden_text_is_left_out(tmp_path: Path) -> None:
    by_style = run("<w:t>by style</w:t>", '<w:rStyle w:val="Secret"/>')
    shown = run("<w:t>shown</w:t>", '<w:vanish w:val="0"/>')
    body = (
        f"<w:p>{run('<w:t>stays </w:t>')}<w:ins>{run('<w:t>added </w:t>')}</w:ins><w:del>{run('<w:delText>gone</w:delText>')}"
        f"</w:del><w:moveFrom>{run('<w:t>moved</w:t>')}</w:moveFrom>{run('<w:t>hidden</w:t>', '<w:vanish/>')}"
        f"{by_style}{shown}</w:p>"
    )
    gone = "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>row</w:t></w:r></w:p></w:tc></w:tr>"
    found = text(tmp_path, body + table(["a", "b"], ["c", "d"]).replace("</w:tbl>", f"{gone}</w:tbl>"), styles=STYLES)
    assert found == "stays added shown\n\n| a | b |\n| --- | --- |\n| c | d |"


def test_fields_give_their_result_and_not_their_code(tmp_path: Path) -> None:
    def mark(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    inner = (
        mark("begin") + run("<w:instrText>DATE</w:instrText>") + mark("separate") + run("<w:t>NO</w:t>") + mark("end")
    )
    field = (
        mark("begin")
        + run("<w:instrText> IF </w:instrText>")
        + inner
        + mark("separate")
        + run("<w:t>result</w:t>")
        + mark("end")
    )
    link = f'<w:hyperlink r:id="x">{run("<w:t> a link</w:t>")}</w:hyperlink>'
    simple = f'<w:fldSimple w:instr="PAGE">{run("<w:t> 3</w:t>")}</w:fldSimple>'
    box = '<w:ffData><w:checkBox><w:default w:val="1"/></w:checkBox></w:ffData></w:fldChar></w:r>'
    box = f'<w:r><w:fldChar w:fldCharType="begin">{box}'
    control = f"<w:sdt><w:sdtPr><w:alias w:val='no'/></w:sdtPr><w:sdtContent>{run('<w:t> chosen</w:t>')}</w:sdtContent></w:sdt>"
    assert text(
        tmp_path, f"<w:p>{field}{link}{simple}{control}</w:p><w:p>{box}{mark('end')}{run('<w:t> yes</w:t>')}</w:p>"
    ) == ("result a link 3 chosen\n\n☒ yes")
    lost = mark("begin") + run("<w:instrText>REF</w:instrText>")
    assert text(tmp_path, f"<w:p>{lost}</w:p>" + paragraph("is still read")) == "is still read"


def test_signs_breaks_and_hyphens_are_those_that_are_seen(tmp_path: Path) -> None:
    inner = (
        "<w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c\u00addd</w:t><w:softHyphen/><w:t>e</w:t><w:noBreakHyphen/><w:t>f</w:t>"
        '<w:sym w:font="Symbol" w:char="F061"/><w:sym w:font="Wingdings" w:char="F0FC"/><w:t>x\u00a0y</w:t>'
    )
    power = run("<w:t>10</w:t>") + run("<w:t>6</w:t>", '<w:vertAlign w:val="superscript"/>')
    ruby = f"<w:rt>{run('<w:t>かんじ</w:t>')}</w:rt><w:rubyBase>{run('<w:t>漢字</w:t>')}</w:rubyBase>"
    ruby = f"<w:r><w:ruby>{ruby}</w:ruby></w:r>"
    found = text(
        tmp_path,
        f"<w:p>{run(inner)}</w:p><w:p>{power}</w:p><w:p>{ruby}</w:p><w:p><w:pPr><w:bidi/></w:pPr>{run('<w:t>שלום</w:t>')}</w:p>",
    )
    assert found == "a\tb\ncdde-fα✓x y\n\n10^6\n\n漢字(かんじ)\n\nשלום"


def test_equations_are_read_as_a_line(tmp_path: Path) -> None:
    def m(name: str, *inner: str) -> str:
        return f"<m:{name}>{''.join(inner)}</m:{name}>"

    def r(letters: str) -> str:
        return m("r", m("t", letters))

    def power(base: str, above: str) -> str:
        return m("sSup", m("e", r(base)), m("sup", r(above)))

    sums = m(
        "oMath", power("𝑎", "2"), r(" + "), power("b", "n+1"), r(" = "), m("f", m("num", r("a")), m("den", r("b")))
    )
    fraction = m("f", m("num", m("d", m("e", r("x-c")))), m("den", r("v")))
    square = m("oMath", m("sSup", m("e", fraction), m("sup", r("2"))))
    more = m(
        "oMath",
        m("rad", m("deg"), m("e", r("x"))),
        m("d", m("e", r("y"))),
        m("nary", '<m:naryPr><m:chr m:val="∑"/></m:naryPr>', m("sub", r("i=1")), m("sup", r("n")), m("e", r("i"))),
    )
    assert text(tmp_path, f"<w:p>{sums}</w:p><w:p>{m('oMathPara', more)}</w:p><w:p>{square}</w:p>") == (
        "a^2 + b^(n+1) = (a)/(b)\n\nsqrt(x)(y)∑_(i=1)^n i\n\n((x-c)/(v))^2"
    )


def test_pictures_say_what_they_show_unless_only_a_file_is_named(tmp_path: Path) -> None:
    def picture(says: str) -> str:
        return f'<w:r><w:drawing><wp:inline><wp:docPr id="1" name="Picture 1" descr="{says}"/></wp:inline></w:drawing></w:r>'

    body = "".join(
        f"<w:p>{picture(says)}</w:p>" for says in ("A duck on a lake", "image001.png", "Picture 3", "http://x.de/a")
    )
    assert (
        text(tmp_path, body + styled("Figure 1: the lake", "Caption"))
        == "Image: A duck on a lake\n\nFigure 1: the lake"
    )


def test_charts_and_diagrams_give_their_words(tmp_path: Path) -> None:
    def points(*values: str) -> str:
        return "".join(f'<c:pt idx="{at}"><c:v>{value}</c:v></c:pt>' for at, value in enumerate(values))

    chart = part("c:chartSpace", (
        "<c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea><c:barChart>"
        f"<c:ser><c:tx><c:strRef><c:strCache>{points('North')}</c:strCache></c:strRef></c:tx><c:cat><c:strRef><c:strCache>"
        f"{points('2023', '2024')}</c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache>"
        f"{points('4.5', '0.30000000000000004')}</c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart>"
    ))  # fmt: skip
    points_of = "".join(
        f'<dgm:pt modelId="{id}" type="{kind}"><dgm:t><a:p><a:r><a:t>{words}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        for id, kind, words in (
            ("0", "doc", ""),
            ("2", "node", "Hand"),
            ("1", "node", "Head"),
            ("3", "node", "Eye"),
            ("4", "pres", "no"),
        )
    )
    links = "".join(
        f'<dgm:cxn srcId="{a}" destId="{b}" srcOrd="{at}"/>' for a, b, at in ((0, 1, 0), (0, 2, 1), (1, 3, 0))
    )
    data = part("dgm:dataModel", f"<dgm:ptLst>{points_of}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst>")
    body = '<w:p><w:r><w:drawing><c:chart r:id="chart1"/></w:drawing></w:r></w:p><w:p><w:r><dgm:relIds r:dm="data1"/></w:r></w:p>'
    assert text(tmp_path, body, chart1=chart, data1=data) == (
        "Chart: Sales\n\n|  | North |\n| --- | --- |\n| 2023 | 4.5 |\n| 2024 | 0.3 |\n\n- Head\n  - Eye\n- Hand"
    )


def test_text_that_looks_like_markdown_does_not_become_structure(tmp_path: Path) -> None:
    body = "".join(map(paragraph, ("# 3 pieces", "---", "```", "&lt;!-- x", "#tag", "a_b *c*")))
    body += f"<w:p>{run('<w:t>Name</w:t><w:br/><w:t>----</w:t>')}</w:p>" + "".join(
        styled(line, "Code") for line in ("if x:", "    # y")
    )
    document = read(tmp_path, "a.docx", docx(body, styles=STYLES))
    assert document.text == (
        "    # 3 pieces\n\n    ---\n\n` ``\n\n< !-- x\n\n#tag\n\na_b *c*\n\nName\n    ----\n\n```\nif x:\n    # y\n```"
    )
    assert document.title == "a"


def test_an_inner_page_or_document_is_read_and_furniture_is_not(tmp_path: Path) -> None:
    parts = docx_parts(
        paragraph("body") + '<w:altChunk r:id="h"/><w:altChunk r:id="d"/>',
        header1=part("w:hdr", paragraph("furniture")),
    )
    parts["word/_rels/document.xml.rels"] = relations(
        {"header1": ("header", "header1.xml"), "h": ("aFChunk", "/word/page.html"), "d": ("aFChunk", "inner.docx")}
    )
    parts["word/page.html"] = "<html><body><h2>Inner</h2><p>words of a page</p></body></html>"
    parts["word/inner.docx"] = docx(paragraph("words of a document"))
    assert read(tmp_path, "a.docx", zipped(parts)).text == "body\n\n## Inner\n\nwords of a page\n\nwords of a document"
    parts["word/document.xml"] = part("w:document", f"<w:body>{paragraph(' ')}</w:body>")
    assert read(tmp_path, "a.docx", zipped(parts)).text == "furniture"


def test_the_strict_variant_and_templates_are_read_alike(tmp_path: Path) -> None:
    parts = docx_parts(styled("Head", "Own") + table(["a", "b"], ["1", "2"]), styles=STYLES)
    usual = read(tmp_path, "a.docx", zipped(parts)).text
    strict = {
        name: str(content).replace("http://schemas.openxmlformats.org/officeDocument/2006", "http://purl.oclc.org/ooxml/officeDocument")
        .replace("http://schemas.openxmlformats.org/wordprocessingml/2006", "http://purl.oclc.org/ooxml/wordprocessingml")
        for name, content in parts.items()
    }  # fmt: skip
    assert strict["word/document.xml"] != parts["word/document.xml"]
    assert read(tmp_path, "b.docx", zipped(strict)).text == usual == "# Head\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    for suffix in ("docm", "dotx", "dotm"):
        assert read(tmp_path, f"a.{suffix}", zipped(parts)).text == usual


def test_a_package_that_is_not_quite_right_is_read(tmp_path: Path) -> None:
    parts = docx_parts(styled("Head", "Own") + paragraph("x"), styles=STYLES)
    lean = {name: content for name, content in parts.items() if "rels" not in name and "Content" not in name}
    assert read(tmp_path, "lean.docx", zipped(lean)).text == "# Head\n\nx"
    renamed = {
        name.replace("word/document.xml", "Word/Document.xml") if "rels" not in name else name: content
        for name, content in parts.items()
    }
    assert read(tmp_path, "case.docx", zipped(renamed)).text == "# Head\n\nx"
    parts["word/_rels/document.xml.rels"] = relations(
        {"1": ("styles", "../word/./styles.xml"), "2": ("numbering", "missing.xml")}
    )
    assert read(tmp_path, "path.docx", zipped(parts)).text == "# Head\n\nx"
    parts["word/styles.xml"] = "no XML at all"
    assert read(tmp_path, "styles.docx", zipped(parts)).text == "Head\n\nx"


def test_of_a_file_that_broke_off_the_text_that_is_there_is_read(tmp_path: Path) -> None:
    parts = docx_parts("".join(paragraph(f"paragraph number {number} of many") for number in range(2000)))
    whole = zipped({"word/document.xml": parts["word/document.xml"], "word/media/a.bin": bytes(range(256)) * 40})
    for data in (whole[: len(whole) // 3], whole[:-30]):
        found = read(tmp_path, "cut.docx", data).text
        assert found.startswith("paragraph number 0 of many\n\nparagraph number 1 of many")
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, "gone.docx", b"PK\3\4" + bytes(200))
    assert caught.value.reason == "damaged"
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, "other.docx", zipped({"readme.txt": "no document"}))
    assert caught.value.reason == "damaged"


def test_one_damaged_part_costs_no_other(tmp_path: Path) -> None:
    body = f'<w:p><w:r><w:t>text</w:t></w:r><w:r><w:commentReference w:id="0"/></w:r></w:p>{paragraph("more")}'
    data = zipped(
        docx_parts(body, comments=part("w:comments", f'<w:comment w:id="0">{paragraph("note")}</w:comment>')),
        zipfile.ZIP_STORED,
    )
    assert read(tmp_path, "sound.docx", data).text == "text\n\nComment: note\n\nmore"
    assert read(tmp_path, "a.docx", data.replace(b">note<", b">nott<")).text == "text\n\nmore"  # its checksum is wrong
    assert "more" in read(tmp_path, "b.docx", data.replace(b">more<", b">more <")[:-1]).text


def test_what_nests_deep_or_names_huge_numbers_is_read_in_bounded_time(tmp_path: Path) -> None:
    deep = "<w:tbl><w:tr><w:tc>" * 600 + paragraph("deep") + "</w:tc></w:tr></w:tbl>" * 600
    assert text(tmp_path, deep) == "deep"
    boxes = "<w:p><w:r><w:txbxContent>" * 600 + paragraph("boxed") + "</w:txbxContent></w:r></w:p>" * 600
    assert text(tmp_path, boxes) == "boxed"
    roots = f"<w:p><m:oMath>{'<m:rad><m:e>' * 600}<m:r><m:t>x</m:t></m:r>{'</m:e></m:rad>' * 600}</m:oMath></w:p>"
    assert text(tmp_path, roots) == "x"
    wide = table([cell("a", '<w:gridSpan w:val="99999999"/>'), "b"], [cell("c"), cell("d")])
    assert len(text(tmp_path, wide)) < 5000
    assert text(tmp_path, listed("far", 1, 999_999_999), numbering=NUMBERING) == "- far"
    row = f"<w:tr>{cell('in')}</w:tr>"
    assert text(tmp_path, f"<w:tbl><w:tr><w:tc>{row}{paragraph('out')}</w:tc></w:tr></w:tbl>") == "out\n\nin"
    begin = '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
    assert text(tmp_path, f"<w:p>{begin * 4_000}</w:p>" + paragraph(" ") * 4_000 + paragraph("x")) == "x"
    assert text(tmp_path, f"<w:p>{run('<w:tab/>' * 40_000 + '<w:t>a</w:t>')}</w:p>") == "a"
    named = f'<w:r><wp:docPr descr="{"-" * 40_000}x"/></w:r>'
    assert text(tmp_path, f"<w:p>{named}</w:p>").endswith("-x")
    circle = part(
        "w:styles",
        '<w:style w:styleId="A"><w:basedOn w:val="B"/></w:style><w:style w:styleId="B"><w:basedOn w:val="A"/></w:style>',
    )
    assert text(tmp_path, styled("round", "A"), styles=circle) == "round"


def test_a_document_that_needs_a_password_says_so(tmp_path: Path) -> None:
    data = io.BytesIO(docx(paragraph("x"))).getvalue()
    central, local = data.rfind(b"PK\1\2"), data.find(b"PK\3\4", data.find(b"word/document.xml") - 40)
    assert central > 0
    assert local > 0
    marked = bytearray(data)
    at = 0
    while (at := data.find(b"PK\1\2", at + 1)) > 0:
        marked[at + 8] |= 1
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, "a.docx", bytes(marked))
    assert caught.value.reason == "encrypted"


@pytest.mark.skipif(
    not REAL, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files, and ../shared/data is none"
)
def test_real_documents_hold_the_words_that_other_projects_expect_of_them(tmp_path: Path) -> None:
    for path in REAL:
        found = read(tmp_path, path.name, path.read_bytes()).text
        expected = path.with_name(f"{path.name}.expected.md")
        if expected.exists():
            words = set(re.findall(r"[^\W_]+", re.sub("<!--.*?-->|&amp;", "", expected.read_text("utf-8")).lower()))
            assert len(words & set(re.findall(r"[^\W_]+", found.lower()))) > 0.95 * len(words), path.name

"""PowerPoint presentations: a page for each slide, in order, with all that it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from office_material import (
    NAMESPACES,
    docx,
    paragraph,
    part,
    pptx,
    pptx_parts,
    read,
    real_files,
    relations,
    shape,
    slide,
    zipped,
)

from knowledge_core.ingestion.content import BY_NAME
from knowledge_core.ingestion.parsing import parse
from knowledge_core.ingestion.readers import Unreadable
from knowledge_core.types import Document

REAL = real_files("pptx")
INCH = 914_400


def words(text: str, properties: str = "") -> str:
    return f"<a:p><a:pPr {properties}/><a:r><a:t>{text}</a:t></a:r></a:p>"


def pages(document: Document) -> list[str]:
    return [document.text[span.start : span.end] for span in document.pages]


def one(folder: Path, *shapes: str) -> str:
    return read(folder, "a.pptx", pptx(slide(*shapes))).text


def linked(parts: dict[str, str | bytes], number: int, targets: dict[str, tuple[str, str]]) -> bytes:
    parts[f"ppt/slides/_rels/slide{number}.xml.rels"] = relations(targets)
    return zipped(parts)


def test_slides_come_in_the_presentations_order_each_a_page_hidden_ones_too(tmp_path: Path) -> None:
    hidden = slide(shape("Spare", "title"), shape("for questions"), attributes='show="0"')
    parts = pptx_parts(slide(shape("Last", "title")), hidden, slide(shape("First", "ctrTitle")))
    parts["ppt/_rels/presentation.xml.rels"] = relations(
        {
            "s0": ("slide", "slides/slide3.xml"),
            "s1": ("slide", "/ppt/slides/slide2.xml"),
            "s2": ("slide", "slides/slide1.xml"),
        }
    )
    document = read(tmp_path, "a.pptx", zipped(parts))
    assert pages(document) == ["# First", "# Spare\n\nfor questions", "# Last"]
    assert document.title == "First"
    assert document.metadata["pages"] == 3
    assert document.media_type == "text/markdown"


def test_the_title_is_a_heading_and_furniture_is_left_out(tmp_path: Path) -> None:
    found = one(
        tmp_path, shape("body text"), shape("7", "sldNum"), shape("Confidential", "ftr"), shape("2024", "dt"),
        shape(f"{words('A title')}{words('in two lines')}", "title"),
        shape("<a:p><a:r><a:t>see </a:t></a:r><a:fld type='slidenum'><a:t>7</a:t></a:fld></a:p>"),
    )  # fmt: skip
    assert found == "# A title in two lines\n\nbody text\n\nsee"


def test_bullets_are_a_list_wherever_they_are_set(tmp_path: Path) -> None:
    bullet, numbered = '<a:buChar char="•"/>', '<a:buAutoNum type="{}" startAt="2"/>'
    own = f"<a:p><a:pPr>{bullet}</a:pPr><a:r><a:t>own</a:t></a:r></a:p>"
    counted = "".join(
        f'<a:p><a:pPr lvl="{level}">{numbered.format(form)}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>'
        for text, level, form in (("b", 0, "arabicPeriod"), ("x", 1, "alphaLcParenR"), ("c", 0, "arabicPeriod"))
    )
    body = shape(
        words("first")
        + words("deeper", 'lvl="1"')
        + "<a:p><a:pPr><a:buNone/></a:pPr><a:r><a:t>plain</a:t></a:r></a:p>",
        "body",
    )
    parts = pptx_parts(
        slide(shape(own + counted), body),
        slideLayouts__layout1=part("p:sldLayout", f"<p:cSld><p:spTree>{shape('Click to edit', 'body')}</p:spTree></p:cSld>"),
        slideMasters__master1=part("p:sldMaster", (
            f"<p:cSld><p:spTree/></p:cSld><p:txStyles><p:bodyStyle><a:lvl1pPr>{bullet}</a:lvl1pPr><a:lvl2pPr>{bullet}</a:lvl2pPr>"
            "</p:bodyStyle></p:txStyles>")),
    )  # fmt: skip
    for name in ("slideLayouts/layout1", "slideMasters/master1"):
        parts[f"ppt/{name}.xml"] = parts.pop(f"ppt/{name}")
    parts["ppt/slideLayouts/_rels/layout1.xml.rels"] = relations({"1": ("slideMaster", "../slideMasters/master1.xml")})
    data = linked(parts, 1, {"1": ("slideLayout", "../slideLayouts/layout1.xml")})
    assert read(tmp_path, "a.pptx", data).text == ("- own\n2. b\n  - b) x\n3. c\n- first\n  - deeper\n\nplain")


def test_shapes_are_read_from_top_to_bottom_and_column_by_column(tmp_path: Path) -> None:
    def at(text: str, left: float, top: float, width: float = 3, height: float = 1) -> str:
        return shape(text, place=(int(left * INCH), int(top * INCH), int(width * INCH), int(height * INCH)))

    drawn = [
        at("left text", 1, 3.1),
        at("right head", 6, 2),
        at("below", 1, 6, 8),
        at("left head", 1, 2),
        at("top", 1, 0.5, 8),
        at("right text", 6, 3.1),
    ]
    ordered = ["top", "left head", "left text", "right head", "right text", "below"]
    assert one(tmp_path, *drawn).split("\n\n") == ordered
    frame = at("", 0, 0, 10, 7.5)
    assert one(tmp_path, frame, *drawn).split("\n\n") == ordered
    over = [at("second", 1, 1, 4, 3), at("first", 1.5, 1.2, 4, 3)]
    assert one(tmp_path, *over).split("\n\n") == ["second", "first"]  # nothing divides them: the file's order
    group = (
        f'<p:grpSp><p:grpSpPr><a:xfrm><a:off x="0" y="{INCH}"/><a:ext cx="{INCH}" cy="{INCH}"/><a:chOff x="0" y="0"/>'
        f'<a:chExt cx="{10 * INCH}" cy="{10 * INCH}"/></a:xfrm></p:grpSpPr>'
        f"{at('low in the group', 1, 8)}{at('high in the group', 1, 1)}</p:grpSp>"
    )
    assert one(tmp_path, at("under it", 0, 4), group).split("\n\n") == [
        "high in the group",
        "low in the group",
        "under it",
    ]


def test_tables_pictures_and_equations_are_read(tmp_path: Path) -> None:
    cells = "<a:tr>{}</a:tr>".format(
        "".join(f"<a:tc><a:txBody>{words(each)}</a:txBody></a:tc>" for each in ("Name", "Age"))
    )
    row = f'<a:tr><a:tc gridSpan="2"><a:txBody>{words("Ann")}{words("Bo")}</a:txBody></a:tc>'
    row += '<a:tc hMerge="1"><a:txBody><a:p/></a:txBody></a:tc></a:tr>'
    frame = '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="3" name="Table 2"/></p:nvGraphicFramePr>'
    frame += f"<a:graphic><a:graphicData><a:tbl>{cells}{row}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    picture = '<p:pic><p:nvPicPr><p:cNvPr id="4" name="Picture 3" descr="{}"/><p:nvPr/></p:nvPicPr></p:pic>'
    formula = "<mc:Choice><m:oMath><m:r><m:t>x</m:t></m:r></m:oMath></mc:Choice>"
    formula += "<mc:Fallback><a:r><a:t>no</a:t></a:r></mc:Fallback>"
    formula = f"<a:p><mc:AlternateContent>{formula}</mc:AlternateContent></a:p>"
    found = one(
        tmp_path,
        frame,
        picture.format("Our office in Graz"),
        picture.format("IMG_2034.jpg"),
        picture.format(""),
        shape(formula),
    )
    assert found == "| Name | Age |\n| --- | --- |\n| Ann Bo |  |\n\nImage: Our office in Graz\n\nx"


def test_notes_and_comments_follow_what_the_slide_says(tmp_path: Path) -> None:
    parts = pptx_parts(slide(shape("Title", "title")), slide(shape("second")))
    parts["ppt/notesSlides/n1.xml"] = part(
        "p:notes",
        f"<p:cSld><p:spTree>{shape('', 'sldImg')}{shape('say hello', 'body')}{shape('1', 'sldNum')}</p:spTree></p:cSld>",
    )
    parts["ppt/comments/c1.xml"] = part("p:cmLst", '<p:cm authorId="0"><p:text>Really?</p:text></p:cm>')
    parts["ppt/comments/c2.xml"] = (
        '<t:cmLst xmlns:t="http://schemas.microsoft.com/office/powerpoint/2018/8/main" '
        f"{NAMESPACES}>"
        f'<t:cm authorId="{{A}}"><t:replyLst><t:reply authorId="9">'
        f"<t:txBody>{words('an answer')}</t:txBody></t:reply></t:replyLst>"
        f"<t:txBody>{words('a question')}</t:txBody></t:cm></t:cmLst>"
    )
    parts["ppt/commentAuthors.xml"] = part("p:cmAuthorLst", '<p:cmAuthor id="0" name="Ann"/>')
    parts["ppt/authors.xml"] = '<t:authorLst xmlns:t="x"><t:author id="{A}" name="Bo"/></t:authorLst>'
    data = linked(
        parts,
        1,
        {
            "1": ("notesSlide", "../notesSlides/n1.xml"),
            "2": ("comments", "../comments/c1.xml"),
            "3": ("comments", "../comments/c2.xml"),
        },
    )
    assert pages(read(tmp_path, "a.pptx", data)) == [
        "# Title\n\nNotes:\n\nsay hello\n\nComment (Ann): Really?\n\nComment (Bo): a question\n\nComment: an answer",
        "second",
    ]


def test_the_first_slides_title_is_the_presentations_and_a_sign_is_named_once(tmp_path: Path) -> None:
    picture = '<p:pic><p:nvPicPr><p:cNvPr id="4" name="x" descr="a warning sign"/><p:nvPr/></p:nvPicPr></p:pic>'
    document = read(tmp_path, "a.pptx", pptx(slide(picture, picture), slide(shape("Agenda", "title"), picture)))
    assert document.title == "a"
    assert pages(document) == ["Image: a warning sign", "# Agenda\n\nImage: a warning sign"]


def test_charts_and_smart_art_give_their_words(tmp_path: Path) -> None:
    frame = "<p:graphicFrame><a:graphic><a:graphicData>{}</a:graphicData></a:graphic></p:graphicFrame>"
    parts = pptx_parts(slide(frame.format('<c:chart r:id="c"/>'), frame.format('<dgm:relIds r:dm="d"/>')))
    parts["ppt/charts/c.xml"] = part("c:chartSpace", (
        "<c:chart><c:plotArea><c:pieChart><c:ser><c:tx><c:v>Votes</c:v></c:tx>"
            "<c:cat><c:strLit><c:pt idx='0'><c:v>yes</c:v></c:pt></c:strLit>"
        "</c:cat>"
            "<c:val><c:numLit><c:pt idx='0'><c:v>12</c:v></c:pt></c:numLit></c:val></c:ser></c:pieChart></c:plotArea></c:chart>"
    ))  # fmt: skip
    parts["ppt/diagrams/d.xml"] = part(
        "dgm:dataModel", f'<dgm:ptLst><dgm:pt modelId="1"><dgm:t>{words("Plan")}</dgm:t></dgm:pt></dgm:ptLst>'
    )
    data = linked(parts, 1, {"c": ("chart", "../charts/c.xml"), "d": ("diagramData", "../diagrams/d.xml")})
    assert read(tmp_path, "a.pptx", data).text == "Chart:\n\n|  | Votes |\n| --- | --- |\n| yes | 12 |\n\n- Plan"


def test_slides_without_text_are_empty_pages_and_named(tmp_path: Path) -> None:
    data = pptx(slide(shape("one")), slide(shape("")), slide(shape("three")))
    parsed = parse(BY_NAME["pptx"], data, "a.pptx")
    assert parsed.pictures == (2,)
    assert [parsed.text[page.start : page.end] for page in parsed.pages] == ["one", "", "three"]
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, "a.pptx", pptx(slide(shape(""))))
    assert caught.value.reason == "empty"


def test_escapes_of_the_schema_and_signs_of_markdown_are_text(tmp_path: Path) -> None:
    assert (
        one(tmp_path, shape(words("a_x000D_b _x0041_ &amp; c")), shape(words("# no heading")))
        == "a b A & c\n\n    # no heading"
    )


def test_a_presentation_that_is_not_quite_right_is_read(tmp_path: Path) -> None:
    parts = pptx_parts(*(slide(shape(f"slide {number}")) for number in range(1, 12)))
    in_order = [f"slide {number}" for number in range(1, 12)]
    without = {name: content for name, content in parts.items() if name.startswith("ppt/slides/")}
    assert pages(read(tmp_path, "a.pptx", zipped(without))) == in_order
    parts["ppt/_rels/presentation.xml.rels"] = "<broken"
    assert pages(read(tmp_path, "b.pptx", zipped(parts))) == in_order
    whole = zipped(without)
    assert pages(read(tmp_path, "c.pptx", whole[: whole.index(b"PK\1\2")])) == in_order
    with pytest.raises(Unreadable) as caught:
        read(tmp_path, "d.pptx", zipped({"a.txt": "no slides"}))
    assert caught.value.reason == "damaged"
    for suffix in ("pptm", "potx", "potm", "ppsx", "ppsm"):
        assert read(tmp_path, f"e.{suffix}", pptx(slide(shape("x")))).text == "x"


def test_the_content_decides_whether_it_is_a_document_or_a_presentation(tmp_path: Path) -> None:
    assert read(tmp_path, "a.pptx", docx(paragraph("words"))).metadata["format"] == "docx"


def test_groups_within_groups_are_read_however_deep(tmp_path: Path) -> None:
    assert one(tmp_path, "<p:grpSp>" * 1500 + shape("deep") + "</p:grpSp>" * 1500) == "deep"
    assert len(one(tmp_path, *(shape(f"s{at}", place=(at, at, 10, 10)) for at in range(1000))).split("\n\n")) == 1000


@pytest.mark.skipif(
    not REAL, reason="KNOWLEDGE_CORE_TEST_DATA names no folder of real files, and ../shared/data is none"
)
def test_real_presentations_hold_the_words_that_other_projects_expect_of_them(tmp_path: Path) -> None:
    for path in REAL:
        found = read(tmp_path, path.name, path.read_bytes())
        assert found.pages
        expected = path.with_name(f"{path.name}.expected.md")
        if expected.exists():
            said = re.sub(r"<!--.*?-->|&amp;|author: |, time: [^\]]*|\(\w\w\)", "", expected.read_text("utf-8"))
            wanted = set(re.findall(r"[^\W_]+", said.lower()))
            assert wanted <= set(re.findall(r"[^\W_]+", found.text.lower())), path.name

"""One small sound file of each format, made here, and those that lie in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hostile_archives import Parts, packed
from ingestion_material import pdf_bytes

from knowledge_core.ingestion.format_table import FORMATS

LARGEST = 400_000  # bytes of a file from a folder: many small cases find more than a few large ones
_OOXML = "http://schemas.openxmlformats.org"
_RELS = f"{_OOXML}/officeDocument/2006/relationships"


def _package(kind: str, main: str, parts: Mapping[str, str], rels: Mapping[str, str] | None = None) -> Parts:
    folder, _, file = main.rpartition("/")
    types = (
        f'<Types xmlns="{_OOXML}/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main}" ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
    )

    def related(targets: Mapping[str, str]) -> str:
        each = (f'<Relationship Id="{id}" Type="{_RELS}/{to.partition(" ")[0]}" Target="{to.partition(" ")[2]}"/>'
                for id, to in targets.items())  # fmt: skip
        return f'<Relationships xmlns="{_OOXML}/package/2006/relationships">{"".join(each)}</Relationships>'

    made = {"[Content_Types].xml": types, "_rels/.rels": related({"r1": f"officeDocument {main}"})}
    made |= {f"{folder}/_rels/{file}.rels": related(rels or {})}
    return [(name, text.encode()) for name, text in (made | dict(parts)).items()]


_W = f'xmlns:w="{_OOXML}/wordprocessingml/2006/main" xmlns:r="{_RELS}"'
_P = "<w:p>{}<w:r><w:t>{}</w:t></w:r></w:p>"
_HEADING = '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
_CELL = f"<w:tc>{_P.format('', 'cell')}</w:tc>"
_DOCX = _package("wordprocessingml.document", "word/document.xml", {
    "word/styles.xml": f'<w:styles {_W}><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/>'
    "</w:style></w:styles>",
    "word/numbering.xml": f'<w:numbering {_W}><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/>'
    '</w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>',
    "word/footnotes.xml": f'<w:footnotes {_W}><w:footnote w:id="2">{_P.format("", "a note")}</w:footnote></w:footnotes>',
    "word/document.xml": f'<w:document {_W}><w:body>' + _P.format(_HEADING, "Head")
    + _P.format('<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>', "item")
    + f'<w:p><w:r><w:t>Words</w:t><w:footnoteReference w:id="2"/></w:r></w:p><w:tbl><w:tr>{_CELL}{_CELL}</w:tr><w:tr>'
    f'<w:tc><w:tcPr><w:gridSpan w:val="2"/><w:vMerge/></w:tcPr>{_P.format("", "wide")}</w:tc></w:tr></w:tbl>'
    "</w:body></w:document>",
}, {"r1": "styles styles.xml", "r2": "numbering numbering.xml", "r3": "footnotes footnotes.xml"})  # fmt: skip

_A = f'xmlns:a="{_OOXML}/drawingml/2006/main" xmlns:p="{_OOXML}/presentationml/2006/main" xmlns:r="{_RELS}"'
_PPTX = _package("presentationml.presentation", "ppt/presentation.xml", {
    "ppt/presentation.xml": f'<p:presentation {_A}><p:sldIdLst><p:sldId id="256" r:id="r2"/></p:sldIdLst></p:presentation>',
    "ppt/slides/slide1.xml": f'<p:sld {_A}><p:cSld><p:spTree><p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr>'
    "<p:txBody><a:p><a:r><a:t>Title</a:t></a:r></a:p></p:txBody></p:sp><p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tr>"
    "<a:tc><a:txBody><a:p><a:r><a:t>cell</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></a:graphicData></a:graphic>"
    "</p:graphicFrame></p:spTree></p:cSld></p:sld>",
}, {"r2": "slide slides/slide1.xml"})  # fmt: skip

_S = f'xmlns="{_OOXML}/spreadsheetml/2006/main" xmlns:r="{_RELS}"'
_XLSX = _package("spreadsheetml.sheet", "xl/workbook.xml", {
    "xl/workbook.xml": f'<workbook {_S}><sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/sharedStrings.xml": f"<sst {_S}><si><t>name</t></si><si><t>value</t></si></sst>",
    "xl/styles.xml": f'<styleSheet {_S}><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    "xl/worksheets/sheet1.xml": f'<worksheet {_S}><dimension ref="A1:B3"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c>'
    '<c r="B1" t="s"><v>1</v></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>x</t></is></c><c r="B2" s="1"><v>45000</v></c>'
    '</row><row r="3"><c r="A3" t="b"><v>1</v></c><c r="B3" t="e"><v>#N/A</v></c></row></sheetData></worksheet>',
}, {"r1": "worksheet worksheets/sheet1.xml", "r2": "sharedStrings sharedStrings.xml", "r3": "styles styles.xml"})  # fmt: skip

_URN = "urn:oasis:names:tc:opendocument:xmlns"
_O = " ".join(f'xmlns:{each}="{_URN}:{each}:1.0"' for each in ("office", "text", "table"))
_O += f' xmlns:draw="{_URN}:drawing:1.0" xmlns:presentation="{_URN}:presentation:1.0"'


def _open_document(kind: str, body: str) -> Parts:
    content = f"<office:document-content {_O}><office:body><office:{kind}>{body}</office:{kind}></office:body>"
    manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return [
        ("mimetype", f"application/vnd.oasis.opendocument.{kind}".encode()),
        ("META-INF/manifest.xml", manifest.encode()),
        ("meta.xml", f"<office:document-meta {_O}/>".encode()),
        ("content.xml", f"{content}</office:document-content>".encode()),
    ]


def _flat(kind: str, body: str) -> str:
    return f"<office:document {_O}><office:body><office:{kind}>{body}</office:{kind}></office:body></office:document>"


_TABLE = (
    '<table:table table:name="T"><table:table-row><table:table-cell office:value-type="string" '
    'table:number-columns-repeated="2"><text:p>cell</text:p></table:table-cell></table:table-row><table:table-row '
    'table:number-rows-repeated="3"><table:table-cell office:value-type="float" office:value="1.5"><text:p>1.5</text:p>'
    '</table:table-cell><table:covered-table-cell/></table:table-row></table:table>'
)  # fmt: skip
_ODT = '<text:h text:outline-level="1">Head</text:h><text:p>Words<text:s text:c="3"/><text:tab/><text:note><text:note-body>'
_ODT += "<text:p>a note</text:p></text:note-body></text:note></text:p><text:list><text:list-item><text:p>item</text:p>"
_ODT += f"<text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list></text:list-item></text:list>{_TABLE}"
_ODP = '<draw:page draw:name="p1"><draw:frame presentation:class="title"><draw:text-box><text:p>Title</text:p></draw:text-box>'
_ODP += f"</draw:frame>{_TABLE}<presentation:notes><text:p>notes</text:p></presentation:notes></draw:page>"
_EPUB: Parts = [
    ("mimetype", b"application/epub+zip"),
    ("META-INF/container.xml", b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
     b'<rootfile full-path="O/b.opf"/></rootfiles></container>'),
    ("O/b.opf", b'<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>'
     b'B</dc:title></metadata><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/><item id="n" '
     b'href="n.ncx" media-type="application/x-dtbncx+xml"/></manifest><spine toc="n"><itemref idref="c"/></spine></package>'),
    ("O/n.ncx", b'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>One</text></navLabel>'
     b'<content src="c.xhtml#x"/></navPoint></navMap></ncx>'),
    ("O/c.xhtml", b'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1 id="x">One</h1><p>Words<a href="#f">1</a></p><ul><li>a'
     b'<ul><li>b</li></ul></li></ul><table><tr><th>h</th></tr><tr><td>c</td></tr></table></body></html>'),
]  # fmt: skip
_PAGE = "<!doctype html><html lang=en><head><title>T</title><meta name=author content=A></head><body><nav>n</nav><main><h1>H</h1>"
_PAGE += "<p>Words of a page, enough of them to count. </p><ul><li>a<ol><li>b</ol></ul><table><tr><th colspan=2>h</th></tr><tr>"
_PAGE += "<td>c</td><td>d</td></tr></table><pre>x<br>y</pre><math><mi>x</mi></math></main></body></html>"
_MAIL = "From: Ada <a@x.org>\nTo: b@x.org\nSubject: =?utf-8?q?Caf=C3=A9?=\nDate: Mon, 2 Mar 2026 10:00:00 +0100\n"
_MAIL += "MIME-Version: 1.0\n"
_MAIL += 'Content-Type: multipart/mixed; boundary="B"\n\n--B\nContent-Type: text/plain; charset=utf-8\n'
_MAIL += (
    "Content-Transfer-Encoding: quoted-printable\n\nCaf=C3=A9\n> quoted\n--B\nContent-Type: text/html\n\n<p>x</p>\n"
)
_MAIL += '--B\nContent-Type: application/pdf; name="a.pdf"\nContent-Disposition: attachment; filename="a.pdf"\n'
_MAIL += "Content-Transfer-Encoding: base64\n\nQUJD\n--B--\n"
_MHTML = (
    'From: x\nSubject: S\nMIME-Version: 1.0\nContent-Type: multipart/related; type="text/html"; boundary="B"\n\n--B\n'
)
_MHTML += f"Content-Type: text/html\nContent-Location: http://x/\n\n{_PAGE}\n--B--\n"
_NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"language": "python"}}, "cells": [
    {"cell_type": "markdown", "metadata": {}, "source": ["# Head\n", "Words"]},
    {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": "print(1)", "outputs": [
        {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
        {"output_type": "display_data", "data": {"text/html": "<b>x</b>", "text/plain": "x"}, "metadata": {}},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}]}]}  # fmt: skip
_CANVAS = {"nodes": [{"id": "a", "type": "text", "text": "Words", "x": 1, "y": 2}, {"id": "b", "type": "file", "file": "x.md"}],
           "edges": [{"id": "e", "fromNode": "a", "toNode": "b", "label": "l"}]}  # fmt: skip
_RSS = '<?xml version="1.0"?><rss version="2.0"><channel><title>F</title><item><title>I</title><link>http://x</link><pubDate>'
_RSS += (
    "Mon, 02 Mar 2026 10:00:00 GMT</pubDate><description>&lt;p&gt;Words&lt;/p&gt;</description></item></channel></rss>"
)
_ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>F</title><entry><title>I</title><updated>2026-03-02T10:00:00Z</updated>'
_ATOM += '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Words</p></div></content></entry></feed>'
_DRAWIO = '<mxfile><diagram name="P"><mxGraphModel><root><mxCell id="0"/><mxCell id="1" value="&lt;b&gt;L&lt;/b&gt;" vertex="1"/>'
_DRAWIO += "</root></mxGraphModel></diagram></mxfile>"
_MARKDOWN = (
    "---\ntitle: T\ntags: [a, b]\ndate: 2026-03-02\n---\n# H\nWords [[Note|alias]] ![[x.png]] #tag key:: value\n\n"
)
_MARKDOWN += "| a | b |\n"
_MARKDOWN += "| --- | --- |\n| c | d |\n\n- x\n  - y\n\n```dataview\nLIST\n```\n\n> [!note] N\n> w\n\n"
_MARKDOWN += "<div>\nhtml\n</div>\n[^1]: f\n"
_SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>T</title><desc>D</desc><g><text x="1">L<tspan>m</tspan></text></g></svg>'
_RTF = (
    r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title T}{\author A}}\pard Words \b bold\b0 \'e9\u8364?\par"
)
_RTF += r"\trowd\cellx1000\cellx2000\intbl a\cell b\cell\row{\*\bkmkstart x}{\footnote n}{\pict\pngblip 89504e47}\par}"

SMALL: Mapping[str, tuple[str, bytes | str | Parts]] = {
    "a.pdf": ("pdf", pdf_bytes([["First page"], ["Second page"]], "/Title (A manual) /Author (Ada) /CreationDate (D:20260302)")),
    "a.docx": ("docx", _DOCX), "a.pptx": ("pptx", _PPTX), "a.xlsx": ("xlsx", _XLSX), "a.epub": ("epub", _EPUB),
    "a.odt": ("odt", _open_document("text", _ODT)), "a.odp": ("odp", _open_document("presentation", _ODP)),
    "a.fodt": ("fodt", _flat("text", _ODT)), "a.fodp": ("fodp", _flat("presentation", _ODP)),
    "a.ods": ("ods", _open_document("spreadsheet", _TABLE)), "a.rtf": ("rtf", _RTF), "a.html": ("html", _PAGE),
    "a.csv": ("csv", 'a;"b ""c"""\n1;2\n"x\ny";3,5\n'), "b.tsv": ("csv", "a\tb\n1\t2\n"), "a.eml": ("email", _MAIL),
    "a.mbox": ("email", f"From a@x Mon Mar  2 10:00:00 2026\n{_MAIL}\nFrom b@x Mon Mar  2 11:00:00 2026\n{_MAIL}"),
    "a.mhtml": ("mhtml", _MHTML), "a.ipynb": ("ipynb", json.dumps(_NOTEBOOK)), "a.rss": ("feed", _RSS),
    "a.atom": ("feed", _ATOM), "a.svg": ("svg", _SVG), "a.xml": ("xml", f"<?xml version='1.0'?><r><a k='v'>x</a>{_SVG}</r>"),
    "a.srt": ("subtitles", "1\n00:00:01,000 --> 00:00:02,000\n<i>Words</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nmore\n"),
    "a.vtt": ("subtitles", "WEBVTT\n\nNOTE x\n\nid\n00:01.000 --> 00:02.000 align:start\n<v Ada>Words</v>\n"),
    "a.json": ("json", json.dumps(_CANVAS | {"n": [1.5, None, True, "\u4f60"]})), "a.jsonl": ("json", '{"a": 1}\n{"b": [2]}\n'),
    "a.canvas": ("canvas", json.dumps(_CANVAS)), "a.drawio": ("canvas", _DRAWIO), "a.md": ("markdown", _MARKDOWN),
    "a.org": ("org", "#+TITLE: Plan\n* One :tag:\n:PROPERTIES:\n:ID: 1\n:END:\nwords\n#+BEGIN_SRC python\nx = 1\n#+END_SRC\n"),
    "a.excalidraw": ("canvas", json.dumps({"type": "excalidraw", "elements": [{"type": "text", "text": "L", "id": "1"}]})),
}  # fmt: skip


def samples(format: str, folder: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of sound files of a format: the small ones, then those below a folder, sorted by path."""
    for name, (kind, content) in SMALL.items():
        if kind == format:
            yield name, content.encode() if isinstance(content, str) else bytes_of(content)
    suffixes = next(each.suffixes.split() for each in FORMATS if each.name == format)
    for path in sorted(folder.rglob("*")) if folder else ():
        if path.suffix.lower() in suffixes and path.is_file() and 0 < path.stat().st_size <= LARGEST:
            yield path.name, path.read_bytes()


def bytes_of(content: bytes | Parts) -> bytes:
    return content if isinstance(content, bytes) else packed(content)

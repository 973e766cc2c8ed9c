"""Packages of Office Open XML made by hand: only what a test is about, and what makes it a package."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from knowledge_core.ingestion.readers import read_file
from knowledge_core.types import Document

_OFFICE = "http://schemas.openxmlformats.org/"
_MAIN = f"{_OFFICE}{{}}ml/2006/main"
NAMESPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "w": _MAIN.format("wordprocessing"), "p": _MAIN.format("presentation"), "a": _MAIN.format("drawing"),
        "r": f"{_OFFICE}officeDocument/2006/relationships", "m": f"{_OFFICE}officeDocument/2006/math",
        "mc": f"{_OFFICE}markup-compatibility/2006", "wp": f"{_OFFICE}drawingml/2006/wordprocessingDrawing",
        "c": f"{_OFFICE}drawingml/2006/chart", "dgm": f"{_OFFICE}drawingml/2006/diagram",
        "v": "urn:schemas-microsoft-com:vml", "dc": "http://purl.org/dc/elements/1.1/",
        "dcterms": "http://purl.org/dc/terms/", "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "cp": f"{_OFFICE}package/2006/metadata/core-properties",
    }.items()
)  # fmt: skip
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/{part}" '
    'ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
)


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """targets: kind and target by id."""
    each = "".join(
        f'<Relationship Id="{id}" Type="{_OFFICE}officeDocument/2006/relationships/{kind}" Target="{target}"/>'
        for id, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_OFFICE}package/2006/relationships">{each}</Relationships>'


def zipped(parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


def part(tag: str, inner: str) -> str:
    return f"<{tag} {NAMESPACES}>{inner}</{tag}>"


def paragraph(text: str, properties: str = "") -> str:
    return f'<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def styled(text: str, style: str) -> str:
    return paragraph(text, f'<w:pStyle w:val="{style}"/>')


def listed(text: str, list: int, level: int = 0) -> str:
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list}"/></w:numPr>')


def table(*rows: Sequence[str]) -> str:
    """rows: texts of cells, or cells as XML."""
    return "<w:tbl>" + "".join(f"<w:tr>{''.join(map(cell, row))}</w:tr>" for row in rows) + "</w:tbl>"


def cell(inner: str, properties: str = "") -> str:
    if inner.startswith("<w:tc>"):
        return inner
    inner = inner if inner.startswith("<w:") else paragraph(inner)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{inner}</w:tc>"


def docx_parts(body: str, **parts: str) -> dict[str, str | bytes]:
    """A document with further parts below word/, by their names: styles, numbering, footnotes, comments, chart1."""
    kinds = {name: (name.rstrip("0123456789"), f"{name}.xml") for name in parts}
    return {
        "[Content_Types].xml": _TYPES.format(part="word/document.xml", kind="wordprocessingml.document"),
        "_rels/.rels": relations({"r1": ("officeDocument", "word/document.xml")}),
        "word/document.xml": part("w:document", f"<w:body>{body}</w:body>"),
        "word/_rels/document.xml.rels": relations(kinds),
        **{f"word/{name}.xml": content for name, content in parts.items()},
    }


def docx(body: str, **parts: str) -> bytes:
    return zipped(docx_parts(body, **parts))


def shape(text: str, kind: str = "", place: tuple[int, int, int, int] | None = None, number: int = 2) -> str:
    """text: paragraphs as XML, or one as text. place: left, top, width, height in EMU."""
    inner = text if text.startswith("<a:p>") else f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>"
    holder = f'<p:ph type="{kind}"/>' if kind else ""
    at = place and (f'<a:xfrm><a:off x="{place[0]}" y="{place[1]}"/><a:ext cx="{place[2]}" cy="{place[3]}"/></a:xfrm>')
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="Shape {number}"/><p:nvPr>{holder}</p:nvPr></p:nvSpPr>'
        f"<p:spPr>{at or ''}</p:spPr><p:txBody>{inner}</p:txBody></p:sp>"
    )


def slide(*shapes: str, attributes: str = "") -> str:
    return f"<p:sld {NAMESPACES} {attributes}><p:cSld><p:spTree>{''.join(shapes)}</p:spTree></p:cSld></p:sld>"


def pptx_parts(*slides: str, **parts: str) -> dict[str, str | bytes]:
    """A presentation of slides, and further parts by their names below ppt/, with "__" for a slash."""
    ids = "".join(f'<p:sldId id="{256 + number}" r:id="s{number}"/>' for number in range(len(slides)))
    targets = {f"s{number}": ("slide", f"slides/slide{number + 1}.xml") for number in range(len(slides))}
    return {
        "[Content_Types].xml": _TYPES.format(part="ppt/presentation.xml", kind="presentationml.presentation"),
        "_rels/.rels": relations({"r1": ("officeDocument", "ppt/presentation.xml")}),
        "ppt/presentation.xml": part("p:presentation", f"<p:sldIdLst>{ids}</p:sldIdLst>"),
        "ppt/_rels/presentation.xml.rels": relations(targets),
        **{f"ppt/slides/slide{number + 1}.xml": content for number, content in enumerate(slides)},
        **{f"ppt/{name.replace('__', '/')}": content for name, content in parts.items()},
    }


def pptx(*slides: str, **parts: str) -> bytes:
    return zipped(pptx_parts(*slides, **parts))


def read(folder: Path, name: str, data: bytes) -> Document:
    path = folder / name
    path.write_bytes(data)
    return read_file(path, document_id=name, limit=50_000_000)


def real_files(kind: str) -> list[Path]:
    """Real files of a format, where there is a folder of them."""
    beside = Path(__file__).parents[5] / "shared" / "data"
    data = Path(os.environ.get("KNOWLEDGE_CORE_TEST_DATA") or beside)
    return sorted((data / "files" / kind).glob(f"*.{kind}"))

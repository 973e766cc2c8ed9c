"""Of boards and drawings the words are read, in every way in which the programs keep them."""

from __future__ import annotations

import base64
import json
import random
import zlib
from urllib.parse import quote

import pytest
from ingestion_material import Write

from knowledge_core.ingestion.readers import Unreadable, read_file
from knowledge_core.types import Document

MODEL = (
    '<mxGraphModel><root><mxCell id="0"/><mxCell id="1" parent="0"/>'
    '<mxCell id="2" value="&lt;b&gt;Old&amp;nbsp;mill&lt;/b&gt;&lt;div&gt;at the river&lt;/div&gt;" vertex="1" parent="1"/>'
    '<mxCell id="3" value="a &amp;lt; b" vertex="1" parent="1"/>'
    '<mxCell id="4" value="grinds" edge="1" source="2" target="3" parent="1"/><mxCell id="5" edge="1" source="2" target="3"/>'
    '<UserObject id="6" label="Flour of %year%" year="1884" placeholders="1" tooltip="A hint" link="https://example.org">'
    '<mxCell vertex="1" parent="1"/></UserObject></root></mxGraphModel>'
)
LABELS = [
    "Old mill\nat the river",
    "a < b",
    "Flour of 1884",
    "A hint",
    "https://example.org",
    "Old mill → grinds → a < b",
]


def packed(model: str) -> str:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(stream.compress(quote(model).encode()) + stream.flush()).decode()


@pytest.fixture
def drawing(write: Write):
    def read(name: str, content: object) -> Document:
        text = content if isinstance(content, str) else json.dumps(content)
        return read_file(write(name, text), document_id=f"files/{name}", limit=10**7)

    return read


def labels(document: Document) -> list[str]:
    return document.text.split("\n\n")


def test_a_canvas_gives_its_texts_files_addresses_groups_and_what_its_arrows_say(drawing) -> None:
    nodes = [
        {"id": "1", "type": "text", "text": "# Buy [[Rope|rope]]\n- two metres #shopping", "x": -120, "width": 260},
        {"id": "2", "type": "file", "file": "places/Old mill.md", "subpath": "#Roof"},
        {"id": "3", "type": "link", "url": "https://example.org/ropes"},
        {"id": "4", "type": "group", "label": "Mooring"},
        {"id": "5", "type": "text"},
    ]
    edges = [
        {"id": "6", "fromNode": "1", "toNode": "4", "label": "needed for"},
        {"id": "7", "fromNode": "1", "toNode": "2"},
    ]
    document = drawing("board.canvas", {"nodes": nodes, "edges": edges})
    assert labels(document) == [
        "Buy rope\n- two metres #shopping", "places/Old mill.md > Roof", "https://example.org/ropes", "Mooring",
        "Buy rope → needed for → Mooring",
    ]  # fmt: skip
    assert document.title == "board"
    assert document.metadata == {
        "format": "canvas",
        "tags": ["shopping"],
        "links": ["Rope", "places/Old mill", "Old mill"],
    }


def test_an_excalidraw_file_gives_its_texts_and_frames_and_no_deleted_ones(drawing) -> None:
    elements = [
        {"type": "rectangle", "id": "k3Vd9QpA"},
        {"type": "text", "text": "Tide gauge at\npier four", "originalText": "Tide gauge at pier four"},
        {"type": "text", "text": "gone", "isDeleted": True},
        {"type": "frame", "name": "Harbour"},
        {"type": "image", "link": "[[Plan]]"},
    ]
    files = {"a": {"dataURL": "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(900)).decode()}}
    document = drawing("a.excalidraw", {"type": "excalidraw", "elements": elements, "files": files})
    assert labels(document) == ["Tide gauge at pier four", "Harbour", "Plan"]


@pytest.mark.parametrize("suffix", [".drawio", ".dio"])
@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        f'<mxfile host="x"><diagram id="a" name="Page-1">{MODEL}</diagram></mxfile>',
        f'<?xml version="1.0" encoding="UTF-8"?>\n<mxfile><diagram id="a" name="Page-1">{packed(MODEL)}</diagram></mxfile>',
    ],
)
def test_a_drawing_of_drawio_gives_its_labels_as_text_plain_or_packed(drawing, suffix: str, text: str) -> None:
    assert labels(drawing(f"a{suffix}", text)) == LABELS


def test_the_pages_of_drawio_are_sections(drawing) -> None:
    pages = "".join(f'<diagram name="{name}">{packed(MODEL)}</diagram>' for name in ("Now", "Then"))
    document = drawing("a.drawio", f'<mxfile>{pages}<diagram name="Empty"><mxGraphModel/></diagram></mxfile>')
    assert labels(document) == ["# Now", *LABELS, "# Then", *LABELS]


@pytest.mark.parametrize("key", ["records", "store"])
def test_a_file_of_tldraw_gives_its_texts_plain_and_rich(drawing, key: str) -> None:
    words = [{"type": "text", "text": "one "}, {"type": "text", "text": "line"}]
    paragraphs = [
        {"type": "paragraph", "content": words},
        {"type": "paragraph", "content": [{"type": "text", "text": "two"}]},
    ]
    rich = {"type": "doc", "content": paragraphs}
    records = [
        {"typeName": "shape", "type": "geo", "props": {"richText": rich}},
        {"typeName": "shape", "type": "text", "props": {"text": "plain"}},
        {"typeName": "shape", "type": "frame", "props": {"name": "Frame"}},
        {"typeName": "asset", "props": {"name": "photo.png"}},
    ]
    content = records if key == "records" else {str(n): record for n, record in enumerate(records)}
    assert labels(drawing("a.tldr", {"tldrawFileFormatVersion": 1, key: content})) == [
        "one line\ntwo",
        "plain",
        "Frame",
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.canvas", "{", "damaged"),
        ("a.canvas", "{}", "empty"),
        ("a.canvas", '{"nodes": [{"type": "text", "text": " "}]}', "empty"),
        ("a.canvas", "[1]", "unsupported"),
        ("a.canvas", "[" * 100_000, "damaged"),
        ("a.canvas", '{"nodes": [1, {"id": [], "type": {}, "text": 7}], "edges": 1}', "empty"),
        ("a.excalidraw", '{"elements": [null, {"type": "text", "text": null}]}', "empty"),
        ("a.tldr", '{"records": [{"typeName": "shape", "props": {"richText": [1]}}]}', "empty"),
        ("a.drawio", "<mxfile><diagram>not base64!</diagram></mxfile>", "damaged"),
        ("a.drawio", f"<mxfile><diagram>{base64.b64encode(b'no deflate').decode()}</diagram></mxfile>", "damaged"),
        ("a.drawio", "<other/>", "unsupported"),
        ("a.drawio", "words", "damaged"),
        ("a.drawio", f"<mxfile><diagram>{packed('x' * 60_000_000)}</diagram></mxfile>", "too large"),
    ],
)
def test_what_is_wrong_with_a_drawing_is_told(drawing, name: str, content: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        drawing(name, content)
    assert caught.value.reason == reason
    assert f"files/{name}" in str(caught.value)


def test_labels_are_no_structure_of_the_whole(drawing) -> None:
    texts = ["# not above", "```\ncode", "---", "rest", "data:image/png;base64," + "Ab1" * 100]
    document = drawing("a.excalidraw", {"elements": [{"type": "text", "text": text} for text in texts]})
    assert labels(document) == ["not above", "code", "rest", "[image]"]


def test_a_label_nested_deep_is_read(drawing) -> None:
    tree: dict[str, object] = {"type": "text", "text": "deep"}
    for _ in range(300):
        tree = {"type": "x", "content": [tree]}
    drawn = {
        "records": [
            {"typeName": "shape", "props": {"richText": tree, "text": ""}},
            {"typeName": "shape", "props": {"text": "shallow"}},
        ]
    }
    assert labels(drawing("a.tldr", drawn)) == ["shallow"]
    html = "&lt;b&gt;" * 3000 + "deep"
    assert "deep" in drawing("a.drawio", f'<mxGraphModel><root><mxCell value="{html}"/></root></mxGraphModel>').text

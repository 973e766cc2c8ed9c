"""Pages, headings beside the text, and what is left out: no chunk reaches over their borders."""

from __future__ import annotations

import base64
import random

from ingestion_material import checked_chunks, count_words

from knowledge_core.ingestion.cutting.blocks import Block, Section, header_line, parted
from knowledge_core.ingestion.cutting.chunking import left_out
from knowledge_core.types import Document, Heading, Span


def words(count: int, word: str = "wo") -> str:
    return " ".join([word] * count)


def paged(*pages: str) -> tuple[str, tuple[Span, ...]]:
    text, spans = "", []
    for page in pages:
        spans.append(Span(len(text), len(text) + len(page)))
        text += page + "\n\n"
    return text, tuple(spans)


def test_no_chunk_joins_two_pages_however_small_they_are() -> None:
    text, spans = paged(words(20, "one"), "tiny", "", words(70, "three"), words(20, "four"))
    found = checked_chunks(Document("d", text, pages=spans), count_words, 60)
    assert [(one.page, sorted(set(one.text.split()))) for one in found] == [
        (1, ["one"]), (2, ["tiny"]), (4, ["three"]), (4, ["three"]), (5, ["four"])
    ]  # fmt: skip


def test_a_section_that_goes_on_over_a_page_end_keeps_its_heading_path() -> None:
    text, spans = paged(f"# Title\n\n{words(9)}", f"{words(9, 'more')}\n\n## Next\n\n{words(9)}", "", words(9, "last"))
    found = checked_chunks(Document("d", text, media_type="text/markdown", pages=spans), count_words, 60)
    assert [(one.page, one.heading, one.text.split()[-1]) for one in found] == [
        (1, ("Title",), "wo"), (2, ("Title",), "more"), (2, ("Title", "Next"), "wo"), (4, ("Title", "Next"), "last")
    ]  # fmt: skip


def test_a_fence_that_goes_on_over_a_page_end_hides_its_hashes_on_both_pages() -> None:
    text, spans = paged("# Title\n\n```\na", "# b\n```\n\nwords")
    found = checked_chunks(Document("d", text, media_type="text/markdown", pages=spans), count_words, 60)
    assert {one.heading for one in found} == {("Title",)}


def test_headings_beside_the_text_give_the_heading_path_over_pages() -> None:
    text, spans = paged(words(9, "front"), f"Part {words(30, 'a')} Piece {words(30, 'b')}", words(9, "c"))
    headings = (Heading(text.index("Part"), 1, "Part\n one"), Heading(text.index("Piece"), 2, "Piece"))
    found = checked_chunks(Document("d", text, pages=spans, headings=headings), count_words, 40)
    assert [(one.page, one.heading, one.text.split()[-1]) for one in found] == [
        (1, (), "front"), (2, ("Part one",), "a"), (2, ("Part one", "Piece"), "b"), (3, ("Part one", "Piece"), "c")
    ]  # fmt: skip


def test_front_matter_is_in_no_chunk() -> None:
    document = Document("d", "---\ntitle: secret\n---\n\n# Top\n\nwords\n", media_type="text/markdown")
    assert [one.text for one in checked_chunks(document, count_words, 60)] == ["# Top\n\nwords"]
    assert [document.text[one.start : one.end] for one in left_out(document)] == ["---\ntitle: secret\n---\n"]


def test_bytes_in_base64_are_in_no_chunk_and_what_stands_around_them_is() -> None:
    letters = base64.b64encode(random.Random(1).randbytes(9000)).decode("ascii")
    for kind in ("text/markdown", "text/plain", "text/x-css"):
        for written in (f"data:image/png;base64,{letters}", letters):
            found = checked_chunks(Document("d", f"Before ![it]({written}) after.", media_type=kind), count_words, 60)
            assert [one.text for one in found] == ["Before ![it](", ") after."]


def test_a_short_picture_in_the_text_tears_nothing() -> None:
    document = Document("d", f"Before data:image/png;base64,{'A' * 100} after.")
    assert len(checked_chunks(document, count_words, 60)) == 1


def test_blocks_are_parted_at_gaps_whichever_way_they_lie() -> None:
    blocks = [Block(0, 10), Block(10, 12, Section((1,)))]
    gaps = [Span(0, 0), Span(2, 4), Span(3, 5), Span(7, 7), Span(11, 11), Span(12, 99)]
    found = [(one.start, one.end, one.section.path) for one in parted(blocks, gaps)]
    assert found == [(0, 2, ()), (5, 7, ()), (7, 10, ()), (10, 11, (1,)), (11, 12, (1,))]
    assert len({one.part for one in parted(blocks, gaps)}) == 4
    assert parted(blocks, [Span(0, 99)]) == []


def test_a_header_is_one_line_of_bounded_length() -> None:
    assert header_line(["a ", "", "b\n c"]) == "a | b c"
    assert len(header_line(["word"] * 99)) <= 200

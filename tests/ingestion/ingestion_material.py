"""PDFs made by hand, and the rules that every chunking must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from knowledge_core.ingestion.cutting.chunking import chunk, left_out
from knowledge_core.types import Chunk, Document


class Write(Protocol):
    """Write a file below the test's own folder, and return its path."""

    def __call__(self, relative: str, content: str | bytes = "words") -> Path: ...


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def worded(text: str) -> bool:
    return any(mark.isalnum() for mark in text)


def checked_chunks(document: Document, count: Callable[[Sequence[str]], list[int]], size: int) -> list[Chunk]:
    """Chunk a document, and assert every rule that holds for all chunks of all documents."""
    text = document.text
    chunks = chunk(document, count, size=size)
    left = left_out(document)
    kept = list(text)
    for span in left:
        kept[span.start : span.end] = " " * (span.end - span.start)
        assert not any(one.span.start < span.end and span.start < one.span.end for one in chunks)
    pages = [page.start for page in document.pages]
    end = 0
    for position, one in enumerate(chunks):
        assert one.position == position
        assert text[one.span.start : one.span.end] == one.text
        assert one.text
        assert one.text == one.text.strip()
        assert worded(one.text) or not worded("".join(kept)), "a chunk of punctuation"
        assert one.span.start >= end
        assert not worded("".join(kept[end : one.span.start])), "text between two chunks belongs to neither"
        assert not any(one.span.start < page < one.span.end for page in pages), "a chunk joins two pages"
        assert one.lines.first == text.count("\n", 0, one.span.start) + 1
        assert one.lines.last == text.count("\n", 0, one.span.end) + 1
        title = min(count([one.title(document.title)])[0], size // 4)
        assert len(one.text) == 1 or count([one.text])[0] <= max(1, size - title)
        end = one.span.end
    assert not worded("".join(kept[end:])), "text after the last chunk belongs to none"
    assert chunk(document, count, size=size) == chunks
    return chunks


def pdf_bytes(pages: Sequence[Sequence[str]], about: str = "", *, password: bool = False) -> bytes:
    """A PDF with one line of text below the other on each page. about: entries of the information dictionary."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td {shown} ET"
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects) + 2} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< {about} >>")
    trailer = f"/Size {len(objects) + 2} /Root 1 0 R /Info {len(objects)} 0 R"
    if password:
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /O <{'ab' * 32}> /U <{'cd' * 32}> /P -4 >>")
        trailer += f" /Encrypt {len(objects)} 0 R /ID [<{'01' * 16}> <{'01' * 16}>]"
    data = "%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< {trailer} >>\n"
    return f"{data}startxref\n{data.index('xref')}\n%%EOF\n".encode("latin-1")

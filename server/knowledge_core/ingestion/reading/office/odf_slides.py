"""The slides of an OpenDocument presentation, each as a page: its title, its text, its notes."""

from __future__ import annotations

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.office.odf_styles import DRAW, PRESENTATION
from knowledge_core.ingestion.reading.office.odf_text import Writer


def slides(body: etree._Element, writer: Writer) -> tuple[list[str], str]:
    """Return the text of each slide, and the title of the first that has one; "" where none has.

    Without a title a slide is headed by its number: else its text would stand under the heading of the one before. Its
    notes are not left out, and neither are slides that are not shown.
    """
    texts: list[str] = []
    first_title = ""
    for number, slide in enumerate(body.iterchildren(f"{DRAW}page"), start=1):
        holder, title = _title(slide, writer)
        first_title = first_title or title
        content = writer.write(slide, without=[] if holder is None else [holder])
        notes = slide.find(f"{PRESENTATION}notes")
        if notes is not None:
            noted = writer.write_below(notes)
            noted.prefix("Notes:")
            content.extend(noted)
        heading = f"# {title or f'Slide {number}'}"
        texts.append(f"{heading}\n\n{content.text()}" if content else heading if title else "")
    return texts, first_title


def _title(slide: etree._Element, writer: Writer) -> tuple[etree._Element | None, str]:
    """Return the shape that holds a slide's title, and the title on one line."""
    for shape in slide.iter(f"{DRAW}frame", f"{DRAW}custom-shape"):
        written = shape.get(f"{PRESENTATION}class") == "title" and shape.get(f"{PRESENTATION}placeholder") != "true"
        if written and (title := writer.write(shape).plain()):
            return shape, title
    return None, ""

"""The parts of docs/formats.md that come from the code: `python tests/docs/format_page.py` writes them anew.

They stand between "<!-- from the code: NAME -->" and "<!-- end -->"; the rest of the page is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from knowledge_core.ingestion.format_table import FORMATS
from knowledge_core.ingestion.formats import BINARY, LANGUAGE_OF_NAME, LANGUAGES, LINES, PROSE, SAVE_AS, UNSUPPORTED

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
COMMAND = "python tests/docs/format_page.py"
_MARKED = re.compile(r"(<!-- from the code: (\w+) -->\n).*?(?=<!-- end -->)", re.S)

# What of a format does not become text, by the format's name.
NOT_KEPT = {
    "pdf": "pictures: a page that is only a picture is named; headers and footers stay",
    "docx": "headers and footers, unless there is no other text; pictures; deleted text of tracked changes",
    "pptx": "numbers, dates and footers of slides; layouts and masters; pictures",
    "odt": "headers and footers, tables of contents, hidden and deleted text, pictures",
    "odp": "masters, pictures",
    "fodt": "as of OpenDocument texts",
    "fodp": "as of OpenDocument presentations",
    "xlsx": "formulas (their last value is kept), errors, formats, charts; what is beyond 12,000,000 cells of a sheet",
    "ods": "as of Excel workbooks",
    "epub": "cover, navigation and tables of contents, pictures; books with copy protection are refused",
    "rtf": "headers and footers, tables of contents, hidden and deleted text, pictures",
    "doc": "headers and footers, pictures",
    "ppt": "masters, pictures",
    "msg": "what is attached, except messages",
    "csv": "nothing; the text is the file's",
    "ipynb": "pictures, HTML and widgets of outputs; the rest of long outputs; tracebacks above an error",
    "email": "what is attached, except messages; HTML where the same text stands beside it as plain text",
    "mhtml": "as of web pages",
    "html": "navigation, sidebars, footers, forms, scripts, styles, addresses of links",
    "feed": "a summary that only begins the text, pictures",
    "subtitles": "numbers, positions, styles; lines that rolling captions repeat",
    "svg": "shapes, styles, scripts",
    "xml": "comments; namespaces of names",
    "json": "`null` and what is empty; of a list of more than 16 numbers all but eight",
    "canvas": "positions, shapes, pictures",
    "markdown": "comments, queries of plugins, commands of templates, pictures in base64",
    "org": "drawers, planning lines, settings",
}


def formats_of_readers() -> str:
    """The table of `FORMATS`."""
    rows = [
        [each.about, code(each.suffixes.split()), each.kept, NOT_KEPT[each.name], f"`{each.name}`"] for each in FORMATS
    ]
    return table(["format", "suffixes", "kept", "not kept", '"format" in the metadata'], rows)


def plain_texts() -> str:
    """Text, settings and source code, which need no reader."""
    rows = [["prose", code(PROSE)], ["records and settings, cut at lines", code(LINES)]]
    names: dict[str, list[str]] = {}
    for name, language in LANGUAGE_OF_NAME.items():
        names.setdefault(language, []).append(name)
    for language in sorted({*LANGUAGES, *names}):
        rows.append([language, code([*LANGUAGES.get(language, "").split(), *names.get(language, [])])])
    return table(["kind, or language of source code", "suffixes and names"], rows)


def refused_formats() -> str:
    """Formats that hold text and have no reader, with what to do, and those that hold none."""
    rows = [
        [f"`{suffix}`", SAVE_AS.get(suffix, "Save it as text, Markdown, HTML or PDF.")]
        for suffix in sorted(UNSUPPORTED)
    ]
    return table(["suffix", "what to do"], rows) + f"\n\nFiles without text, not opened: {code(sorted(BINARY))}"


def code(words) -> str:
    return " ".join(f"`{word}`" for word in words)


def table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


PARTS = {"formats": formats_of_readers, "texts": plain_texts, "refused": refused_formats}


def renewed(page: str) -> str:
    """The page with its parts as the code says them."""
    return _MARKED.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

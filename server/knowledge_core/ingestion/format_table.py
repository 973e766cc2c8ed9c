"""The formats that are read, each with what its files are called, what of their structure is kept, and its reader.

A further format is one entry here and one module below `reading`, whose function makes a `Parsed` of a file's bytes, or of
its text. Readers are imported when they are first needed. Source code, settings and plain text need no reader; their
suffixes are in `formats`. `docs/formats.md` is written from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Content = Literal["zip", "ole", "pdf", "rtf", "mail", "text"]
"""How a file's bytes begin: what is in the file, whatever its name says."""


@dataclass(frozen=True)
class Format:
    """One format with its reader.

    name: the value of "format" in a document's metadata.
    about: for people, in the plural: "Word documents".
    suffixes: separated by spaces.
    content: what the bytes must be. "text": they are decoded first, and the reader takes a str. "mail": text whose parts have
        an encoding each, so its reader takes the bytes.
    reader: module below `ingestion.reading` and function, as "office.docx:read_docx". It is called with the bytes (or the
        text) and the document's id, for messages.
    kept: what of the structure becomes part of the text.
    isolated: parsed in a process of its own, with limits of memory and time.
    """

    name: str
    about: str
    suffixes: str
    content: Content
    reader: str
    kept: str
    isolated: bool = True


FORMATS = (
    Format("pdf", "PDF", ".pdf", "pdf", "pdf.pdf_text:read_pdf", "pages, outline as headings, values of forms"),
    Format("docx", "Word documents", ".docx .docm .dotx .dotm", "zip", "office.docx:read_docx",
           "headings, lists, tables, footnotes, comments"),
    Format("pptx", "PowerPoint presentations", ".pptx .pptm .potx .potm .ppsx .ppsm", "zip", "office.pptx:read_pptx",
           "slides with their titles, tables, notes"),
    Format("odt", "OpenDocument texts", ".odt .ott", "zip", "office.odf:read_odt",
           "headings, lists, tables, footnotes, comments"),
    Format("odp", "OpenDocument presentations", ".odp .otp", "zip", "office.odf:read_odp",
           "slides with their titles, tables, notes"),
    Format("fodt", "OpenDocument texts in one XML file", ".fodt", "text", "office.odf:read_odt",
           "headings, lists, tables, footnotes, comments"),
    Format("fodp", "OpenDocument presentations in one XML file", ".fodp", "text", "office.odf:read_odp",
           "slides with their titles, tables, notes"),
    Format("xlsx", "Excel workbooks", ".xlsx .xlsm .xltx .xltm .xlsb .xls .xlt", "zip", "sheets.workbook:read_workbook",
           "sheets, rows under their header"),
    Format("ods", "OpenDocument spreadsheets", ".ods .ots", "zip", "sheets.workbook:read_workbook",
           "sheets, rows under their header"),
    Format("epub", "Books", ".epub", "zip", "books.epub:read_epub", "chapters, headings, lists, tables, notes"),
    Format("rtf", "Rich text", ".rtf", "rtf", "office.rtf:read_rtf",
           "headings, lists, tables, footnotes, comments"),
    Format("doc", "Older Word documents", ".doc .dot", "ole", "legacy.word:read_doc",
           "headings, lists, tables, footnotes, comments"),
    Format("ppt", "Older PowerPoint presentations", ".ppt .pps .pot", "ole", "legacy.slides:read_ppt",
           "slides with their titles, notes"),
    Format("msg", "Outlook messages", ".msg .oft", "ole", "legacy.outlook:read_msg",
           "subject, people, date, text, names of attachments"),
    Format("csv", "Tables as text", ".csv .tsv .tab", "text", "delimited:read_delimited",
           "rows under their header", isolated=False),
    Format("ipynb", "Jupyter notebooks", ".ipynb", "text", "notebook:read_notebook",
           "text, code, printed output", isolated=False),
    Format("email", "E-mail", ".eml .emlx .mbox .mbx", "mail", "mail.messages:read_mail",
           "subject, people, date, text, names of attachments"),
    Format("mhtml", "Saved web pages", ".mht .mhtml", "mail", "mail.mhtml:read_mhtml", "as HTML"),
    Format("html", "Web pages", ".html .htm .xhtml .xht .shtml", "text", "html_text:read_html_page",
           "main content, headings, lists, tables, code, formulas"),
    Format("feed", "RSS and Atom feeds", ".rss .atom", "text", "markup.feeds:read_feed",
           "entries with title, date, text"),
    Format("subtitles", "Subtitles", ".srt .vtt .sbv .lrc .ass .ssa", "text", "subtitles:read_subtitles",
           "spoken text with times"),
    Format("svg", "SVG drawings", ".svg", "text", "markup.svg:read_svg",
           "title, description, labels"),
    Format("xml", "XML", ".xml .xsd", "text", "markup.xml_text:read_xml",
           "text and names of elements"),
    Format("json", "JSON", ".json .jsonl .ndjson .geojson", "text", "json_text:read_json",
           "keys beside values, escapes decoded", isolated=False),
    Format("canvas", "Boards and drawings", ".canvas .drawio .dio .excalidraw .tldr", "text", "drawings:read_drawing",
           "labels"),
    Format("markdown", "Markdown", ".md .markdown .mdown .mkd .mdx .qmd .rmd", "text", "markdown:read_markdown",
           "front matter, headings, lists, tables, code, links", isolated=False),
    Format("org", "Org mode", ".org", "text", "notes.org:read_org", "headings, code, tags, links", isolated=False),
)  # fmt: skip

"""XML of any kind: documents as prose under their headings, data as lines of names and values, programs as they are.

Documents are DocBook, JATS, TEI, DITA and what else has paragraphs of mixed text. What a document says about itself, and
data (a Maven project, a property list, strings of an app, an export), become lines "- name: value"; a small record becomes
one line. Names of elements stand there without their namespace.
"""

from __future__ import annotations

from itertools import islice
from pathlib import PurePath

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.html_text import write
from knowledge_core.ingestion.reading.markup.office_xml import office_xml
from knowledge_core.ingestion.reading.markup.trees import (
    SEVERAL,
    local,
    tree_of,
    without_tags,
    words,
)
from knowledge_core.ingestion.reading.markup.xml_shape import as_page
from knowledge_core.ingestion.reading.parsed import Parsed, facts

# Roots of documents, and of what is read like source code: there lines are cited, and the markup is what is said.
_DOCUMENTS = word_set(
    "book article chapter section sect1 part set appendix preface refentry reference glossary topic concept task "
    "troubleshooting glossentry bookmap TEI TEI.2 teiCorpus text FictionBook dita html body doc document"
)
_PROSE = _DOCUMENTS | word_set("p para simpara sec div table-wrap table list")  # first of several roots
_PROGRAMS = word_set("stylesheet transform schema definitions Project grammar wadl application-bindings")
_MOST_AUTHORS = 20


def read_xml(text: str, name: str) -> Parsed:
    """Return an XML text as Markdown; the text of it, line by line, where it is too damaged to be taken apart."""
    suffix = PurePath(name).suffix.lower()[1:]
    own = {"format": suffix if suffix in ("xml", "xsd") else "xml"}
    root = tree_of(text, name)
    if root is None:
        return Parsed(clean_text(without_tags(text) or text), "", own, "text/plain")
    kind = local(root)
    if kind in _PROGRAMS:
        return Parsed(text, "", own, "application/xml", lines_of_file=True)
    if office := office_xml(root):
        return Parsed(clean_text(office), "", own)
    prose = kind in _DOCUMENTS or (kind == SEVERAL and len(root) > 0 and local(root[0]) in _PROSE)
    place, title = _title(root, kind)
    about = from_file(_about(root) if prose else {}, {**own})
    if prose and place is not None and place.getparent() is not root:  # said once, as the document's title
        place.getparent().remove(place)
    if found := clean_text(write(as_page(root, prose=prose))):
        return Parsed(found, title, about)
    return Parsed(text, title, own, "application/xml", lines_of_file=True)  # nothing but names and comments


def _title(root: etree._Element, kind: str) -> tuple[etree._Element | None, str]:
    """Return the title that a document gives itself, and its element; "" where there is none in one of the usual places."""
    for place in (
        "{*}title", "{*}info/{*}title", "{*}bookinfo/{*}title", "{*}articleinfo/{*}title", "{*}booktitle/{*}mainbooktitle",
        "{*}front/{*}article-meta/{*}title-group/{*}article-title", "{*}teiHeader/{*}fileDesc/{*}titleStmt/{*}title",
        "{*}description/{*}title-info/{*}book-title", "{*}topic/{*}title", "{*}head/{*}title",
    ):  # fmt: skip
        if (found := root.find(place)) is not None and (title := words(found)):
            return found, title
    if kind == "project":  # of Maven
        found = root.find("{*}name")
        found = root.find("{*}artifactId") if found is None else found
        return found, "" if found is None else words(found)
    return None, ""


def _about(root: etree._Element) -> dict[str, object]:
    authors: list[str] = []
    for element in islice(root.iter("{*}author", "{*}contrib"), 10 * _MOST_AUTHORS):
        parent = element.getparent()
        parts = [words(each) for each in element.iter("{*}firstname", "{*}given-names", "{*}forename", "{*}first-name")]
        parts += [words(each) for each in element.iter("{*}surname", "{*}last-name")]
        name = " ".join(parts) or (words(element) if local(element) == "author" and len(words(element)) < 100 else "")
        if (
            name
            and name not in authors
            and parent is not None
            and local(parent) not in ("biblioentry", "bibl", "biblStruct")
        ):
            authors.append(name)
        if len(authors) >= _MOST_AUTHORS:
            break
    tags = [words(each) for each in islice(root.iter("{*}kwd", "{*}keyword"), 50)]
    return dict(facts(author=", ".join(authors), tags=[tag for tag in tags if tag]))

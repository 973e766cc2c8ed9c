"""The sections of a document as a reader asks for them: what stands under each heading, or in each definition of code.

The same headings as those above its chunks. Each section holds the sections below it, begins and ends with whole lines where
it can, and has no blank lines at its end. Pure; takes time linear in the text, and in the number of sections within each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowledge_core.ingestion.cutting.code_blocks import code_blocks
from knowledge_core.ingestion.cutting.markdown_runs import Role, runs
from knowledge_core.ingestion.cutting.rst_blocks import rst_headings
from knowledge_core.ingestion.formats import LINE_TYPES
from knowledge_core.types import Document, Heading, Span

_DEEPEST_INDENTATION = 300  # characters; the lines of minified code have millions before a definition


@dataclass(frozen=True)
class OutlineSection:
    """A section of a document. path: the names of the enclosing sections and of this one, outermost first."""

    path: tuple[str, ...]
    span: Span

    @property
    def name(self) -> str:
        """The heading; "" for one without a word."""
        return self.path[-1]


def outline(document: Document) -> list[OutlineSection]:
    """Return the sections of a document in text order, each before those in it; none for a text without headings."""
    text, kind = document.text, document.media_type
    if kind == "text/markdown":
        found = [Heading(run.start, run.level, run.name) for run in runs(text) if run.role is Role.HEADING]
    elif document.headings:
        found = [*document.headings]
    elif kind == "text/x-rst":
        found = rst_headings(text)
    elif kind.startswith("text/x-") and kind not in LINE_TYPES:
        return _of_code(text, kind.removeprefix("text/x-"))
    else:
        return []
    return _of_headings(text, found)


def _of_headings(text: str, headings: Sequence[Heading]) -> list[OutlineSection]:
    """Return the section of each heading: up to the next one of its level, or of a higher one."""
    ends = [len(text)] * len(headings)
    paths: list[tuple[str, ...]] = []
    opened: list[int] = []
    for number, heading in enumerate(headings):
        while opened and headings[opened[-1]].level >= heading.level:
            ends[opened.pop()] = heading.start
        above = paths[opened[-1]] if opened else ()
        paths.append((*above, " ".join(heading.name.split())))
        opened.append(number)
    return _trimmed(text, [(path, one.start, end) for path, one, end in zip(paths, headings, ends, strict=True)])


def _of_code(text: str, language: str) -> list[OutlineSection]:
    """Return the section of each definition, with the comments above it."""
    names: dict[tuple[int, ...], tuple[str, ...]] = {}
    starts: dict[tuple[int, ...], int] = {}
    ends: dict[tuple[int, ...], int] = {}
    for block in code_blocks(text, language):
        path = block.section.path
        for depth in range(1, len(path) + 1):
            names.setdefault(path[:depth], block.section.heading[:depth])
            starts.setdefault(path[:depth], block.start)
            ends[path[:depth]] = block.end
    return _trimmed(text, [(names[path], start, ends[path]) for path, start in starts.items()])


def _trimmed(text: str, found: Iterable[tuple[tuple[str, ...], int, int]]) -> list[OutlineSection]:
    """Return sections from the beginning of their first line to the end of their last one that is not blank."""
    sections: list[OutlineSection] = []
    for path, start, end in found:
        before = text[max(start - _DEEPEST_INDENTATION, 0) : start]
        indentation = before[before.rfind("\n") + 1 :]
        begin = start - len(indentation) if indentation.isspace() else start
        sections.append(OutlineSection(path, Span(begin, begin + len(text[begin:end].rstrip()))))
    return sections

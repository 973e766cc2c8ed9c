"""Which section of a document is meant by a heading, or by a path of headings like "Setup > Linux". Pure.

Case, spaces and punctuation do not count, nor numbers before a heading ("2.1 Setup") and words before a name in code ("class
Engine"), unless headings differ in nothing else. A path may leave out headings, but for the last one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from knowledge_core.errors import InvalidInput, quoted
from knowledge_core.ingestion.cutting.outline import OutlineSection
from knowledge_core.near_names import listed, near_names
from knowledge_core.retrieval.reading.line_places import lines_of
from knowledge_core.types import Document

PATH = " > "
ROOM = 420  # characters of the headings in an error
LONGEST_WANTED = 2_000  # characters
LONGEST = 120  # characters of a heading in an error
_SPLITS = (re.compile(PATH), re.compile(r"\s*[>›»→]\s*"), re.compile(r"\s*(?:/|::|\.|#)\s*"))
_BEFORE = re.compile(
    r"\A(?:(?:chapter|part|section|appendix|kapitel|teil|abschnitt)\s+)?(?:\d+(?:\.\d+)*[.):]?|[ivxlc]+[.):])\s+",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"\([^()]*\)?")
_MARKS = re.compile(r"^#+\s+|[*`_]")


def section_named(
    document: Document, sections: Sequence[OutlineSection], starts: Sequence[int], wanted: str
) -> OutlineSection:
    """Return the section that is meant. starts: where each line of the text begins.

    Raises:
        InvalidInput: there is none, or there are several; the message lists the nearest headings with their lines.
    """
    if not sections:
        raise InvalidInput(f"{quoted(document.id)} has no headings. Read it by lines (1-{len(starts)}) instead.")
    wanted = " ".join(wanted.split())[:LONGEST_WANTED]
    in_code = document.media_type.startswith("text/x-") and document.media_type != "text/x-rst"
    for form in _IN_CODE if in_code else _IN_TEXT:
        for parts in _parts(wanted):
            found = _found(sections, [*map(form, parts)], form(document.title), form)
            if len(found) == 1:
                return found[0]
            if found:
                raise InvalidInput(
                    f"section {quoted(wanted)} is the name of {len(found)} sections of {quoted(document.id)}: "
                    f"{_told(found, starts)}. Give one's path, or its lines."
                )
    near = _nearest(sections, wanted)
    what = "The nearest" if near else "There are"
    near = near or sorted(sections, key=lambda section: len(section.path))
    raise InvalidInput(
        f"{quoted(document.id)} has no section {quoted(wanted)}. {what}: {_told(near, starts)}. outline=true shows all."
    )


def shown_path(section: OutlineSection) -> str:
    """Return the headings down to a section, in one text."""
    return PATH.join(name for name in section.path if name)


def _parts(wanted: str) -> list[list[str]]:
    """Return the headings that a text may be a path of: first the whole as one."""
    ways = [[wanted]]
    for split in _SPLITS:
        parts = [part for part in split.split(wanted) if part]
        ways += [parts] if len(parts) > 1 else []
    return ways


def _found(
    sections: Sequence[OutlineSection], wanted: list[str], title: str, form: Callable[[str], str]
) -> list[OutlineSection]:
    """Return the sections that a path means best: whose whole path it is, else the end of it, else some headings of it."""
    best: list[OutlineSection] = []
    best_rank = 3
    above = wanted[:-1]
    for section in sections if wanted[-1] else ():
        if form(section.name) != wanted[-1]:
            continue
        path = [*map(form, section.path[:-1])]
        rank = _rank(path, above[1:] if above and above[0] == title and title not in path else above)
        if rank < best_rank:
            best, best_rank = [], rank
        if rank == best_rank < 3:
            best.append(section)
    return best


def _rank(path: list[str], wanted: list[str]) -> int:
    if path == wanted:
        return 0
    if not wanted or path[-len(wanted) :] == wanted:
        return 1
    rest = iter(path)
    return 2 if all(name in rest for name in wanted) else 3


def _as_written(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", _MARKS.sub("", name)).casefold().split())


def _letters(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter.isalnum() or unicodedata.category(letter)[0] == "M")


def _without_number(name: str) -> str:
    return _BEFORE.sub("", _as_written(name), count=1)


def _letters_without_number(name: str) -> str:
    return _letters(_without_number(name))


def _name_in_code(name: str) -> str:
    """Return a definition's name without what it is, its receiver and its arguments."""
    words = _IN_BRACKETS.sub(" ", name).split()
    return words[-1].casefold() if words else ""


_IN_TEXT = (_as_written, _without_number, _letters, _letters_without_number)
_IN_CODE = (_as_written, _letters, _name_in_code)


def _nearest(sections: Sequence[OutlineSection], wanted: str) -> list[OutlineSection]:
    letters = _letters(wanted)
    held = [section for section in sections if letters and letters in _letters(shown_path(section))]
    names = {section.name[:200].casefold(): section for section in reversed(sections)}
    last = (_parts(wanted)[-1][-1])[:200].casefold()
    alike = [names[name] for name in near_names(last, names, 4)]
    return list(dict.fromkeys([*held[:4], *alike]))


def _told(sections: Sequence[OutlineSection], starts: Sequence[int]) -> str:
    return listed([f"{quoted(shown_path(each), LONGEST)} ({lines_of(starts, each.span)})" for each in sections], ROOM)

"""JSON to Markdown, and JSON lines to lines of text: keys beside their values, escapes decoded.

An object becomes a section under its key, its members a list, "- key: value"; an object that is small, or lies inside of
a list, is told by paths, "- author.name: Ada". Each item of a list is one item of a Markdown list, with one line for each
of its values. So a chunk says where it is: by the headings above it, and by its paths. Numbers stay as they are written;
of a list of many numbers the first ones are kept, and how many there are. Like an empty cell, null is left out.

Lines of JSON become other lines, so the lines of the text are not those of the file. JSON lines stay lines: one record is
one line. What is no sound JSON (cut off, with comments or trailing commas) stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from knowledge_core.ingestion.reading.json_events import Event, NotJson, events
from knowledge_core.ingestion.reading.parsed import Parsed

_RECORDS = (".jsonl", ".ndjson")
_DEEPEST_HEADING = 5
_SMALL = 200  # characters of an object's or list's source, up to which it is told by paths
_LONGEST_NAME = 100  # characters of a key in a path or heading
_NAMES_SHOWN = 5  # the last ones of a path
_LONGER_AT_MOST = 4  # times: text that grows more by its paths is worth nothing, and has no end
_MEMBERS_IN_LINE = "; "


def read_json(text: str, name: str) -> Parsed:
    """Return JSON as Markdown, JSON lines as lines; what is neither as it is."""
    suffix = PurePath(name).suffix.lower()
    about = {"format": suffix[1:] if suffix in (*_RECORDS, ".geojson") else "json"}
    if suffix not in _RECORDS:
        try:
            return Parsed(_markdown(text), "", dict(about))
        except NotJson as error:
            first_line = text.find("\n", len(text) - len(text.lstrip()))
            if not (0 <= first_line <= error.at and _one_line(text, 0, first_line)):
                return Parsed(text, "", dict(about), "application/json", lines_of_file=True)
    return Parsed(_lines(text), "", dict(about), "application/jsonl", lines_of_file=True)


def _lines(text: str) -> str:
    """Return JSON lines with each record as one line of its values; other lines as they are."""
    lines: list[str] = []
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        lines.append(_one_line(text, at, end) or text[at:end])
        at = end + 1
    return "\n".join([*lines, ""] if text.endswith("\n") else lines)


def _one_line(text: str, at: int, end: int) -> str:
    """Return a record as one line; "" where it is no JSON object or list."""
    parts: list[str] = []
    names: list[str] = []
    try:
        for event in events(text, at, end):
            if event.kind == "end":
                names.pop()
            elif event.kind == "value" and event.text:
                value = " ".join(event.text.split())
                parts.append(f"{_path([*names[-_NAMES_SHOWN:], event.key or ''])}: {value}" if event.key else value)
            elif event.kind != "value":
                names.append(event.key or "")
    except NotJson:
        return ""
    line = _MEMBERS_IN_LINE.join(parts)
    return line if len(line) <= _LONGER_AT_MOST * (end - at) else ""


def _path(names: Iterable[str]) -> str:
    return ".".join(" ".join(name.split())[:_LONGEST_NAME] for name in names if name)


def _markdown(text: str) -> str:
    writer = _Writer(text)
    for event in events(text):
        writer.take(event)
    return writer.root.markdown()


class _Section:
    """An object or list under its heading. name: None for the one at the top."""

    def __init__(self, level: int, name: str | None, *, is_list: bool) -> None:
        self.level, self.name, self.is_list = level, name, is_list
        self.lines: list[str] = []
        self.sections: list[str] = []  # below it, as Markdown

    def markdown(self) -> str:
        heading = [] if self.name is None else [f"{'#' * self.level} {_path([self.name]) or '-'}"]
        own = ["\n".join(self.lines)] if self.lines else []
        return "\n\n".join([*heading, *own, *self.sections])


class _Writer:
    """The Markdown so far. Open containers are sections, then, inside of the innermost, parts of a path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sections: list[_Section] = []
        self._names: list[str] = []  # of the open containers that are no sections
        self._counts: list[int] = []  # of each of them, how many items it has so far; -1 for an object
        self._bullet = True  # the next line begins an item
        self._room = _LONGER_AT_MOST * len(text) + 1000
        self.root = _Section(0, None, is_list=False)

    def take(self, event: Event) -> None:
        if event.kind == "end":
            self._end()
        elif event.kind == "value":
            if event.text:
                self._value(event.key, event.text)
        elif self._is_section(event):
            self._begin(event)
        else:
            if not self._names and self._sections[-1].is_list:
                self._bullet = True
            self._names.append(self._name(event.key))
            self._counts.append(0 if event.kind == "list" else -1)

    def _is_section(self, event: Event) -> bool:
        if not self._sections:
            return True
        if self._names or self._sections[-1].is_list or len(self._sections) > _DEEPEST_HEADING:
            return False
        closing, opening = ("}", "{") if event.kind == "object" else ("]", "[")
        end = self._text.find(closing, event.at, event.at + _SMALL)
        return end < 0 or self._text.find(opening, event.at + 1, end) >= 0

    def _begin(self, event: Event) -> None:
        section = _Section(len(self._sections), event.key, is_list=event.kind == "list")
        if not self._sections:
            self.root = section
        self._sections.append(section)

    def _end(self) -> None:
        if self._names:
            self._names.pop()
            self._counts.pop()
            return
        section = self._sections.pop()
        if self._sections:
            self._sections[-1].sections.append(section.markdown())

    def _name(self, key: str | None) -> str:
        """Return the name of a value in its path: its key, or its number in a list that is part of the path."""
        if key is not None:
            return key
        if not self._counts:
            return ""
        self._counts[-1] += 1
        return str(self._counts[-1])

    def _value(self, key: str | None, text: str) -> None:
        if not self._sections:
            self._sections.append(self.root)
        section = self._sections[-1]
        inside = bool(self._names)
        in_item = inside and section.is_list
        # An item of a list inside of an item stands below the first one without the path again.
        again = key is None and inside and self._counts[-1] > 0
        path = _path([*self._names[-_NAMES_SHOWN:], key or ""]) if not again else ""
        if key is None and inside:
            self._counts[-1] += 1
        shown = _indented(text)
        line = f"{path}: {shown}" if path else shown
        bullet = "- " if self._bullet or not in_item else "    "
        self._bullet = not in_item
        self._room -= len(line)
        if self._room < 0:
            raise NotJson(len(self._text))
        section.lines.append(f"{bullet}{line}")


def _indented(text: str) -> str:
    """Return a value with its line ends, its further lines indented so far that none is a heading or a fence."""
    if "\n" not in text:
        return " ".join(text.split(" ")) if "  " not in text else " ".join(text.split())
    return "\n    ".join(line.strip() for line in text.split("\n") if line.strip())

"""A note's lines to the text that people read: what is for the program that shows the note goes, and no line moves.

What goes leaves empty lines, so that line numbers stay the file's own: comments between `%%`, queries and buttons of
plugins, ids of blocks, commands of templates, the imports and exports of MDX. Code stays as it is.
"""

from __future__ import annotations

import re

from knowledge_core.ingestion.formats import word_set
from knowledge_core.ingestion.reading.notes.links import Told, shown_line

QUERY_FENCES = word_set(
    "dataview dataviewjs datacore datacorejs datacorejsx datacorets datacoretsx "
    "meta-bind meta-bind-button meta-bind-embed meta-bind-js-view js-engine folder-overview compressed-json"
)
"""First words of fences whose content is a query, a command or the data of a plugin, in small letters."""
QUERY_FENCES_OF_VAULTS = word_set("tasks query base bases tracker button")
"""The same, where they are ordinary words: they count in a note with front matter or links between notes, not in a README."""

_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}|~{3,})[ \t]*([\w-]*)([^\n]*)\Z")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|\Z)")
_CODE_INDENT = re.compile(r" {4}|\t| {1,3}\t")
_ONE_NAME = r"(?:\*[ \t]+as[ \t]+[\w$]+|[\w$]+|\{[^{}'\"]*\})"
_NAMES = rf"(?:type[ \t]+)?{_ONE_NAME}(?:[ \t]*,[ \t]*{_ONE_NAME})?"
_IMPORT = re.compile(rf"import[ \t]+(?:{_NAMES}[ \t]+from[ \t]+)?(?:'[^'\n]+'|\"[^\"\n]+\")[ \t]*;?[ \t]*(?://.*)?\Z")
_IMPORT_OPEN = re.compile(r"import[ \t]+(?:type[ \t]+)?(?:[\w$]+[ \t]*,[ \t]*)?\{[^}]*\Z")
_EXPORT = re.compile(
    r"export[ \t]+(?:(?:const|let|var)[ \t]+[\w$]+[ \t]*[:=]|(?:default|async|function|class)\b.*[({=]|\{)"
)
_CLOSES_IMPORT = re.compile(r"[^;]*\}[ \t]*from[ \t]*['\"][^'\"]+['\"]")
_MOST_LINES_OF_EXPORT = 200
_ENDS = ("%%", "%>", "#+END_QUERY")  # of what may span lines; where the text has no more of them, nothing is begun


def read_note(text: str, start: int, *, mdx: bool = False) -> tuple[str, Told]:
    """Return a note's text as it is shown, and what it says beside that.

    start: where the front matter ends; what is above stays as it is.
    mdx: it is MDX for certain; then every `export` goes, else only one that is surely code.
    """
    queries = QUERY_FENCES | QUERY_FENCES_OF_VAULTS if start > 0 or "[[" in text else QUERY_FENCES
    reading = _Reading(text[start:].split("\n"), queries, mdx=mdx)
    shown = "\n".join([reading.shown(number) for number in range(len(reading.lines))])
    return text[:start] + shown, reading.told


class _Reading:
    """The state between two lines: what is open, and what was told so far."""

    def __init__(self, lines: list[str], queries: frozenset[str], *, mdx: bool) -> None:
        self.lines, self._queries = lines, queries
        self.told = Told()
        self._mdx = mdx
        self._last = {mark: max((n for n, line in enumerate(lines) if mark in line), default=-1) for mark in _ENDS}
        self._fence = ""
        self._skips = ""  # what ends the lines that are left out: the fence itself, a mark, "" for none
        self._export = 0  # lines of it so far
        self._depth = 0  # its open brackets
        self._blank_before, self._in_list, self._in_code = True, False, False

    def shown(self, number: int) -> str:
        line = self.lines[number]
        if self._fence:
            return self._in_fence(line)
        if self._skips:
            return self._in_skipped(line)
        if self._export:
            return self._in_export(line)
        if not line or line.isspace():
            self._blank_before = True
            return line
        text = self._begun(number, line)
        self._blank_before = text == "" and self._blank_before
        return text

    def _in_fence(self, line: str) -> str:
        rest = line.strip(" \t>")
        dropped = bool(self._skips)
        if len(rest) >= len(self._fence) and rest == self._fence[0] * len(rest):
            self._fence = self._skips = ""
            self._blank_before = True
        return "" if dropped else line

    def _in_skipped(self, line: str) -> str:
        if self._skips == "import":
            self._skips = "" if _CLOSES_IMPORT.match(line) or not line.strip() else self._skips
            return ""
        at = line.upper().find(self._skips)
        if at < 0:
            return ""
        rest = line[at + len(self._skips) :]
        self._skips = ""
        return shown_line(rest, self.told) if rest.strip() else ""

    def _in_export(self, line: str) -> str:
        self._export += 1
        self._depth += sum(map(line.count, "{[(")) - sum(map(line.count, "}])"))
        if (not line.strip() and self._depth <= 0) or self._export > _MOST_LINES_OF_EXPORT:
            self._export = 0
            self._blank_before = True
        return ""

    def _begun(self, number: int, line: str) -> str:
        """Return what is shown of a line outside of all that spans lines, and take in what it begins."""
        if self._is_code(line):
            return line
        fence = _FENCE.match(line)
        if fence and not (fence[1][0] == "`" and "`" in fence[3]):
            self._fence = fence[1]
            self._skips = "fence" if fence[2].lower() in self._queries else ""
            return "" if self._skips else line
        bare = line.strip()
        if self._opens_skipped(number, bare) or (self._blank_before and self._opens_code(line)):
            return ""
        return shown_line(line, self.told)

    def _is_code(self, line: str) -> bool:
        """Say whether a line is indented code: after an empty line or more of it, and not inside a list."""
        indented = _CODE_INDENT.match(line) is not None
        if not indented and (self._blank_before or _LIST_ITEM.match(line)):
            self._in_list = _LIST_ITEM.match(line) is not None
        self._in_code = indented and not self._in_list and (self._blank_before or self._in_code)
        return self._in_code

    def _opens_skipped(self, number: int, bare: str) -> bool:
        if bare.startswith("%%") and bare.count("%%") == 1 and (bare == "%%" or bare[2].isspace()):
            self._skips = "%%" if self._last["%%"] > number else ""
        elif bare.startswith("<%") and not bare.startswith("<%=") and "%>" not in bare:
            self._skips = "%>" if self._last["%>"] > number else ""
        elif bare.upper().startswith("#+BEGIN_QUERY"):
            self._skips = "#+END_QUERY" if self._last["#+END_QUERY"] > number else ""
        return bool(self._skips)

    def _opens_code(self, line: str) -> bool:
        """Say whether a line begins an import or export of MDX, and take in that it goes on below."""
        if _IMPORT.match(line):
            return True
        if _IMPORT_OPEN.match(line):
            self._skips = "import"
            return True
        if _EXPORT.match(line) and (self._mdx or line.startswith("export const ")):
            self._export = self._depth = 0
            self._in_export(line)
            return True
        return False

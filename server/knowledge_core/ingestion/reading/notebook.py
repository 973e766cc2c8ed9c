"""Jupyter notebooks (nbformat 3 and 4) as Markdown: prose as it is, code in fences, and what the code printed.

Pictures, HTML and widgets are left out: their text form is a name of an object. What a cell printed is cut where it is
long, because logs and progress bars would drown the prose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from knowledge_core.ingestion.decoding import clean_text
from knowledge_core.ingestion.front_matter import front_matter
from knowledge_core.ingestion.metadata import from_file
from knowledge_core.ingestion.reading.literal import closed, fenced
from knowledge_core.ingestion.reading.parsed import Parsed, facts
from knowledge_core.ingestion.unreadable import Unreadable
from knowledge_core.types import MetadataValue

_MOST_OUTPUT = 2_000  # characters that a cell printed; the head of a table, or of a log
_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,30}[A-Za-z]|\x1b\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)")
_OBJECT = re.compile(
    r"\s*[\[(]?<(?:Figure size|[\w.]{1,200}(?: object)?(?: at 0x|: \"|\()).{0,300}>[^<>]{0,20}\s*", re.S
)
_PAYLOAD = re.compile(r"data:[\w/+.;-]{0,100};base64,[A-Za-z0-9+/=\s%]{100,}")
_HEADING = re.compile(r"\s*#[ \t]+([^\n]{1,300})|\s*([^\n#>|`*-][^\n]{0,300})\n=+[ \t]*(?:\n|\Z)")
_CELL_MAGIC = re.compile(
    r"%%(bash|sh|javascript|js|html|latex|perl|ruby|sql|R|writefile \S+\.(py|sh|js|r))\b[^\n]{0,500}\n"
)


def read_notebook(text: str, name: str) -> Parsed:
    """Return a notebook as Markdown.

    Raises:
        Unreadable: "damaged" where it is not a notebook's JSON.
    """
    notebook = _notebook(text, name)
    about = _mapping(notebook.get("metadata"))
    language = _language(about)
    blocks = [block for cell in _cells(notebook) for block in _cell(cell, language) if block.strip()]
    body = clean_text("\n\n".join(blocks))
    matter, _ = front_matter(body)
    title = str(about.get("title") or matter.pop("title", None) or about.get("name") or "")
    own: dict[str, MetadataValue] = {"format": "ipynb", **({"language": language} if language else {})}
    authors = [str(each.get("name", "")) for each in _list(about.get("authors")) if isinstance(each, dict)]
    found = {**matter, **facts(author=", ".join(filter(None, authors)), date=about.get("date"), tags=about.get("tags"))}
    return Parsed(body, title.strip() or _leading_heading(blocks), from_file(found, own))


def _notebook(text: str, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("damaged", f"{name} is not a sound notebook (no JSON). Save it anew from Jupyter.") from error
    if not isinstance(found, dict) or not ("cells" in found or "worksheets" in found):
        raise Unreadable("damaged", f"{name} is not a notebook: its JSON has no cells. Save it anew from Jupyter.")
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: object) -> str:
    """Return a text that may be written as a list of lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _language(about: Mapping[str, Any]) -> str:
    for place, field in (("language_info", "name"), ("kernelspec", "language"), ("kernel_info", "language")):
        found = _mapping(about.get(place)).get(field)
        if isinstance(found, str) and re.fullmatch(r"[\w+#.-]{1,30}", found):
            return found.lower()
    return ""


def _cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    sheets = [notebook, *_list(notebook.get("worksheets"))]
    for sheet in sheets:
        yield from (cell for cell in _list(_mapping(sheet).get("cells")) if isinstance(cell, dict))


def _cell(cell: Mapping[str, Any], language: str) -> Iterator[str]:
    source = _string(cell.get("source", cell.get("input")))
    kind = cell.get("cell_type")
    if kind == "markdown":
        yield closed(_PAYLOAD.sub("", source).strip("\n"))
    elif kind == "heading":
        level = cell.get("level")
        yield f"{'#' * (level if isinstance(level, int) and 1 <= level <= 6 else 1)} {' '.join(source.split())}"
    elif kind == "code":
        magic = _CELL_MAGIC.match(source)
        own = cell.get("language")
        yield fenced(source, (magic[2] or magic[1].lower()) if magic else own if isinstance(own, str) else language)
        yield fenced(_printed(_list(cell.get("outputs"))))
    else:
        matter = source.startswith("---") and front_matter(source + "\n")[1]
        yield source if matter else fenced(source)


def _printed(outputs: list[Any]) -> str:
    """Return what a cell printed, within bounds, as a terminal would show it."""
    parts: list[str] = []
    room = _MOST_OUTPUT
    for output in (output for output in outputs if isinstance(output, dict)):
        failed = output.get("output_type") in ("error", "pyerr")  # how it ended is said after the longest log
        text = _output(output).strip("\n")
        if not text.strip() or (room <= 0 and not failed):
            continue
        most = _MOST_OUTPUT if failed else room
        parts.append(text if len(text) <= most else _shortened(text, most))
        room -= len(text)
    return "\n".join(parts)


def _output(output: Mapping[str, Any]) -> str:
    kind = output.get("output_type")
    if kind in ("error", "pyerr"):
        return _shown(f"{_string(output.get('ename'))}: {_string(output.get('evalue'))}".strip(": "))
    if kind == "stream":
        return _shown(_string(output.get("text")))
    data = _mapping(output.get("data", output))
    plain = _string(data.get("text/plain", data.get("text")))
    pictures = any(
        name.startswith(("image/", "application/vnd.jupyter.widget")) or name in ("png", "jpeg", "svg") for name in data
    )
    if pictures or _OBJECT.fullmatch(plain[:1_000]):
        return ""
    return _shown(plain or _string(data.get("text/markdown", data.get("text/latex"))))


def _shown(text: str) -> str:
    """Return a text without colours, and of a line that was written over only what stood there last."""
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines)


def _shortened(text: str, room: int) -> str:
    cut = text.rfind("\n", 0, room)
    return text[: cut if cut > room // 2 else room] + "\n…"


def _leading_heading(blocks: list[str]) -> str:
    found = _HEADING.match(blocks[0]) if blocks else None
    return re.sub(r"[*`]|\s#+$", "", found[1] or found[2]).strip() if found else ""

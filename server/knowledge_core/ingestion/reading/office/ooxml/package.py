"""A package of Office Open XML (ISO/IEC 29500-2): parts in an archive, and the relations between them.

Made for files that are not quite right: names in another case, absolute and relative targets, missing relations, lost
ends. Parts in the namespaces of the strict variant are read as if in the usual ones.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.archive import Archive, parsed_xml
from knowledge_core.ingestion.reading.office.ooxml.salvage import salvaged
from knowledge_core.ingestion.unreadable import Unreadable

_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_USUAL = rb"http://schemas.openxmlformats.org/\1/2006/"
_MOST_VARIANTS = 8
_OFFICE = "http://schemas.openxmlformats.org/"
W = f"{{{_OFFICE}wordprocessingml/2006/main}}"
P = f"{{{_OFFICE}presentationml/2006/main}}"
A = f"{{{_OFFICE}drawingml/2006/main}}"
R = f"{{{_OFFICE}officeDocument/2006/relationships}}"
M = f"{{{_OFFICE}officeDocument/2006/math}}"
MC = f"{{{_OFFICE}markup-compatibility/2006}}"
C = f"{{{_OFFICE}drawingml/2006/chart}}"
DGM = f"{{{_OFFICE}drawingml/2006/diagram}}"
CX = "{http://schemas.microsoft.com/office/drawing/2014/chartex}"


@dataclass(frozen=True)
class Relation:
    """Where a part points.

    kind: the last word of the relation's type: "slide", "footnotes", "image".
    target: the part's name in the archive; "" where it lies outside, or is missing.
    """

    kind: str
    target: str


class Package:
    """The parts of a package by their names.

    Raises:
        Unreadable: as `Archive` does; a damaged archive is first read as far as it goes.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self._data = data
        try:
            self._archive = Archive(data, name)
        except Unreadable as error:
            rest = salvaged(data) if error.reason == "damaged" else b""
            if not rest:
                raise
            self._archive = Archive(rest, name)
        self._relations: dict[str, Mapping[str, Relation]] = {}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """The archive's spelling of each name. The standard compares names without case."""
        return {_key(name): name for name in reversed(self._archive.names)}

    @property
    def names(self) -> list[str]:
        """The names of all parts, in the archive's order."""
        return self._archive.names

    def find(self, name: str) -> str:
        """Return the archive's spelling of a part's name; "" where there is no such part."""
        return self._names.get(_key(name), "")

    def read(self, part: str) -> bytes:
        """Return the bytes of a part; b"" where it is missing or damaged."""
        try:
            return self._archive.read(part) if part else b""
        except Unreadable as error:
            if error.reason != "damaged":
                raise
            return b""

    def xml(self, part: str) -> etree._Element | None:
        """Return the tree of a part; None where it is missing, or nothing of it can be read."""
        data = self.read(part)
        if not data.strip():
            return None
        try:
            return parsed_xml(_STRICT.sub(_USUAL, data), self.name, part)
        except Unreadable:
            return None

    def main(self, root: str, folder: str) -> tuple[str, etree._Element]:
        """Return the name and the tree of the main part.

        root: the tag that it must have.
        folder: where it lies in nearly every package, for those that do not say: "word/".

        Raises:
            Unreadable: there is none.
        """
        wanted = root.rpartition("}")[2]
        likely = re.compile(rf"(?:^|/){wanted}\d*\.xml$", re.IGNORECASE)
        said = [each.target for each in self.relations("").values() if each.kind == "officeDocument"]
        guessed = sorted(filter(likely.search, self.names), key=lambda name: not name.lower().startswith(folder))
        for part in dict.fromkeys([*said, *guessed]):
            tree = self.xml(part)
            if tree is not None and tree.tag == root:
                return part, tree
        if self._archive_was_sound() and (rest := salvaged(self._data)):  # its main part alone is damaged
            self._archive, self._data = Archive(rest, self.name), b""
            self.__dict__.pop("_names", None)
            self._relations.clear()
            return self.main(root, folder)
        raise Unreadable("damaged", f"{self.name} lacks its main part (a {wanted} of XML). Save it anew.")

    def _archive_was_sound(self) -> bool:
        return bool(self._data)

    def relations(self, part: str) -> Mapping[str, Relation]:
        """Return where a part points, by the ids that stand in it. part: "" for the package itself."""
        if part not in self._relations:
            folder, base = posixpath.split(part)
            tree = self.xml(self.find(f"{folder}/_rels/{base}.rels"))
            self._relations[part] = {} if tree is None else dict(self._related(tree, folder))
        return self._relations[part]

    def _related(self, tree: etree._Element, folder: str) -> list[tuple[str, Relation]]:
        found = []
        for each in tree.iter("{*}Relationship"):
            target = unquote(each.get("Target", "")).replace("\\", "/")
            inside = each.get("TargetMode", "").lower() != "external"
            part = self._target(target, folder) if inside and target else ""
            found.append((each.get("Id", ""), Relation(each.get("Type", "").rpartition("/")[2], part)))
        return found

    def _target(self, target: str, folder: str) -> str:
        return self.find(posixpath.normpath(posixpath.join("/", folder, target))) or self.find(target)

    def related(self, part: str, kind: str) -> str:
        """Return the part of a kind that a part points to; else the one that has this kind's usual name; else ""."""
        said = next((each.target for each in self.relations(part).values() if each.kind == kind and each.target), "")
        return said or self.find(f"{posixpath.dirname(part)}/{kind}.xml")


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def integer(text: str | None, otherwise: int = 0) -> int:
    """Return a number of the markup; `otherwise` where it is none, or longer than any that can be meant."""
    try:
        return int(text) if text and len(text) <= 12 else otherwise
    except ValueError:
        return otherwise


def skipped_variant(element: etree._Element) -> bool:
    """Say whether a branch of `mc:AlternateContent` shows what another branch shows too.

    The first choice is read; the fallback only where there is no choice, or an empty one.
    """
    others = islice(element.itersiblings(f"{MC}Choice", preceding=True), _MOST_VARIANTS)
    return any(len(before) for before in others)

"""What an EPUB's package says: where its parts are, in which order they are read, who wrote it, what it names.

Books in the wild name parts that are not there, spell paths in several ways, and lack the file that says where all else
is. So a part is looked for by several spellings, and what is missing costs no other part.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]  # its stubs are a package of their own

from knowledge_core.ingestion.reading.archive import Archive
from knowledge_core.ingestion.unreadable import Unreadable

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_OBFUSCATION = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"})  # of fonts, no DRM
_TEXTS = frozenset({"application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml", "text/xml",
                    "application/xml", "application/html+xml", "image/svg+xml"})  # fmt: skip
_TEXT_NAMES = (".xhtml", ".html", ".htm", ".xht")
_TABLES = frozenset({"toc", "loi", "lot", "index-of-tables"})


@dataclass(frozen=True)
class Item:
    """One part of a book. path: its name in the archive. kind: its media type. properties: as "nav" or "cover-image"."""

    path: str
    kind: str
    properties: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entry:
    """One entry of a table of contents. fragment: "" where it is the whole part. depth: from 1."""

    path: str
    fragment: str
    title: str
    depth: int


class Package:
    """The parts of a book.

    Raises:
        Unreadable: "damaged" where nothing of it is a text.
    """

    def __init__(self, archive: Archive, name: str) -> None:
        self._archive, self._name = archive, name
        self._exact = {_plain(part): part for part in archive.names}
        self._folded = {plain.casefold(): part for plain, part in self._exact.items()}
        self._base = ""
        self.root = self._package()
        self._items = self._manifest()

    def texts(self) -> list[Item]:
        """Return the texts in the order in which they are read: the spine, and at its end what is not in its flow."""
        spine = _first(self.root, "spine") if self.root is not None else None
        first: dict[str, Item] = {}
        last: dict[str, Item] = {}
        for reference in _children(spine, "itemref"):
            item = self._items.get(reference.get("idref", ""))
            if item and item.path in self._archive and _is_text(item):
                (last if reference.get("linear") == "no" else first).setdefault(item.path, item)
        found = [*first.values(), *(item for path, item in last.items() if path not in first)]
        if not found:  # no spine that leads to anything
            found = [item for item in self._items.values() if item.path in self._archive and _is_text(item)]
        if not found:
            found = [Item(part, "text/html") for part in self._archive.names if part.lower().endswith(_TEXT_NAMES)]
        if not found:
            raise Unreadable("damaged", f"{self._name} is a book without a text. Open it elsewhere and save it anew.")
        return found

    def encrypted(self, items: list[Item]) -> bool:
        """Say whether a text among the items is encrypted. Fonts often are, and nobody needs them to read."""
        tree = self._archive.xml(_ENCRYPTION) if _ENCRYPTION in self._archive else None
        locked: set[str] = set()
        for data in _below(tree, "EncryptedData"):
            method = _first(data, "EncryptionMethod")
            if method is None or method.get("Algorithm", "") not in _OBFUSCATION:
                addresses = (each.get("URI", "") for each in _below(data, "CipherReference"))
                locked.update(path for address in addresses if (path := self._found(address, "")))
        return any(item.path in locked for item in items)

    def repeated(self) -> dict[str, str]:
        """Return the parts that the package itself calls a cover or a table of contents, and which of both."""
        found = {item.path: "toc" for item in self._items.values() if "nav" in item.properties}
        for reference in _below(self.root, "reference"):
            kind, (path, fragment) = (
                reference.get("type", "").lower(),
                self._split(reference.get("href", ""), self._base),
            )
            if path and not fragment and (kind == "cover" or kind in _TABLES):
                found.setdefault(path, "cover" if kind == "cover" else "toc")
        return found

    def contents(self) -> list[Entry]:
        """Return the entries of the table of contents: of the navigation document, else of the NCX."""
        nav = next(
            (item for item in self._items.values() if "nav" in item.properties and item.path in self._archive), None
        )
        tree = self._archive.xml(nav.path) if nav else None
        entries = list(self._of_navigation(tree, posixpath.dirname(nav.path))) if nav and tree is not None else []
        if entries:
            return entries
        ncx = next((item for item in self._items.values() if item.kind == "application/x-dtbncx+xml"), None)
        tree = self._archive.xml(ncx.path) if ncx and ncx.path in self._archive else None
        return list(self._of_ncx(tree, posixpath.dirname(ncx.path))) if ncx and tree is not None else []

    def _of_navigation(self, tree: etree._Element, base: str) -> Iterator[Entry]:
        for nav in _below(tree, "nav"):
            kinds = next((value for key, value in nav.attrib.items() if key.endswith("}type")), nav.get("role", ""))
            if "toc" not in str(kinds):
                continue
            depth = 0
            for event, element in etree.iterwalk(nav, events=("start", "end")):
                if _name(element) == "ol":
                    depth += 1 if event == "start" else -1
                elif _name(element) == "a" and event == "start":
                    path, fragment = self._split(element.get("href", ""), base)
                    yield Entry(path, fragment, " ".join("".join(element.itertext()).split()), max(1, depth))
            return

    def _of_ncx(self, tree: etree._Element, base: str) -> Iterator[Entry]:
        depth = 0
        for event, element in etree.iterwalk(tree, events=("start", "end")):
            if _name(element) != "navPoint":
                continue
            depth += 1 if event == "start" else -1
            if event == "start":
                content = next(_children(element, "content"), None)
                label = next(_children(element, "navLabel"), None)
                if content is not None and label is not None:
                    path, fragment = self._split(content.get("src", ""), base)
                    yield Entry(path, fragment, " ".join("".join(label.itertext()).split()), depth)

    def _package(self) -> etree._Element | None:
        """Return the tree of the package document: where the container says, else the first that is in the archive."""
        container = self._archive.xml(_CONTAINER) if _CONTAINER in self._archive else None
        said = [each.get("full-path", "") for each in _below(container, "rootfile")]
        named = [path for each in said if (path := self._found(each, ""))]
        others = sorted((part for part in self._archive.names if part.lower().endswith(".opf")), key=len)
        for path in dict.fromkeys([*named, *others]):
            tree = self._archive.xml(path)
            if tree is not None and _first(tree, "manifest") is not None:
                self._base = posixpath.dirname(_plain(path))
                return tree
        return None

    def _manifest(self) -> dict[str, Item]:
        items: dict[str, Item] = {}
        for each in _below(self.root, "item"):
            path, _ = self._split(each.get("href", ""), self._base)
            properties = frozenset(each.get("properties", "").split())
            if path:
                items.setdefault(each.get("id") or path, Item(path, each.get("media-type", "").lower(), properties))
        return items

    def _split(self, address: str, base: str) -> tuple[str, str]:
        """Return the part that an address leads to, "" where to none, and the place in it."""
        address, _, fragment = address.strip().partition("#")
        return self._found(address, base) if address else "", unquote(fragment)

    def _found(self, address: str, base: str) -> str:
        """Return the name in the archive of what an address leads to, by any of its usual spellings."""
        for spelled in (unquote(address), address):
            plain = _plain(posixpath.normpath(posixpath.join(base, spelled.replace("\\", "/"))))
            if found := self._exact.get(plain) or self._folded.get(plain.casefold()):
                return found
        return ""


def _plain(part: str) -> str:
    return part.replace("\\", "/").lstrip("/")


def _is_text(item: Item) -> bool:
    return item.kind in _TEXTS or item.path.lower().endswith(_TEXT_NAMES)


def _name(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""


def _below(tree: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """Yield the elements of this name, in whatever namespace: wrong ones are usual."""
    return iter(()) if tree is None else tree.iter(f"{{*}}{name}")


def _children(tree: etree._Element | None, name: str) -> Iterator[etree._Element]:
    return iter(()) if tree is None else tree.iterchildren(f"{{*}}{name}")


def _first(tree: etree._Element, name: str) -> etree._Element | None:
    return next(_below(tree, name), None)

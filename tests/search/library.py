"""Small real collections, cut into one chunk a paragraph, under the hash embedder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hash_embedder import HashEmbedder
from knowledge_core.contract import text_digest
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.storage.catalogue import create_collection
from knowledge_core.storage.collection import Change, Collection, NewDocument
from knowledge_core.types import Chunk, Document, Lines, Span, Task
from knowledge_core.verbs.search import Searched, SearchRequest, SearchResponse, search


def paragraphs(document: Document) -> list[Chunk]:
    """Cut at empty lines: every paragraph is a chunk."""
    chunks, start = [], 0
    for part in document.text.split("\n\n"):
        line = document.text.count("\n", 0, start) + 1
        lines = Lines(line, line + part.count("\n"))
        chunks.append(Chunk(len(chunks), part, Span(start, start + len(part)), lines))
        start += len(part) + 2
    return chunks


class Library:
    """Open collections by name, all in one folder, and a way to ask them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.collections: dict[str, Collection] = {}
        self.embedders: dict[str, Embedder] = {}

    def make(self, name: str = "notes", embedder: Embedder | None = None) -> None:
        self.embedders[name] = embedder or HashEmbedder()
        self.collections[name] = create_collection(self._folder / name, name, self.embedders[name].contract)

    def put(self, documents: Sequence[Document | NewDocument], name: str = "notes") -> None:
        if name not in self.collections:
            self.make(name)
        new = [
            each
            if isinstance(each, NewDocument)
            else NewDocument(each, paragraphs(each), digest=text_digest(each.text))
            for each in documents
        ]
        embedder = self.embedders[name]
        pairs = [(chunk.text, chunk.title(each.document.title)) for each in new for chunk in each.chunks]
        digests = [embedder.contract.digest(text, title) for text, title in pairs]
        rows = embedder.embed([text for text, _ in pairs], Task.DOCUMENT, [title for _, title in pairs])
        missing = self.collections[name].missing(digests)
        vectors = {digest: row for digest, row in zip(digests, rows, strict=True) if digest in missing}
        self.collections[name].write(Change(add=new, vectors=vectors))

    def ask(self, request: SearchRequest, names: Sequence[str] | None = None) -> SearchResponse:
        with ExitStack() as stack:
            over = [
                Searched(name, stack.enter_context(self.collections[name].view()), self.embedders[name])
                for name in names or sorted(self.collections)
            ]
            return search(over, request)

    def close(self) -> None:
        for collection in self.collections.values():
            collection.close()

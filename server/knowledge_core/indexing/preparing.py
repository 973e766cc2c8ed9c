"""Documents made ready to be embedded: read, compared by identity and content, cut, and gathered into windows.

It runs while the window before is embedded. So it writes nothing, and compares with the published view, for which it need
not wait until a write is done. Documents that this view does not show yet are others: a job takes each document once.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import PathNotAllowed, quoted
from knowledge_core.indexing.pictures import picture_pages
from knowledge_core.indexing.windows import Counting, Texts, chunk_tokens, texts_of
from knowledge_core.ingestion import formats
from knowledge_core.ingestion.cutting.chunking import CHUNKER_VERSION, chunk
from knowledge_core.ingestion.parsing import parse_in
from knowledge_core.ingestion.readers import READER_VERSION, Unreadable, read_file
from knowledge_core.ingestion.walking.walker import FoundFile, allowed
from knowledge_core.ingestion.workers.pool import Workers
from knowledge_core.storage.collection import Collection, NewDocument, PlanRow
from knowledge_core.types import Chunk, Document, content_digest

NO_KIND = "binary without suffix"  # the kind of a file whose name says none


@dataclass(frozen=True)
class Failure:
    """One document that could not be indexed, and why.

    document: its id.
    reason: one stable word or two, for counting.
    message: for the caller.
    """

    document: str
    reason: str
    message: str


@dataclass(frozen=True)
class NotRead:
    """A file of a walked folder whose content is no text. kind: as of `formats.kind`, or `NO_KIND`."""

    document: str
    kind: str


@dataclass(frozen=True)
class Unwanted:
    """A file that is left out for its content. reason: "secret" or "generated".

    message: for the caller who named it; None where it was found in a folder.
    """

    document: str
    reason: str
    message: str | None


@dataclass
class Window:
    """Documents that will be written together.

    documents: new or changed ones, cut.
    unchanged: ids of those whose content is as it was.
    touched: id -> (size, mtime_ns), for unchanged ones whose file has another time or size.
    digests: id -> digest, for unchanged ones that another version had read and cut.
    failed, unread, unwanted: those that are not indexed.
    removed: ids of unwanted ones that an earlier call indexed.
    texts: of all chunks, as of `texts_of`.
    lengths: tokens of these texts without their titles, by digest, as far as they were counted.
    chunks: how many.
    """

    documents: list[NewDocument] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    touched: dict[str, tuple[int, int]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    unread: list[NotRead] = field(default_factory=list)
    unwanted: list[Unwanted] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    texts: Texts = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    chunks: int = 0

    @property
    def finished(self) -> int:
        """Return how many rows of the plan this window settles."""
        return len(self.documents) + len(self.unchanged) + len(self.failed) + len(self.unread) + len(self.unwanted)

    @property
    def pictures(self) -> list[str]:
        """Return what `picture_pages` says of the documents that have some."""
        return [said for new in self.documents if (said := picture_pages(new.document))]


@dataclass(frozen=True)
class _Unchanged:
    """A document whose content is as it was.

    stat: (size, mtime_ns) of its file now; None where no file holds it. digest: the one to record; None where it is there.
    """

    document: str
    stat: tuple[int, int] | None
    digest: str | None = None


_Prepared = NewDocument | Failure | NotRead | Unwanted | _Unchanged


class Preparation:
    """How the documents of one job are read and cut.

    job: its id.
    roots: folders that may be read now.
    chunk_size: tokens, title included, as configured.
    file_limit: bytes that a file may have.
    named: paths of files that the caller named.
    secrets: paths of files that a person allowed to index though they are secrets.
    generated: files that programs made for programs are wanted, too.
    workers: parse the formats that are parsed in processes of their own; None: everything is parsed here.
    size: tokens that a chunk may have, title included.
    """

    def __init__(
        self,
        collection: Collection,
        embedder: Embedder,
        *,
        job: str,
        roots: Sequence[Path],
        chunk_size: int,
        file_limit: int,
        named: Container[str] = (),
        secrets: Container[str] = (),
        generated: bool = False,
        workers: Workers | None = None,
    ) -> None:
        self._generated, self._workers = generated, workers
        self._collection, self._embedder, self._job = collection, embedder, job
        self._roots, self._file_limit, self._named, self._secrets = roots, file_limit, named, secrets
        self._version = content_version(chunk_size)
        self._stopped = threading.Event()
        self._count_tokens = Counting(embedder.count_tokens)
        self.size = chunk_tokens(embedder.static_contract, chunk_size)

    def stop(self) -> None:
        """End `windows` at the present document."""
        self._stopped.set()

    def windows(self, rows: Sequence[PlanRow], room: Callable[[], int]) -> Iterator[Window]:
        """Yield the rows' documents in their order, in windows of at least `room()` chunks; the last one may have fewer.

        room: called again after each document, as the pace becomes known.
        """
        window = Window()
        taken: set[str] = set()
        for row in rows:
            if self._stopped.is_set():
                return
            self._take(window, _twice(row.document) if row.document in taken else self._prepared(row))
            taken.add(row.document)
            if window.chunks >= room():
                yield window
                window = Window()
        if window.finished:
            yield window

    def _take(self, window: Window, prepared: _Prepared) -> None:
        if isinstance(prepared, NewDocument):
            window.documents.append(prepared)
            window.chunks += len(prepared.chunks)
            texts = texts_of(self._embedder.static_contract, prepared.document, prepared.chunks)
            window.texts |= texts
            window.lengths |= self._count_tokens.taken(texts)
        elif isinstance(prepared, Failure):
            window.failed.append(prepared)
        elif isinstance(prepared, NotRead):
            window.unread.append(prepared)
        elif isinstance(prepared, Unwanted):
            if prepared.message is None:
                window.unwanted.append(prepared)
            else:
                window.failed.append(Failure(prepared.document, prepared.reason, prepared.message))
            if self._collection.stored_state(prepared.document) is not None:
                window.removed.append(prepared.document)
        else:
            window.unchanged.append(prepared.document)
            if prepared.stat is not None:
                window.touched[prepared.document] = prepared.stat
            if prepared.digest is not None:
                window.digests[prepared.document] = prepared.digest

    def _prepared(self, row: PlanRow) -> _Prepared:
        """Read, compare and cut one document."""
        if row.path is None:
            inline = self._collection.inline(self._job, row.document)
            if inline is None:  # a newer call brought this document meanwhile, and its text counts
                return _Unchanged(row.document, None)
            return self._chunked(document_from_json(inline), None)
        try:
            path = allowed(Path(row.path), self._roots)
            about = os.stat(path)
            document = read_file(
                path, document_id=row.document, limit=self._file_limit, roots=self._roots,
                secrets=str(path) in self._secrets, generated=self._generated or str(path) in self._named,
                parse=parse_in(self._workers, again=str(path) in self._named, stopped=self._stopped.is_set),
            )  # fmt: skip
        except PathNotAllowed as error:
            return Failure(row.document, "not allowed", str(error))
        except OSError:
            return Failure(row.document, "gone", "The file is gone, or cannot be read any more.")
        except Unreadable as error:
            return self._refused(row.document, path, error)
        return self._chunked(document, FoundFile(path, row.document, about.st_size, about.st_mtime_ns))

    def _refused(self, id: str, path: Path, error: Unreadable) -> Failure | NotRead | Unwanted:
        """Return a failure if the file was named, was indexed before, or should be text by its name; else "not read"."""
        if error.reason in ("secret", "generated"):
            return Unwanted(id, error.reason, str(error) if str(path) in self._named else None)
        meant = str(path) in self._named or formats.known(path) or self._collection.stored_state(id) is not None
        if error.reason != "binary" or meant:
            return Failure(id, error.reason, str(error))
        return NotRead(id, formats.kind(path) or NO_KIND)

    def _chunked(self, document: Document, found: FoundFile | None) -> NewDocument | Failure | _Unchanged:
        content = content_digest(document)
        digest = self._version + content
        stored = self._collection.stored_state(document.id)
        # The id of a file's document begins with the name of its source, in which there is no slash.
        source = document.id.partition("/")[0] if found else None
        if stored is not None and stored.source != source:
            whose = (
                f"the folder source {quoted(stored.source, 200)}" if stored.source else "a document given by its text"
            )
            return Failure(
                document.id,
                "id taken",
                f"The id {quoted(document.id)} belongs to {whose}; choose another, or delete it.",
            )
        if stored is not None and stored.digest == digest and self._is_sound(document.id):
            return _Unchanged(document.id, (found.size, found.mtime_ns) if found else None)
        chunks = chunk(document, self._count_tokens, size=self.size)
        if not chunks:
            return Failure(document.id, "empty", "It holds no text.")
        if stored is not None and stored.digest.endswith(":" + content) and self._is_same(document, chunks):
            return _Unchanged(document.id, (found.size, found.mtime_ns) if found else None, digest)
        if found is None:
            return NewDocument(document, chunks, digest)
        return NewDocument(document, chunks, digest, source, str(found.path), found.size, found.mtime_ns)

    def _is_same(self, document: Document, chunks: Sequence[Chunk]) -> bool:
        """Return whether another version, which read the same document, cut it into the same chunks, and its text is sound."""
        with self._collection.view() as view:
            former, stored = view.document(document.id), view.chunks_of_document(document.id)
        cuts = [(each.span, each.heading, each.page) for each in chunks]
        same = [(each.span, each.heading, each.page) for each in stored] == cuts
        was = former.document
        return same and former.is_sound and (was.pages, was.lines_of_file) == (document.pages, document.lines_of_file)

    def _is_sound(self, id: str) -> bool:
        """Return whether the stored text still has its digest: one that was damaged is stored again."""
        with self._collection.view() as view:
            return view.document(id).is_sound


def _twice(id: str) -> Failure:
    return Failure(
        id, "twice", f"The id {quoted(id)} comes twice in this call, as a text and as a file; the first one counts."
    )


def content_version(chunk_size: int) -> str:
    """Return what a document's digest begins with; it changes when the same file would be read or cut differently."""
    return f"{reading_version()}{chunk_size}:"


def reading_version() -> str:
    """Return what the digests of all documents begin with that this version of the program read and cut."""
    return f"{READER_VERSION}.{CHUNKER_VERSION}."


def document_as_json(document: Document) -> str:
    """Return a document that was given by its text, as a plan keeps it until it is settled."""
    return json.dumps(
        {
            "id": document.id,
            "text": document.text,
            "title": document.title,
            "uri": document.uri,
            "metadata": dict(document.metadata),
            "media_type": document.media_type,
        }
    )


def document_from_json(text: str) -> Document:
    """Return what `document_as_json` wrote."""
    return Document(**json.loads(text))

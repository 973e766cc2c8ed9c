"""Documents made ready to be embedded: read, compared by identity and content, cut, and gathered into windows.

It runs while the window before is embedded. So it writes nothing, and compares with the published view, for which it need
not wait until a write is done. Documents that this view does not show yet are others: a job takes each document once.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import PathNotAllowed, quoted
from knowledge_core.indexing.asked_out import covered_tags, says_no
from knowledge_core.indexing.known_texts import KnownTexts
from knowledge_core.indexing.pictures import picture_pages
from knowledge_core.indexing.windows import Counting, Texts, chunk_tokens, texts_of
from knowledge_core.ingestion import formats
from knowledge_core.ingestion.cutting.chunking import CHUNKER_VERSION, chunk
from knowledge_core.ingestion.parsing import parse_in
from knowledge_core.ingestion.readers import READER_VERSION, Unreadable, read_file
from knowledge_core.ingestion.walking.walker import allowed, ctime_ns
from knowledge_core.ingestion.workers.pool import Workers
from knowledge_core.storage.collection import Collection, FileState, NewDocument, PlanRow, Stat
from knowledge_core.types import Chunk, Document, content_digest

NO_KIND = "binary without suffix"  # the kind of a file whose name says none
READINGS = 3  # of a file that changes while it is read


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
    """A file that is left out for its content. reason: "secret", "generated", "deleted" or "asks to be left out".

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
    touched: id -> what its file is like now, for unchanged ones.
    digests: id -> digest, for unchanged ones that another version had read and cut.
    failed, unread, unwanted: those that are not indexed.
    removed: ids of those among them that an earlier call indexed, and that go.
    unreadable: id -> why its file cannot be read for now, of those that an earlier call indexed, and that stay.
    texts: of all chunks, as of `texts_of`.
    lengths: tokens of these texts without their titles, by digest, as far as they were counted.
    chunks: how many.
    """

    documents: list[NewDocument] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    touched: dict[str, Stat] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    unread: list[NotRead] = field(default_factory=list)
    unwanted: list[Unwanted] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    texts: Texts = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    chunks: int = 0

    @property
    def finished(self) -> int:
        """Return how many rows of the plan this window settles."""
        return len(self.documents) + len(self.unchanged) + len(self.failed) + len(self.unread) + len(self.unwanted)

    @property
    def settled(self) -> list[str]:
        """Return the ids of the documents that are done once this window is written."""
        ids = [*(new.document.id for new in self.documents), *(each.document for each in self.unwanted)]
        return [*ids, *self.unchanged, *self.moved]

    @property
    def moved(self) -> list[str]:
        """Return the ids that documents had before their files were moved."""
        return [new.moved_from for new in self.documents if new.moved_from is not None]

    @property
    def pictures(self) -> list[str]:
        """Return what `picture_pages` says of the documents that have some."""
        return [said for new in self.documents if (said := picture_pages(new.document))]


@dataclass(frozen=True)
class _Unchanged:
    """A document whose content is as it was.

    stat: what its file is like now; None where no file holds it. digest: the one to record; None where it is there.
    """

    document: str
    stat: Stat | None
    digest: str | None = None


_Prepared = NewDocument | Failure | NotRead | Unwanted | _Unchanged

KEEPING = ("id taken", "twice")  # reasons of failures that say nothing of the document that has the id
FOR_NOW = ("unreadable", "changing", "not allowed", "gone")
"""Reasons of failures that say nothing of what a file holds now: what was indexed of it stays, and is marked."""


@dataclass(frozen=True)
class Reading:
    """What files are read, and how they are cut.

    roots: folders that may be read now.
    chunk_size: tokens, title included, as configured.
    file_limit: bytes that a file may have.
    named: paths of files that the caller named.
    secrets: paths of files that a person allowed to index though they are secrets.
    generated: files that programs made for programs are wanted, too.
    exclude_tags: notes that have one of these are left out.
    workers: parse the formats that are parsed in processes of their own; None: everything is parsed here.
    """

    roots: Sequence[Path]
    chunk_size: int
    file_limit: int
    named: Container[str] = ()
    secrets: Container[str] = ()
    generated: bool = False
    exclude_tags: Sequence[str] = ()
    workers: Workers | None = None


class Preparation:
    """How the documents of one job are read and cut.

    job: its id.
    vanished: ids of documents whose files are gone: one of them with a new file's text is that file, moved.
    size: tokens that a chunk may have, title included.
    """

    def __init__(
        self, collection: Collection, embedder: Embedder, reading: Reading, *, job: str, vanished: Sequence[str] = ()
    ) -> None:
        self._collection, self._embedder, self._reading, self._job = collection, embedder, reading, job
        self._tags = {tag.strip().lstrip("#").casefold() for tag in reading.exclude_tags}
        self._known = KnownTexts(collection, vanished)
        self._version = content_version(reading.chunk_size)
        self._stopped = threading.Event()
        self._count_tokens = Counting(embedder.count_tokens)
        self.size = chunk_tokens(embedder.static_contract, reading.chunk_size)

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
            under = prepared.document.title if prepared.embedded_title is None else prepared.embedded_title
            texts = texts_of(self._embedder.static_contract, under, prepared.chunks)
            window.texts |= texts
            window.lengths |= self._count_tokens.taken(texts)
        elif isinstance(prepared, Failure):
            window.failed.append(prepared)
            if prepared.reason not in KEEPING and self._is_of_file(prepared.document):
                if prepared.reason in FOR_NOW:
                    window.unreadable[prepared.document] = prepared.message
                else:
                    window.removed.append(prepared.document)
        elif isinstance(prepared, NotRead):
            window.unread.append(prepared)
        elif isinstance(prepared, Unwanted):
            if prepared.message is None:
                window.unwanted.append(prepared)
            else:
                window.failed.append(Failure(prepared.document, prepared.reason, prepared.message))
            if self._is_of_file(prepared.document):
                window.removed.append(prepared.document)
        else:
            window.unchanged.append(prepared.document)
            if prepared.stat is not None:
                window.touched[prepared.document] = prepared.stat
            if prepared.digest is not None:
                window.digests[prepared.document] = prepared.digest

    def _is_of_file(self, id: str) -> bool:
        stored = self._collection.stored_state(id)
        return stored is not None and stored.path is not None

    def _prepared(self, row: PlanRow) -> _Prepared:
        """Read, compare and cut one document."""
        if row.path is None:
            inline = self._collection.inline(self._job, row.document)
            if inline is None:  # a newer call brought this document meanwhile, and its text counts
                return _Unchanged(row.document, None)
            return self._chunked(document_from_json(inline), None, None)
        for _ in range(READINGS):
            try:
                path = allowed(Path(row.path), self._reading.roots)
                before = stat_of(path)
                document: Document | Unreadable = self._read(path, row.document)
            except PathNotAllowed as error:
                return Failure(row.document, "not allowed", str(error))
            except Unreadable as error:
                document = error
            except OSError:
                return Failure(row.document, "gone", "The file is gone, or cannot be read any more.")
            if _is_now(path, before):
                break
        else:
            return Failure(
                row.document, "changing", "It changed while it was read. The next index call reads it again."
            )
        if isinstance(document, Unreadable):
            return self._refused(row.document, path, document)
        return self._chunked(document, path, before)

    def _read(self, path: Path, id: str) -> Document:
        reading = self._reading
        named = str(path) in reading.named
        return read_file(
            path, document_id=id, limit=reading.file_limit, roots=reading.roots, secrets=str(path) in reading.secrets,
            generated=reading.generated or named,
            parse=parse_in(reading.workers, again=named, stopped=self._stopped.is_set),
        )  # fmt: skip

    def _refused(self, id: str, path: Path, error: Unreadable) -> Failure | NotRead | Unwanted:
        """Return a failure if the file was named, was indexed before, or should be text by its name; else "not read"."""
        if error.reason in ("secret", "generated"):
            return Unwanted(id, error.reason, str(error) if str(path) in self._reading.named else None)
        meant = str(path) in self._reading.named or formats.known(path) or self._collection.stored_state(id) is not None
        if error.reason != "binary" or meant:
            return Failure(id, error.reason, str(error))
        return NotRead(id, formats.kind(path) or NO_KIND)

    def _chunked(self, document: Document, path: Path | None, stat: Stat | None) -> _Prepared:
        content = content_digest(document)
        digest = self._version + content
        stored = self._collection.stored_state(document.id)
        # The id of a file's document begins with the name of its source, in which there is no slash.
        source = document.id.partition("/")[0] if path else None
        if stored is not None and stored.source != source:
            return _taken(document.id, stored)
        if path is not None and (unwanted := self._unwanted(document, str(path))):
            return unwanted
        if stored is not None and stored.digest == digest and self._is_sound(document.id):
            return _Unchanged(document.id, stat)
        former = self._known.former(document, str(path), stat.size, stored) if stat else None
        under = document.title if former is None else former.title
        chunks = chunk(replace(document, title=under), self._count_tokens, size=self.size)
        if not chunks:
            return Failure(document.id, "empty", "It holds no text.")
        if stored is not None and stored.digest.endswith(":" + content) and self._is_same(document, chunks):
            return _Unchanged(document.id, stat, digest)
        if stat is None:
            return NewDocument(document, chunks, digest)
        return NewDocument(
            document, chunks, digest, source, str(path), stat.size, stat.mtime_ns, stat.ctime_ns,
            moved_from=former.moved_from if former else None, embedded_title=under,
        )  # fmt: skip

    def _unwanted(self, document: Document, path: str) -> Unwanted | None:
        """Return why a document is left out for what it says of itself, or because it was deleted; None where it is wanted."""
        named, id, metadata = path in self._reading.named, document.id, document.metadata
        if says_no(metadata.get("index")):
            said = f"{id} says `index: false` in its front matter."
            return Unwanted(id, "asks to be left out", said if named else None)
        tags = metadata.get("tags")
        chosen = covered_tags(tags, self._tags) if isinstance(tags, list) and self._tags else []
        if chosen:
            said = f"{id} has the tag {min(chosen)!r}, which `indexing.exclude_tags` of the configuration leaves out."
            return Unwanted(id, "asks to be left out", said if named else None)
        if self._known.is_kept_out(document):
            said = f"{id} holds the text of a document that was deleted here; `kcore index --restore` brings it back."
            return Unwanted(id, "deleted", said if named else None)
        return None

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


def stat_of(path: Path) -> Stat:
    """Return what a file is like now.

    Raises:
        OSError: it is gone, or the system refuses.
    """
    about = os.stat(path)
    return Stat(about.st_size, about.st_mtime_ns, ctime_ns(about))


def _is_now(path: Path, before: Stat) -> bool:
    try:
        return stat_of(path) == before
    except OSError:
        return False


def _taken(id: str, stored: FileState) -> Failure:
    whose = f"the folder source {quoted(stored.source, 200)}" if stored.source else "a document given by its text"
    return Failure(id, "id taken", f"The id {quoted(id)} belongs to {whose}; choose another, or delete it.")


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

"""What the record holds and gives back, as values. No behaviour, no SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from knowledge_core.types import Chunk, Document, JobState, Lines, Metadata, Span, content_digest

Keys = npt.NDArray[np.int64]

MARKED = "damaged:"
"""What the digest of a document begins with that is to be read again, whatever its source looks like."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Patterns:
    """Which files below a folder a person wants, as patterns of .gitignore relative to that folder.

    base: the folder's path below its source, with a slash at its end; "" for the source's own folder.
    include: only files that match one of these; empty for all. exclude: no files that match one of these.
    """

    base: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A folder that was indexed.

    name: what the ids of its documents begin with, before a slash.
    patterns: a person's, which hold for every later call; at most one per base, in the order of the bases.
    by_person: a person named it, not an agent.
    watch: its changes are indexed by themselves while an owner runs.
    whole: the folder was named; else single files in it were, and nothing else of it is wanted.
    mounts: paths below it, each with a slash at its end, on which another file system lay when it was last walked.
    """

    name: str
    path: str
    patterns: tuple[Patterns, ...] = ()
    by_person: bool = True
    watch: bool = True
    whole: bool = True
    mounts: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptOut:
    """A document of a file that was deleted here and is not to come back by itself.

    id: that it had. path: of its file. text_digest: SHA-256 (hex) of its text. deleted_at: ISO 8601, UTC.
    """

    id: str
    path: str
    text_digest: str
    deleted_at: str


@dataclass(frozen=True)
class FileState:
    """What the record remembers of a document, to see whether it changed.

    digest: of its content and of the version that cut it.
    source: name of the folder's source; None for a document that was given by its text.
    path: of the file; None for a document that was given by its text.
    size: bytes of the file.
    mtime_ns: when the file was last changed, nanoseconds since 1970.
    ctime_ns: when the file or what is known of it was last changed; 0 where that was not recorded, or is not told.
    unreadable: why the file could not be read when it was last looked at; "" where it could.
    """

    digest: str
    source: str | None
    path: str | None
    size: int
    mtime_ns: int
    ctime_ns: int = 0
    unreadable: str = ""


@dataclass(frozen=True)
class Stat:
    """What tells a file that changed from one that did not: `size`, `mtime_ns` and `ctime_ns` as in `FileState`."""

    size: int
    mtime_ns: int
    ctime_ns: int = 0


@dataclass(frozen=True)
class NewDocument:
    """A document to write, cut into chunks. digest, source, path, size, mtime_ns, ctime_ns: as in `FileState`.

    moved_from: id that the same document had before its file was moved; it goes in the same transaction, and the document
        keeps its number and the time at which it was indexed.
    embedded_title: the title under which its chunks are embedded, where that is not the document's: a file that was
        renamed may be called otherwise now, and its vectors stay.
    """

    document: Document
    chunks: Sequence[Chunk]
    digest: str
    source: str | None = None
    path: str | None = None
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    moved_from: str | None = None
    embedded_title: str | None = None


@dataclass(frozen=True)
class Change:
    """One transaction: all of it, or nothing.

    Plan rows that *older* jobs still have for the documents in `done` and `failed` are closed, too: the newest request wins.

    add: documents to write; one whose id is there is replaced.
    vectors: digest of the embedded text -> (dim,) float32, norm 1; only for texts that the record lacks.
    remove: ids of documents.
    keep_out: those of `remove` that a person or an agent deleted: their files are passed over until they are asked back.
    touched: id -> its file's, for files whose time moved and whose content did not; they can be read again.
    unreadable: id -> why its file cannot be read for now; the document stays as it is, and says so.
    digests: id -> digest, for documents that another version read and cut the same.
    job: id of the job whose plan this advances; None: no job's.
    done: ids finished by it.
    failed: id -> reason.
    report: the job's report so far, JSON.
    """

    add: Sequence[NewDocument] = ()
    vectors: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    remove: Sequence[str] = ()
    keep_out: Sequence[str] = ()
    touched: Mapping[str, Stat] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    job: str | None = None
    done: Sequence[str] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    report: str | None = None


@dataclass(frozen=True)
class Found:
    """What was found while a job was planned, and is recorded with its plan.

    sources: folders, new or changed. let_in: ids of deleted documents that are asked back.
    covered: id prefixes; waiting rows of older, interrupted jobs under them are dropped, as this plan covers them.
    unreadable: as in `Change`.
    """

    sources: Sequence[Source] = ()
    let_in: Sequence[str] = ()
    covered: Sequence[str] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanRow:
    """One document that a job has to settle.

    document: its id.
    action: whether it is to be indexed or removed.
    path: of the file; None for a document that was given by its text, and for a removal.
    inline: the document itself as JSON, where no file holds it.
    state: how far the job is with it.
    reason: why it failed.
    """

    document: str
    action: Literal["add", "remove"]
    path: str | None = None
    inline: str | None = None
    state: Literal["waiting", "done", "failed"] = "waiting"
    reason: str = ""


@dataclass(frozen=True)
class JobRecord:
    """A job as the record keeps it.

    created, updated: seconds since 1970.
    request: what was asked for, JSON.
    report: what was done so far, JSON.
    attempts: how often a process began with it and did not end in order; the first process is counted.
    """

    id: str
    kind: str
    state: JobState
    created: float
    updated: float
    request: str = "{}"
    report: str = "{}"
    attempts: int = 1


@dataclass(frozen=True)
class Waiting:
    """A document that is still to be embedded under another contract. number: of its row in the record."""

    number: int
    document: Document


class LexicalText(NamedTuple):
    """What the words of one chunk are read from.

    number: of the chunk. text: its title and heading path, and its text. names: of its file and its folders. defined: the name
    of what it defines, where it is code.
    """

    number: int
    text: str
    names: str = ""
    defined: str = ""


@dataclass(frozen=True)
class Counts:
    """How much a collection holds. known: documents, and those that a running or interrupted job has still to embed."""

    documents: int
    known: int
    chunks: int
    vectors: int


@dataclass(frozen=True)
class Calibration:
    """How well the model reads a collection, measured by questions made of its own texts.

    found: mean reciprocal rank, 0..1, of a text among fifty for a snippet of itself.
    chunks: how many there were at the time.
    version: of the questions and of how they are evaluated.
    farther: mean share, 0..1, of the other texts that are farther from the snippet than its own text. It counts where
        there are fewer than fifty chunks. Records of the first version lack it: those collections have more chunks.
    """

    found: float
    chunks: int
    version: int
    farther: float = 0.0

    def to_json(self) -> str:
        """Return it as the record keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Return what `to_json` wrote; None for anything else: then it is measured again."""
        try:
            content = json.loads(text)
            known = cls(
                float(content["found"]),
                int(content["chunks"]),
                int(content["version"]),
                float(content.get("farther", 0.0)),
            )
        except (ValueError, TypeError, KeyError):
            return None
        return known if 0.0 <= known.found <= 1.0 and 0.0 <= known.farther <= 1.0 else None


def is_as_stored(document: Document, digest: str) -> bool:
    """Return whether a document still has the digest with which it was stored; one of another form says nothing."""
    expected = digest.rpartition(":")[2]
    return not _SHA256.fullmatch(expected) or content_digest(document) == expected


@dataclass(frozen=True)
class Unsound:
    """A document that is not as it was stored, or is marked to be read again.

    number: of its row in the record.
    path: of the file that it was read from; None where it was given by its text.
    text_is_sound: text, title and metadata are as they were stored; its chunks or their vectors are not.
    """

    number: int
    id: str
    path: str | None
    text_is_sound: bool


@dataclass(frozen=True)
class Finding:
    """One thing that a check found. what: a sentence.

    level: "damaged": something that is stored is wrong. "unavailable": a model that is needed is not there. "warning":
        something is wrong that is not needed for now.
    repairable: what is damaged is derived from the record, so that a repair rebuilds it.
    """

    level: Literal["ok", "warning", "unavailable", "damaged", "repaired"]
    what: str
    repairable: bool = False


@dataclass(frozen=True)
class Allowed:
    """What a filter allows. chunks, keys: (n,) int64, ascending, each once. documents: how many."""

    chunks: Keys
    keys: Keys
    documents: int


class Moments(NamedTuple):
    """What a document says of its own time.

    date: of its text, as its metadata have it, else of its file: ISO 8601. status: as its metadata have it, else "".
    """

    date: str
    status: str = ""


@dataclass(frozen=True)
class Place:
    """Where a chunk lies, without its text: what ranking needs. number, key, document: as in `StoredChunk`.

    text: `passage_digest` of its text; None where an earlier version stored it, until it is filled in.
    """

    number: int
    key: int
    document: str
    position: int
    lines: Lines
    text: int | None = None


@dataclass(frozen=True)
class StoredChunk:
    """A chunk as the record holds it.

    number: of the chunk, never reused.
    key: of its vector, which other chunks may share.
    document: the id of its document; title, uri and metadata are the document's.
    position: among the chunks of its document, from 0 on.
    span, lines, page: where it lies in the document; page: None where the document has no pages.
    heading: the headings that it stands under, outermost first.
    lines_of_file: as in `Document`.
    """

    number: int
    key: int
    document: str
    title: str
    uri: str
    metadata: Metadata
    position: int
    span: Span
    lines: Lines
    heading: tuple[str, ...]
    page: int | None
    text: str
    lines_of_file: bool = True


@dataclass(frozen=True)
class StoredDocument:
    """A document as the record holds it.

    digest, source, path, size, mtime_ns, ctime_ns, unreadable: as in `FileState`.
    embedded_title: as in `NewDocument`.
    modified: when its file was last changed, or its text last given: ISO 8601, UTC.
    indexed_at: ISO 8601, UTC.
    chunks: how many it has.
    """

    document: Document
    digest: str
    source: str | None
    path: str | None
    size: int
    mtime_ns: int
    ctime_ns: int
    unreadable: str
    embedded_title: str | None
    modified: str
    indexed_at: str
    chunks: int

    @property
    def is_sound(self) -> bool:
        """Say whether text, title and metadata are as they were stored."""
        return not self.digest.startswith(MARKED) and is_as_stored(self.document, self.digest)

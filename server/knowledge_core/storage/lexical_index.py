"""BM25 over the words of chunks and over the trigrams of their letters, by Tantivy. The only file that imports it.

Rules it keeps:
- Derived: everything here comes from the record and can be deleted. A folder that does not check out is discarded.
- We tokenise, for documents and queries alike; no query language is parsed, so nothing in a query can fail.
- One writer at a time calls `apply`, `clear` and `close`; readers hold snapshots, which stay at their generation.
- Between two calls of `apply` no thread writes: merges are waited for, and `state.json` lists every file there is.

It knows nothing of vectors or SQL; an entry is a chunk's number, and the words and trigrams of its text.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import tantivy

from knowledge_core.errors import StorageError, StorageFull
from knowledge_core.files import no_descriptor, out_of_descriptors, remove_file, replace_file, storage_refusal
from knowledge_core.language.lexical_query import Field, LexicalQuery, rarity
from knowledge_core.language.wording import WORDING_VERSION, terms
from knowledge_core.storage.gil_pauses import with_pauses
from knowledge_core.storage.sorted_keys import among

Numbers = npt.NDArray[np.int64]
Hits = list[tuple[int, float]]

STATE = "state.json"  # ours: generation, and size and checksum of every file
META = "meta.json"  # Tantivy's own: the segments of the last commit, whose files never change
MANAGED = ".managed.json"  # Tantivy's own: what it may sweep up
LAYOUT = f"2.{WORDING_VERSION}"  # of the fields and of the tokens in them; an index of another layout is discarded
ANALYSER = "spaces"  # what Tantivy does: our tokens come to it with spaces between them
WRITER_BYTES = 64_000_000  # of postings in memory before a segment is written; 10,000 chunks of 250 words stay below
SATURATED = 2.2  # k1 + 1: in Tantivy's BM25 (k1 1.2, b 0.75) the score of a term stays below its rarity times this
# Two ways to filter: (a) add the allowed numbers to the query; (b) over-fetch and drop the rest. (a) costs about n² for n
# allowed numbers, so it is used while n² <= NUMBERS_IN_QUERY * limit * entries. Processor ms for 100 hits:
#   100,000 entries:   500 allowed: (a) 11, (b) 33    1,000: 14, 16    2,000: 17, 14
#   1,000,000 entries: 2,000 allowed: (a) 38, (b) 98    5,000: 89, 71
NUMBERS_IN_QUERY = 0.16
BEYOND = 8  # hits asked for beyond the limit, to see where a tie at the cut ends


@dataclass(frozen=True)
class LexicalSnapshot:
    """One generation of the words, for as long as someone holds it. Implements `lexical_query.Counting`.

    entries: how many Tantivy's statistics count: removed ones that it has not merged away yet are among them.
    """

    generation: int
    entries: int
    _searcher: tantivy.Searcher

    def search(self, query: LexicalQuery, limit: int, allowed: Numbers | None = None) -> Hits:
        """Return the chunks that hold something of the query, as (number, score 0..1), best first, ties by number.

        allowed: (n,) ascending numbers to choose from, before the cut; None allows all.
        Of those that tie at the cut the lower numbers are returned.
        Lengths and rarities count removed entries until Tantivy merges them away, so an index that was rebuilt may
        score, and rank near ties, a little differently.
        """
        total = self.count()
        anything = self._any_of(query)
        if limit < 1 or anything is None or not total or (allowed is not None and not len(allowed)):
            return []
        if allowed is None or len(allowed) ** 2 > NUMBERS_IN_QUERY * limit * total:
            share = 1.0 if allowed is None else len(allowed) / total
            return self._best(anything, limit, int(1.2 * limit / min(share, 1.0)) + BEYOND, allowed)
        chosen = tantivy.Query.term_set_query(SCHEMA, "number", allowed.tolist())
        must = tantivy.Occur.Must
        both = tantivy.Query.boolean_query([(must, anything), (must, tantivy.Query.const_score_query(chosen, 0.0))])
        return self._best(both, limit, limit + BEYOND, None)

    def _any_of(self, query: LexicalQuery) -> tantivy.Query | None:
        """Return the query for any of the words and spellings; None if nothing here can match."""
        should = tantivy.Occur.Should
        clauses = [(should, term) for term in self._terms("words", query.words)]
        for spelling in query.spellings:
            letters = [(should, term) for term in self._terms("trigrams", spelling.trigrams)]
            if len(letters) >= spelling.least:
                clauses.append((should, tantivy.Query.boolean_query(letters, spelling.least)))
        return tantivy.Query.boolean_query(clauses) if clauses else None

    def _terms(self, field: Field, weights: Mapping[str, float]) -> Iterator[tantivy.Query]:
        """Yield a query for each term that occurs; its score stays below the term's weight, however rare the term is."""
        for (term, weight), having in zip(weights.items(), self.frequencies(field, weights), strict=True):
            if having:
                boost = weight / (SATURATED * rarity(self.entries, having))
                yield tantivy.Query.boost_query(tantivy.Query.term_query(SCHEMA, field, term, "freq"), boost)

    def _best(self, query: tantivy.Query, limit: int, ask: int, allowed: Numbers | None) -> Hits:
        """Ask for more and more hits until `limit` allowed ones, and all that tie with the last of them, are there."""
        total = self.count()
        while True:
            ask = min(ask, total)  # Tantivy reserves memory for twice as many, and aborts the process if there is none
            found = self._searcher.search(query, ask, count=False).hits
            numbers = np.array(self._searcher.fast_field_values("number", [at for _, at in found]), np.int64)
            scores = np.array([score for score, _ in found])
            lowest = scores[-1] if len(found) else 0.0  # further hits have at most this
            if allowed is not None:
                kept = among(allowed, numbers)[1]
                numbers, scores = numbers[kept], scores[kept]
            all_found = len(found) < ask or ask == total
            if all_found or (len(scores) >= limit and scores[limit - 1] > lowest):
                order = np.lexsort((numbers, -scores))[:limit]
                return [(int(numbers[i]), float(scores[i])) for i in order]
            ask *= 4

    def count(self) -> int:
        """Return how many entries there are."""
        return int(self._searcher.num_docs)

    def frequencies(self, field: Field, terms: Iterable[str]) -> list[int]:
        """Return in how many entries each term occurs, removed entries included, in the order of the terms."""
        return [int(self._searcher.doc_freq(field, term)) for term in terms]

    def numbers(self) -> set[int]:
        """Return the numbers of all entries."""
        everything = tantivy.Query.all_query()
        # The binding returns the value that it orders by in the place of the score.
        found = self._searcher.search(everything, max(1, self.count()), count=False, order_by_field="number").hits
        return {int(number) for number, _ in found}


class LexicalIndex:
    """The words of one collection, in a folder of its own.

    discarded: why a folder that was there is not used, in one line; None where there was none, or it is used.
    claimed: the generation of this record that the folder said it had reached when it was opened, used or not.
    """

    def __init__(self, folder: Path, *, tag: str, record: str = "") -> None:
        """Use `load`."""
        self._folder = folder
        self._tag, self._record = f"{LAYOUT} {tag}", record
        self.claimed = 0
        self._files: dict[str, list[int]] = {}
        self._snapshot: LexicalSnapshot
        self.discarded: str | None = None

    @classmethod
    def load(cls, folder: Path, *, tag: str, record: str = "") -> Self:
        """Open what lies in `folder`, or start empty at generation 0 and say in `discarded` why.

        After a crash in the middle of `apply` the entries may be those of the next generation already. `generation` is then
        the one before, and applying that change again gives the right entries.

        tag: names whatever must not have changed for the entries to be of use (the record's identity, the contract).
        record: names the record, whatever its contract.

        Raises:
            StorageError: the folder cannot be written; or too many files are open: what lies there may be sound.
        """
        index = cls(folder, tag=tag, record=record)
        try:
            state = _state(folder)
            if state.tag == index._tag or state.record == record:
                index.claimed = state.generation
            index._files = _checked(folder, state, index._tag)
            index._open(state.generation)
            _sweep(folder)
        except FileNotFoundError:
            index._begin()
        except (_UnusableFolderError, ValueError, OSError) as reason:
            if out_of_descriptors(reason.__cause__ or reason):
                raise StorageError(no_descriptor(f"to open {folder.name}")) from reason
            index.discarded = f"{folder.name}: {reason}".splitlines()[0]
            index._begin()
        return index

    @property
    def generation(self) -> int:
        """Return the record's generation up to which this holds everything."""
        return self._snapshot.generation

    def snapshot(self) -> LexicalSnapshot:
        """Return the present generation. Costs nothing, and stays as it is while the index changes."""
        return self._snapshot

    def apply(self, generation: int, added: Iterable[tuple[int, str]], removed: Iterable[int]) -> None:
        """Remove and add entries in one commit, and be at `generation`.

        A change may be applied again: an entry that is there is replaced, and a number that is not there may be removed.

        added: (number, text).
        removed: numbers; one that is in `added`, too, stays.

        Raises:
            StorageFull: no space is left; snapshots stay, and the change can be applied again.
            StorageError: the disk refused for another reason.
        """
        try:
            self._commit(added, removed)
            self._index.reload()
            self._publish(generation)
        except ValueError as error:  # all that Tantivy raises, about the disk too
            failure = _refusal(error, self._folder)
            _sweep(self._folder)  # Tantivy itself sweeps at its next commit, for which there may be no space now
            raise failure from error
        except OSError as error:
            raise storage_refusal(error, self._folder.name) from error

    def clear(self) -> None:
        """Forget everything, the files too, and be at generation 0.

        Raises:
            StorageError: the disk refused; the index is at generation 0, and is to be cleared again before it is used.
        """
        # First: where the disk refuses half-way, whoever catches up from 0 clears it again.
        self._snapshot = replace(self._snapshot, generation=0)
        self._begin()

    def close(self) -> None:
        """Let go of the folder. After that only snapshots that somebody holds may be used."""
        del self._index, self._snapshot

    def _commit(self, added: Iterable[tuple[int, str]], removed: Iterable[int]) -> None:
        gone, entries = list(removed), iter(added)
        first = next(entries, None)
        if first is None and not gone:
            return
        writer = self._index.writer(WRITER_BYTES, num_threads=1)  # each thread leaves a segment of its own
        try:
            for number in with_pauses(gone):
                writer.delete_documents_by_term("number", number)
            for number, text in with_pauses(chain([first] if first else [], entries)):
                writer.delete_documents_by_term("number", number)
                entry = tantivy.Document()
                entry.add_integer("number", number)
                tokens, letters = terms(text)
                entry.add_text("words", tokens)
                entry.add_text("trigrams", letters)
                writer.add_document(entry)
            writer.commit()
        finally:
            writer.wait_merging_threads()  # and gives the folder's lock back

    def _begin(self) -> None:
        """Start at generation 0 in an empty folder.

        The folder itself stays: for a moment after it was opened, a thread of Tantivy's may make a lock file in it.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_file(self._folder / STATE)  # first: without it the rest counts for nothing
            for path in list(self._folder.iterdir()):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            self._open(0)
        except OSError as error:
            raise storage_refusal(error, self._folder.name) from error
        except ValueError as error:
            raise _refusal(error, self._folder) from error
        self._files = {}
        self._publish(0)

    def _open(self, generation: int) -> None:
        index = tantivy.Index(SCHEMA, str(self._folder))
        index.config_reader("manual")  # else a thread reads the folder twice a second
        index.register_tokenizer(ANALYSER, tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
        self._index = index
        self._snapshot = LexicalSnapshot(generation, _entries(self._folder), index.searcher())

    def _publish(self, generation: int) -> None:
        """Write `STATE` for the folder as it is now, then let readers see it."""
        stamp, names = _committed(self._folder)
        self._files = {name: self._files.get(name) or _measure(self._folder / name) for name in names}
        self._files[META] = _measure(self._folder / META)
        state = _State(self._tag, self._record, generation, stamp, self._files)
        replace_file(self._folder / STATE, [json.dumps({**asdict(state), "checksum": state.checksum()}).encode()])
        self._snapshot = LexicalSnapshot(generation, _entries(self._folder), self._index.searcher())


class _UnusableFolderError(Exception):
    """A folder that does not check out; the text says why in a few words."""


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("number", indexed=True, fast=True)
    for field in ("words", "trigrams"):
        builder.add_text_field(field, tokenizer_name=ANALYSER, index_option="freq")
    return builder.build()


SCHEMA = _schema()


@dataclass(frozen=True)
class _State:
    """What `STATE` says. tag, record: as of `LexicalIndex.load`; record: None in a file of an earlier version.

    stamp: Tantivy's count of operations. files: size and CRC-32 by name.
    """

    tag: str
    record: str | None
    generation: int
    stamp: int
    files: dict[str, list[int]]

    def checksum(self) -> int:
        return zlib.crc32(json.dumps(asdict(self), sort_keys=True).encode())


def _state(folder: Path) -> _State:
    """Return what `STATE` says; a file of an earlier version has no checksum.

    Raises:
        FileNotFoundError: there is no such folder, or it is empty.
        _UnusableFolderError: it is missing or damaged.
    """
    if not folder.exists() or not any(folder.iterdir()):
        raise FileNotFoundError(folder.name)
    try:
        said = json.loads((folder / STATE).read_bytes())
        state = _State(
            said["tag"], said.get("record"), int(said["generation"]), int(said["stamp"]), dict(said["files"])
        )
        sound = said.get("checksum", state.checksum()) == state.checksum()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _UnusableFolderError(f"{STATE} is missing or damaged") from error
    if not sound:
        raise _UnusableFolderError(f"{STATE} is damaged (its checksum differs)")
    return state


def _checked(folder: Path, state: _State, tag: str) -> dict[str, list[int]]:
    """Return the files of a folder as `STATE` has them, if every byte is as it was written.

    Raises:
        _UnusableFolderError: a file is missing, damaged or of another record, contract or version.
    """
    try:
        ahead = _committed(folder)[0] > state.stamp
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _UnusableFolderError(f"{META} is missing or damaged") from error
    if state.tag != tag:
        raise _UnusableFolderError("made for another record or by another version")
    for name, measured in state.files.items():
        path = folder / name
        # A crash after a commit leaves the state one commit behind: files may have been merged, META was rewritten.
        if ahead and (name == META or not path.exists()):
            continue
        if not path.exists() or _measure(path) != measured:
            raise _UnusableFolderError(f"{name} is missing or damaged")
    return state.files


def _measure(path: Path) -> list[int]:
    """Return size and CRC-32 of a file."""
    content = path.read_bytes()
    return [len(content), zlib.crc32(content)]


def _committed(folder: Path) -> tuple[int, list[str]]:
    """Return Tantivy's count of operations at its last commit, and the names of the files that belong to it.

    Other files may lie there, of a change that failed, or not swept up yet. They come and go at any time.
    """
    meta = json.loads((folder / META).read_bytes())
    segments = {part["segment_id"].replace("-", ""): part["deletes"] for part in meta["segments"]}
    dead = {f"{segment}.{deletes['opstamp']}.del" for segment, deletes in segments.items() if deletes}
    names = sorted(path.name for path in folder.iterdir() if path.name.split(".")[0] in segments)
    return int(meta["opstamp"]), [name for name in names if name in dead or not name.endswith(".del")]


def _entries(folder: Path) -> int:
    """Return how many entries the last commit holds, removed ones that were not merged away included."""
    return sum(int(part["max_doc"]) for part in json.loads((folder / META).read_bytes())["segments"])


def _sweep(folder: Path) -> None:
    """Remove what a change left behind that was not committed. No writer may be at work."""
    kept = {*_committed(folder)[1], META, STATE, MANAGED}
    for path in folder.iterdir():
        if path.name not in kept and path.suffix != ".lock":
            path.unlink(missing_ok=True)


def _refusal(error: ValueError, folder: Path) -> StorageError:
    """Return our error for what Tantivy said while writing. A full disk may show as the death of its thread."""
    if "No space left" in str(error) or shutil.disk_usage(folder).free < WRITER_BYTES:
        return StorageFull(f"No space left on the device to write {folder.name}. Free some space and try again.")
    if out_of_descriptors(error):
        return StorageError(no_descriptor(f"to write {folder.name}"))
    return StorageError(
        f"Cannot write {folder.name}: {str(error).splitlines()[0]} Check the data directory, try again."
    )

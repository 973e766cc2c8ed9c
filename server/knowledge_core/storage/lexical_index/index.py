"""BM25 over the words of chunks and over the trigrams of their letters, by Tantivy.

Rules it keeps:
- Derived: everything here comes from the record and can be deleted. A folder that does not check out is discarded.
- We tokenise, for documents and queries alike; no query language is parsed, so nothing in a query can fail.
- One writer at a time calls `apply`, `clear` and `close`; readers hold snapshots, which stay at their generation.
- Between two calls of `apply` no thread writes: merges are waited for, and `state.json` lists every file there is.

It knows nothing of vectors or SQL; an entry is a chunk's number, and the words and trigrams of its text, of the names of its
file and folders, and of what its code defines.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Self

import tantivy

from knowledge_core.errors import StorageError, StorageFull
from knowledge_core.files import no_descriptor, out_of_descriptors, remove_file, replace_file, storage_refusal
from knowledge_core.language.stop_words import without_stop_words
from knowledge_core.language.wording import WORDING_VERSION, terms, trigrams, whole_name
from knowledge_core.storage.gil_pauses import with_pauses
from knowledge_core.storage.lexical_index.files import (
    META,
    STATE,
    State,
    UnusableFolderError,
    checked,
    committed,
    entries_of,
    measure,
    read_state,
    sweep,
)
from knowledge_core.storage.lexical_index.snapshot import ANALYSER, DEFINES, SCHEMA, LexicalSnapshot
from knowledge_core.storage.values import LexicalText

Entry = LexicalText | tuple[int, str]
"""What is indexed of a chunk; its number and its text alone, where it has no names and defines nothing."""

LAYOUT = f"2.{WORDING_VERSION}"  # of the fields and of the tokens in them; an index of another layout is discarded
FORMER = ("2.2",)  # layouts whose entries serve until they are worded anew: the same fields, other tokens
WRITER_BYTES = 64_000_000  # of postings in memory before a segment is written; 10,000 chunks of 250 words stay below


class LexicalIndex:
    """The words of one collection, in a folder of its own.

    discarded: why a folder that was there is not used, in one line; None where there was none, or it is used.
    claimed: the generation of this record that the folder said it had reached when it was opened, used or not.
    """

    def __init__(self, folder: Path, *, tag: str, record: str = "") -> None:
        """Use `load`."""
        self._folder = folder
        self._present, self._record = f"{LAYOUT} {tag}", record
        self._tag = self._present  # of the layout of the entries that are there
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
            state = read_state(folder)
            if state.tag in (f"{layout} {tag}" for layout in FORMER):
                index._tag = state.tag
            if state.tag == index._tag or state.record == record:
                index.claimed = state.generation
            index._files = checked(folder, state, index._tag)
            index._open(state.generation)
            sweep(folder)
        except FileNotFoundError:
            index._begin()
        except (UnusableFolderError, ValueError, OSError) as reason:
            if out_of_descriptors(reason.__cause__ or reason):
                raise StorageError(no_descriptor(f"to open {folder.name}")) from reason
            index.discarded = f"{folder.name}: {reason}".splitlines()[0]
            index._begin()
        return index

    @property
    def generation(self) -> int:
        """Return the record's generation up to which this holds everything."""
        return self._snapshot.generation

    @property
    def is_former(self) -> bool:
        """Say whether entries may be worded as an earlier version did; `apply` words as this one does."""
        return self._tag != self._present

    def reworded(self) -> None:
        """Record that all entries are worded as this version does."""
        self._tag = self._present
        self._publish(self.generation)

    def snapshot(self) -> LexicalSnapshot:
        """Return the present generation. Costs nothing, and stays as it is while the index changes."""
        return self._snapshot

    def apply(self, generation: int, added: Iterable[Entry], removed: Iterable[int]) -> None:
        """Remove and add entries in one commit, and be at `generation`.

        A change may be applied again: an entry that is there is replaced, and a number that is not there may be removed.

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
            sweep(self._folder)  # Tantivy itself sweeps at its next commit, for which there may be no space now
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

    def _commit(self, added: Iterable[Entry], removed: Iterable[int]) -> None:
        gone, entries = list(removed), iter(added)
        first = next(entries, None)
        if first is None and not gone:
            return
        writer = self._index.writer(WRITER_BYTES, num_threads=1)  # each thread leaves a segment of its own
        try:
            for number in with_pauses(gone):
                writer.delete_documents_by_term("number", number)
            for entry in with_pauses(chain([first] if first else [], entries)):
                writer.delete_documents_by_term("number", entry[0])
                writer.add_document(_document(LexicalText(*entry)))
            writer.commit()
        finally:
            writer.wait_merging_threads()  # and gives the folder's lock back

    def _begin(self) -> None:
        """Start at generation 0 in an empty folder.

        The folder itself stays: for a moment after it was opened, a thread of Tantivy's may make a lock file in it.
        """
        self._tag = self._present
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
        self._snapshot = LexicalSnapshot(generation, entries_of(self._folder), index.searcher())

    def _publish(self, generation: int) -> None:
        """Write `STATE` for the folder as it is now, then let readers see it."""
        stamp, names = committed(self._folder)
        self._files = {name: self._files.get(name) or measure(self._folder / name) for name in names}
        self._files[META] = measure(self._folder / META)
        state = State(self._tag, self._record, generation, stamp, self._files)
        replace_file(self._folder / STATE, [json.dumps({**asdict(state), "checksum": state.checksum()}).encode()])
        self._snapshot = LexicalSnapshot(generation, entries_of(self._folder), self._index.searcher())


@lru_cache(64)  # the chunks of a document come one after the other
def _whole_names(path: str) -> tuple[str, ...]:
    """Return the terms of the names of folders and file in a path, without the file's suffix, as a query asks for them."""
    *folders, file = path.split("/")
    names = [*folders, file.rpartition(".")[0] or file]
    return tuple(filter(None, (whole_name(without_stop_words(name)) for name in names)))


def _document(entry: LexicalText) -> tantivy.Document:
    """Return an entry as Tantivy takes it: a word of its names that its text has, too, is not counted twice.

    Paths are no terms as a whole, and only the file's own name has trigrams: each of both would add 3 to 5 % to the index.
    """
    tokens, letters = terms(entry.text)
    if entry.names:
        known = set(tokens.split())
        named = [term for term in terms(entry.names.replace("/", " "))[0].split() if term not in known]
        tokens = " ".join([tokens, *named])
        letters = " ".join([letters, trigrams(entry.names.rpartition("/")[2].rpartition(".")[0])])
    made = tantivy.Document()
    made.add_integer("number", entry.number)
    counting_again = dict.fromkeys([*terms(entry.defined)[0].split(), *_whole_names(entry.names)])
    if counting_again:
        tokens = " ".join([tokens, *(f"{DEFINES}{term}" for term in counting_again)])
    made.add_text("words", tokens)
    made.add_text("trigrams", letters)
    return made


def _refusal(error: ValueError, folder: Path) -> StorageError:
    """Return our error for what Tantivy said while writing. A full disk may show as the death of its thread."""
    if "No space left" in str(error) or shutil.disk_usage(folder).free < WRITER_BYTES:
        return StorageFull(f"No space left on the device to write {folder.name}. Free some space and try again.")
    if out_of_descriptors(error):
        return StorageError(no_descriptor(f"to write {folder.name}"))
    return StorageError(
        f"Cannot write {folder.name}: {str(error).splitlines()[0]} Check the data directory, try again."
    )

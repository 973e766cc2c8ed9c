"""When a graph is due, and how it is built: beside the one that serves, on one thread for all collections, published at once.

The rule, whose work is linear in the number of rows that were ever added:
- up to `EXACT_UP_TO` rows there is no graph: comparing all rows is as fast;
- rows that came since the graph was built are compared one by one. When they are an eighth of the graph (or fewer, and
  nothing is written for a while), they are added to a copy of the graph: each row is added once, whatever the collection
  grows to;
- rows that went stay in the graph as ways to others. When they are a third of it, the graph is built from nothing, since
  USearch reuses removed places at a loss (recall 0.97 instead of 0.985 after a whole turnover).

After each build the expansion of a search is tuned: the smallest at which questions find what comparing all rows finds.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.errors import StorageError
from knowledge_core.quantising import Rows, scale
from knowledge_core.storage.sorted_keys import among
from knowledge_core.storage.values import Keys
from knowledge_core.storage.vectors.checksummed_header import UnusableFileError, checksum_of
from knowledge_core.storage.vectors.graph import Draft, GraphFacts
from knowledge_core.storage.vectors.snapshot import EXACT_UP_TO, VectorSnapshot
from knowledge_core.storage.vectors.vector_index import VectorIndex
from knowledge_core.types import Vectors

log = logging.getLogger(__name__)

GROWN = 1 / 8  # of the graph: 125,000 of a million rows are compared one by one in 5 to 25 ms of one core
LEAST_GROWN = 5_000  # rows, which are compared in 0.2 to 1 ms; fewer are no reason to build
BEHIND = 1 / 64  # of the graph: a reason to build when nothing is written for a while
QUIET = 10.0  # seconds without a write
GONE = 1 / 3  # of the graph's keys: it is then built from nothing
BLOCK = 16_384  # rows that are read together: 12 MB at 768 dimensions
ADDED_AT_ONCE = 1_000  # rows between two looks whether to stop: 0.1 to 0.3 s
REST = 60.0  # seconds after a failure; the disk may be full
POLITE = 10  # nice value of the building thread, where threads have one (Linux)

QUESTIONS = 128  # that an expansion is tuned with
# Cosine between a random question and the stored row that it is drawn around. Real questions have 0.60 to their nearest row
# (median of 60 questions to MiniLM, 100,000 vectors). Expansion for a recall of 0.99 there: 64 for the real questions, 64
# for stored rows, 128 at a cosine of 0.7, 512 at 0.6, 1,024 between two stored rows. On other vectors real questions
# needed 384, and stored rows 64.
NEARNESS = 0.6
TUNED_FOR = 10  # the best ten by comparing all rows ...
AMONG = 40  # ... must be among so many that the graph finds, which are rescored from the record
AGREEMENT = 0.99  # share of the best ten that must be found, over all questions
# What is tried, ascending; where none suffices, the last one is taken.
EXPANSIONS = (64, 96, 128, 192, 256, 384, 512, 768, 1_024, 1_536, 2_048, 3_072)


@dataclass(frozen=True)
class GraphWork:
    """What building has cost so far. builds: graphs published. seconds: of the building thread. added: rows."""

    builds: int = 0
    seconds: float = 0.0
    added: int = 0


class BuildingThread:
    """The one thread of a process on which graphs are built: one after the other, in the order in which they became due.

    Building fills a processor for minutes where there are a million rows: with a thread per collection, a shelf of them
    would take the searches' processors. The thread ends when nothing is due.
    """

    def __init__(self) -> None:
        # Guards what is below, and is notified when it changes. A collection's lock may be held around it, never within.
        self._guard = threading.Condition()
        self._asking: dict[GraphBuilder, None] = {}  # those with a graph to build now or later, in the order of asking
        self._at: GraphBuilder | None = None
        self._runs = False

    def ask(self, builder: GraphBuilder) -> None:
        """Build for this one when it is due."""
        with self._guard:
            self._asking.setdefault(builder)
            if not self._runs:
                threading.Thread(target=self._run, name="build-graphs", daemon=True).start()
                self._runs = True
            self._guard.notify_all()

    def look_again(self) -> None:
        """Tell the thread that what is due has changed."""
        with self._guard:
            self._guard.notify_all()

    def withdraw(self, builder: GraphBuilder) -> None:
        """Begin no more for this one."""
        with self._guard:
            self._asking.pop(builder, None)
            self._guard.notify_all()

    def wait_for_end(self, builder: GraphBuilder) -> None:
        """Wait until nothing is being built for this one."""
        with self._guard:
            self._guard.wait_for(lambda: self._at is not builder)

    def is_at(self, builder: GraphBuilder) -> bool:
        """Say whether something is being built for this one at this moment."""
        return self._at is builder

    def has(self, builder: GraphBuilder) -> bool:
        """Say whether something is being built for this one, or it waits for its turn."""
        with self._guard:
            return self._at is builder or builder in self._asking

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # only Linux has priorities of threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), POLITE)
        while (builder := self._next()) is not None:
            try:
                builder.build()
            except Exception:  # the last frame of a thread that others need, too
                log.exception("a graph was not built")
                self.withdraw(builder)
            finally:
                with self._guard:
                    self._at = None
                    self._guard.notify_all()

    def _next(self) -> GraphBuilder | None:
        """Wait until something is to be built, and return for whom; None where nothing will be: then the thread ends."""
        with self._guard:
            while True:
                pauses = {builder: builder.pause() for builder in self._asking}
                waiting = {builder: pause for builder, pause in pauses.items() if pause is not None}
                self._asking = dict.fromkeys(waiting)
                if not waiting:
                    self._runs = False
                    return None
                ready = next((builder for builder, pause in waiting.items() if pause <= 0), None)
                if ready is not None:
                    self._at = ready
                    self._asking[ready] = self._asking.pop(ready)  # behind the others: its next turn comes after theirs
                    return ready
                self._guard.wait(min(waiting.values()))


class GraphBuilder:
    """Keeps the graph of one collection's vectors up to date, on the thread that all collections share.

    lock: held while a graph is published, and by whoever calls `serve` or `look`.
    published: called with the lock held, so that readers see the new graph.
    work: what building has cost so far.
    """

    def __init__(self, lock: threading.RLock, published: Callable[[], None]) -> None:
        self._lock, self._published = lock, published
        self._index: VectorIndex | None = None
        self._building: VectorIndex | None = None  # what the present build is for
        self._stopped = threading.Event()
        self._looked = self._not_before = 0.0
        self.work = GraphWork()

    def serve(self, index: VectorIndex | None) -> None:
        """Keep the graph of these vectors from now on; what is being built for others is given up."""
        self._index = index
        BUILDING.look_again()

    def look(self) -> None:
        """Begin to build if a graph is due, or will be when nothing is written for a while."""
        self._looked = time.monotonic()
        if self._due() is not None:
            BUILDING.ask(self)

    def wait(self) -> None:
        """Wait until no graph is due. Call it without the lock."""
        while self._wants_now():
            time.sleep(0.005)
        with self._lock:
            pass  # until readers see it, too

    def is_busy(self) -> bool:
        """Say whether a graph is being built, or is due and waits for its turn; not while it rests after a failure."""
        return BUILDING.is_at(self) or self._wants_now()

    def stop(self) -> None:
        """Publish nothing any more, and give up what is being built; the next opening begins it again."""
        self._stopped.set()
        BUILDING.withdraw(self)

    def join(self) -> None:
        """Wait until nothing is built after `stop`. Call it without the lock."""
        BUILDING.wait_for_end(self)

    def pause(self) -> float | None:
        """Return how many seconds to wait until a graph is to be built; None where none is due. The thread asks this."""
        due, now = self._due(), time.monotonic()
        if due is None:
            return None
        pause = self._not_before - now
        return pause if tuning_due(due[1]) else max(pause, self._looked + QUIET - now)

    def build(self) -> None:
        """Build the graph that is due. The thread calls this."""
        with self._lock:
            due = self._due()
            self._building = None if due is None else due[0]
        if due is not None:
            self._try(*due)
            self._building = None  # whoever lets go of the vectors lets go of their files

    def _wants_now(self) -> bool:
        due = self._due()
        return due is not None and tuning_due(due[1]) and BUILDING.has(self) and self._looked >= self._not_before

    def _due(self) -> tuple[VectorIndex, VectorSnapshot] | None:
        """Return what a graph is to be built of, now or when nothing is written for a while; None where nothing is due."""
        index = self._index
        if index is None or self._stopped.is_set():
            return None
        snapshot = index.snapshot()
        return (index, snapshot) if tuning_due(snapshot) or behind(snapshot) else None

    def _is_given_up(self) -> bool:
        """Say whether nobody wants the present build any more."""
        return self._stopped.is_set() or self._index is not self._building

    def _try(self, index: VectorIndex, snapshot: VectorSnapshot) -> None:
        try:
            self._build(index, snapshot)
        except (StorageError, UnusableFileError, OSError, MemoryError, RuntimeError) as error:
            if self._is_given_up():
                return  # its file may have been swept away by those that came in its place
            log.warning("a graph was not built, searches compare more instead: %s", error)
            self._not_before = time.monotonic() + REST

    def _build(self, index: VectorIndex, snapshot: VectorSnapshot) -> None:
        began = time.monotonic()
        made = self._drafted(snapshot)
        expansion = made and self._tuned(made[0], snapshot)
        if made is None or expansion is None:
            return
        draft, copies, added = made
        facts = GraphFacts(snapshot.generation, int(snapshot.all_keys[-1]), len(draft), expansion)
        path = index.graphs.beside()
        draft.write(path)
        checksum = checksum_of(path, path.stat().st_size)
        with self._lock:
            if self._is_given_up():
                path.unlink(missing_ok=True)
                return
            index.take(index.graphs.publish(path, checksum, facts, draft.keys, copies))
            self._published()
        seconds = time.monotonic() - began
        work = self.work
        self.work = GraphWork(work.builds + 1, work.seconds + seconds, work.added + added)
        log.info("built a graph of %d vectors in %.1f s, expansion %d", facts.entries, seconds, facts.expansion)

    def _drafted(self, snapshot: VectorSnapshot) -> tuple[Draft, Keys, int] | None:
        """Return the graph of a snapshot, its copies (as in `Graph`), and how many rows were added; None if it is given up."""
        base = None if worn(snapshot) else snapshot.graph
        known = 0 if base is None else base.facts.last
        repeats, copies = _copies(snapshot)
        if base is not None:
            # The first of the equal rows that are alive may itself be a copy of a row that only the graph still holds.
            stands_for = dict(base.copies[:, ::-1].tolist())
            new = [[stands_for.get(first, first), copy] for first, copy in copies.tolist() if copy > known]
            copies = np.array(sorted(base.copies.tolist() + new), np.int64).reshape(-1, 2)
        draft, added = Draft(snapshot.dimensions, base), 0
        for keys, rows in snapshot.blocks(ADDED_AT_ONCE):
            if self._is_given_up():
                return None
            new_ones = (keys > known) & ~among(repeats, keys)[1]
            if new_ones.any():
                draft.add(keys[new_ones], rows[new_ones])
                added += int(new_ones.sum())
        return draft, copies, added

    def _tuned(self, draft: Draft, snapshot: VectorSnapshot) -> int | None:
        """Return the smallest expansion at which questions find the best ten that comparing all rows finds.

        The questions are the latest that were asked, and random ones where these are too few. None if it is given up.
        """
        asked = snapshot.asked.rows()
        questions = np.concatenate([asked, random_questions(snapshot, QUESTIONS - len(asked))])
        truth = []
        for question in questions:
            if self._is_given_up():
                return None
            truth.append(draft.truth(question, TUNED_FOR))
        for expansion in EXPANSIONS:
            found = 0
            for question, best in zip(questions, truth, strict=True):
                if self._is_given_up():
                    return None
                found += len(draft.found(question, AMONG, expansion) & best)
            if found >= AGREEMENT * sum(map(len, truth)):
                return expansion
        return EXPANSIONS[-1]


BUILDING = BuildingThread()


def tuning_due(snapshot: VectorSnapshot) -> bool:
    """Say whether there should be a graph and is none, or the graph lacks too many rows, or too many of its rows are gone."""
    if snapshot.size <= EXACT_UP_TO:
        return False
    if snapshot.graph is None:
        return True
    return snapshot.since_graph > max(LEAST_GROWN, GROWN * snapshot.graph.facts.entries) or worn(snapshot)


def behind(snapshot: VectorSnapshot) -> bool:
    """Say whether the graph lacks so many rows that it is built again when nothing is written for a while."""
    graph = snapshot.graph
    if snapshot.size <= EXACT_UP_TO or graph is None:
        return False
    return snapshot.since_graph > max(LEAST_GROWN, BEHIND * graph.facts.entries)


def worn(snapshot: VectorSnapshot) -> bool:
    """Say whether so much of the graph is gone that it must be built from nothing."""
    graph = snapshot.graph
    return graph is not None and snapshot.size - snapshot.since_graph < (1 - GONE) * graph.covered


def _copies(snapshot: VectorSnapshot) -> tuple[Keys, Keys]:
    """Return the keys whose row an earlier key has, (m,) ascending, and (m, 2) ascending pairs: that key, and the later one.

    Rows are told apart by a 64-bit sum; rows with equal sums are compared.
    """
    blocks = [(keys, _sums(rows)) for keys, rows in snapshot.blocks(BLOCK)]
    keys, sums = np.concatenate([each for each, _ in blocks]), np.concatenate([each for _, each in blocks])
    order = np.argsort(sums, kind="stable")
    same = sums[order][1:] == sums[order][:-1]
    shared = np.append(same, False) | np.append(False, same)
    firsts: dict[int, list[tuple[int, bytes]]] = {}
    pairs = []
    for place in np.sort(order[shared]).tolist():
        key, row = int(keys[place]), snapshot.rows([int(keys[place])]).tobytes()
        known = firsts.setdefault(int(sums[place]), [])
        first = next((each for each, its in known if its == row), None)
        if first is None:
            known.append((key, row))
        else:
            pairs.append((first, key))
    found = np.array(sorted(pairs), np.int64).reshape(len(pairs), 2)
    return np.sort(found[:, 1]), found


def _sums(rows: Rows) -> npt.NDArray[np.uint64]:
    """Return a number per row; where rows differ, their numbers nearly always do: (n, d) int8 to (n,) uint64."""
    width = -(-rows.shape[1] // 8) * 8
    odd = np.random.default_rng(20_261_128).integers(1, 2**63, width // 8, dtype=np.uint64) * 2 + 1
    words = np.zeros((len(rows), width), np.int8)
    words[:, : rows.shape[1]] = rows
    mixed = words.view(np.uint64) * odd  # overflow wraps around, as it should
    return np.asarray((mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64))


def random_questions(snapshot: VectorSnapshot, count: int) -> Rows:
    """Return questions that nobody asked, (count, d) int8: each as far from a stored row as real ones are. Deterministic."""
    draw = np.random.default_rng(7)
    near = _units(snapshot.rows(draw.choice(snapshot.keys, count)))
    away = _units(draw.standard_normal(near.shape))
    asked = NEARNESS * near + math.sqrt(1 - NEARNESS**2) * away
    return np.clip(np.rint(asked * scale(snapshot.dimensions)), -127, 127).astype(np.int8)


def _units(rows: npt.NDArray[Any]) -> Vectors:
    vectors = rows.astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

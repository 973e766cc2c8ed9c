"""The watcher of an owner: changes in the folders of sources become index jobs, one at a time per collection.

Events only say where to look (`dirt.py`); an index job finds out what is there, compares it with the record and does what
an index call does. So an event that is lost, doubled or told late costs time and nothing else, and a storm of events is one
job. Whatever was missed is found when all of a source is looked at: when an owner starts, once an hour, when the machine
slept, and where the system tells nothing, again and again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowledge_core.engine import Engine
from knowledge_core.errors import Interrupted, KnowledgeCoreError, PathNotAllowed
from knowledge_core.indexing.missing import GRACE
from knowledge_core.ingestion.walking.walker import Levels, Selecting, walk
from knowledge_core.jobs import Job
from knowledge_core.recorded_jobs.index_job import IndexRequest, accept_index
from knowledge_core.storage.collection import Collection, Source
from knowledge_core.types import Pending, composed
from knowledge_core.verbs.index_report import IndexReport
from knowledge_core.watching.dirt import MOST_FILES, Dirt, dirt_of, source_of
from knowledge_core.watching.platforms import CannotWatch, Changes, Clock, Mounts, is_polled

log = logging.getLogger(__name__)

LISTEN = 1.0  # seconds for which changes are waited for between two looks at everything else
SOURCES_EVERY = 2.0  # seconds between two looks for sources that came or went
ALL_EVERY = 3_600.0  # seconds between two looks at all of a source that the system tells about
POLL_LEAST = 30.0  # seconds between two looks at a source that the system does not tell about
POLL_COST = 100.0  # times as long as the last look took
ASK_AGAIN = 600.0  # seconds until a system that refused to tell of changes is asked again
MOST_LOST = 3  # times within `ASK_AGAIN` that the system ends telling before it is taken for a refusal
RETRY = (30.0, 3_600.0)  # seconds after a failure until the next attempt: at first, doubled each time, and at most
UNREACHED_FOR = 600.0  # seconds for which a folder that a walk does not enter is believed to stay one
LATEST = 200  # events that are remembered for `kcore watch`


@dataclass
class _Watched:
    """One collection that is watched.

    dirt: what is to be looked at. working: what the job under way looks at. job: that job.
    not_before: time.monotonic() before which no job is begun, after a failure.
    """

    sources: tuple[Source, ...] = ()
    dirt: Dirt = field(default_factory=Dirt)
    working: Dirt = field(default_factory=Dirt)
    job: Job | None = None
    began: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    catching_up: bool = True


@dataclass(frozen=True)
class Event:
    """A job of the watcher that changed something. number: ascending from 1. time: seconds since 1970."""

    number: int
    time: float
    collection: str
    report: IndexReport


class Watching:
    """Watches the sources of all collections, on a thread of its own, from `start` to `stop`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopped = threading.Event()
        self._guard = threading.Lock()  # of what `pending` and `described` read
        self._watched: dict[str, _Watched] = {}
        self._changes: Changes | None = None
        self._folders: tuple[str, ...] = ()
        self._polled: dict[str, str] = {}  # folder -> why
        self._due: dict[str, float] = {}  # folder -> time.monotonic() when all of it is looked at next
        self._unreached: dict[str, float] = {}
        self._poll_every: dict[str, float] = {}  # folder -> seconds between two looks where it is polled
        self._refused = ""  # why the system tells of no changes; "" where it does
        self._ask_again = 0.0  # time.monotonic() when it is asked again
        self._lost: deque[float] = deque(maxlen=MOST_LOST)  # time.monotonic() when it ended telling
        self._clock, self._mounts = Clock(), Mounts()
        self._looked = 0.0
        self.events: deque[Event] = deque(maxlen=LATEST)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch; return at once."""
        if self._engine.config.indexing.watch:
            self._engine.pending = self.pending
            self._thread.start()

    def stop(self) -> None:
        """End watching. Jobs that were begun are ended by the engine."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def pending(self, name: str) -> Pending:
        """Return what is known of a collection's changes that are not indexed yet."""
        with self._guard:
            watched = self._watched.get(name)
            if watched is None:
                return Pending()
            files = frozenset(watched.dirt.files | watched.working.files)
            return Pending(files, watched.catching_up, bool(watched.dirt or watched.working))

    def described(self) -> list[dict[str, object]]:
        """Return the watched sources, with how each is watched."""
        with self._guard:
            return [
                {
                    "name": source.name, "collection": name, "path": source.path,
                    "gone": not os.path.isdir(source.path), "polled": self._polled.get(source.path),
                    "pending": len(watched.dirt.files | watched.working.files), "catching_up": watched.catching_up,
                }
                for name, watched in sorted(self._watched.items())
                for source in watched.sources
            ]  # fmt: skip

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._step()
            except Interrupted:
                return
            except Exception:  # the last frame of this thread: without it nothing would be watched any more
                log.exception("watching goes on after an error")
                self._stopped.wait(RETRY[0])
        if self._changes is not None:
            self._changes.close()

    def _step(self) -> None:
        now = time.monotonic()
        if now - self._looked > SOURCES_EVERY:
            self._look_for_sources()
            self._look_for_mounts()
            self._looked = now
        self._listen()
        self._look_at_what_is_due()
        for name, watched in list(self._watched.items()):
            self._end_job(name, watched)
            if watched.job is None and watched.dirt and time.monotonic() >= watched.not_before:
                self._begin_job(name, watched)

    def _look_for_sources(self) -> None:
        """Take up sources that came or changed. A collection is asked only when it is new here, or said to have changed."""
        names = self._engine.names()
        with self._guard:
            for name in [each for each in self._watched if each not in names]:
                del self._watched[name]
        changed = {name for name in names if name not in self._watched}
        with contextlib.suppress(queue.Empty):
            while True:
                changed.add(self._engine.changed_sources.get_nowait())
        for name in sorted(changed & {*names}):
            self._take_up(name)
        self._listen_to(sorted({each.path for one in self._watched.values() for each in one.sources}))

    def _take_up(self, name: str) -> None:
        try:
            sources = tuple(each for each in self._engine.collection(name).sources() if each.watch)
        except KnowledgeCoreError as error:  # damaged, or just deleted
            log.info("%s is not watched: %s", name, error)
            sources = ()
        with self._guard:
            watched = self._watched.setdefault(name, _Watched(catching_up=bool(sources)))
            former = {each.path for each in watched.sources}
            watched.sources = sources
        for source in sources:
            if source.path not in former:
                self._due[source.path] = 0.0

    def _look_for_mounts(self) -> None:
        """Look at all of the sources in which a disk was mounted, or from which one was taken."""
        for where in self._mounts.changed():
            for watched in self._watched.values():
                source = source_of(where, watched.sources)
                if source is not None:
                    self._due[source.path] = 0.0
                    self._folders = ()  # what lies on a new disk is to be listened to as well

    def _listen_to(self, folders: Sequence[str]) -> None:
        """Ask the system for changes below these folders; those for which it does not tell are polled."""
        there = [each for each in folders if os.path.isdir(each)]
        network = {each: why for each in there if (why := is_polled(each))}
        wanted = tuple(each for each in there if each not in network)
        if wanted != self._folders or (self._refused and time.monotonic() > self._ask_again):
            came_back = set(wanted) - set(self._folders)
            if self._changes is not None:
                self._changes.close()
            self._changes, self._folders, self._refused = None, wanted, ""
            try:
                self._changes = Changes(wanted) if wanted else None
            except CannotWatch as refused:
                self._is_refused(str(refused))
            self._due |= dict.fromkeys(came_back, 0.0)  # what changed before it was listened to
        polled = network | (dict.fromkeys(wanted, self._refused) if self._refused else {})
        for each, why in polled.items():
            self._due[each] = min(self._due.get(each, 0.0), time.monotonic() + self._poll_every.get(each, POLL_LEAST))
            if each not in self._polled:
                log.warning("%s is looked through from time to time, since %s", each, why)
        with self._guard:
            self._polled = polled

    def _is_refused(self, why: str) -> None:
        self._refused, self._ask_again = why, time.monotonic() + ASK_AGAIN

    def _has_ended_telling(self, why: str) -> None:
        """Ask the system again soon, and look at everything then: one name that is no UTF-8 ends what is told of all."""
        now = time.monotonic()
        if len(self._lost) == MOST_LOST and now - self._lost[0] < ASK_AGAIN:
            self._is_refused(why)
            return
        self._lost.append(now)
        self._folders = ()
        log.info("changes were lost, and all is looked at: %s", why)

    def _listen(self) -> None:
        if self._changes is None:
            self._stopped.wait(LISTEN)
            return
        try:
            events = self._changes.next(LISTEN)
        except CannotWatch as refused:
            self._changes.close()
            self._changes = None
            self._has_ended_telling(str(refused))
            return
        home = str(self._engine.home) + os.sep
        told: dict[tuple[str, Source], list[tuple[bool, str]]] = {}
        for came, path in events:
            if path.startswith(home):
                continue
            for name, watched in self._watched.items():
                source = source_of(path, watched.sources)
                if source is not None:
                    told.setdefault((name, source), []).append((came, path))
        for (name, source), some in told.items():
            self._take(name, source, dirt_of(some, source))

    def _take(self, name: str, source: Source, dirt: Dirt) -> None:
        if dirt.trees or dirt.whole:  # an ignore file may have changed what is entered
            self._unreached.clear()
        now = time.monotonic()
        for folder in [each for each in dirt.levels if self._unreached.get(each, 0.0) > now]:
            dirt.levels.discard(folder)
            dirt.files -= {each for each in dirt.files if os.path.dirname(each) == folder}
        with self._guard:
            self._watched[name].dirt.add(dirt)

    def _look_at_what_is_due(self) -> None:
        now, slept = time.monotonic(), self._clock.slept()
        for watched in self._watched.values():
            for source in watched.sources:
                if (slept or self._due.get(source.path, 0.0) <= now) and os.path.isdir(source.path):
                    self._due[source.path] = now + ALL_EVERY
                    with self._guard:
                        watched.dirt.add(Dirt(whole={source.name}) if source.whole else Dirt(named={source.name}))

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _begin_job(self, name: str, watched: _Watched) -> None:
        with self._guard:
            dirt, watched.dirt = watched.dirt, Dirt()
            watched.working = dirt
        try:
            request = self._request(name, watched.sources, dirt)
            if request is None:
                with self._guard:
                    watched.working, watched.catching_up = Dirt(), False
                return
            watched.job, watched.began = accept_index(self._engine, request, (), ()), time.monotonic()
        except Interrupted:
            raise
        except KnowledgeCoreError as error:
            self._failed(name, watched, str(error))

    def _request(self, name: str, sources: Sequence[Source], dirt: Dirt) -> IndexRequest | None:
        """Return what brings a collection in step where it is dirty; None where there is nothing to look at."""
        whole = [each.path for each in sources if each.name in dirt.whole and each.whole and os.path.isdir(each.path)]
        levels, trees = set[str](), set[str]()
        for source in sources:
            if source.whole and source.path not in whole:
                inside = {each for each in dirt.levels if source_of(each, sources) == source}
                reached, found = self._reached(source, inside)
                changed = inside if len(dirt.files) >= MOST_FILES else self._changed(name, source, dirt, found)
                levels |= reached & changed
                trees |= {each for each in dirt.trees if os.path.dirname(each) in reached and os.path.isdir(each)}
        if not (whole or levels or dirt.named):
            return None
        return IndexRequest(
            name, paths=tuple(whole), levels=tuple(sorted(levels)), trees=tuple(sorted(trees)),
            files_of=tuple(sorted(dirt.named)), watching=True,
        )  # fmt: skip

    def _changed(self, name: str, source: Source, dirt: Dirt, found: Set[str]) -> set[str]:
        """Return the folders in which something changed that is indexed or is to be.

        A program may write without end into a file that is never read; that is to cost no job. found: as of `_reached`.
        """
        collection, kept = self._engine.collection(name), {os.path.dirname(each) for each in dirt.trees}
        with collection.view() as view:
            for path in dirt.files:
                folder = os.path.dirname(path)
                if folder in kept or source_of(path, (source,)) is None:
                    continue
                id = f"{source.name}/{composed(Path(path).relative_to(source.path).as_posix())}"
                special = os.path.isdir(path) or os.path.islink(path)
                if special or id.casefold() in found or view.files([id]) or view.holds_below(f"{id}/"):
                    kept.add(folder)
        return kept

    def _reached(self, source: Source, folders: set[str]) -> tuple[set[str], Set[str]]:
        """Return those of the folders that a walk of the source enters, and the ids that may be indexed in them, case-folded.

        Of the other folders no file is wanted.
        """
        inside = {f"{Path(each).relative_to(source.path).as_posix()}/".removeprefix("./"): each for each in folders}
        inside = {below: each for below, each in inside.items() if os.path.isdir(each)}
        if not inside:
            return set(), set()
        settings = self._engine.config.indexing
        selecting = Selecting(
            int(settings.max_file_mb * 1e6), patterns=source.patterns, ignored=self._engine.ignored(),
            generated=settings.generated, levels=Levels(frozenset(inside), lambda below: True),
        )  # fmt: skip
        try:
            walked = walk(Path(source.path), self._engine.roots.all(), selecting)
        except (KnowledgeCoreError, PathNotAllowed):
            return set(), set()
        until = time.monotonic() + UNREACHED_FOR
        self._unreached |= {each: until for below, each in inside.items() if below not in walked.listed}
        found = {f"{source.name}/{file.relative}".casefold() for file in walked.files}
        return {inside[below] for below in walked.listed}, found

    def _end_job(self, name: str, watched: _Watched) -> None:
        job = watched.job
        if job is None or job.state == "running":
            return
        watched.job = None
        if job.state == "failed":
            self._failed(name, watched, job.error)
            return
        took = time.monotonic() - watched.began
        self._poll_every |= {each.path: max(POLL_LEAST, POLL_COST * took) for each in watched.sources}
        report = job.outcome if job.state == "done" and isinstance(job.outcome, IndexReport) else None
        with self._guard:
            if report is not None and report.deferred:  # of a move, the other end may come with the next events
                watched.dirt.add(watched.working)
                watched.not_before = time.monotonic() + GRACE
            watched.working, watched.failures, watched.catching_up = Dirt(), 0, False
        if report is not None:
            self._tell(name, job, report)

    def _tell(self, name: str, job: Job, report: IndexReport) -> None:
        if report.indexed or report.removed or report.moved:
            number = self.events[-1].number + 1 if self.events else 1
            self.events.append(Event(number, time.time(), name, report))
        elif not report.failed_total:
            self._engine.jobs.forget(job.id)
            try:
                collection: Collection = self._engine.collection(name)
                collection.forget_job(job.id)
            except KnowledgeCoreError as error:
                log.info("%s stays remembered: %s", job.id, error)

    def _failed(self, name: str, watched: _Watched, why: str) -> None:
        """Try again later, longer after each failure, with all that is dirty by then."""
        with self._guard:
            watched.failures += 1
            wait = min(RETRY[0] * 2 ** (watched.failures - 1), RETRY[1])
            watched.not_before = time.monotonic() + wait
            watched.dirt.add(replace(watched.working))
            watched.working = Dirt()
        if watched.failures == 1:
            log.warning("%s is not in step for now and is tried again: %s", name, why)

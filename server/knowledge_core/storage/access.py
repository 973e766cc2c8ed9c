"""Who is at a collection: one writer at a time, and readers, each with a view; where nobody is, the collection can rest.

A collection that rests holds no file and little memory. Its next reader or writer opens it again, and waits for that; nobody
else has to know. `Collection` says how it is opened and closed; here is decided when.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from knowledge_core.errors import CollectionNotFound
from knowledge_core.storage.view import View


class Access:
    """The doors to one collection, for any number of threads. It begins resting.

    name: of the collection, for messages.
    wake: opens the collection and calls `show`; called with `writing` held, as are the others.
    save: writes to the disk what opening again would have to make anew.
    let_go: closes what `wake` opened, but for the views.
    is_busy: says whether something is under way that should not be given up.

    Attributes:
        writing: of the writing connection and the derived indexes. It is held while a disk is waited for, never while a
            model runs.
        used: when a reader or writer came or was done last, by `time.monotonic`.
    """

    def __init__(
        self,
        name: str,
        *,
        wake: Callable[[], None],
        save: Callable[[], object],
        let_go: Callable[[], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self._name, self._wake, self._save, self._let_go, self._is_busy = name, wake, save, let_go, is_busy
        self.writing = threading.RLock()
        self._writers = 0  # blocks of `alone` under way, all of one thread; guarded by `writing`
        self._guard = threading.Lock()  # of what is below, and of `View.users`; nothing is waited for under it
        self._newest: View | None = None  # None while the collection rests
        self._readers = 0  # of all views
        self._closed = False
        self.used = time.monotonic()

    @property
    def resting(self) -> bool:
        """Say whether no file is open."""
        return self._newest is None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other writers out until the end of the block. Every use of the writing connection is in such a block.

        Raises:
            CollectionNotFound: the collection was closed, or its folder is gone.
            StorageError: it rested, and cannot be opened again.
        """
        with self.writing:
            self._refuse_if_closed()
            if self._newest is None:
                self._wake()
            self._writers += 1
            try:
                yield
            finally:
                self._writers -= 1
                self.used = time.monotonic()

    @contextmanager
    def view(self) -> Iterator[View]:
        """Yield the newest view, which stays open until the end of the block.

        Raises:
            CollectionNotFound, StorageError: as of `alone`.
        """
        view = self._pinned()
        while view is None:
            with self.alone():  # opens the collection
                view = self._pinned()
        try:
            yield view
        finally:
            with self._guard:
                view.users -= 1
                self._readers -= 1
                self.used = time.monotonic()
                if view.users == 0 and (view is not self._newest or self._closed):
                    view.close()

    def show(self, new: View) -> None:
        """Give this view to new readers from now on; the one before is closed when its last reader is done."""
        with self._guard:
            old, self._newest = self._newest, new
            if old is not None and old.users == 0:
                old.close()

    def rest(self) -> bool:
        """Let the collection rest, unless somebody is at it; say whether that was done. Waits for nobody."""
        if not self.writing.acquire(blocking=False):
            return False
        try:
            if self._closed or self._newest is None or self._writers or self._readers or self._is_busy():
                return False
            self._save()
            if not self._withdrawn():
                return False  # a reader came meanwhile
            self._let_go()
            return True
        finally:
            self.writing.release()

    def close(self) -> None:
        """Let nobody in any more, and let go of all files: the views as their readers are done. A second call does nothing."""
        with self.writing:
            if self._closed:
                return
            rested = self._newest is None
            if not rested:
                self._save()
            with self._guard:
                self._closed = True
                if self._newest is not None and self._newest.users == 0:
                    self._newest.close()
            if not rested:
                self._let_go()

    def _pinned(self) -> View | None:
        with self._guard:
            self._refuse_if_closed()
            if self._newest is not None:
                self._newest.users += 1
                self._readers += 1
                self.used = time.monotonic()
            return self._newest

    def _withdrawn(self) -> bool:
        """Close the newest view, so that there is none, unless a reader holds any; say whether that was done."""
        with self._guard:
            if self._readers or self._newest is None:
                return False
            self._newest.close()
            self._newest = None
            return True

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise CollectionNotFound(f"Collection {self._name!r} was closed or deleted meanwhile.")

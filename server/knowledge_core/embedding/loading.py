"""Models that are loaded in the background, each by one thread, however many wait for it."""

from __future__ import annotations

import logging
import threading
import time

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import KnowledgeCoreError

log = logging.getLogger(__name__)


class Loading:
    """Which models are being loaded now. Any number of threads may call."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of the table; no model is loaded under it
        self._over: dict[tuple[str, int], threading.Event] = {}

    def begin(self, embedder: Embedder) -> threading.Event:
        """Load a model on a thread of its own, unless that is under way; return what is set when it has ended."""
        contract = embedder.static_contract
        which = contract.model, contract.dimensions
        with self._guard:
            over = self._over.get(which)
            if over is None:
                over = self._over[which] = threading.Event()
                threading.Thread(
                    target=self._load, args=(embedder, which, over), name="load-model", daemon=True
                ).start()
            return over

    def ready(self, embedder: Embedder, within: float) -> bool:
        """Say whether a model can be used now, after waiting up to `within` seconds for it; begins to load it.

        True also where loading failed: whoever uses the model then gets the error.
        """
        return embedder.loaded or self.begin(embedder).wait(min(within, threading.TIMEOUT_MAX))

    def _load(self, embedder: Embedder, which: tuple[str, int], over: threading.Event) -> None:
        began = time.perf_counter()
        try:
            model = embedder.contract.model
            log.info("loaded %s in %.1f s", model, time.perf_counter() - began)
        except KnowledgeCoreError as error:
            log.warning("%s", error)
        except Exception:  # the last frame of this thread: whoever waits must be woken
            log.exception("loading a model failed")
        finally:
            over.set()
            with self._guard:
                self._over.pop(which, None)  # after a failure the next need tries again

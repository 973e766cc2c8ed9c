"""Models that are loaded in the background: one thread per model, however many callers wait for it."""

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
        self._guard = threading.Lock()  # guards the table; no model is loaded under it
        self._ended: dict[tuple[str, int], threading.Event] = {}  # (model, dimensions) -> set once loading has ended

    def begin(self, embedder: Embedder) -> threading.Event:
        """Begin to load a model on a thread of its own, unless one is loading it already.

        Returns the event that is set when loading has ended, whether it succeeded or failed.
        """
        contract = embedder.static_contract
        which = contract.model, contract.dimensions
        with self._guard:
            ended = self._ended.get(which)
            if ended is None:
                ended = self._ended[which] = threading.Event()
                threading.Thread(
                    target=self._load, args=(embedder, which, ended), name="load-model", daemon=True
                ).start()
            return ended

    def ready(self, embedder: Embedder, within: float) -> bool:
        """Begin to load a model, wait up to `within` seconds for it, and say whether loading has ended.

        True also where loading failed: the caller gets the error when it uses the model.
        """
        return embedder.loaded or self.begin(embedder).wait(min(within, threading.TIMEOUT_MAX))

    def _load(self, embedder: Embedder, which: tuple[str, int], ended: threading.Event) -> None:
        began = time.perf_counter()
        try:
            model = embedder.contract.model
            log.info("loaded %s in %.1f s", model, time.perf_counter() - began)
        except KnowledgeCoreError as error:
            log.warning("%s", error)
        except Exception:  # the last frame of this thread: callers that wait must be woken
            log.exception("loading a model failed")
        finally:
            ended.set()
            with self._guard:
                self._ended.pop(which, None)  # so that the next caller tries again after a failure

"""A model that is run by two: at once and for queries by one runner, in bulk by whichever of two a trial finds faster.

Rules kept here:
- the second runner is loaded in the background, once there is so much to embed that loading pays; until then, and where
  it does not load, the first one does all;
- which one is faster in bulk is measured once and remembered (`verdicts.py`);
- both give the same vectors within what the trial of an engine allows, so that a text may go to either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from knowledge_core.embedding.batching import pack
from knowledge_core.embedding.local.agreement import real_texts
from knowledge_core.embedding.local.lanes import cores_here, share_cores
from knowledge_core.embedding.local.local_embedder import Runner
from knowledge_core.embedding.local.onnx.onnx_runner import MOST_TOKENS, OnnxRunner
from knowledge_core.embedding.local.packed.products import FASTER, times_faster
from knowledge_core.embedding.local.verdicts import Verdict, Verdicts
from knowledge_core.embedding.models.models import Model
from knowledge_core.embedding.tokens import Tokens, open_tokenizer, tokenise
from knowledge_core.errors import KnowledgeCoreError
from knowledge_core.types import Vectors

log = logging.getLogger(__name__)

ENOUGH: Final = 30_000
"""Tokens, of about the last minute, from which on the second runner is loaded: importing torch and loading takes 4 to 6 s
on 2 cores, as long as ONNX Runtime needs for so many."""

FORGOTTEN: Final = 60.0
"""Seconds after which the tokens that were embedded count half: single notes, now and then, never load torch."""

MUCH: Final = ENOUGH // 4
"""Tokens, counted in the same way, from which on the first runner computes on one core per thread: it needs 43 MB more,
and the processor 15 % less time."""

LARGE: Final = 256
"""Tokens from which on a batch goes to the second runner; a query has some twenty."""


class Beside:
    """Implements `Runner` with two runners.

    first: loaded; does all until there is a second one, and small batches for ever.
    find: returns the second one, loaded; None: bulk work stays with the first. Called once, on a thread of its own.

    Attributes:
        precision: of bulk work.
        reason: why these run, for people.
    """

    def __init__(self, first: OnnxRunner, find: Callable[[], Runner | None]) -> None:
        self.precision, self.reason = first.precision, first.reason
        self._first, self._find = first, find
        self._second: Runner | None = None
        self._guard = threading.Lock()  # guards the three below; nothing is computed under it
        self._recent = 0.0
        self._counted = time.monotonic()
        self._begun = False
        self._turn: AbstractContextManager[object] = nullcontext()

    @property
    def kind(self) -> str:
        """Return what embeds queries, and what works in bulk if that is another."""
        second = self._second
        return f"{self._first.kind} {self._first.precision}, in bulk {second.kind}" if second else self._first.kind

    @property
    def on_processor(self) -> bool:
        """See `Runner.on_processor`: of bulk work."""
        return (self._second or self._first).on_processor

    def most_tokens(self) -> int:
        """See `Runner.most_tokens`: of bulk work."""
        return (self._second or self._first).most_tokens()

    def forward(self, texts: list[Tokens]) -> Vectors:
        """See `Runner.forward`."""
        tokens = sum(len(each.ids) for each in texts)
        if self._second is not None and tokens >= LARGE:
            with self._turn:
                return self._second.forward(texts)
        recent = self._counted_with(tokens)
        if recent < MUCH:
            self._first.end_bulk()
        if recent >= ENOUGH and self._begins():
            # Not a daemon: torch ends the process by an abort if that exits while torch is imported or loads. On Linux it has
            # the priority of the thread that begins it, so a busy machine is left to others while torch is imported.
            threading.Thread(target=self._load, name="bulk-engine").start()
        return self._first.forward(texts, much=recent >= MUCH and self._second is None)

    def _counted_with(self, tokens: int) -> float:
        """Count what is embedded, and return how much it was recently."""
        with self._guard:
            now = time.monotonic()
            self._recent = self._recent * 0.5 ** ((now - self._counted) / FORGOTTEN) + tokens
            self._counted = now
            return self._recent

    def _begins(self) -> bool:
        """Say, to the first who asks, that the second runner is to be loaded."""
        with self._guard:
            begun, self._begun = self._begun, True
            return not begun

    def _load(self) -> None:
        try:
            second = self._find()
        except (KnowledgeCoreError, ImportError) as error:
            log.warning("%s does all work, in bulk, too: no other engine loads (%s)", self._first.kind, error)
        except Exception:  # the last frame of this thread; the first runner goes on
            if threading.main_thread().is_alive():  # else the process ends, and no thread can be started any more
                log.exception("loading an engine for bulk work failed")
        else:
            if second is not None:
                self.precision, self.reason = second.precision, f"{self.reason}; in bulk, {second.reason}"
                if not second.on_processor:
                    self._turn = threading.Lock()  # an accelerator takes one batch at a time
                self._second = second
                self._first.end_bulk()
                log.info("from now on %s %s embeds in bulk: %s", second.kind, second.precision, second.reason)


def find_bulk(
    model: Model, circumstances: str, first: OnnxRunner, load: Callable[[], Runner], verdicts: Verdicts
) -> Runner | None:
    """Return the runner that does bulk work faster than the first, loaded; None if none does.

    circumstances: what the outcome depends on beside the model and the machine, as one string.
    load: returns the other runner, loaded.
    verdicts: the outcomes of earlier trials; this one's is added.

    Raises:
        ModelUnavailable, ConfigurationError, ImportError: the other one does not load.
    """
    known = verdicts.of(model, circumstances)
    if known is not None and known.runner == first.kind:
        return None
    second = load()
    if known is None:
        with ThreadPoolExecutor(1, initializer=share_cores) as alone:  # as the threads of bulk work compute
            ratio = alone.submit(_times_faster, model, second, first).result()
        if not second.on_processor:
            ratio /= cores_here()  # it is held against all cores: the first works on one in each thread
        faster = second if ratio >= FASTER else first
        reason = f"{second.kind} {second.precision} is {ratio:.1f} times as fast as {first.kind}"
        known = Verdict(faster.kind, faster.precision, reason)
        verdicts.keep(model, circumstances, known)
        log.info("in bulk, %s is run by %s: %s", model.name, faster.kind, reason)
    return second if known.runner == second.kind else None


def _times_faster(model: Model, second: Runner, first: OnnxRunner) -> float:
    """Return how many times as fast as the first the second computes a full batch, each on one core."""
    tokens = tokenise(open_tokenizer(model), model, real_texts(16))
    batch = [tokens[i] for i in pack([len(each.ids) for each in tokens], MOST_TOKENS)[0]]

    def by_second() -> Vectors:
        return second.forward(batch)

    def by_first() -> Vectors:
        return first.forward(batch, much=True)

    by_second(), by_first()  # the first calls warm up
    return times_faster(by_second, by_first, rounds=3)

"""The vectors of recent queries: agents ask the same again, page by page and collection by collection."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.types import Task, Vectors

REMEMBERED = 256  # queries; 0.8 MB at 768 dimensions


class QueryCache:
    """Implements `Embedder` around another one; caches the vectors of single texts that are not documents.

    Holds the last `REMEMBERED` queries that were asked for, of one model: where another one is behind the name, or the former
    one came back, none of them.
    """

    def __init__(
        self, inner: Embedder, look_again: Callable[[EmbeddingContract], EmbeddingContract] | None = None
    ) -> None:
        """Cache for `inner`. look_again: see there; None where the model cannot be exchanged while this process runs."""
        self._inner, self._look_again = inner, look_again
        self._guard = threading.Lock()  # guards the cache; no model runs under it
        self._known: OrderedDict[tuple[str, Task], Vectors] = OrderedDict()  # -> (1, dim), least recent first
        self._probe: object = None  # of the model that they are of

    @property
    def contract(self) -> EmbeddingContract:
        """See `Embedder.contract`."""
        return self._inner.contract

    def look_again(self, known: EmbeddingContract) -> EmbeddingContract:
        """Return the contract that the model has now, given the one that it had. See `RemoteEmbedder.look_again`."""
        return self._look_again(known) if self._look_again else known

    @property
    def static_contract(self) -> EmbeddingContract:
        """See `Embedder.static_contract`."""
        return self._inner.static_contract

    @property
    def loaded(self) -> bool:
        """See `Embedder.loaded`."""
        return self._inner.loaded

    @property
    def engine(self) -> str:
        """See `Embedder.engine`."""
        return self._inner.engine

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `Embedder.sizes`."""
        return self._inner.sizes

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        """See `Embedder.embed`."""
        if len(texts) != 1 or task is Task.DOCUMENT:
            return self._inner.embed(texts, task, titles)
        asked, probe = (texts[0], task), self._inner.contract.probe
        with self._guard:
            if probe is not self._probe:
                self._known.clear()
                self._probe = probe
            if asked in self._known:
                self._known.move_to_end(asked)
                return self._known[asked].copy()
        made = self._inner.embed(texts, task, titles)
        with self._guard:
            if self._inner.contract.probe is self._probe is probe:
                self._known[asked] = made.copy()
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return made

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder.count_tokens`."""
        return self._inner.count_tokens(texts)

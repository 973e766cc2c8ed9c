"""An embedder that is held to a contract: it compares its model with the contract before it returns the first vector.

Vectors of two models can be compared number by number, but the result means nothing. Whoever embeds for a collection
must not have to remember to compare contracts: an embedder that `Embedders.under` returns cannot skip it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.embedder import Embedder
from knowledge_core.errors import ContractMismatch
from knowledge_core.types import Task, Vectors


class CheckedEmbedder:
    """Implements `Embedder` around another one, for the vectors of one collection.

    Make a new one for each call and each job; each compares once. The model behind an endpoint's name may change while
    this process runs.
    """

    def __init__(
        self,
        inner: Embedder,
        pinned: EmbeddingContract,
        collection: str,
        agreed: Callable[[EmbeddingContract], None],
        look_again: Callable[[EmbeddingContract], EmbeddingContract],
    ) -> None:
        """Hold `inner` to `pinned`. Neither loads nor compares anything yet.

        inner: the embedder that computes.
        pinned: the contract of the collection.
        collection: the collection's name, for the error message.
        agreed: called with the contract of `inner`, probe included, once it is found to agree with `pinned` and before
            the first vector is returned. It is called a second time only where two threads compare at once.
        look_again: called with a contract of `inner` that does not agree; returns the one that its model has now. What is
            remembered may be of a model that has gone again: to bring the former one back must be enough.
        """
        self._inner, self._pinned, self._collection, self._agreed = inner, pinned, collection, agreed
        self._look_again = look_again
        self._checked = False

    @property
    def contract(self) -> EmbeddingContract:
        """Return the contract of the inner embedder, which agrees with the pinned one. Loads the model.

        Raises:
            ContractMismatch: the two differ; the message names both sides and the remedy.
            ModelUnavailable: the model cannot be loaded.
        """
        made_under = self._inner.contract
        if not self._checked:
            if self._pinned.differences(made_under):
                made_under = self._look_again(made_under)
            self._refuse_if_different(made_under)
            self._agreed(made_under)
            self._checked = True  # two threads at once compare twice, which changes nothing
        return made_under

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
        """See `Embedder.embed`.

        Raises:
            ContractMismatch, ModelUnavailable: see `contract`.
        """
        if not self._checked:
            self.contract  # noqa: B018  # read for its comparison
        return self._inner.embed(texts, task, titles)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder.count_tokens`."""
        return self._inner.count_tokens(texts)

    def _refuse_if_different(self, made_under: EmbeddingContract) -> None:
        differences = self._pinned.differences(made_under)
        if differences:
            raise ContractMismatch(
                f"Collection {self._collection!r} was embedded under another contract than {made_under.model!r} "
                f"gives now ({'; '.join(differences)}). Bring the former model back, or move the collection: "
                f"`kcore reembed {self._collection} --model {self._inner.static_contract.model}`."
            )

"""A model behind an OpenAI-compatible `/v1/embeddings` as an `Embedder`: Ollama, text-embeddings-inference, vLLM, llama.cpp.

Rules kept here:
- the contract formats the exact string that is embedded, on this side; a server that adds a prompt of its own gives
  another probe vector, which makes it another contract;
- whatever comes back is checked (count, order, dimensions, finite, not zero), cut to the contract's dimensions and
  scaled to norm 1: never a wrong vector;
- the model behind a name may be exchanged at any time. So every request for vectors that are stored, and every first
  request of a minute for others, carries the first probe text along: its vector must still be the contract's.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from knowledge_core.contract import (
    GEMMA_PROMPTS,
    MINILM_PROMPTS,
    PROBE_TEXTS,
    SAME,
    EmbeddingContract,
    sizes_of,
    up_to,
)
from knowledge_core.embedding.remote.endpoint import Endpoint, EndpointRefused
from knowledge_core.embedding.tokens import clean
from knowledge_core.errors import ContractMismatch, Interrupted, InvalidInput, ModelUnavailable
from knowledge_core.language.token_estimate import BYTES_PER_TOKEN, estimated_tokens
from knowledge_core.types import Task, Vectors

REMOTE: Final = "remote"
PREFIX: Final = "remote:"
SETTING: Final = "embedding.remote"

SPECIAL: Final = 2  # tokens that a model puts around a text
TEXTS_PER_REQUEST: Final = 16  # a window of 64 is four requests at once; text-embeddings-inference takes 32 by default
BYTES_PER_REQUEST: Final = 400_000  # of text
BYTES_PER_NUMBER: Final = 32  # of JSON, at most: -1.2345678901234567e-05 and a comma take 24
_SLOTS: Final = re.compile(r"\{(?:text|title)\}")
CHECKED_FOR: Final = 60.0  # seconds for which a query trusts the last comparison of the probe


@dataclass(frozen=True)
class RemoteModel:
    """What the user's configuration says of a model behind an endpoint.

    Attributes:
        url: the address of the API.
        name: as the endpoint knows the model.
        prompts: whose prompts are put before the texts.
        dimensions: of its full vectors.
        max_length: tokens that it reads.
        api_key_env: the environment variable that holds the key; "" for none.
        timeout: seconds of one attempt.
        concurrency: requests of bulk work at the same time; as many more are allowed for queries.
    """

    url: str
    name: str
    prompts: Literal["auto", "embeddinggemma", "none"] = "auto"
    dimensions: int = 768
    max_length: int = 2048
    api_key_env: str = ""
    timeout: float = 60.0
    concurrency: int = 4

    @property
    def gemma(self) -> bool:
        """Say whether its texts get EmbeddingGemma's prompts; "auto" decides by the model's name."""
        if self.prompts == "auto":
            return "embeddinggemma" in self.name.lower().replace("-", "").replace("_", "")
        return self.prompts == "embeddinggemma"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the dimensions that its vectors can have, largest first."""
        return sizes_of(self.dimensions, matryoshka=self.gemma)


def is_remote(name: str) -> bool:
    """Say whether a model's name means the configured endpoint: "remote", or "remote:" and the name of a model there."""
    return name == REMOTE or name.startswith(PREFIX)


class RemoteEmbedder:
    """Implements `Embedder` with an endpoint. Nothing is sent before the first use.

    dimensions: one of `model.sizes`; None for the model's full size.

    Raises:
        InvalidInput: the model has no vectors of these dimensions.
        ConfigurationError: the address cannot be used.
    """

    def __init__(self, model: RemoteModel, *, dimensions: int | None = None) -> None:
        size = model.dimensions if dimensions is None else dimensions
        if size not in model.sizes:
            allowed = ", ".join(map(str, model.sizes))
            raise InvalidInput(f"{PREFIX}{model.name} has no vectors of {size} dimensions. It has: {allowed}.")
        self.model = model
        self.endpoint = Endpoint(
            model.url,
            key_env=model.api_key_env,
            timeout=model.timeout,
            connections=2 * model.concurrency,
            setting=SETTING,
        )
        prompts = GEMMA_PROMPTS if model.gemma else MINILM_PROMPTS
        self.static_contract = EmbeddingContract(f"{PREFIX}{model.name}", size, prompts, model.max_length)
        self._contract: EmbeddingContract | None = None
        self._looking = threading.Lock()
        self._looked = 0.0  # time.monotonic() of the last comparison that found the same probe
        self._form = "base64"  # exact, and a third of the bytes; "float" once the endpoint refused it
        self._bulk = threading.BoundedSemaphore(model.concurrency)
        self._urgent = threading.BoundedSemaphore(model.concurrency)

    @property
    def engine(self) -> str:
        """See `Embedder.engine`; "", because an endpoint does not say."""
        return ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `Embedder.sizes`."""
        return up_to(self.static_contract.dimensions, self.model.sizes)

    @property
    def loaded(self) -> bool:
        """Say whether the endpoint has given its probe."""
        return self._contract is not None

    @property
    def contract(self) -> EmbeddingContract:
        """Return the contract with the probe, which the first use asks the endpoint for.

        Raises:
            ModelUnavailable: the endpoint does not give the probe.
        """
        with self._looking:
            if self._contract is None:
                strings = [self.static_contract.format(text, Task.DOCUMENT) for text in PROBE_TEXTS]
                probe = self._finished(self._requested(strings, urgent=True))
                self._contract = replace(self.static_contract, probe=probe)
                self._looked = time.monotonic()
            return self._contract

    def look_again(self, known: EmbeddingContract) -> EmbeddingContract:
        """Return the contract, with a probe that the endpoint gives now, unless it was asked for since `known` was.

        known: what `contract` returned before.

        Raises:
            ModelUnavailable: the endpoint does not give the probe.
        """
        with self._looking:
            if self._contract is known:
                self._contract = None
        return self.contract

    def stop(self) -> None:
        """End all waiting: the process is ending."""
        self.endpoint.stop()

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        """See `Embedder.embed`. Where a long text is cut is an estimate: `BYTES_PER_TOKEN`.

        Raises:
            ModelUnavailable: the endpoint cannot be reached, refuses, or returns something else than vectors of this model.
            ContractMismatch: it returns other vectors for the same text than before.
        """
        if not texts:
            return np.empty((0, self.static_contract.dimensions), np.float32)
        titles = [""] * len(texts) if titles is None else titles
        if len(titles) != len(texts):
            raise ValueError(f"{len(texts)} texts have {len(titles)} titles")
        probe = self.contract.probe
        assert probe is not None  # a contract that was asked for has one
        strings = [self._string(text, task, title) for text, title in zip(texts, titles, strict=True)]
        result = np.zeros((len(strings), self.static_contract.dimensions), np.float32)
        result[:, 0] = 1.0  # a text without any character: a fixed direction, never NaN; endpoints refuse it
        asked = [place for place, string in enumerate(strings) if string.strip()]
        if asked:
            batches = _batches([strings[place] for place in asked])
            urgent = task is not Task.DOCUMENT and len(texts) <= TEXTS_PER_REQUEST
            result[asked] = self._all(batches, probe[0], urgent=urgent)
        return result

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return an estimate per text (`estimated_tokens`): an endpoint does not say how its model reads a text."""
        return [estimated_tokens(text) for text in texts]

    def _string(self, text: str, task: Task, title: str) -> str:
        """Return the exact string that is sent, cut to what the model reads."""
        (string,) = clean([self.static_contract.format(text, task, title)])
        room = max(self.static_contract.max_length - SPECIAL, 1) * BYTES_PER_TOKEN
        encoded = string.encode()
        return string if len(encoded) <= room else encoded[:room].decode(errors="ignore")

    def _all(self, batches: Sequence[list[str]], canary: npt.NDArray[np.float32], *, urgent: bool) -> Vectors:
        """Return the vectors of all batches, in order. Several requests run at once; the first error of any is raised."""
        made: dict[int, Vectors] = {}
        errors: list[BaseException] = []
        waiting = deque(enumerate(batches))
        over = threading.Condition()

        def work() -> None:
            while True:
                with over:
                    if errors or not waiting:
                        return
                    number, batch = waiting.popleft()
                try:
                    rows = self._watched(batch, canary, urgent=urgent)
                except BaseException as error:  # noqa: BLE001 - raised again by the thread that asked
                    with over:
                        errors.append(error)
                        over.notify_all()
                    return
                with over:
                    made[number] = rows
                    over.notify_all()

        # Daemon threads: where the process ends, the caller leaves them behind, and they do not delay its end.
        for _ in range(min(self.model.concurrency, len(batches))):
            threading.Thread(target=work, name="remote-embed", daemon=True).start()
        with over:
            while not errors and len(made) < len(batches):
                over.wait(timeout=0.5)
                if self.endpoint.stopped:
                    raise Interrupted("The process is ending; what was acknowledged stays.")
            if errors:
                raise errors[0]
        return np.concatenate([made[number] for number in range(len(batches))])

    def _watched(self, strings: list[str], canary: npt.NDArray[np.float32], *, urgent: bool) -> Vectors:
        """Return the vectors of one request, which carries the probe text along where a comparison is due."""
        due = not urgent or time.monotonic() - self._looked > CHECKED_FOR
        along = [self.static_contract.format(PROBE_TEXTS[0], Task.DOCUMENT)] if due else []
        with self._urgent if urgent else self._bulk:
            rows = self._finished(self._requested([*strings, *along], urgent=urgent))
        if not due:
            return rows
        cosine = float(rows[-1] @ canary)
        if cosine < SAME:
            with self._looking:
                self._contract = None  # the next use asks for the new probe, so that contracts are compared
            raise ContractMismatch(
                f"The embedding endpoint {self.endpoint.host} gives other vectors under the name {self.model.name!r} than "
                f"before (cosine {cosine:.3f}, {SAME} is the least): its model was exchanged. Nothing of this was stored. "
                "Bring the former model back."
            )
        self._looked = time.monotonic()
        return rows[:-1]

    def _requested(self, strings: list[str], *, urgent: bool) -> npt.NDArray[np.float32]:
        """Return the endpoint's vectors for one request: (n, full dimensions), of which only the shape is checked."""
        try:
            return self._asked(strings, self._form, urgent=urgent)
        except EndpointRefused:
            if self._form == "float":
                raise
            rows = self._asked(strings, "float", urgent=urgent)
            self._form = "float"
            return rows

    def _asked(self, strings: list[str], form: str, *, urgent: bool) -> npt.NDArray[np.float32]:
        most = len(strings) * self.model.dimensions * BYTES_PER_NUMBER + 1_000_000
        body = {"model": self.model.name, "input": strings, "encoding_format": form}
        answer = self.endpoint.post(
            "/embeddings", body, most_bytes=most, patient=not urgent, private=self._parts(strings)
        )
        rows = self._rows(answer, len(strings))
        wrong = sorted({len(row) for row in rows} - {self.model.dimensions})
        if wrong:
            raise ModelUnavailable(
                f"The model {self.model.name!r} at {self.endpoint.host} gives vectors of {wrong[0]} dimensions; "
                f"{SETTING}.dimensions says {self.model.dimensions}. Set it to {wrong[0]}, or name the right model."
            )
        return np.stack(rows)

    def _parts(self, strings: list[str]) -> list[str]:
        """Return the strings, and the titles and texts in them without their prompts: what no message may repeat."""
        fixed = {part for prompt in self.static_contract.prompts.values() for part in _SLOTS.split(prompt) if part}
        between = re.compile("|".join(map(re.escape, sorted(fixed, key=len, reverse=True))) or "$")
        return [part for string in strings for part in (string, *between.split(string))]

    def _rows(self, answer: Any, count: int) -> list[npt.NDArray[np.float32]]:
        """Return the vectors of an answer in the order of the texts."""
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list):
            raise ModelUnavailable(
                f"The embedding endpoint {self.endpoint.host} does not answer like an OpenAI-compatible embeddings API. "
                f"Check {SETTING}.url; most end in /v1."
            )
        if len(data) != count:
            raise ModelUnavailable(
                f"The embedding endpoint {self.endpoint.host} gave {len(data)} vectors for {count} texts. Try again; if it "
                "stays so, the server is broken."
            )
        try:
            placed = {int(item.get("index", place)): _numbers(item["embedding"]) for place, item in enumerate(data)}
            return [placed[place] for place in range(count)]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error) as error:
            raise ModelUnavailable(
                f"The embedding endpoint {self.endpoint.host} gave a vector that cannot be read ({type(error).__name__})."
            ) from error

    def _finished(self, full: npt.NDArray[np.float32]) -> Vectors:
        """Return rows cut to the contract's dimensions, with norm 1."""
        rows = full[:, : self.static_contract.dimensions]
        norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not (norms > 0).all():
            raise ModelUnavailable(
                f"The model {self.model.name!r} at {self.endpoint.host} gave a vector that is not finite, or zero. "
                "EmbeddingGemma must run in float32 or bfloat16 there, never in float16."
            )
        return np.asarray(rows / norms, np.float32)


def _numbers(given: Any) -> npt.NDArray[np.float32]:
    """Return a vector that was sent as numbers, or as base64 of little-endian float32."""
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given, validate=True), "<f4")
    with np.errstate(over="ignore"):  # too large for float32: becomes infinite, which `_finished` refuses
        row = np.array(given, np.float64).astype(np.float32)
    if row.ndim != 1:
        raise ValueError("not one row of numbers")
    return row


def _batches(strings: Sequence[str]) -> list[list[str]]:
    """Return the strings split into requests, in their order."""
    batches: list[list[str]] = []
    room = 0
    for string in strings:
        size = len(string.encode())
        if not batches or len(batches[-1]) == TEXTS_PER_REQUEST or size > room:
            batches.append([])
            room = BYTES_PER_REQUEST
        batches[-1].append(string)
        room -= size
    return batches

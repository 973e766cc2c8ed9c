"""What the scale benchmarks are filled with: texts, vectors, filters, questions, and the exact answers to these.

Texts are five real sentences: two of one paragraph of the sets, three of anywhere. A text's vector is drawn around the
real MiniLM vector of that paragraph (`around`), so that words and meaning agree, questions have answers, and no weeks of
embedding are needed. Questions are the sets' own, embedded as questions. Everything comes from seeded generators, block
by block: the same on every machine, up to rounding, and a smaller size is the beginning of a larger one. What takes
long is kept in a cache folder.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.contract import EmbeddingContract
from knowledge_core.embedding.local.sentence_transformers_engine import reference_embedder
from knowledge_core.embedding.models.models import resolve
from knowledge_core.storage.collection import Change, NewDocument
from knowledge_core.types import Chunk, Document, Lines, Span, Task, Vectors, content_digest
from knowledge_core.verbs.evaluate import Judged, load_beir

VERSION = 1  # of all cached data: what another version cached is rebuilt
CACHE = Path.home() / ".cache" / "knowledge-core-benchmarks"
MODEL = "all-MiniLM-L6-v2"
SETS = ("hotpotqa_small", "scifact", "covidqa", "cranfield")
BLOCK = 10_000  # rows drawn from one generator
MOST_QUESTIONS = 500  # embedded
ANCHORS = 2_000  # paragraphs with a vector; a million chunks are 500 around each
ANCHOR_LENGTH = 500  # characters of a paragraph that are embedded: its topic, in a quarter of the time
SLOTS = 1_000  # every block has the same share of each, so that a filter allows what its name says
NOISE = (0.2, 1.2)  # norm of the noise beside an anchor of norm 1: see `around`
TOP = 10
SCORED_AT_ONCE = 50_000  # rows of the exact scan

Rows = npt.NDArray[np.int64]
Filter = Mapping[str, Any]

FILTERS: Mapping[str, Filter | None] = {
    "none": None,
    **{f"{share:g} %": {"slot": {"$lt": int(share * SLOTS / 100)}} for share in (50, 10, 1, 0.1)},
}


@dataclass(frozen=True)
class Material:
    """What texts are made of. own: for each anchor, which sentences are its own. sets: the name of each anchor's set."""

    anchors: list[str]
    own: list[list[int]]
    sets: list[str]
    sentences: list[str]
    questions: list[str]

    @classmethod
    def load(cls, data: Path | None) -> Material:
        """Read the packaged set, and those of `SETS` that lie in `data`."""
        judged: dict[str, Judged] = {}
        with as_file(files("knowledge_core.examples") / SETS[0]) as folder:
            judged[SETS[0]] = load_beir(folder)
        for name in SETS[1:] if data else ():
            judged[name] = load_beir(data / name)
        paragraphs = [
            (not any(each.id in grades for grades in one.judgements.values()), name, each.text)
            for name, one in judged.items()
            for each in one.documents
        ]
        random.Random(VERSION).shuffle(paragraphs)
        paragraphs.sort(key=lambda paragraph: paragraph[0])  # those first that a question asks for
        sentences = {text: _sentences(text) for _, _, text in paragraphs}
        number = {each: at for at, each in enumerate(dict.fromkeys(chain(*sentences.values())))}
        chosen = [(name, text) for _, name, text in paragraphs if len(sentences[text]) >= 2][:ANCHORS]
        asked = zip_longest(*(list(one.queries.values()) for one in judged.values()))
        return cls(
            anchors=[text for _, text in chosen],
            own=[[number[each] for each in sentences[text]] for _, text in chosen],
            sets=[name for name, _ in chosen],
            sentences=list(number),
            questions=list(dict.fromkeys(each for row in asked for each in row if each))[:MOST_QUESTIONS],
        )

    @cached_property
    def digest(self) -> str:
        """Return a name for all that is made of this."""
        parts = [str(VERSION), *self.anchors, *self.sentences, *self.questions]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _sentences(text: str) -> list[str]:
    found = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    return [each for each in found if 30 < len(each) < 500]


@dataclass(frozen=True)
class Draw:
    """What one block of documents is made of, a row each. own: where in the anchor's sentences, 0..1. slots: 0..999."""

    anchors: Rows
    own: npt.NDArray[np.float64]
    others: Rows
    slots: Rows


@dataclass(frozen=True)
class Corpus:
    """A stream of documents without an end. questions: those asked, each once. asked: their vectors (q, dim)."""

    material: Material
    contract: EmbeddingContract
    anchors: Vectors
    questions: list[str]
    asked: Vectors
    cache: Path

    @classmethod
    def load(cls, cache: Path, data: Path | None, queries: int) -> Corpus:
        """Read the sets, and embed what the cache does not have yet."""
        material = Material.load(data)
        cache.mkdir(parents=True, exist_ok=True)
        file = cache / f"embedded-{material.digest}.npz"
        if not file.exists():
            _embed(material, file)
        with np.load(file) as stored:
            contract = EmbeddingContract.from_json(str(stored["contract"]))
            asked = stored["asked"][:queries]
            return cls(material, contract, stored["anchors"], material.questions[: len(asked)], asked, cache)

    @cached_property
    def factor(self) -> Vectors:
        """Return the Cholesky factor of the anchors' covariance: (dim, dim)."""
        covariance = np.cov(self.anchors.T.astype(np.float64))
        return np.linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance))).astype(np.float32)

    def draw(self, block: int) -> Draw:
        """Return the plan of the documents from `block * BLOCK`."""
        chance = np.random.default_rng([VERSION, block])
        return Draw(
            anchors=chance.integers(0, len(self.anchors), BLOCK),
            own=chance.random((BLOCK, 2)),
            others=chance.integers(0, len(self.material.sentences), (BLOCK, 3)),
            slots=chance.permutation(BLOCK) % SLOTS,
        )

    def texts(self, begin: int, end: int) -> Iterator[tuple[str, str, int]]:
        """Yield text, set and slot of each document in a range of numbers."""
        material = self.material
        for block, part in _blocks(begin, end):
            draw = self.draw(block)
            for at in range(*part.indices(BLOCK)):
                own = material.own[draw.anchors[at]]
                first = int(draw.own[at, 0] * len(own))
                second = (first + 1 + int(draw.own[at, 1] * (len(own) - 1))) % len(own)
                picked = (own[first], own[second], *draw.others[at].tolist())
                text = " ".join(material.sentences[number] for number in picked)
                yield text, material.sets[draw.anchors[at]], int(draw.slots[at])

    def drawn(self, begin: int, end: int) -> Vectors:
        """Return the vectors of a range of documents, drawn again at each call: (n, dim) float32, norm 1."""
        made = []
        for block, part in _blocks(begin, end):
            noise = np.random.default_rng([VERSION, block, 1])
            made.append(around(self.anchors[self.draw(block).anchors], self.factor, noise)[part])
        return np.concatenate(made)

    def vectors(self, count: int) -> Vectors:
        """Return the vectors of the first `count` documents, mapped from the cache: made there if they are not."""
        pattern = f"vectors-{self.material.digest}-*.npy"
        there = list(self.cache.glob(pattern))
        for file in there:
            if int(file.stem.rpartition("-")[2]) >= count:
                return np.load(file, mmap_mode="r")[:count]
        file = self.cache / pattern.replace("*", str(count))
        beside = file.with_suffix(".partial")
        rows = np.lib.format.open_memmap(beside, "w+", np.float32, (count, self.contract.dimensions))
        for begin in range(0, count, BLOCK):
            rows[begin : begin + BLOCK] = self.drawn(begin, min(begin + BLOCK, count))
            say(f"drawing vectors: {begin:,} of {count:,}")
        rows.flush()
        beside.rename(file)
        for smaller in there:
            smaller.unlink()
        return np.load(file, mmap_mode="r")

    def masks(self, count: int, filters: Mapping[str, Filter | None]) -> dict[str, npt.NDArray[np.bool_]]:
        """Return which of the first `count` documents each filter allows."""
        draws = [self.draw(block) for block in range(-(-count // BLOCK))]
        slots = np.concatenate([draw.slots for draw in draws])[:count]
        sets = np.array(self.material.sets)[np.concatenate([draw.anchors for draw in draws])[:count]]
        masks = {name: np.ones(count, np.bool_) for name in filters}
        for name, filter in filters.items():
            if filter:
                masks[name] = sets == filter["set"] if "set" in filter else slots < filter["slot"]["$lt"]
        return masks

    def filters(self) -> dict[str, Filter | None]:
        """Return `FILTERS`, and one that has to do with meaning: a set that most questions are not about."""
        names = sorted(set(self.material.sets))
        return {**FILTERS, **({f"set {names[0]}": {"set": names[0]}} if len(names) > 1 else {})}

    def change(self, begin: int, end: int) -> Change:
        """Return what writes a range of documents: one chunk each, with its vector."""
        added, vectors = [], {}
        numbers = range(begin, end)
        for number, (text, name, slot), row in zip(
            numbers, self.texts(begin, end), self.drawn(begin, end), strict=True
        ):
            document = Document(id=f"d{number}", text=text, metadata={"slot": slot, "set": name})
            part = Chunk(0, text, Span(0, len(text)), Lines(1, 1))
            added.append(NewDocument(document, [part], content_digest(document)))
            vectors[self.contract.digest(text)] = row
        return Change(add=added, vectors=vectors)


class Precomputed:
    """Implements `Embedder` for questions whose vectors are known: its time in a search is nothing."""

    loaded = True

    def __init__(self, contract: EmbeddingContract, questions: Sequence[str], asked: Vectors) -> None:
        self.contract = self.static_contract = contract
        self.engine, self.sizes = "", (contract.dimensions,)
        self._known = dict(zip(questions, asked, strict=True))

    def embed(self, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None) -> Vectors:
        return np.stack([self._known[text] for text in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) // 4 for text in texts]


def around(anchors: Vectors, factor: Vectors, noise: np.random.Generator) -> Vectors:
    """Return a vector around each row: (n, dim) float32, norm 1.

    The noise has the covariance of the real vectors (factor: its Cholesky factor) and a norm of 0.2 to 1.2 beside the
    anchor's 1. What is near a question is then like it is among the real paragraphs: the best cosine has a median of
    0.63 (0.63 there), the intrinsic dimension over the hundred nearest (Levina & Bickel 2004) is 17 (16 to 23 there).
    Noise of one norm, the same in all directions, as is easily drawn, gives a dimension of 70 at the ten nearest:
    neighbours that are all equally far, which is harder for a graph than anything real.
    """
    rows = noise.standard_normal(anchors.shape, np.float32) @ factor.T
    rows *= noise.uniform(*NOISE, (len(rows), 1)).astype(np.float32) / np.linalg.norm(rows, axis=1, keepdims=True)
    rows += anchors
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def exact(vectors: Vectors, asked: Vectors, masks: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, Rows]:
    """Return for each filter the rows of the `TOP` largest float32 cosines of each question, best first: (q, TOP).

    Where a filter allows fewer, the rest are -1.
    """
    best = {name: (np.full((len(asked), TOP), -np.inf, np.float32), np.full((len(asked), TOP), -1)) for name in masks}
    for begin in range(0, len(vectors), SCORED_AT_ONCE):
        scores = asked @ vectors[begin : begin + SCORED_AT_ONCE].T
        for name, mask in masks.items():
            inside = np.flatnonzero(mask[begin : begin + SCORED_AT_ONCE])
            best[name] = _merged(best[name], scores[:, inside], inside + begin)
    return {name: rows for name, (_, rows) in best.items()}


def _merged(best: tuple[Vectors, Rows], scores: Vectors, rows: Rows) -> tuple[Vectors, Rows]:
    scores = np.concatenate([best[0], scores], axis=1)
    rows = np.concatenate([best[1], np.broadcast_to(rows, (len(scores), len(rows)))], axis=1)
    top = np.argpartition(-scores, TOP - 1, axis=1)[:, :TOP]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable"), 1)
    return np.take_along_axis(scores, top, 1), np.take_along_axis(rows, top, 1)


def recall(found: Sequence[Sequence[int]], truth: Rows) -> float:
    """Return the share of the true rows that were found, over all questions."""
    wanted = [set(row[row >= 0].tolist()) for row in truth]
    hits = sum(len(set(map(int, each)) & one) for each, one in zip(found, wanted, strict=True))
    return hits / max(1, sum(map(len, wanted)))


def say(what: str) -> None:
    """Tell on the error stream how far it is."""
    print(what, file=sys.stderr, flush=True)


def _blocks(begin: int, end: int) -> Iterator[tuple[int, slice]]:
    """Yield which part of which block a range of numbers covers."""
    while begin < end:
        block, first = divmod(begin, BLOCK)
        last = min(BLOCK, first + end - begin)
        yield block, slice(first, last)
        begin += last - first


def _embed(material: Material, file: Path) -> None:
    """Embed anchors and questions, and keep them with the contract."""
    model = reference_embedder(resolve(MODEL))
    texts = [text[:ANCHOR_LENGTH] for text in material.anchors]
    parts = {"anchors": (texts, Task.DOCUMENT), "asked": (material.questions, Task.QUERY)}
    made: dict[str, Any] = {"contract": model.contract.to_json()}
    for name, (each, task) in parts.items():
        order = np.argsort([len(text) for text in each])  # alike lengths together: little padding
        made[name] = np.empty((len(each), model.contract.dimensions), np.float32)
        for begin in range(0, len(each), 32):
            batch = order[begin : begin + 32]
            made[name][batch] = model.embed([each[at] for at in batch], task)
            say(f"embedding {name}: {begin} of {len(each)}")
    beside = file.with_suffix(".partial.npz")
    np.savez(beside, **made)
    beside.rename(file)

"""Texts as tokens: what a model reads of a string, cut to its longest input, and how much of it was cut.

Rules kept here: a text that is too long keeps its first tokens and the special tokens around it, as
sentence-transformers does it; what no tokenizer takes is read as a replacement character; torch is not needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Encoding, Tokenizer

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.models.model_folder import Model, ends
from knowledge_core.embedding.models.packaged import TOKENIZER_FILE, verify_file
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task

_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")  # what no tokenizer takes: NUL and halves of surrogate pairs
_SPECIAL: Final = 2  # tokens around a text: one before, one behind, in the Gemma and the BERT family


@dataclass(frozen=True)
class Tokens:
    """A text as the model reads it. ids: special tokens included, cut to the model's longest input."""

    text: str
    ids: list[int]


@dataclass(frozen=True)
class Truncation:
    """How much of a call's texts the model did not read. texts: how many were longer than `longest`, of `total`."""

    texts: int
    total: int
    tokens: int
    longest: int

    def __str__(self) -> str:
        """Say it in a sentence; "" where nothing was cut."""
        if not self.texts:
            return ""
        return (
            f"{self.texts} of {self.total} texts were longer than {self.longest} tokens, which is all that the model "
            f"reads; {self.tokens} tokens were cut off at their ends."
        )


def truncation_of(
    embedder: Embedder, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None
) -> Truncation:
    """Return what `embedder.embed` leaves unread of these texts; does not load the model."""
    contract = embedder.static_contract
    titles = [""] * len(texts) if titles is None else titles
    # A token has a character at least: most texts are too short to be counted
    room = contract.max_length - _SPECIAL
    formatted = (contract.format(text, task, title) for text, title in zip(texts, titles, strict=True))
    long = [text for text in formatted if len(text.encode("utf-8", "replace")) > room]
    beyond = [count - room for count in embedder.count_tokens(long) if count > room] if long else []
    return Truncation(len(beyond), len(texts), sum(beyond), contract.max_length)


def open_tokenizer(model: Model) -> Tokenizer:
    """Return a model's tokenizer, set neither to cut nor to pad.

    Raises:
        ModelUnavailable: it is the packaged model's and not the published file, is damaged, or marks no end of a text where
            the model needs one.
    """
    if model.packaged:
        verify_file(model.folder, TOKENIZER_FILE)
    # Said aloud, so that it does not warn on stderr when the process starts another one
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        tokenizer = Tokenizer.from_file(str(model.folder / TOKENIZER_FILE))
    except Exception as error:  # the library raises nothing more special
        raise ModelUnavailable(
            f"The tokenizer of {model.name} cannot be read: {TOKENIZER_FILE} is damaged, or of a newer form than the "
            "library `tokenizers` here knows. Copy or download the model's files again."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _check_ends(model, tokenizer.encode("a"))
    return tokenizer


def _check_ends(model: Model, encoding: Encoding) -> None:
    """Check that a text, as tokens, begins and ends as EmbeddingGemma was trained on it; other models are their own.

    Raises:
        ModelUnavailable: it does not: every vector would be a little wrong.
    """
    if not model.is_embeddinggemma:
        return
    first, last = ends(model.folder)
    ids = encoding.ids
    wrong = [name for name, place, known in (("begin", 0, first), ("end", -1, last)) if ids[place] not in known]
    if wrong:
        raise ModelUnavailable(
            f"The tokenizer of {model.name} puts no {' and no '.join(wrong)} token around a text, so that its vectors would "
            f"be wrong. Copy or download {TOKENIZER_FILE} and tokenizer_config.json again."
        )
    if sum(encoding.special_tokens_mask) != _SPECIAL:
        raise ModelUnavailable(
            f"The tokenizer of {model.name} puts {sum(encoding.special_tokens_mask)} special tokens around a text and not "
            f"{_SPECIAL}, so that its vectors would be wrong. Copy or download {TOKENIZER_FILE} and tokenizer_config.json again."
        )


def clean(texts: Sequence[str]) -> list[str]:
    """Return texts without what no tokenizer takes."""
    return [_NOT_TEXT.sub("\ufffd", text) for text in texts]


def tokenise(tokenizer: Tokenizer, model: Model, formatted: Sequence[str]) -> list[Tokens]:
    """Return the exact strings that are embedded as a model reads them, cut to its longest input.

    Raises:
        ModelUnavailable: the tokenizer is of a model that knows more tokens.
    """
    closing, longest = _closing(tokenizer), model.max_length
    cleaned = clean(formatted)
    encoded = [each.ids for each in tokenizer.encode_batch_fast(cleaned)]
    for place, ids in enumerate(encoded):
        if model.vocabulary and max(ids, default=0) >= model.vocabulary:
            cleaned[place], encoded[place] = _in_vocabulary(tokenizer, model, cleaned[place], ids)
    return [
        Tokens(text, ids if len(ids) <= longest else ids[: longest - closing] + ids[len(ids) - closing :])
        for text, ids in zip(cleaned, encoded, strict=True)
    ]


def _in_vocabulary(tokenizer: Tokenizer, model: Model, text: str, ids: Sequence[int]) -> tuple[str, list[int]]:
    """Return a text, and its tokens, without those that the weights have no row for.

    Tokenizers of the Gemma family have tokens for pictures and sounds that the weights of a text model do not have; a
    text that spells one out must not end the work on all others.
    """
    added = tokenizer.get_added_tokens_decoder()  # those that a text spells out; all others are pieces of words
    for unknown in sorted({id for id in ids if id >= model.vocabulary and id in added}):
        text = text.replace(added[unknown].content, "\ufffd")
    known: list[int] = tokenizer.encode(text).ids
    if max(known, default=0) >= model.vocabulary:
        raise ModelUnavailable(
            f"The tokenizer of {model.name} knows more tokens than its weights, so it is of another model. Copy or download "
            f"{TOKENIZER_FILE} again."
        )
    return text, known


def _closing(tokenizer: Tokenizer) -> int:
    """Return how many special tokens follow a text."""
    special = tokenizer.encode("a").special_tokens_mask
    return next((place for place, flag in enumerate(reversed(special)) if not flag), 0)

"""Texts as tokens: what a model reads of a string, cut to the model's longest input, and how much was cut.

Rules kept here:
- a text that is too long keeps its first tokens and the special tokens around them, as in sentence-transformers;
- characters that no tokenizer accepts are read as U+FFFD, the replacement character;
- torch is not needed.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Encoding, Tokenizer

from knowledge_core.embedding.embedder import Embedder
from knowledge_core.embedding.models.model_folder import Model, ends
from knowledge_core.embedding.models.packaged import TOKENIZER_FILE, verify_file
from knowledge_core.errors import ModelUnavailable
from knowledge_core.types import Task

_NOT_TEXT: Final = re.compile("[\x00\ud800-\udfff]")  # no tokenizer accepts NUL or half a surrogate pair
_SPECIAL: Final = 2  # special tokens per text, in the Gemma and the BERT family: one before it, one behind it


@dataclass(frozen=True)
class Tokens:
    """A text as the model reads it.

    text: the exact string that is embedded, not cut.
    ids: the numbers of its tokens, special tokens included, cut to the model's longest input.
    """

    text: str
    ids: list[int]


@dataclass(frozen=True)
class Truncation:
    """How much of the texts of one call the model did not read.

    texts: how many of them were cut.
    total: how many texts the call had.
    tokens: how many tokens were cut, of all texts together.
    longest: the model's longest input, in tokens, prompt and special tokens included.
    """

    texts: int
    total: int
    tokens: int
    longest: int

    def __str__(self) -> str:
        """Return it as a sentence; "" where nothing was cut."""
        if not self.texts:
            return ""
        return (
            f"{self.texts} of {self.total} texts were longer than {self.longest} tokens, which is all that the model "
            f"reads; {self.tokens} tokens were cut off at their ends."
        )


def truncation_of(
    embedder: Embedder, texts: Sequence[str], task: Task, titles: Sequence[str] | None = None
) -> Truncation:
    """Return how much `embedder.embed` leaves unread of these texts. Does not load the model.

    titles: one per text; None: no text has one.

    Raises:
        ModelUnavailable: the tokenizer cannot be read.
        ValueError: there are not as many titles as texts.
    """
    contract = embedder.static_contract
    titles = [""] * len(texts) if titles is None else titles
    # A token is at least one byte: a text with no more bytes than there is room for tokens need not be counted.
    room = contract.max_length - _SPECIAL
    formatted = (contract.format(text, task, title) for text, title in zip(texts, titles, strict=True))
    long = [text for text in formatted if len(text.encode("utf-8", "replace")) > room]
    beyond = [count - room for count in embedder.count_tokens(long) if count > room] if long else []
    return Truncation(len(beyond), len(texts), sum(beyond), contract.max_length)


def characters_read(embedder: Embedder, text: str, task: Task) -> int:
    """Return how many of an untitled text's characters `embedder.embed` reads, from its beginning. Does not load the model.

    Raises:
        ModelUnavailable: the tokenizer cannot be read.
    """
    contract = embedder.static_contract
    room = contract.max_length - _SPECIAL

    def is_cut(length: int) -> bool:
        formatted = contract.format(text[:length], task)
        return len(formatted.encode("utf-8", "replace")) > room < embedder.count_tokens([formatted])[0]

    if not is_cut(len(text)):
        return len(text)
    return bisect_left(range(len(text)), True, key=is_cut) - 1


def open_tokenizer(model: Model) -> Tokenizer:
    """Return a model's tokenizer, which neither cuts nor pads.

    Raises:
        ModelUnavailable: the file is damaged, is not the published one of the packaged model, or puts no begin or end
            token around a text where the model needs them.
    """
    if model.packaged:
        verify_file(model.folder, TOKENIZER_FILE)
    # Set explicitly: otherwise the library warns on stderr when the process starts another one.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        tokenizer = Tokenizer.from_file(str(model.folder / TOKENIZER_FILE))
    except Exception as error:  # the library raises no narrower class
        raise ModelUnavailable(
            f"The tokenizer of {model.name} cannot be read: {TOKENIZER_FILE} is damaged, or of a newer form than the "
            "library `tokenizers` here knows. Copy or download the model's files again."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _check_ends(model, tokenizer.encode("a"))
    return tokenizer


def _check_ends(model: Model, encoding: Encoding) -> None:
    """Check that a text begins and ends with the tokens that EmbeddingGemma was trained with; pass any other model.

    Raises:
        ModelUnavailable: it does not, and every vector would be a little wrong.
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
    """Return texts with U+FFFD in place of each character that no tokenizer accepts."""
    return [_NOT_TEXT.sub("\ufffd", text) for text in texts]


def tokenise(tokenizer: Tokenizer, model: Model, formatted: Sequence[str]) -> list[Tokens]:
    """Return strings as a model reads them, one `Tokens` per string, in order, cut to the model's longest input.

    formatted: the exact strings that are embedded, prompts included.

    Raises:
        ModelUnavailable: the tokenizer has more tokens than the model has weights for, so that it is another model's.
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
    """Return a text with U+FFFD in place of each token that the weights have no row for, and the new text's tokens.

    Tokenizers of the Gemma family have tokens for pictures and sounds, for which the weights of a text model have no
    rows. A text that spells such a token out must not end the work on all other texts.
    """
    added = tokenizer.get_added_tokens_decoder()  # tokens that a text can spell out; all others are pieces of words
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

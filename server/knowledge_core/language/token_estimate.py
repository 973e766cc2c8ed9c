"""How many tokens a text takes, estimated from its bytes: for budgets, and where no tokenizer can be asked. Pure."""

from __future__ import annotations

from typing import Final

BYTES_PER_TOKEN: Final = 3  # UTF-8 bytes; one number for every model, so that a budget means the same everywhere


def estimated_tokens(text: str) -> int:
    """Return the UTF-8 bytes of a text divided by `BYTES_PER_TOKEN`, rounded up.

    >>> estimated_tokens("four"), estimated_tokens("東京"), estimated_tokens("")
    (2, 2, 0)
    """
    return tokens_of_bytes(utf8_length(text))


def tokens_of_bytes(size: int) -> int:
    """Return how many tokens a text of so many bytes of UTF-8 takes, by the same estimate."""
    return -(-size // BYTES_PER_TOKEN)


def utf8_length(text: str) -> int:
    """Return how many bytes of UTF-8 a text has. Of ASCII nothing is read: Python knows the length."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))

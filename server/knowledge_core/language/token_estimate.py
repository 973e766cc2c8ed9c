"""How many tokens a text takes, estimated from its bytes: for budgets, and where no tokenizer can be asked. Pure."""

from __future__ import annotations

from typing import Final

BYTES_PER_TOKEN: Final = 3  # UTF-8 bytes; one number for every model, so that a budget means the same everywhere


def estimated_tokens(text: str) -> int:
    """Return the UTF-8 bytes of a text divided by `BYTES_PER_TOKEN`, rounded up.

    >>> estimated_tokens("four"), estimated_tokens("東京"), estimated_tokens("")
    (2, 2, 0)
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)

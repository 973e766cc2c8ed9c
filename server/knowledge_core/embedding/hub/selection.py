"""Which files of a repository a sentence-transformers model is loaded from, and whether it is one.

Rules kept here: file names and small contents in, file names out. Left out are the other formats in which repositories
keep the same weights (ONNX, OpenVINO, pickles, GGUF, TensorFlow), pictures and code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Final

from knowledge_core.embedding.models.model_folder import refuse_own_code
from knowledge_core.embedding.models.safetensors_headers import INDEX, WEIGHTS
from knowledge_core.errors import ModelUnavailable

MODULES: Final = "modules.json"
_SHARD: Final = re.compile(r"model-\d+-of-\d+\.safetensors")
_KINDS: Final = (
    MODULES,
    "*config*.json",  # of the architecture, the tokenizer, the pooling, sentence-transformers, and of a processor
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",  # SentencePiece
    "chat_template*",  # what a processor refuses to load without
)
_PAPERS: Final = ("README.md", "LICENSE*", "LICENCE*", "NOTICE*")


def refuse_what_is_no_model(repository: str, names: Collection[str]) -> None:
    """Check by its file names that a repository holds a model that can be loaded here.

    Raises:
        ModelUnavailable: it does not; the message says what is missing.
    """
    if MODULES not in names:
        raise ModelUnavailable(
            f"{repository} is no sentence-transformers model (it has no {MODULES}); nothing was fetched. Embedding models "
            "in this form are at https://huggingface.co/models?library=sentence-transformers"
        )
    lacking = [name for name in ("config.json", "tokenizer.json") if name not in names]
    if WEIGHTS not in names and INDEX not in names:
        lacking.append(WEIGHTS)
    if lacking:
        raise ModelUnavailable(
            f"{repository} cannot be loaded here: it has no {', no '.join(lacking)}. Nothing was fetched; look for another "
            "revision or a conversion of it that has them."
        )


def wanted(repository: str, names: Collection[str], modules: bytes) -> list[str]:
    """Return the names of the files that the model consists of, sorted.

    modules: the content of modules.json, which says in which folders the parts of the model lie.

    Raises:
        ModelUnavailable: it is no list of modules, or a module has no weights or needs code of its own.
    """
    folders = _folders(repository, modules)
    refuse_own_code(repository, [*folders.values()])
    for folder, kind in folders.items():
        if kind.endswith(".Dense") and f"{folder}/{WEIGHTS}" not in names:
            raise ModelUnavailable(
                f"{repository} cannot be loaded here: it has no {folder}/{WEIGHTS}. Nothing large was fetched."
            )
    return sorted(name for name in names if _is_wanted(name, names, folders))


def _is_wanted(name: str, names: Collection[str], folders: Collection[str]) -> bool:
    folder, _, last = name.rpartition("/")
    if not folder and any(fnmatchcase(last.upper(), paper.upper()) for paper in _PAPERS):
        return True
    if folder and folder not in folders:
        return False
    if last.endswith(".safetensors"):
        whole = f"{folder}/{WEIGHTS}".lstrip("/")
        return name == whole or (whole not in names and _SHARD.fullmatch(last) is not None)
    return last == INDEX or any(fnmatchcase(last, kind) for kind in _KINDS)


def _folders(repository: str, modules: bytes) -> dict[str, str]:
    """Return the type of the module in each folder: folder -> type."""
    try:
        return {str(module["path"]): str(module["type"]) for module in json.loads(modules)}
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"The {MODULES} of {repository} is none of sentence-transformers' making. Look for another revision of it."
        ) from error

"""What the files of a model's folder say about it, read without torch.

Rules kept here: a folder is a model only if everything needed to load it is there and whole, weights included; what
is missing is named. Reads a few small files and the ends of large ones, never a whole weights file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from knowledge_core.embedding.contract import EmbeddingContract
from knowledge_core.embedding.prompts import templates
from knowledge_core.errors import ModelUnavailable

Family = Literal["gemma", "other"]

_GEMMA_TYPES: Final = ("gemma3", "gemma3_text", "embedding_gemma2", "embedding_gemma2_text")
MATRYOSHKA: Final = (768, 512, 256, 128)  # the sizes that the EmbeddingGemma family was trained to be cut to
_TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True)
class Model:
    """A model that lies complete in a folder of this machine.

    name: what collections remember it by: a hub id, the name below the models folder, or a folder's full path.
    dimensions: of its full vectors. max_length: in its own tokens, special tokens and prompt included.
    packaged: it is the one that comes as a Python package; its files are checked before they are used.
    notice: what a user should know about how it was chosen; "" if nothing.
    """

    name: str
    folder: Path
    dimensions: int
    max_length: int
    prompts: Mapping[str, str]
    family: Family
    packaged: bool = False
    notice: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the dimensions that its vectors can have, largest first."""
        if self.family == "gemma":
            return (self.dimensions, *(size for size in MATRYOSHKA if size < self.dimensions))
        return (self.dimensions,)

    @property
    def bytes(self) -> int:
        """Return how much its folder takes on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def contract(self, dimensions: int) -> EmbeddingContract:
        """Return the contract under which it makes vectors of this size, without the probe."""
        return EmbeddingContract(self.name, dimensions, self.prompts, self.max_length, weights=self._weights())

    def _weights(self) -> str:
        """Return the SHA-256 of the weights where it is known without reading them: a hub cache names files by it."""
        named = (self.folder / "model.safetensors").resolve().name
        return named if len(named) == 64 and not named.strip("0123456789abcdef") else ""


def read_folder(folder: Path, name: str, *, packaged: bool = False, notice: str = "") -> Model:
    """Return the model in a folder.

    Raises:
        ModelUnavailable: something is missing, cut off or no JSON; the message names it.
    """
    missing = missing_files(folder)
    if missing:
        raise ModelUnavailable(
            f"The model {name!r} is incomplete: {', '.join(missing)}. Copy or download all of its files again."
        )
    config = _read_json(folder / "config.json")
    wrapper = _read_json(folder / "config_sentence_transformers.json")
    family: Family = "gemma" if config.get("model_type") in _GEMMA_TYPES else "other"
    prompts = {key: value for key, value in (wrapper.get("prompts") or {}).items() if isinstance(value, str)}
    return Model(
        name=name,
        folder=folder,
        dimensions=_dimensions(folder, config),
        max_length=_max_length(folder, config),
        prompts=templates(
            prompts, default=prompts.get(wrapper.get("default_prompt_name") or "", ""), gemma=family == "gemma"
        ),
        family=family,
        packaged=packaged,
        notice=notice,
    )


def missing_files(folder: Path) -> list[str]:
    """Name what a folder lacks to be loaded; nothing: it is complete. A broken link counts as missing."""
    found = [name for name in ("modules.json", "config.json", _TOKENIZER) if not (folder / name).is_file()]
    if found:
        return [f"no {name}" for name in found]
    if not _ends_like_json(folder / _TOKENIZER):
        return [f"{_TOKENIZER} is cut off"]
    problems = [problem for weights in _weight_files(folder) if (problem := _problem(folder, weights))]
    for module in _modules(folder):
        if module["type"].endswith(".Dense"):
            problems += [problem for problem in [_problem(folder, f"{module['path']}/model.safetensors")] if problem]
    return problems


def _weight_files(folder: Path) -> Iterator[str]:
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file() or not index.is_file():
        yield "model.safetensors"
    else:
        yield from sorted({str(name) for name in _read_json(index).get("weight_map", {}).values()})


def _problem(folder: Path, name: str) -> str:
    """Return what is wrong with a safetensors file; "" if its length is the one that its header promises."""
    path = folder / name
    try:
        with path.open("rb") as file:
            header_size = int.from_bytes(file.read(8), "little")
            # 100 MB is the format's own limit; a text file (a download page, a pointer) reads as a huge number
            header = json.loads(file.read(header_size)) if header_size <= 100_000_000 else {}
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        whole = bool(ends) and path.stat().st_size == 8 + header_size + max(ends)
    except OSError:
        return f"no {name}"
    except (ValueError, TypeError, KeyError, AttributeError):
        whole = False
    return "" if whole else f"{name} is cut off or damaged"


def _ends_like_json(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16), os.SEEK_SET)
        return file.read().rstrip().endswith(b"}")


def _dimensions(folder: Path, config: Mapping[str, Any]) -> int:
    """Return the width after the last module that changes it."""
    text = config.get("text_config") or config
    width = text.get("embedding_dim") or text.get("hidden_size")
    for module in _modules(folder):
        settings = _read_json(folder / module["path"] / "config.json") if module["path"] else {}
        if module["type"].endswith(".Dense"):
            width = settings.get("out_features")
        elif module["type"].endswith(".Pooling"):
            width = settings.get("embedding_dimension") or settings.get("word_embedding_dimension") or width
    if not isinstance(width, int) or width < 1:
        raise ModelUnavailable(f"The model in {folder.name!r} does not say how many dimensions its vectors have.")
    return width


def _max_length(folder: Path, config: Mapping[str, Any]) -> int:
    stated = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    if isinstance(stated, int) and stated > 0:
        return stated
    text = config.get("text_config") or config
    limits = [text.get("max_position_embeddings"), _read_json(folder / "tokenizer_config.json").get("model_max_length")]
    # "no limit" is written as 1e30, a float or an int
    return min((limit for limit in limits if isinstance(limit, int) and 0 < limit < 10**9), default=512)


def _modules(folder: Path) -> list[dict[str, str]]:
    modules = _read_json(folder / "modules.json", kind=list)
    return [{"type": str(module["type"]), "path": str(module["path"])} for module in modules]


def _read_json(path: Path, *, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
    """Return the content of a JSON file of this kind; empty if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return kind()
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"{path.name} in the model folder {path.parent.name!r} cannot be read: {type(error).__name__}."
        ) from error
    if not isinstance(content, kind):
        raise ModelUnavailable(f"{path.name} in the model folder {path.parent.name!r} is not what it should be.")
    return content

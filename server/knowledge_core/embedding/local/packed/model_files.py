"""What the packed forward passes read of a model's folder: settings, the modules behind the transformer, weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from knowledge_core.embedding.models.safetensors_headers import stored

if TYPE_CHECKING:
    from torch import Tensor

_POOLING: Final = {"pooling_mode_mean_tokens": True, "pooling_mode": "mean"}
_PLAIN: Final = {"F32", "BF16", "F16", "F64"}  # dtypes of plain numbers


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def dense_folders(folder: Path) -> tuple[str, ...] | None:
    """Return the folders of the dense layers between mean pooling and normalisation; None for any other sequence.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: a file is missing or is not what it is taken for.
    """
    modules = [(each["type"].rpartition(".")[2], each["path"]) for each in read_json(folder / "modules.json")]
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[-1] != "Normalize" or {*kinds[2:-1]} - {"Dense"}:
        return None
    pooling = read_json(folder / modules[1][1] / "config.json")
    modes = {key for key, value in pooling.items() if key.startswith("pooling_mode") and value}
    if len(modes) != 1 or any(pooling[key] != _POOLING.get(key) for key in modes):
        return None
    dense = tuple(path for _, path in modules[2:-1])
    plain = all(
        not config.get("bias", True) and config["activation_function"].endswith("Identity")
        for config in (read_json(folder / path / "config.json") for path in dense)
    )
    return dense if plain and pooling.get("include_prompt", True) else None


def mapped(folder: Path, prefixes: Sequence[str], probe: str) -> Callable[[str], Tensor]:
    """Return a function from a weight's name to the weight, a view of its mapped file; other weights are never read.

    prefixes: of the names in the files; the first under which the weight `probe` is there counts.

    The function raises KeyError where there is no such weight, and ValueError where it is not stored as plain numbers.
    """
    from safetensors import safe_open

    entries = stored(folder)
    prefix = next((each for each in prefixes if each + probe in entries), "")
    files: dict[str, Any] = {}

    def weight(name: str) -> Tensor:
        entry = entries[prefix + name]
        if entry.dtype not in _PLAIN:
            raise ValueError(f"{name} is stored as {entry.dtype}")
        if entry.file not in files:
            files[entry.file] = safe_open(str(folder / entry.file), framework="pt")
        try:
            found: Tensor = files[entry.file].get_tensor(prefix + name)
        except Exception as error:  # the library has an error class of its own, made in Rust
            raise KeyError(name) from error
        return found

    return weight


def behind_the_mean(folder: Path, matrix: Tensor, dense: Sequence[str]) -> Tensor:
    """Return a matrix and the dense layers behind it as one: (dimensions, width) float32. matrix: (any, width)."""
    from safetensors.torch import load_file

    product = matrix.double()
    for path in dense:
        product = load_file(folder / path / "model.safetensors")["linear.weight"].double() @ product
    return product.float().contiguous()

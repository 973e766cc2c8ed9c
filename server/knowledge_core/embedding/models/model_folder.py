"""What the files of a model's folder say about it, read without torch.

Rules kept here: a folder is a model only if every file that is needed to load it is there and whole, weights included;
what is missing is named. Code that comes with a folder is never run: a model that needs such code is refused. Only a few
small files and the headers of large ones are read, never all of the weights.

EmbeddingGemma 2 is published as a composite (`EmbeddingGemma2Model` of transformers: text, pictures, sound), whose text
part is `text_config` in config.json and the tensors `language_model.*`. The text part on its own
(`EmbeddingGemma2TextModel`) is another layout of the same weights. Only the text part is used here.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

from knowledge_core.contract import EmbeddingContract, sizes_of
from knowledge_core.embedding.models.prompts import templates
from knowledge_core.embedding.models.safetensors_headers import (
    WEIGHTS,
    Stored,
    few,
    file_problem,
    problems,
    stored,
)
from knowledge_core.errors import ModelUnavailable

Family = Literal["gemma", "other"]

CONFIG: Final = "config.json"
COMPOSITE: Final = "embedding_gemma2"
"""The `model_type` of EmbeddingGemma 2 as published."""

TEXT_ALONE: Final = "embedding_gemma2_text"
"""The `model_type` of its text part."""

_TRAINED: Final[Mapping[str, int]] = {"gemma3": 2048, "gemma3_text": 2048, COMPOSITE: 8192, TEXT_ALONE: 8192}
"""The longest input, in tokens, that the EmbeddingGemma family was trained for, by `model_type`. For the second generation
only the model card says it: the configuration allows 262,144 positions, the tokenizer any number."""

_PREFIXES: Final = {COMPOSITE: ("language_model.", "model.language_model."), TEXT_ALONE: ("", "model.")}
"""Prefixes of the names of the text part's tensors, the published layout first."""

_CODE: Final = "sentence_transformers."  # the package whose classes modules.json may name
_LENGTH_FILES: Final = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Where sentence-transformers looks for the settings of its first module, in its order."""

_LENGTH_KEYS: Final = ("max_seq_length", "model_max_length")
"""The keys under which those settings hold the longest input."""

_AROUND: Final = 2  # special tokens around a text; a longest input must be larger
_TOKENIZER: Final = "tokenizer.json"
_DECIDING: Final = (".json", ".safetensors")  # endings of the files that decide a model's vectors


@dataclass(frozen=True)
class Model:
    """A model that is complete in a folder of this machine.

    Attributes:
        name: by which collections remember it: a hub id, the name below the models folder, or a folder's full path.
        folder: that holds its files.
        dimensions: of its full vectors.
        max_length: in its own tokens, special tokens and prompt included.
        prompts: one template per task, and one for a document without a title.
        family: decides its default prompts and whether its vectors may be cut.
        vocabulary: the number of tokens that its weights know; 0 where its configuration does not say.
        architecture: the `model_type` of its configuration.
        is_embeddinggemma: it is of that architecture, and attends in both directions.
        packaged: it comes as a Python package; its files are checked before they are used.
        notice: what a user should know about how it was chosen; "" if nothing.
        passed_over: what is wrong with the models that "auto" would have preferred.
    """

    name: str
    folder: Path
    dimensions: int
    max_length: int
    prompts: Mapping[str, str]
    family: Family
    vocabulary: int = 0
    architecture: str = ""
    is_embeddinggemma: bool = False
    packaged: bool = False
    notice: str = ""
    passed_over: tuple[str, ...] = ()

    @property
    def second_generation(self) -> bool:
        """Say whether it is EmbeddingGemma 2, in either layout."""
        return self.architecture in _PREFIXES

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the dimensions that its vectors can have, largest first."""
        return sizes_of(self.dimensions, matryoshka=self.family == "gemma")

    @property
    def bytes(self) -> int:
        """Return the bytes of all files in its folder."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def contract(self, dimensions: int) -> EmbeddingContract:
        """Return the contract under which it makes vectors of this size, without the probe."""
        return EmbeddingContract(self.name, dimensions, self.prompts, self.max_length, weights=self._weights())

    def _weights(self) -> str:
        """Return the SHA-256 of the weights where it is known without reading them, as in a hub cache; else ""."""
        named = (self.folder / "model.safetensors").resolve().name
        return named if len(named) == 64 and not named.strip("0123456789abcdef") else ""


def read_folder(folder: Path, name: str, *, packaged: bool = False, notice: str = "") -> Model:
    """Return the model in a folder.

    Raises:
        ModelUnavailable: a file is missing, cut off or wrong, or the model needs code of its own; the message names it.
    """
    missing = missing_files(folder)
    if missing:
        raise ModelUnavailable(
            f"The model {name!r} is incomplete: {', '.join(missing)}. Copy or download all of its files again."
        )
    refuse_own_code(name, [module["type"] for module in _modules(folder)])
    _refuse_own_activation(name, folder)
    config = _read_json(folder / CONFIG)
    wrapper = _read_json(folder / "config_sentence_transformers.json")
    architecture = _architecture(config)
    gemma = architecture in _TRAINED
    own, default = _prompts(wrapper)
    return Model(
        name=name,
        folder=folder,
        dimensions=_dimensions(folder, config),
        max_length=_max_length(folder, config),
        prompts=templates(own, default=default, gemma=gemma),
        family="gemma" if gemma else "other",
        vocabulary=size if isinstance(size := _text_config(config).get("vocab_size"), int) else 0,
        architecture=architecture,
        is_embeddinggemma=_is_embeddinggemma(config),
        packaged=packaged,
        notice=notice,
    )


def files_state(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time (ns) of every file that decides a model's vectors; where all are equal, none has changed."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _DECIDING):
        with contextlib.suppress(OSError):  # a broken link, or deleted meanwhile: it counts as absent
            state = path.stat()
            found.append((path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns))
    return found


def may_be_gemma(folder: Path) -> bool:
    """Say whether a folder, complete or not, may hold an EmbeddingGemma: nothing in it says otherwise."""
    try:
        config = _read_json(folder / CONFIG)
    except ModelUnavailable:
        return True
    return not config or _architecture(config) in _TRAINED


def refuse_own_code(name: str, kinds: list[str]) -> None:
    """Check that the modules of a model are sentence-transformers' own.

    Raises:
        ModelUnavailable: one is not; it is never imported.
    """
    foreign = [kind for kind in kinds if not kind.startswith(_CODE)]
    if foreign:
        raise ModelUnavailable(
            f"The model {name!r} cannot be loaded here: it needs code that is no part of sentence-transformers "
            f"({few(foreign)}, in modules.json), and code that comes with a model is never run. Choose another model."
        )


def _refuse_own_activation(name: str, folder: Path) -> None:
    """Check that the dense layers after the pooling use torch's own activations.

    sentence-transformers replaces any other by tanh, with only a warning: all vectors would be wrong.

    Raises:
        ModelUnavailable: one is not.
    """
    for path in (module["path"] for module in _modules(folder) if module["type"].endswith(".Dense")):
        activation = _read_json(folder / path / CONFIG).get("activation_function")
        if activation is not None and not str(activation).startswith("torch."):
            raise ModelUnavailable(
                f"The model {name!r} cannot be loaded here: it needs code that is no part of torch ({activation}, in "
                f"{path}/config.json), and code that comes with a model is never run. Choose another model."
            )


def missing_files(folder: Path) -> list[str]:
    """Return what a folder lacks to be loaded; empty: it is complete. A broken link counts as missing."""
    found = [name for name in ("modules.json", CONFIG, _TOKENIZER) if not (folder / name).is_file()]
    if found:
        return [f"no {name}" for name in found]
    if not _ends_like_json(folder / _TOKENIZER):
        return [f"{_TOKENIZER} is cut off"]
    try:
        dense = [module["path"] for module in _modules(folder) if module["type"].endswith(".Dense")]
        config = _read_json(folder / CONFIG)
    except ModelUnavailable as error:
        return [str(error).rstrip(".")]
    found = problems(folder) + [each for path in dense if (each := file_problem(folder, f"{path}/{WEIGHTS}"))]
    return found or _text_problems(folder, config)


def _text_problems(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Return what an EmbeddingGemma 2 lacks to be loaded as a text model; empty for other models."""
    kind = _architecture(config)
    if kind not in _PREFIXES:
        return []
    text = config.get("text_config") if kind == COMPOSITE else config
    if not isinstance(text, dict):
        return ["config.json has no text_config"]
    if text.get("model_type", TEXT_ALONE) != TEXT_ALONE:
        return [f"the text part in config.json is {text['model_type']!r}, not {TEXT_ALONE!r}"]
    return [] if text_prefix(folder, kind) is not None else ["its weights hold no tensors of the text part"]


def text_prefixes(architecture: str) -> tuple[str, ...]:
    """Return the prefixes that the names of the text part's tensors may have, the published layout's first.

    Raises:
        KeyError: the architecture is not EmbeddingGemma 2's.
    """
    return _PREFIXES[architecture]


def text_prefix(folder: Path, architecture: str) -> str | None:
    """Return the prefix of the names of the text part's tensors; None where the weights hold no such tensors.

    Raises:
        OSError, ValueError: see `stored`.
    """
    return _prefix_among(stored(folder), architecture)


def text_bytes(config: bytes, tensors: Mapping[str, Stored]) -> int | None:
    """Return the bytes of the tensors that a published EmbeddingGemma 2 is used for here, its text part.

    config: the content of config.json. tensors: of its weights, by name.

    Returns None for every other model, which is used whole.
    """
    try:
        kind = _architecture(json.loads(config))
    except (ValueError, RecursionError, AttributeError):
        return None
    prefix = _prefix_among(tensors, COMPOSITE) if kind == COMPOSITE else None
    return None if prefix is None else sum(each.bytes for name, each in tensors.items() if name.startswith(prefix))


def _prefix_among(names: Collection[str], architecture: str) -> str | None:
    return next((each for each in _PREFIXES[architecture] if f"{each}embed_tokens.weight" in names), None)


def ends(folder: Path) -> tuple[set[int], set[int]]:
    """Return the ids of the tokens that may begin and that may end a text: the configuration's, else Gemma's own."""
    config = _read_json(folder / CONFIG)
    parts = [config, config.get("text_config") or {}]

    def ids(name: str, usual: int) -> set[int]:
        values = [part.get(name) for part in parts if isinstance(part, dict)]
        flat = [each for value in values for each in (value if isinstance(value, list) else [value])]
        return {each for each in flat if isinstance(each, int)} or {usual}

    return ids("bos_token_id", 2), ids("eos_token_id", 1)


def _ends_like_json(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16), os.SEEK_SET)
        return file.read().rstrip().endswith(b"}")


def _prompts(wrapper: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Return the prompts of a model's own configuration by name, and the default prompt; "" where there is none."""
    written = wrapper.get("prompts")
    own = {
        key: value for key, value in (written if isinstance(written, dict) else {}).items() if isinstance(value, str)
    }
    return own, own.get(str(wrapper.get("default_prompt_name") or ""), "")


def _dimensions(folder: Path, config: Mapping[str, Any]) -> int:
    """Return the dimensions of the vectors: the width after the last module that changes it."""
    text = _text_config(config)
    width = text.get("embedding_dim") or text.get("hidden_size")
    for module in _modules(folder):
        settings = _read_json(folder / module["path"] / CONFIG) if module["path"] else {}
        if module["type"].endswith(".Dense"):
            width = settings.get("out_features")
        elif module["type"].endswith(".Pooling"):
            width = settings.get("embedding_dimension") or settings.get("word_embedding_dimension") or width
    if not isinstance(width, int) or width < 1:
        raise ModelUnavailable(f"The model in {folder.name!r} does not say how many dimensions its vectors have.")
    return width


def _max_length(folder: Path, config: Mapping[str, Any]) -> int:
    """Return the longest input in tokens: the model's own setting, but no more than its family was trained for."""
    kind = _architecture(config)
    trained = [_TRAINED[kind]] if _is_embeddinggemma(config) else []
    positions = _text_config(config).get("max_position_embeddings")
    tokenizer = _read_json(folder / "tokenizer_config.json").get("model_max_length")
    stated = _stated_length(folder)
    if kind in _PREFIXES:
        tokenizer = None  # the tokenizer was made for other models, too
    elif stated:
        positions = tokenizer = None
    return min([*trained, *_lengths([stated, positions, tokenizer])], default=512)


def _is_embeddinggemma(config: Mapping[str, Any]) -> bool:
    """Say whether it is an EmbeddingGemma, and not another model of the Gemma 3 architecture."""
    kind = _architecture(config)
    return kind in _PREFIXES or (kind in _TRAINED and _text_config(config).get("use_bidirectional_attention") is True)


def _stated_length(folder: Path) -> int | None:
    """Return the longest input that the settings of the first module give; None where they give none."""
    path = next((module["path"] for module in _modules(folder) if module["type"].endswith(".Transformer")), "")
    settings: dict[str, Any] = next(filter(None, (_read_json(folder / path / name) for name in _LENGTH_FILES)), {})
    groups = [settings, *(settings.get(name) for name in ("processor_kwargs", "tokenizer_args"))]
    stated = (group.get(key) for group in groups if isinstance(group, dict) for key in _LENGTH_KEYS)
    return min(_lengths(stated), default=None)


def _lengths(values: Iterable[object]) -> list[int]:
    """Return the values that are usable lengths; some configurations write "no limit" as 1e30, a float or an int."""
    return [each for each in values if isinstance(each, int) and not isinstance(each, bool) and _AROUND < each < 10**9]


def _architecture(config: Mapping[str, Any]) -> str:
    """Return the `model_type` of a configuration as text; "" where there is none."""
    return str(config.get("model_type") or "")


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def _modules(folder: Path) -> list[dict[str, str]]:
    modules = _read_json(folder / "modules.json", kind=list)
    try:
        found = [{"type": str(module["type"]), "path": str(module["path"])} for module in modules]
    except (TypeError, KeyError) as error:
        raise ModelUnavailable(f"modules.json in the model folder {folder.name!r} is not what it should be.") from error
    if not found or any(PurePosixPath(each["path"]).is_absolute() or ".." in each["path"] for each in found):
        raise ModelUnavailable(f"modules.json in the model folder {folder.name!r} is not what it should be.")
    return found


def _read_json(path: Path, *, kind: type[dict[str, Any]] | type[list[Any]] = dict) -> Any:
    """Return the content of a JSON file of this kind; empty if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return kind()
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(
            f"{path.name} in the model folder {path.parent.name!r} cannot be read: {type(error).__name__}."
        ) from error
    if not isinstance(content, kind):
        raise ModelUnavailable(f"{path.name} in the model folder {path.parent.name!r} is not what it should be.")
    return content

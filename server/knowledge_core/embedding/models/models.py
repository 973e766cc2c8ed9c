"""Which model a name means, and where it lies on this machine.

Rules kept here:
- nothing is downloaded, and nothing heavy is imported;
- a name gives that model or an error, never another model;
- "auto" takes an EmbeddingGemma, else the packaged model with a notice, else it is an error with the remedies;
- only a complete model counts, and for "auto" only one without a known fault (`faults.py`): a broken model is passed over,
  and the notice names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from knowledge_core.embedding.models.faults import Faults
from knowledge_core.embedding.models.hub_cache import CachedRepository, hub_cache
from knowledge_core.embedding.models.model_folder import Model, may_be_gemma, missing_files, read_folder
from knowledge_core.embedding.models.packaged import MINILM, packaged_folder
from knowledge_core.errors import ModelUnavailable

__all__ = ["AUTO", "GEMMA_NAMES", "MINILM", "Faults", "Model", "installed", "resolve", "unusable"]

AUTO: Final = "auto"
GEMMA_NAMES: Final = ("google/embeddinggemma-2", "google/embeddinggemma-300m")
"""In the order in which "auto" prefers them: the newer one reads longer texts, and its licence need not be accepted first."""

LICENCES: Final = {
    GEMMA_NAMES[0]: "Apache-2.0",
    GEMMA_NAMES[1]: "Gemma terms of use, https://ai.google.dev/gemma/terms",
    MINILM: "Apache-2.0",
}
_SHORT: Final[Mapping[str, str]] = {
    f"sentence-transformers/{MINILM}": MINILM,
    **{name.partition("/")[2]: name for name in GEMMA_NAMES},
}
_NAME: Final = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_OFFLINE: Final = "pip install 'knowledge-core[offline]'"
_MOVE_UP: Final = (
    "To use EmbeddingGemma (more than 100 languages, better vectors), download it once where there is a network: "
    "`kcore pull`, or copy the model's folder into the models folder "
    "(embedding.models_folder in the configuration, `models` in the data directory)"
)


def resolve(name: str = AUTO, *, models_folder: Path | None = None, faults: Faults | None = None) -> Model:
    """Return the model that a name means.

    Args:
        name: "auto", a hub id (google/embeddinggemma-300m), the name of a folder below `models_folder`,
            all-MiniLM-L6-v2, or a folder (absolute, or starting with "." or "~").
        models_folder: where a user puts models, one folder per model; None for none.
        faults: "auto" passes over models that have one; of two copies of a named model, one without a fault is preferred.

    Raises:
        ModelUnavailable: the model is not complete on this machine; the message has the remedy.
    """
    if name == AUTO:
        return _auto(models_folder, faults or Faults())
    if name.startswith((".", "~")) or Path(name).is_absolute():
        return _from_path(name)
    if not _NAME.fullmatch(name):
        raise ModelUnavailable(
            f"{name!r} is not a model's name. Give a hub id like {GEMMA_NAMES[0]}, {MINILM}, auto, "
            "or a folder that starts with / or ~ or ./"
        )
    name = full_name(name)
    found = _find(name, models_folder, faults)
    if found is None:
        raise ModelUnavailable(f"The model {name!r} is not on this machine. {_remedy(name)}")
    return found


def full_name(name: str) -> str:
    """Return the name by which collections remember a model; short names are written out, others stay."""
    return _SHORT.get(name, name)


def repository_of(name: str) -> str:
    """Return the repository of the hub that a model's name means.

    >>> repository_of("embeddinggemma-2"), repository_of("all-MiniLM-L6-v2")
    ('google/embeddinggemma-2', 'sentence-transformers/all-MiniLM-L6-v2')

    Raises:
        ModelUnavailable: the name means none, such as "auto" or a folder.
    """
    if name == AUTO or not _NAME.fullmatch(name):
        raise ModelUnavailable(
            f"{name!r} is no model of the hub. Give its id, like {GEMMA_NAMES[0]} or {GEMMA_NAMES[1]} or {MINILM}."
        )
    name = full_name(name)
    return name if "/" in name else f"sentence-transformers/{name}"


def installed(*, models_folder: Path | None = None, faults: Faults | None = None) -> list[Model]:
    """Return every complete model that `resolve` finds by name and that has no known fault, sorted by name."""
    return [each for _, each in _lying_here(models_folder, faults) if isinstance(each, Model)]


def unusable(*, models_folder: Path | None = None, faults: Faults | None = None) -> dict[str, str]:
    """Return what is wrong with the models on this machine that cannot be used: name -> fault."""
    return {name: each for name, each in _lying_here(models_folder, faults) if isinstance(each, str)}


def _lying_here(models_folder: Path | None, faults: Faults | None) -> Iterator[tuple[str, Model | str]]:
    """Yield every name of which some files are here, with the model or what is wrong with it, sorted by name."""
    for name in sorted({MINILM, *GEMMA_NAMES, *_names_below(models_folder), *_cached_names()}):
        try:
            model = _find(name, models_folder, faults)
        except ModelUnavailable as error:
            yield name, str(error)
            continue
        if model is not None:
            yield name, (faults.of(model) if faults else "") or model


def _auto(models_folder: Path | None, faults: Faults) -> Model:
    passed_over: list[str] = []
    for name in dict.fromkeys((*GEMMA_NAMES, *_names_below(models_folder))):
        try:
            model = _find(name, models_folder, faults)
        except ModelUnavailable as error:
            if any(map(may_be_gemma, _folders(name, models_folder))):
                passed_over.append(_with_remedy(name, str(error)))
            continue
        if model is None or (model.family != "gemma" and name not in GEMMA_NAMES):
            continue
        if not (fault := faults.of(model) or _another_architecture(model)):
            return replace(model, notice=_instead(model.name, passed_over), passed_over=tuple(passed_over))
        passed_over.append(_with_remedy(name, fault))
    return _packaged(passed_over, faults)


def _another_architecture(model: Model) -> str:
    """Return that a model under EmbeddingGemma's name has an architecture that is not known here; "" where it is known."""
    if model.family == "gemma":
        return ""
    return (
        f"The model {model.name!r} is of an architecture that is not known here ({model.architecture or 'none named'})."
    )


def _packaged(passed_over: list[str], faults: Faults) -> Model:
    """Return the packaged model, with a notice of what was passed over before it."""
    folder = packaged_folder()
    model = read_folder(folder, MINILM, packaged=True) if folder else None
    fault = faults.of(model) if model else ""
    if model is None or fault:
        faulty = "".join(f" {each}" for each in [*passed_over, fault] if each)
        none = "No embedding model on this machine can be used." if faulty else "No embedding model is on this machine."
        install = "" if fault else f" Either install the packaged {MINILM}: {_OFFLINE}. Or: {_MOVE_UP}."
        raise ModelUnavailable(f"{none}{faulty}{install}")
    about = f"made for English, {model.dimensions} dimensions, reads {model.max_length} tokens of a text"
    why = _instead(f"{MINILM} ({about})", passed_over) or (
        f"No EmbeddingGemma was found on this machine, so the packaged {MINILM} is used: {about}. {_MOVE_UP}."
    )
    return replace(model, notice=why, passed_over=tuple(passed_over))


def _instead(name: str, passed_over: Sequence[str]) -> str:
    """Return that a model is used because others cannot be; "" where none was passed over."""
    return f"{' '.join(passed_over)} Until that is mended, {name} is used for what is new." if passed_over else ""


def _with_remedy(name: str, fault: str) -> str:
    """Return a fault, with the command that mends it where the model comes from the hub."""
    return f"{fault} `kcore pull {name}` fetches what is missing or damaged." if name in GEMMA_NAMES else fault


def _from_path(name: str) -> Model:
    try:
        folder = Path(name).expanduser().resolve()
    except RuntimeError as error:  # no home directory for "~"
        raise ModelUnavailable(f"The model folder {name!r} cannot be found: {error}.") from error
    if not os.path.isdir(folder):  # Path.is_dir raises for a name that is too long
        raise ModelUnavailable(f"There is no model folder {name!r}. Check embedding.model in the configuration.")
    return read_folder(folder, str(folder))


def _find(name: str, models_folder: Path | None, faults: Faults | None = None) -> Model | None:
    """Return the first complete model of this name, preferring a copy without fault; None if nothing of it is here.

    Raises:
        ModelUnavailable: all copies are incomplete.
    """
    folders = list(_folders(name, models_folder))
    complete = [folder for folder in folders if not missing_files(folder)]
    if not folders:
        return None
    copies = [read_folder(folder, name, packaged=folder == packaged_folder()) for folder in complete or folders[:1]]
    return next((copy for copy in copies if faults is None or not faults.of(copy)), copies[0])


def _folders(name: str, models_folder: Path | None) -> Iterator[Path]:
    """Yield the folders where a model of this name lies, complete or not, the preferred one first."""
    packaged = packaged_folder() if name == MINILM else None
    if packaged is not None:
        yield packaged
    if models_folder is not None:
        yield from (
            folder
            for folder in dict.fromkeys((models_folder / name, models_folder / name.rpartition("/")[2]))
            if folder.is_dir()
        )
    yield from CachedRepository(hub_cache(), repository_of(name)).snapshots()


def licence(name: str) -> str:
    """Return a model's licence, as far as this program knows it; "" for other models, whose own page names it."""
    return LICENCES.get(name, "")


def _cached_names() -> list[str]:
    folders = sorted(hub_cache().glob("models--*--*"))
    names = [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders]
    return [full_name(name) for name in names]


def _names_below(models_folder: Path | None) -> list[str]:
    """Return the names of the models in a folder of models: one folder per model, with or without a level for its owner."""
    if models_folder is None:
        return []
    found = sorted({*models_folder.glob("*/modules.json"), *models_folder.glob("*/*/modules.json")})
    names = [path.parent.relative_to(models_folder).as_posix() for path in found]
    return [full_name(name) for name in names if _NAME.fullmatch(name)]


def _remedy(name: str) -> str:
    copy = (
        f"On a machine without network, copy its folder to {name!r} below the models folder "
        "(embedding.models_folder in the configuration, `models` in the data directory)."
    )
    if name == MINILM:
        return f"Install it: {_OFFLINE}"
    if name == "google/embeddinggemma-300m":
        return (
            f"Its licence must be accepted once on https://huggingface.co/{name}; then `hf auth login` and "
            f"`kcore pull {name}`. {copy}"
        )
    return f"Download it: `kcore pull {name}`. {copy}" if "/" in name else copy

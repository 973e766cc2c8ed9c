"""Download a model from the hub into the hub's own cache, whole or not at all.

The order makes it safe to be cut off at any point: list what the repository holds, refuse what is no model, fetch the
small file that names the model's parts, check the disk's free space, fetch the files from the smallest to the largest
and check the digest of each, and only then give the files their names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from knowledge_core.embedding.hub.hub import FileChanged, Hub, HubUnreachable, Listing
from knowledge_core.embedding.hub.selection import MODULES, refuse_what_is_no_model, wanted
from knowledge_core.embedding.models.hub_cache import CachedRepository, HubFile, Partial, hub_cache, is_revision
from knowledge_core.embedding.models.model_folder import CONFIG, Model, missing_files, read_folder, text_bytes
from knowledge_core.embedding.models.models import full_name, licence, repository_of
from knowledge_core.embedding.models.safetensors_headers import LARGEST_HEADER, WEIGHTS, beginning, stored
from knowledge_core.errors import InvalidInput, ModelUnavailable, StorageFull
from knowledge_core.types import Progress, ReportProgress

RESERVE: Final = 200_000_000  # bytes; a choice: the owner's record and logs, and the system, must be able to go on


@dataclass(frozen=True)
class Pulled:
    """A model that is complete in the hub's cache now.

    Attributes:
        model: read from its folder in the cache.
        repository: on the hub, "owner/name".
        revision: the branch, tag or commit that was asked for.
        commit: the commit that the revision points to.
        size: bytes of its files.
        used: bytes of its files less those of weights that are in them and are not used, pictures' and sounds'.
        received: bytes of files that came over the network; 0 where all were here already.
        licence: as this program or else the hub names it; "" where neither does.
        notice: what the person should know besides; "" if nothing.
    """

    model: Model
    repository: str
    revision: str
    commit: str
    size: int
    used: int
    received: int
    licence: str
    notice: str = ""


def pull(name: str, revision: str = "main", *, progress: ReportProgress, say: Callable[[str], None]) -> Pulled:
    """Make a model of the hub complete on this machine. What a run that was cut off has fetched is not fetched again.

    progress: called often, with the bytes fetched so far of all missing files, and the present file's name. say: called with
    a sentence for the person who waits.

    Raises:
        InvalidInput: this cannot be the name of a revision.
        ModelUnavailable: there is no such model, the hub does not give it, or it cannot be loaded here.
        StorageError: the disk is full or refuses.
        ConfigurationError: the hub's address, token or proxy in the environment cannot be used.
    """
    if not is_revision(revision):
        raise InvalidInput(f"{revision!r} cannot be a branch, a tag or a commit. Most models have only `main`.")
    repository = repository_of(name)
    cached = CachedRepository(hub_cache(), repository)
    with Hub(say) as hub:
        try:
            listing = hub.listing(repository, revision)
        except HubUnreachable as error:
            return _as_it_lies_here(cached, name, repository, revision, error)
        refuse_what_is_no_model(repository, listing.files)
        pulling = _Pulling(hub, cached, listing, progress, say)
        files = pulling.if_all_is_here(revision) or pulling.locked(revision)
    commit = pulling.listing.commit
    model = read_folder(cached.snapshot(commit), full_name(name))
    size = sum(file.size for file in files)
    known = licence(model.name) or pulling.listing.licence
    return Pulled(model, repository, revision, commit, size, size - _unused(model.folder), hub.received, known)


class _Pulling:
    """One download under way, and the listing that it follows now."""

    def __init__(
        self,
        hub: Hub,
        cached: CachedRepository,
        listing: Listing,
        progress: ReportProgress,
        say: Callable[[str], None],
    ) -> None:
        self._hub, self._cached, self.listing, self._progress, self._say = hub, cached, listing, progress, say

    def if_all_is_here(self, revision: str) -> list[HubFile]:
        """Return the files of the model if all lie here whole under their names, else an empty list; writes nothing."""
        modules, commit = self._modules(), self.listing.commit
        if not self._cached.is_linked([modules], commit) or self._cached.commit_of(revision) != commit:
            return []
        if self._cached.is_damaged(modules, commit):
            return []
        files = self._files(modules)
        whole = self._cached.is_linked(files, commit) and not any(
            self._cached.is_damaged(each, commit) for each in files
        )
        return files if whole else []

    def locked(self, revision: str) -> list[HubFile]:
        """Fetch all files of the model under the repository's lock, give them their names, and return them."""
        with self._cached.locked(self._say):
            try:
                files = self._fetched()
            except FileChanged:
                repository = self.listing.repository
                self._say(f"{repository} changed while it was fetched; going on with what it holds now.")
                self.listing = self._hub.listing(repository, revision)
                refuse_what_is_no_model(repository, self.listing.files)
                files = self._fetched(by_etag=False)
            self._cached.link(files, self.listing.commit)
            self._cached.point(revision, self.listing.commit)
        return files

    def _fetched(self, *, by_etag: bool = True) -> list[HubFile]:
        """Fetch what is missing of the listing, and return all files of the model.

        Raises:
            FileChanged: the hub holds another file than it listed.
        """
        modules = self._modules()
        self._drop_damaged([modules])
        if not self._cached.has(modules, self.listing.commit):
            self._fetch(modules, 0, modules.size, by_etag)
        files = self._files(modules)
        self._drop_damaged(files)
        # Files of equal content share one blob.
        missing = {file.digest: file for file in files if not self._cached.has(file, self.listing.commit)}
        self._check_space([*missing.values()])
        total, done = sum(file.size for file in missing.values()), 0
        self._tell(files, total)
        for file in sorted(missing.values(), key=lambda file: (file.size, file.name)):
            self._fetch(file, done, total, by_etag)
            done += file.size
        return files

    def _tell(self, files: list[HubFile], total: int) -> None:
        """Say what is about to be fetched; nothing where nothing is."""
        if not total:
            return
        whole = sum(file.size for file in files)
        rest = f", of which {readable(total)} are fetched now" if readable(total) != readable(whole) else ""
        self._say(
            f"{self.listing.repository} at commit {self.listing.commit[:8]}: {len(files)} of its {len(self.listing.files)} "
            f"files, {readable(whole)}{rest}, into {hub_cache()}."
        )

    def _tell_use(self, file: HubFile, partial: Partial) -> bool:
        """Say how much of the weights is used, once their file's header has arrived; return whether there is no more to say."""
        with partial.reader() as opened:
            try:
                tensors, whole = beginning(opened, file.name)
            except ValueError:
                return partial.size > LARGEST_HEADER  # the rest of the header is under way
        config = self._hub.described(self.listing, self.listing.files[CONFIG])
        text = text_bytes(self._cached.read(config, self.listing.commit), tensors)
        if text is not None:
            self._say(
                f"Of {file.name} {readable(text)} of {readable(whole)} are used, the text part. The rest, for pictures and "
                "sound, is fetched because the hub's checksum is that of the whole file."
            )
        return True

    def _drop_damaged(self, files: list[HubFile]) -> None:
        """Remove files of the right size and the wrong digest: the disk failed, or the machine lost power."""
        for file in files:
            if self._cached.is_damaged(file, self.listing.commit):
                self._say(f"{file.name} is damaged on this disk; it is fetched again.")
                self._cached.drop(file, self.listing.commit)

    def _modules(self) -> HubFile:
        return self._hub.described(self.listing, self.listing.files[MODULES])

    def _files(self, modules: HubFile) -> list[HubFile]:
        listing = self.listing
        names = wanted(listing.repository, listing.files, self._cached.read(modules, listing.commit))
        return [self._hub.described(listing, listing.files[name]) for name in names]

    def _check_space(self, missing: list[HubFile]) -> None:
        needed = sum(file.size - self._cached.bytes_of_partial(file) for file in missing)
        free = self._cached.free_bytes()
        if needed and needed + RESERVE > free:
            raise StorageFull(
                f"{self.listing.repository} does not fit: {readable(needed)} are to be fetched and {readable(RESERVE)} "
                f"must stay free, but {hub_cache()} has only {readable(free)} left. Free some space, or name a folder on "
                "a larger disk in HF_HUB_CACHE. Nothing was fetched."
            )

    def _fetch(self, file: HubFile, before: int, total: int, by_etag: bool) -> None:
        """Fetch one file and check its digest; fetch it a second time where that is wrong."""
        told = file.name != WEIGHTS

        def report(done: int) -> None:
            nonlocal told
            told = told or (done > 0 and self._tell_use(file, partial))
            self._progress(Progress(before + done, total, file.name, unit="bytes"))

        for last in (False, True):
            with self._cached.partial(file) as partial:
                report(partial.size)
                self._hub.download(self.listing, file, partial, report, by_etag=by_etag)
                if partial.is_right():
                    partial.keep()
                    return
                partial.drop()
            if not last:
                self._say(f"{file.name} does not have its checksum; what was fetched is removed and fetched again.")
        raise ModelUnavailable(
            f"{file.name} of {self.listing.repository} does not have its checksum, twice. What was fetched of it is "
            "removed. A proxy may change what passes through it: check HTTPS_PROXY and HF_ENDPOINT, or try again later."
        )


def _as_it_lies_here(
    cached: CachedRepository, name: str, repository: str, revision: str, error: HubUnreachable
) -> Pulled:
    """Return the model as it was fetched earlier, with a notice that the hub was not asked; raise `error` if there is none."""
    commit = cached.commit_of(revision)
    folder = cached.snapshot(commit)
    if not commit or missing_files(folder):
        raise error
    notice = f"It was not compared with the hub: {error}"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    model = read_folder(folder, full_name(name))
    return Pulled(model, repository, revision, commit, size, size - _unused(folder), 0, licence(model.name), notice)


def _unused(folder: Path) -> int:
    """Return the bytes of the weights in a model's folder that are not used."""
    tensors = stored(folder)
    text = text_bytes((folder / CONFIG).read_bytes(), tensors)
    return 0 if text is None else sum(each.bytes for each in tensors.values()) - text


def readable(size: int) -> str:
    """Return a number of bytes as text, in MB or GB.

    >>> readable(1_211_486_072), readable(480_000)
    ('1.21 GB', '0.5 MB')
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"

"""A folder to the files in it that may be indexed, and what was left out and why. Opens no document, save small files
whose name fits a presentation and a private key alike.

Rules kept here:
- a path is resolved before it is judged, and nothing outside the roots, or in a data directory, is ever looked into;
- what looks like a secret is left out, before anything else is asked; a link is judged by both its names;
- every entry that is left out counts under one of the reasons below;
- the result does not depend on the order in which the disk lists names;
- a file that can be reached twice is found once, by its own path rather than by a link.

Reasons: secret, data directory, hidden, ignored, generated, online only, excluded, not included, binary, unsupported,
too large, unreadable, name not UTF-8, same name, outside the roots, broken link, special file, linked twice, nested
checkout. A folder that is left out as such counts as one, with all it holds.
Files whose format is not read (binary, unsupported) are also counted by their kind.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowledge_core.errors import SourceUnavailable
from knowledge_core.ingestion.access.secret_files import secret_by_name
from knowledge_core.ingestion.walking.checkouts import GIT, is_bare, is_work_tree, lies_in_checkout, submodules
from knowledge_core.ingestion.walking.found import FoundFile, LastingPatterns, Walk, ctime_ns, shown_name
from knowledge_core.ingestion.walking.ignoring import USUAL, Patterns, chosen, ignoring, is_ignored, patterns_in
from knowledge_core.ingestion.walking.left_out import leading_to
from knowledge_core.ingestion.walking.machine_made import is_generated
from knowledge_core.ingestion.walking.online_only import is_online_only
from knowledge_core.ingestion.walking.places import allowed, is_inside
from knowledge_core.ingestion.walking.tally import Lasting, Tally
from knowledge_core.paths import data_directory_around, is_data_directory

__all__ = ["FoundFile", "LastingPatterns", "Levels", "Selecting", "Walk", "allowed", "ctime_ns", "found_file", "walk"]

_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a link between folders on Windows


@dataclass(frozen=True)
class Levels:
    """Folders to look at alone, of a whole tree: what lies directly in each, and the subfolders that are new.

    folders: their paths below the walked folder, each with a slash at its end; "" for that folder itself.
    is_known: says of the path of a subfolder whether it is known, and need not be looked into.
    """

    folders: frozenset[str]
    is_known: Callable[[str], bool]


@dataclass(frozen=True)
class Selecting:
    """What a walk is to find.

    limit: bytes that a file may have at most.
    include, exclude: a call's patterns as in .gitignore, relative to the folder; without `include` all files are included.
    patterns: those that a person set for the source that the folder belongs to.
    below: the folder's path below that source, with a slash at its end; "" for the source's own folder.
    ignored: lines as in .gitignore that hold in every source; a nearer ignore file overrules them.
    generated: files that programs made for programs are wanted, too.
    apart: resolved folders that are other sources: they are not looked into, and not counted.
    named: resolved paths of files to pass over, because the caller named each of them as well.
    levels: look at these folders alone; None: at all.
    """

    limit: int
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    patterns: Sequence[LastingPatterns] = ()
    below: str = ""
    ignored: Sequence[str] = ()
    generated: bool = False
    apart: Set[str] = frozenset()
    named: Set[str] = frozenset()
    levels: Levels | None = None


def found_file(path: Path, selecting: Selecting, *, secret: str | None = None) -> Walk:
    """Return the walk of one file that the caller named, as if its folder held nothing else.

    path: as `allowed` returned it. A file that was named is found even if it is hidden or ignored.
    secret: what it looks like, where it is to be left out for that.

    Raises:
        SourceUnavailable: there is no such file.
    """
    try:
        about = os.stat(path)
    except OSError as error:
        raise SourceUnavailable(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    tally = Tally(selecting.limit, lasting=Lasting(selecting.patterns, selecting.below))
    if secret:
        tally.skip("secret", shown_name(path.name))
    else:
        tally.take(path, shown_name(path.name), about)
    return tally.walk()


def walk(
    folder: Path,
    roots: Sequence[Path],
    selecting: Selecting,
    *,
    between: Callable[[int], None] = lambda found: None,
) -> Walk:
    """Return the files below a folder.

    roots: the folders that may be read.
    between: called before each folder is listed, with the number of files found so far; what it raises ends the walk.

    Raises:
        PathNotAllowed: the folder lies outside the roots.
        SourceUnavailable: the folder is missing or cannot be listed.
        InvalidInput: a pattern is malformed.
    """
    resolved = allowed(folder, roots)
    real_roots = tuple(Path(os.path.realpath(root)) for root in roots)
    include, exclude = chosen(selecting.include, "include"), chosen(selecting.exclude, "exclude")
    tally = Tally(selecting.limit, include, exclude, Lasting(selecting.patterns, selecting.below))
    try:
        os.listdir(resolved)  # only to see whether it can be; the walk counts other folders that cannot as unreadable
    except OSError as error:
        raise SourceUnavailable(f"{folder} cannot be read: {error.strerror}. Nothing was changed.") from error
    if secret_by_name(resolved.parts, folder=True):
        tally.skip("secret", "")
    else:
        _Walker(resolved, real_roots, tally, selecting, between).run()
    return tally.walk()


@dataclass(frozen=True)
class _Folder:
    """A folder to list.

    relative: its path below the walked one, with a slash at its end.
    stack: the ignore patterns that may decide in it.
    device: the file system on which it lies. checkout: it lies in a checkout, or is one.
    whole: all of it is to be found; else only what leads to the levels that were asked for.
    """

    path: Path
    relative: str
    stack: tuple[Patterns, ...]
    device: int
    checkout: bool
    whole: bool
    names: frozenset[str] = field(default=frozenset())


class _Walker:
    """One walk: the folders still to list, the links still to follow, and the identities of what was seen."""

    def __init__(
        self, top: Path, roots: Sequence[Path], tally: Tally, selecting: Selecting, between: Callable[[int], None]
    ) -> None:
        self._roots, self._tally, self._between, self._selecting = roots, tally, between, selecting
        self._levels = selecting.levels
        self._apart, self._named = selecting.apart, selecting.named
        self._links: list[tuple[str, Path, _Folder]] = []
        self._seen: set[tuple[int, int]] = set()
        self._submodules: set[str] = set()
        # Relative to the source, whichever folder of it is walked.
        everywhere = replace(ignoring(selecting.ignored), above=selecting.below)
        usual = (everywhere, USUAL) if selecting.ignored else (USUAL,)
        stack = _stack_above(top, roots, usual)
        checkout = lies_in_checkout(top, roots)
        self._top = _Folder(top, "", stack, os.stat(top).st_dev, checkout, self._levels is None)
        self._folders = [self._top]

    def run(self) -> None:
        # Links last: what has a path of its own in the folder is found by that path.
        while self._folders or self._links:
            while self._folders:
                self._list(self._folders.pop())
            self._links.sort(key=lambda link: link[0], reverse=True)
            if self._links:
                self._follow(*self._links.pop())

    def _list(self, folder: _Folder) -> None:
        self._between(self._tally.found)
        try:
            about = os.stat(folder.path)
            entries = sorted(os.scandir(folder.path), key=lambda entry: entry.name)
        except OSError:
            self._tally.skip("unreadable", folder.relative)
            return
        if _identity(about) in self._seen:
            self._tally.skip("linked twice", folder.relative)
            return
        self._seen.add(_identity(about))
        names = frozenset(entry.name for entry in entries)
        if is_data_directory(folder.path):
            self._tally.skip("data directory", folder.relative)
        elif self._is_nested(folder, names):
            self._tally.skip("nested checkout", folder.relative)
        else:
            self._enter(replace(folder, names=names, device=about.st_dev), entries)

    def _enter(self, folder: _Folder, entries: Sequence[os.DirEntry[str]]) -> None:
        if GIT in folder.names:
            folder = replace(folder, checkout=True)
            self._submodules.update(submodules(folder.path, folder.names))
        if folder.device != self._top.device and self._is_mount(folder):
            self._tally.mounts.append(folder.relative)
        folder = replace(folder, stack=(*patterns_in(folder.path, folder.relative, folder.names), *folder.stack))
        if self._levels is not None and folder.relative in self._levels.folders:
            self._tally.listed.append(folder.relative)
        for entry in entries:
            relative = folder.relative + shown_name(entry.name)
            if folder.whole or self._leads(folder.relative, relative):
                self._take(folder, entry, relative)

    def _leads(self, folder: str, relative: str) -> bool:
        """Say whether an entry of a folder that is not whole is asked for, or leads to what is."""
        levels = self._levels
        return levels is None or folder in levels.folders or self._on_the_way(relative + "/")

    def _on_the_way(self, folder: str) -> bool:
        return self._levels is not None and any(level.startswith(folder) for level in self._levels.folders)

    def _is_nested(self, folder: _Folder, names: Set[str]) -> bool:
        """Say whether a folder is a checkout that does not belong to what was named: another one's, or a work tree's."""
        if not folder.relative or not (GIT in names or is_bare(names)):
            return False
        if str(folder.path) in self._submodules or _says(folder.relative, folder.stack) is False:
            return False
        return folder.checkout or GIT not in names or is_work_tree(folder.path)

    def _is_mount(self, folder: _Folder) -> bool:
        try:
            return folder.device != os.stat(folder.path.parent).st_dev
        except OSError:
            return False

    def _take(self, folder: _Folder, entry: os.DirEntry[str], relative: str) -> None:
        try:
            about = entry.stat(follow_symlinks=False)
            link = entry.is_symlink() or getattr(about, "st_reparse_tag", 0) == _JUNCTION
            is_folder = entry.is_dir(follow_symlinks=False) and not link
        except OSError:
            self._tally.skip("unreadable", relative)
            return
        named = relative + "/" if is_folder else relative
        if entry.path in self._named:
            self._seen.add(_identity(about))
            self._tally.pass_over(relative)
        elif reason := self._left_out(folder, entry, about, named, link=link):
            self._tally.skip(reason, named)
        elif link:
            self._links.append((relative, Path(entry.path), folder))
        elif not is_folder:
            self._take_file(Path(entry.path), relative, about)
        elif entry.path not in self._apart:
            self._take_folder(folder, entry.path, named)

    def _left_out(
        self, folder: _Folder, entry: os.DirEntry[str], about: os.stat_result, named: str, *, link: bool
    ) -> str | None:
        """Return why an entry is left out by its name and its stat; None where it is not."""
        name = entry.name
        if _is_no_text(name):
            return "name not UTF-8"
        leads_to_folder = named.endswith("/") or (link and self._leads_to_folder(entry.path))
        if secret_by_name((*folder.path.parts[-1:], name), folder=leads_to_folder):
            return "secret"
        if is_online_only(about, name):
            return "online only"
        if name.startswith(".") or _hidden_on_windows(about):
            return "hidden"
        if is_ignored(named, folder.stack):
            return "ignored"
        if not self._selecting.generated and is_generated(name, named, folder.stack, folder.names):
            return "generated"
        if named.endswith("/") and os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
            return "ignored"  # a Python environment, whatever its name
        return self._tally.folder_left_out(named) if named.endswith("/") else None

    def _leads_to_folder(self, link: str) -> bool:
        """Say whether a link leads to a folder inside the roots; what lies outside is not looked at."""
        target = os.path.realpath(link)
        return is_inside(Path(target), self._roots) and os.path.isdir(target)

    def _take_folder(self, folder: _Folder, path: str, named: str) -> None:
        whole = folder.whole
        if not whole and self._levels is not None and folder.relative in self._levels.folders:
            whole = not self._levels.is_known(named)
            if not whole:
                self._tally.folders.append(named)
        if whole or self._on_the_way(named):
            self._folders.append(replace(folder, path=Path(path), relative=named, whole=whole))

    def _take_file(
        self, path: Path, relative: str, about: os.stat_result | None = None, *, by_link: bool = False
    ) -> None:
        try:
            if about is None or os.name == "nt":  # on Windows a listing gives no identity and an old size
                about = os.stat(path)
        except OSError:
            self._tally.skip("unreadable", relative)
            return
        if by_link and _identity(about) in self._seen:
            self._tally.skip("linked twice", relative)
        else:
            self._seen.add(_identity(about))
            self._tally.take(path, relative, about)

    def _follow(self, relative: str, path: Path, folder: _Folder) -> None:
        target = Path(os.path.realpath(path))
        if not is_inside(target, self._roots):
            self._tally.skip("outside the roots", relative, leading_to(relative, str(target)))
        elif not os.path.exists(target):  # or it leads to itself
            self._tally.skip("broken link", relative, leading_to(relative, str(target)))
        elif data_directory_around(target):
            self._tally.skip("data directory", relative)
        elif secret_by_name(target.parts, folder=os.path.isdir(target)):
            self._tally.skip("secret", relative)
        elif not os.path.isdir(target):
            self._take_file(target, relative, by_link=True)
        elif is_ignored(relative + "/", folder.stack):
            self._tally.skip("ignored", relative + "/")
        elif str(target) not in self._apart:
            self._take_folder(folder, str(target), relative + "/")


def _is_no_text(name: str) -> bool:
    """Say whether a name holds bytes that are no UTF-8, which no record and no answer can hold."""
    return not name.isascii() and any("\udc80" <= character <= "\udcff" for character in name)


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _hidden_on_windows(about: os.stat_result) -> bool:
    return bool(getattr(about, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN)


def _says(named: str, stack: Sequence[Patterns]) -> bool | None:
    """Return what the nearest ignore file that names a path says of it; None where none does."""
    return next((said for patterns in stack if (said := patterns.says(named)) is not None), None)


def _stack_above(top: Path, roots: Sequence[Path], usual: tuple[Patterns, ...]) -> tuple[Patterns, ...]:
    """Return the patterns of the ignore files above a folder, up to its repository's top, within the roots.

    Where they ignore the folder itself, they do not count: the caller named the folder.
    """
    stack: list[tuple[Path, Patterns]] = []
    folder = top
    while not os.path.exists(folder / ".git") and folder.parent != folder and is_inside(folder.parent, roots):
        folder = folder.parent
        stack += [(folder, patterns) for patterns in patterns_in(folder, "")]
    if not os.path.exists(folder / ".git"):
        return usual
    above = [replace(patterns, above=top.relative_to(base).as_posix() + "/") for base, patterns in stack]
    return usual if is_ignored("", above) else (*above, *usual)

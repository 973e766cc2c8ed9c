"""A folder to the files in it that may be indexed, and what was left out and why. Opens no document, save small files
whose name fits a presentation and a private key alike.

Rules kept here:
- a path is resolved before it is judged, and nothing outside the roots, or in a data directory, is ever looked into;
- what looks like a secret is left out, before anything else is asked; a link is judged by both its names;
- every entry that is left out counts under one of the reasons below;
- the result does not depend on the order in which the disk lists names;
- a file that can be reached twice is found once, by its own path rather than by a link.

Reasons: secret, data directory, hidden, ignored, generated, online only, excluded, not included, binary, unsupported,
too large, unreadable, name not UTF-8, outside the roots, special file, linked twice. A folder that is left out as such
counts as one, with all it holds.
Files whose format is not read (binary, unsupported) are also counted by their kind.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Protocol

from knowledge_core.errors import InvalidInput, PathNotAllowed, SourceUnavailable, quoted
from knowledge_core.ingestion import formats
from knowledge_core.ingestion.access.secret_files import KEY_SUFFIXES, LARGEST_KEY, secret_by_name, secret_text
from knowledge_core.ingestion.walking.ignoring import USUAL, Patterns, chosen, is_ignored, patterns_in
from knowledge_core.ingestion.walking.left_out import NOT_READ
from knowledge_core.ingestion.walking.machine_made import is_generated
from knowledge_core.ingestion.walking.online_only import is_online_only
from knowledge_core.ingestion.walking.path_patterns import PathPatterns
from knowledge_core.near_names import brief, listed
from knowledge_core.paths import data_directory_around, is_data_directory
from knowledge_core.types import composed

SHOWN = 200  # characters of a path in an error
_EXAMPLES = 5  # per reason and per kind
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a link between folders on Windows


@dataclass(frozen=True)
class FoundFile:
    """A file to read.

    path: resolved. relative: its path below the walked folder, with forward slashes, in Unicode's composed form. size: in
    bytes. mtime_ns: when it was last changed, in nanoseconds since 1970. ctime_ns: when it or what is known of it was; 0
    where the system does not tell that.
    """

    path: Path
    relative: str
    size: int
    mtime_ns: int
    ctime_ns: int = 0


@dataclass(frozen=True)
class Walk:
    """What lies in a folder.

    files: sorted by `relative`.
    skipped: reason -> count.
    skipped_examples: reason or kind -> the first few relative paths; a folder's ends in "/".
    excluded: relative paths of files that only `include` or `exclude` left out: they exist, but are not wanted now.
    unreadable: relative paths of folders ("a/b/") and files that could not be looked at: they may still exist.
    passed: relative paths of files that the caller also named one by one, and that are found that way.
    unread: kind -> count, of the binary and unsupported files.
    folders: relative paths, each with a slash at its end, of subfolders that were not looked into ("level").
    mounts: relative paths, each with a slash at its end, of folders that lie on another file system than their parents.
    """

    files: tuple[FoundFile, ...]
    skipped: Mapping[str, int]
    skipped_examples: Mapping[str, tuple[str, ...]]
    excluded: frozenset[str]
    unreadable: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()
    unread: Mapping[str, int] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


class LastingPatterns(Protocol):
    """Path patterns that a person set for a folder: see `storage.values.Patterns`."""

    @property
    def base(self) -> str: ...
    @property
    def include(self) -> Sequence[str]: ...
    @property
    def exclude(self) -> Sequence[str]: ...


def allowed(path: Path, roots: Sequence[Path]) -> Path:
    """Return the path resolved, if it lies in a root and is a folder, a regular file, or does not exist.

    Raises:
        PathNotAllowed: it lies outside the roots (the message says which command allows it) or in a data directory, or
            is a special file.
        InvalidInput: it is no path, or a relative one (callers and the owner work in different folders), or too long for
            the file system.
    """
    try:
        expanded = path.expanduser()
        if not expanded.is_absolute():
            raise InvalidInput(
                f"The path {quoted(str(path), SHOWN)} is empty or relative. Give the full path of a file or folder."
            )
        resolved = Path(os.path.realpath(expanded))
        inside = _inside(resolved, [Path(os.path.realpath(root)) for root in roots])
    except (ValueError, RuntimeError) as error:  # a NUL in it; "~name" of nobody
        why = "it holds a NUL" if isinstance(error, ValueError) else "there is no home folder of that user"
        raise InvalidInput(f"{quoted(str(path), SHOWN)} is no path: {why}.") from error
    if not inside:
        there_are = "none are allowed yet" if not roots else "allowed: " + listed([*map(str, roots)])
        raise PathNotAllowed(
            f"{brief(str(path), SHOWN)} is outside the allowed roots ({there_are}). "
            f"A person can allow it with: kcore roots add {shlex.quote(brief(str(path), SHOWN))}"
        )
    _refuse_unread(path, resolved)
    return resolved


def _refuse_unread(path: Path, resolved: Path) -> None:
    """Raise where a path lies in a data directory, is too long for the file system, or is no file or folder."""
    shown = brief(str(path), SHOWN)
    if around := data_directory_around(resolved):
        raise PathNotAllowed(
            f"{shown} lies in the data directory {around}, which is never indexed. Keep documents elsewhere; a data "
            "directory is moved with --home or KNOWLEDGE_CORE_HOME."
        )
    try:
        mode = os.stat(resolved).st_mode
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInput(
                f"The path {quoted(str(path))} is too long: the file system takes no such name."
            ) from error
        return  # it does not exist, or may not be looked at: reading it will fail with the reason
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise PathNotAllowed(f"{shown} is a device, a socket or a pipe; only files and folders are read.")


def found_file(
    path: Path, *, limit: int, secret: str | None = None, patterns: Sequence[LastingPatterns] = (), below: str = ""
) -> Walk:
    """Return the walk of one file that the caller named, as if its folder held nothing else.

    path: as `allowed` returned it. A file that was named is found even if it is hidden or ignored.
    secret: what it looks like, where it is to be left out for that.
    patterns, below: as of `walk`.

    Raises:
        SourceUnavailable: there is no such file.
    """
    try:
        about = os.stat(path)
    except OSError as error:
        raise SourceUnavailable(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    tally = _Tally(limit, lasting=_Lasting(patterns, below))
    if secret:
        tally.skip("secret", _shown(path.name))
    else:
        tally.take(path, _shown(path.name), about)
    return tally.walk()


def walk(
    folder: Path,
    roots: Sequence[Path],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    patterns: Sequence[LastingPatterns] = (),
    below: str = "",
    apart: Set[str] = frozenset(),
    level: bool = False,
    limit: int,
    generated: bool = False,
    named: Set[str] = frozenset(),
    between: Callable[[int], None] = lambda found: None,
) -> Walk:
    """Return the files below a folder.

    roots: the folders that may be read.
    include, exclude: patterns as in .gitignore, relative to the folder; without `include` all files are included.
    patterns: those that a person set for the source that the folder belongs to.
    below: the folder's path below that source, with a slash at its end; "" for the source's own folder.
    apart: resolved folders that are other sources: they are not looked into, and not counted.
    level: look only at what lies directly in the folder.
    limit: bytes that a file may have at most.
    generated: files that programs made for programs are wanted, too.
    named: resolved paths of files to pass over, because the caller named each of them as well.
    between: called before each folder is listed, with the number of files found so far; what it raises ends the walk.

    Raises:
        PathNotAllowed: the folder lies outside the roots.
        SourceUnavailable: the folder is missing or cannot be listed.
        InvalidInput: a pattern is malformed.
    """
    resolved = allowed(folder, roots)
    real_roots = tuple(Path(os.path.realpath(root)) for root in roots)
    tally = _Tally(limit, chosen(include, "include"), chosen(exclude, "exclude"), _Lasting(patterns, below))
    walker = _Walker(resolved, real_roots, tally, named, between, generated=generated, apart=apart, level=level)
    try:
        names = os.listdir(resolved)
    except OSError as error:
        raise SourceUnavailable(f"{folder} cannot be read: {error.strerror}. Nothing was changed.") from error
    del names  # this only checked that the top folder can be listed; the walk counts folders that cannot as unreadable
    if secret_by_name(resolved.parts, folder=True):
        tally.skip("secret", "")
    else:
        walker.run()
    return tally.walk()


def _inside(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _shown(name: str) -> str:
    """Return a name as valid text in composed form: bytes in it that are no UTF-8 become escapes."""
    return composed(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


class _Lasting:
    """The patterns that a person set for a source. below: as of `walk`."""

    def __init__(self, patterns: Sequence[LastingPatterns], below: str) -> None:
        self._below = below
        self._each = [(one.base, chosen(one.include, "include"), chosen(one.exclude, "exclude")) for one in patterns]

    def reason(self, relative: str) -> str | None:
        """Return why a file is left out, for counting; None where it is wanted."""
        path = self._below + relative
        for base, include, exclude in self._each:
            if path.startswith(base):
                if include is not None and not include.match(path[len(base) :]):
                    return "not included"
                if exclude is not None and exclude.match(path[len(base) :]):
                    return "excluded"
        return None


class _Tally:
    """What was found and left out so far. Applies the rules that need only a name and a stat."""

    def __init__(
        self,
        limit: int,
        include: PathPatterns | None = None,
        exclude: PathPatterns | None = None,
        lasting: _Lasting | None = None,
    ) -> None:
        self._limit, self._include, self._exclude = limit, include, exclude
        self._lasting = lasting or _Lasting((), "")
        self.folders: list[str] = []
        self.mounts: list[str] = []
        self._files: dict[str, FoundFile] = {}
        self._skipped: dict[str, list[str]] = {}
        self._excluded: set[str] = set()
        self._passed: set[str] = set()

    @property
    def found(self) -> int:
        """Return the number of files that may be indexed."""
        return len(self._files)

    def pass_over(self, relative: str) -> None:
        self._passed.add(relative)

    def skip(self, reason: str, relative: str) -> None:
        self._skipped.setdefault(reason, []).append(relative)

    def take(self, path: Path, relative: str, about: os.stat_result) -> None:
        refused = formats.refusal_by_name(Path(relative))
        if not stat.S_ISREG(about.st_mode):
            self.skip("special file", relative)
        elif refused == "unsupported" and self._is_key(path, about.st_size):
            self.skip("secret", relative)
        elif refused:
            self.skip(refused, relative)
        elif about.st_size > self._limit:
            self.skip("too large", relative)
        elif reason := self._lasting.reason(relative):
            self.skip(reason, relative)
        elif self._include is not None and not self._include.match(relative):
            self._excluded.add(relative)
            self.skip("not included", relative)
        elif self._exclude is not None and self._exclude.match(relative):
            self._excluded.add(relative)
            self.skip("excluded", relative)
        elif relative in self._files:  # two names that become the same text
            self.skip("same name", relative)
        else:
            self._files[relative] = FoundFile(path, relative, about.st_size, about.st_mtime_ns, ctime_ns(about))

    def _is_key(self, path: Path, size: int) -> bool:
        return (
            path.suffix.lower() in KEY_SUFFIXES and size <= LARGEST_KEY and secret_text(path, LARGEST_KEY) is not None
        )

    def walk(self) -> Walk:
        reasons = sorted(self._skipped)
        kinds: dict[str, list[str]] = {}
        for relative in (each for reason in NOT_READ for each in self._skipped.get(reason, ())):
            kinds.setdefault(formats.kind(PurePath(relative)), []).append(relative)
        return Walk(
            files=tuple(self._files[relative] for relative in sorted(self._files)),
            skipped={reason: len(self._skipped[reason]) for reason in reasons},
            skipped_examples={
                of: tuple(sorted(some)[:_EXAMPLES]) for of, some in sorted([*self._skipped.items(), *kinds.items()])
            },
            excluded=frozenset(self._excluded),
            unreadable=frozenset(self._skipped.get("unreadable", ())),
            passed=frozenset(self._passed),
            unread={kind: len(some) for kind, some in sorted(kinds.items())},
            folders=tuple(self.folders),
            mounts=tuple(sorted(self.mounts)),
        )


class _Walker:
    """One walk: the folders still to list, the links still to follow, and the identities of what was seen."""

    def __init__(
        self, top: Path, roots: Sequence[Path], tally: _Tally, named: Set[str], between: Callable[[int], None], *,
        generated: bool, apart: Set[str], level: bool,
    ) -> None:  # fmt: skip
        self._generated, self._apart, self._level = generated, apart, level
        self._roots, self._tally, self._named, self._between = roots, tally, named, between
        self._folders: list[tuple[Path, str, tuple[Patterns, ...]]] = [(top, "", _stack_above(top, roots))]
        self._links: list[tuple[str, Path, tuple[Patterns, ...]]] = []
        self._seen: set[tuple[int, int]] = set()

    def run(self) -> None:
        # Links last: what has a path of its own in the folder is found by that path.
        while self._folders or self._links:
            while self._folders:
                self._list(*self._folders.pop())
            self._links.sort(key=lambda link: link[0], reverse=True)
            if self._links:
                self._follow(*self._links.pop())

    def _list(self, folder: Path, relative: str, stack: tuple[Patterns, ...]) -> None:
        self._between(self._tally.found)
        try:
            about = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            self._tally.skip("unreadable", relative)
            return
        if _identity(about) in self._seen:
            self._tally.skip("linked twice", relative)
            return
        self._seen.add(_identity(about))
        if is_data_directory(folder):
            self._tally.skip("data directory", relative)
            return
        stack, beside = (*patterns_in(folder, relative), *stack), {entry.name for entry in entries}
        for entry in entries:
            self._take(folder, entry, relative + _shown(entry.name), stack, beside)

    def _take(
        self, folder: Path, entry: os.DirEntry[str], relative: str, stack: tuple[Patterns, ...], beside: Set[str]
    ) -> None:
        try:
            about = entry.stat(follow_symlinks=False)
            link = entry.is_symlink() or getattr(about, "st_reparse_tag", 0) == _JUNCTION
            is_folder = entry.is_dir(follow_symlinks=False) and not link
        except OSError:
            self._tally.skip("unreadable", relative)
            return
        named = relative + "/" if is_folder else relative
        leads_to_folder = is_folder or (link and os.path.isdir(entry.path))
        if _is_no_text(entry.name):
            self._tally.skip("name not UTF-8", named)
        elif entry.path in self._named:
            self._seen.add(_identity(about))
            self._tally.pass_over(relative)
        elif secret_by_name((*folder.parts[-1:], entry.name), folder=leads_to_folder):
            self._tally.skip("secret", named)
        elif is_online_only(about, entry.name):
            self._tally.skip("online only", named)
        elif entry.name.startswith(".") or _hidden_on_windows(about):
            self._tally.skip("hidden", named)
        elif is_ignored(named, stack):
            self._tally.skip("ignored", named)
        elif not self._generated and is_generated(entry.name, named, stack, beside):
            self._tally.skip("generated", named)
        elif link:
            self._links.append((relative, Path(entry.path), stack))
        elif is_folder and os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
            self._tally.skip("ignored", named)  # a Python environment, whatever its name
        elif is_folder and entry.path in self._apart:
            pass
        elif is_folder and self._level:
            self._tally.folders.append(named)
        elif is_folder:
            if about.st_dev != os.stat(folder).st_dev:
                self._tally.mounts.append(named)
            self._folders.append((Path(entry.path), named, stack))
        else:
            self._take_file(Path(entry.path), relative)

    def _take_file(self, path: Path, relative: str, *, by_link: bool = False) -> None:
        try:
            about = os.stat(path)  # again, because on Windows a listing gives no identity and an old size
        except OSError:
            self._tally.skip("unreadable", relative)
            return
        if by_link and _identity(about) in self._seen:
            self._tally.skip("linked twice", relative)
        else:
            self._seen.add(_identity(about))
            self._tally.take(path, relative, about)

    def _follow(self, relative: str, path: Path, stack: tuple[Patterns, ...]) -> None:
        target = Path(os.path.realpath(path))
        if not _inside(target, self._roots):
            self._tally.skip("outside the roots", relative)
        elif data_directory_around(target):
            self._tally.skip("data directory", relative)
        elif secret_by_name(target.parts, folder=os.path.isdir(target)):
            self._tally.skip("secret", relative)
        elif not os.path.isdir(target):
            self._take_file(target, relative, by_link=True)
        elif is_ignored(relative + "/", stack):
            self._tally.skip("ignored", relative + "/")
        else:
            self._folders.append((target, relative + "/", stack))


def ctime_ns(about: os.stat_result) -> int:
    """Return when a file or what is known of it was last changed; 0 on Windows, which tells when it was made instead."""
    return 0 if sys.platform == "win32" else about.st_ctime_ns


def _is_no_text(name: str) -> bool:
    """Say whether a name holds bytes that are no UTF-8, which no record and no answer can hold."""
    return any("\udc80" <= character <= "\udcff" for character in name)


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _hidden_on_windows(about: os.stat_result) -> bool:
    return bool(getattr(about, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN)


def _stack_above(top: Path, roots: Sequence[Path]) -> tuple[Patterns, ...]:
    """Return the patterns of the ignore files above a folder, up to its repository's top, within the roots.

    Where they ignore the folder itself, they do not count: the caller named the folder.
    """
    stack: list[tuple[Path, Patterns]] = []
    folder = top
    while not os.path.exists(folder / ".git") and folder.parent != folder and _inside(folder.parent, roots):
        folder = folder.parent
        stack += [(folder, patterns) for patterns in patterns_in(folder, "")]
    if not os.path.exists(folder / ".git"):
        return (USUAL,)
    above = [replace(patterns, above=top.relative_to(base).as_posix() + "/") for base, patterns in stack]
    return (USUAL,) if is_ignored("", above) else (*above, USUAL)

"""Opening a file that may be read, such that what was judged is what is read.

A path is only a name: between judging it and opening it, a part of it can be replaced by a link that leads elsewhere. So
a file is opened first, without waiting (a pipe that took its place must not hold anybody up), then what was opened is
judged, and that is read. Two ways:

1. Linux: the kernel opens the file beneath a root and refuses whatever leaves the root on the way (`openat2` with
   RESOLVE_BENEATH, Linux 5.6; man page openat2(2)). What it opened needs no second judgement. It also refuses absolute
   links and links into another root: these, and kernels without the call, go the second way.
2. The file is opened by its path, and the system is asked where the opened file lies: `/proc/self/fd` on Linux,
   F_GETPATH on macOS (fcntl(2)), GetFinalPathNameByHandleW on Windows. On a system that cannot say that, the path is
   resolved again and must lead to the same file.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from knowledge_core.errors import PathNotAllowed

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_OPENAT2 = 437  # number of the system call, the same on x86-64 and arm64
_RESOLVE_BENEATH = 0x08  # linux/openat2.h
_RESOLVE_NO_MAGICLINKS = 0x02  # linux/openat2.h
_F_GETPATH = 50  # sys/fcntl.h of macOS
_LONGEST_ON_MACOS = 1_024  # bytes, MAXPATHLEN of macOS
_LONGEST_ON_WINDOWS = 32_768  # characters of a path


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@contextmanager
def opened_inside(path: Path, roots: Sequence[Path] | None) -> Iterator[BinaryIO]:
    """Yield a file, open for reading, that lies in one of the roots now, whatever its name meant before.

    path: absolute. It may be a pipe or a device by now: whoever reads asks for a regular file.
    roots: absolute, each a folder or a single file; None: every file may be read.

    Raises:
        PathNotAllowed: what was opened lies outside of the roots. Nothing of it was read.
        OSError: it cannot be opened.
    """
    beneath = None if roots is None else _beneath(path, roots)
    descriptor = os.open(path, _FLAGS) if beneath is None else beneath
    try:
        if roots is not None and beneath is None and not _is_inside(descriptor, path, roots):
            raise PathNotAllowed(f"{path} leads outside of the allowed roots by now; nothing of it was read.")
    except BaseException:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:
        yield file


def final_path(file: BinaryIO, path: Path) -> Path:
    """Return where an opened file lies, whatever its path means by now; the path itself where the system does not say.

    path: by which it was opened.
    """
    return _final_path(file.fileno(), path) or path


def _beneath(path: Path, roots: Sequence[Path]) -> int | None:
    """Return the file opened beneath the root that its path names; None where the kernel cannot or will not."""
    if sys.platform != "linux":
        return None
    for root in roots:
        if path != root and path.is_relative_to(root):
            with contextlib.suppress(OSError):
                folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    return _openat2(folder, path.relative_to(root))
                finally:
                    os.close(folder)
    return None


def _openat2(folder: int, relative: Path) -> int:
    how = _How(_FLAGS, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    found = int(
        _system_call()(_OPENAT2, folder, os.fsencode(relative), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    )
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(relative))
    return found


@functools.cache
def _system_call() -> Any:
    return ctypes.CDLL(None, use_errno=True).syscall


def _is_inside(descriptor: int, path: Path, roots: Sequence[Path]) -> bool:
    final = _final_path(descriptor, path)
    return final is not None and any(final.is_relative_to(_final_path_of_root(root)) for root in roots)


def _final_path(descriptor: int, path: Path) -> Path | None:
    """Return where an opened file lies; None where the system does not say it, or the path leads to another one now."""
    with contextlib.suppress(OSError, ValueError):
        if ask := _ASK.get(sys.platform):
            return Path(ask(descriptor))
        resolved = os.path.realpath(path)
        if os.path.samestat(os.fstat(descriptor), os.stat(resolved)):
            return Path(resolved)
    return None


def _final_path_of_root(root: Path) -> Path:
    """Return where a root lies, spelled as `_final_path` spells it: macOS tells letters' case by its own record."""
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):
            descriptor = os.open(root, os.O_RDONLY)
            try:
                return Path(_on_macos(descriptor))
            finally:
                os.close(descriptor)
    return Path(os.path.realpath(root))


def _on_linux(descriptor: int) -> str:
    final = os.readlink(f"/proc/self/fd/{descriptor}")
    # A file that was replaced after it was opened has no name any more; the one that it had counts.
    return final.removesuffix(" (deleted)") if os.fstat(descriptor).st_nlink == 0 else final


def _on_macos(descriptor: int) -> str:
    import fcntl

    found = fcntl.fcntl(descriptor, _F_GETPATH, bytes(_LONGEST_ON_MACOS))
    return os.fsdecode(found.partition(b"\0")[0])


def _on_windows(descriptor: int) -> str:
    import msvcrt

    system: Any = ctypes
    handles: Any = msvcrt
    buffer = ctypes.create_unicode_buffer(_LONGEST_ON_WINDOWS)
    handle = ctypes.c_void_p(handles.get_osfhandle(descriptor))
    if not system.windll.kernel32.GetFinalPathNameByHandleW(handle, buffer, _LONGEST_ON_WINDOWS, 0):
        raise OSError("the system does not say where the file lies")
    share = "\\\\?\\UNC\\"
    return (
        f"\\\\{buffer.value[len(share) :]}" if buffer.value.startswith(share) else buffer.value.removeprefix("\\\\?\\")
    )


_ASK: dict[str, Callable[[int], str]] = {"linux": _on_linux, "darwin": _on_macos, "win32": _on_windows}

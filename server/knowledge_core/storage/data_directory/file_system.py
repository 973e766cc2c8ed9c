"""Whether the data directory lies on a network: SQLite's locks and mapped files are not dependable there.

Asks the system's list of mounts: /proc/self/mountinfo on Linux (proc_pid_mountinfo(5)), mount(8) on macOS, the kind of
drive on Windows. Sources of the risk: sqlite.org/lockingv3.html ("File Locking And Concurrency", 6.0), sqlite.org/wal.html
("WAL does not work over a network file system").
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

MOUNTS = Path("/proc/self/mountinfo")

# File systems that reach another machine, or, from within a virtual machine, its host. Of the kinds that FUSE and macOS
# name after "fuse." or without it, one entry stands for both.
_NETWORK = frozenset(
    [
        "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afpfs", "webdav", "davfs", "davfs2", "afs", "openafs", "coda",
        "9p", "ceph", "ceph-fuse", "cephfs", "glusterfs", "lustre", "beegfs", "fhgfs", "gpfs", "panfs", "orangefs", "pvfs2",
        "moosefs", "mfs", "lizardfs", "juicefs", "quobyte", "sshfs", "osxfuse.sshfs", "macfuse.sshfs", "rclone", "s3fs",
        "goofys", "gcsfuse", "blobfuse", "blobfuse2", "mountpoint-s3", "hdfs", "curlftpfs", "gvfsd-fuse", "kio-fuse",
        "onedriver", "google-drive-ocamlfuse", "vboxsf", "vmhgfs", "vmhgfs-fuse", "prl_fs",
    ]
)  # fmt: skip
_REMOTE_DRIVE = 4  # DRIVE_REMOTE of GetDriveTypeW
_ESCAPE = re.compile(r"\\([0-7]{3})")
_ON_MACOS = re.compile(r"(.*?) on (/.*) \(([^,()]+)(.*)\)")


def network_notice(home: Path) -> str | None:
    """Return a sentence about the network that a data directory lies on: the risk, and what to do; None on a local disk."""
    kind = network_file_system(home)
    if kind is None:
        return None
    return (
        f"The data directory lies on a network or shared file system ({kind}). SQLite's locks and mapped files are "
        "not dependable there: collections can be damaged, above all when two machines use them. Move it to a local disk "
        "(`kcore stop`, move the folder, then --home or KNOWLEDGE_CORE_HOME)."
    )


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that a folder lies on; None on a local one, or where nobody says."""
    resolved = os.path.realpath(path)
    try:
        if sys.platform == "win32":
            return _drive(resolved)
        if sys.platform == "darwin":
            listed = subprocess.run(["/sbin/mount"], capture_output=True, timeout=5, check=True).stdout
            return network_of_mounts(resolved, os.fsdecode(listed))
        return network_of_mountinfo(resolved, os.fsdecode(MOUNTS.read_bytes()))
    except (OSError, subprocess.SubprocessError):
        return None


def network_of_mountinfo(path: str, mountinfo: str) -> str | None:
    """Return the type of the network file system that holds a path, by Linux's list of mounts; None for a local one."""
    mounts = []
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        if len(fields.split(" ")) > 4 and rest:
            mounts.append((unescaped(fields.split(" ")[4]), rest.split(" ")[0]))
    kind = _holding(path, mounts)
    return kind if kind.removeprefix("fuse.").lower() in _NETWORK else None


def network_of_mounts(path: str, mounts: str) -> str | None:
    """Return the type of the network file system that holds a path, by the list of mount(8) on macOS; None for a local one."""
    found = [match for match in map(_ON_MACOS.fullmatch, mounts.splitlines()) if match]
    kind = _holding(path, [(match[2], match[3]) for match in found])
    return kind if kind.lower() in _NETWORK else None


def _holding(path: str, mounts: list[tuple[str, str]]) -> str:
    """Return the type of the mount that holds a path: of the deepest one, and of those in one place the last; "" for none."""
    held = [(len(at), number, kind) for number, (at, kind) in enumerate(mounts) if Path(path).is_relative_to(at)]
    return max(held, default=(0, 0, ""))[2]


def unescaped(field: str) -> str:
    """Return a field of the list of mounts with its octal escapes undone."""
    return _ESCAPE.sub(_character, field)


def _character(escape: re.Match[str]) -> str:
    return os.fsdecode(bytes([int(escape[1], 8) & 0xFF]))


def _drive(path: str) -> str | None:
    if path.startswith("\\\\") and not path.startswith(("\\\\?\\", "\\\\.\\")):
        return "a share"
    system: Any = ctypes
    kind = system.windll.kernel32.GetDriveTypeW(os.path.splitdrive(path)[0] + "\\")
    return "a network drive" if kind == _REMOTE_DRIVE else None

"""A tree of small notes, and everything that people and programs do to one, at random from a seed.

What is never changed lies in `steady`. Every text that is written is a new one, unless an operation copies or restores
one, so that what is embedded twice can be told from what is new.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

_WORDS = (
    "otter harbour ledger violin copper glacier lantern meadow quokka rotation tide bread kernel orbit pepper walrus "
    "bridge committee quarter northern budget window painter gravel amber saddle market thunder velvet compass"
)
WORDS = _WORDS.split()
SUFFIXES = (".md", ".md", ".md", ".txt", ".py", ".rst")  # by which a text is cut: a file keeps the one that it has
FOLDERS = ("rename folder", "move folder", "delete folder")
HIDDEN = (".git/HEAD", ".git/objects/ab.txt", "node_modules/pack/readme.md", ".hidden/secret note.md", "build/out.txt")


class ChangingTree:
    """Sources that are changed one operation at a time.

    sources: their folders, which exist. outside: a folder beside them that is not indexed. mounting: whether `mount` works.
    """

    def __init__(self, sources: list[Path], outside: Path, seed: int, *, mounting: bool = False) -> None:
        self.sources, self.outside = sources, outside
        self.draw = random.Random(seed)
        self.steady: dict[Path, str] = {}  # file -> a word that only it holds
        self.trash: list[tuple[Path, str]] = []
        self.mounts: set[Path] = set()
        self.done: Counter[str] = Counter()
        self.written: list[str] = []  # every distinct text
        self.let_go: set[str] = set()  # texts that were gone from the disk for a while, or ignored
        self._number = 0
        self._operations: dict[str, tuple[Callable[[], None], int]] = {
            "create": (self._create, 4), "edit": (self._edit, 6), "rename": (self._rename, 4),
            "rename folder": (self._rename_folder, 2), "move": (self._move, 4), "move folder": (self._move_folder, 2),
            "delete": (self._delete, 3), "delete folder": (self._delete_folder, 1), "restore": (self._restore, 2),
            "empty": (self._empty, 1), "blank": (self._blank, 1), "make binary": (self._make_binary, 1),
            "copy": (self._copy, 2), "swap": (self._swap, 2), "rotate": (self._rotate, 1), "save": (self._save, 4),
            "touch": (self._touch, 2), "chmod": (self._chmod, 1), "link": (self._link, 2), "nest": (self._nest, 1),
            "ignore": (self._ignore, 1), "same size": (self._same_size, 1), "change case": (self._change_case, 1),
            "to folder": (self._to_folder, 1), "spelling": (self._spelling, 1),
        }  # fmt: skip
        if mounting:
            self._operations["mount"] = (self._mount, 1)

    def fill(self, count: int, *, steady: int) -> None:
        """Write so many notes in folders, some of them never to be changed, and what is to be passed over."""
        for source in self.sources:
            for name in HIDDEN:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text("never to be found\n")
            (source / ".gitignore").write_text("build/\n*.tmp\n")
        for number in range(steady):
            source = self.sources[number % len(self.sources)]
            word = f"steady{number:05}"
            file = source / "steady" / f"{number // 100}" / f"{word}.md"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._text(f"{word} stays as it is", heading=bool(number % 2)))
            self.steady[file] = word
        for number in range(count - steady):
            folder = self.draw.choice(self.sources) / f"part {number // 200}" / f"{number // 20 % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / self._name()).write_text(self._text())

    def change(self, *, single: bool = False) -> str:
        """Do one operation; return its name. single: one that changes only a few files."""
        names = [each for each in self._operations if not single or each not in ("mount", "ignore", *FOLDERS)]
        name = self.draw.choices(names, [self._operations[each][1] for each in names])[0]
        try:
            self._operations[name][0]()
        except (IndexError, OSError):
            return ""  # there was nothing to do it to
        self.done[name] += 1
        return name

    def remount(self) -> None:
        """Mount what is not mounted at this moment."""
        for folder in self.mounts:
            if not os.path.ismount(folder):
                _mount(folder)

    def unmount(self) -> None:
        """Unmount all."""
        for folder in self.mounts:
            if os.path.ismount(folder):
                subprocess.run(["umount", str(folder)], check=True)

    # -- what there is ---------------------------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """Return the files that may be changed."""
        return [Path(at, name) for at in self.folders() for name in sorted(os.listdir(at)) if _is_note(Path(at, name))]

    def folders(self) -> list[Path]:
        """Return the folders whose content may be changed, those of the sources first."""
        found: list[Path] = list(self.sources)
        for source in self.sources:
            for at, folders, _ in os.walk(source):
                folders[:] = sorted(each for each in folders if _is_changed(Path(at, each)))
                found += [Path(at, each) for each in folders]
        return found

    def _file(self) -> Path:
        """Return one of the files, without listing all: a tree may hold thousands."""
        folders = self.folders()
        for _ in range(20):
            folder = self.draw.choice(folders)
            files = [folder / name for name in sorted(os.listdir(folder)) if _is_note(folder / name)]
            if files:
                return self.draw.choice(files)
        raise IndexError

    def _folder(self) -> Path:
        """Return a folder below a source that holds no mount."""
        below = [each for each in self.folders()[len(self.sources) :] if not self._holds_mount(each)]
        return self.draw.choice(below)

    def _holds_mount(self, folder: Path) -> bool:
        return any(mount.is_relative_to(folder) or folder.is_relative_to(mount) for mount in self.mounts)

    def _name(self, suffix: str = "") -> str:
        self._number += 1
        suffix = suffix or self.draw.choice(SUFFIXES)
        return f"{self.draw.choice(WORDS)} {self._number}{suffix}"

    def _text(self, start: str = "", *, heading: bool | None = None) -> str:
        self._number += 1
        words = " ".join(self.draw.choices(WORDS, k=self.draw.randint(5, 30)))
        heading = self.draw.random() < 0.5 if heading is None else heading
        text = f"{start} unique{self._number:06} {words}.\n"
        text = f"# Note of {self._number}\n\n{text}" if heading else text
        self.written.append(text)
        return text

    # -- what is done ----------------------------------------------------------------------------------------------

    def _create(self) -> None:
        (self.draw.choice(self.folders()) / self._name()).write_text(self._text())

    def _edit(self) -> None:
        self._file().write_text(self._text())

    def _same_size(self) -> None:
        """Change a text, and nothing that `ls -l` shows."""
        file = self._file()
        about, text = file.stat(), file.read_bytes()
        self._number += 1
        mark = f"same{self._number:06}".encode()
        if len(text) < 40:
            raise IndexError
        file.write_bytes(text[: -1 - len(mark)] + mark + b"\n")
        os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))

    def _rename(self) -> None:
        file = self._file()
        file.rename(file.with_name(self._name(file.suffix)))

    def _change_case(self) -> None:
        file = self._file()
        other = file.with_name(file.name.swapcase().replace(file.suffix.swapcase(), file.suffix))
        if not os.path.lexists(other):
            file.rename(other)

    def _spelling(self) -> None:
        """Call a file by a name with a combining accent, or with the one letter for it."""
        file, spelled = self._file(), self.draw.choice(["caf\u00e9", "cafe\u0301"])
        file.rename(file.with_name(f"{spelled} {self._name(file.suffix)}"))

    def _rename_folder(self) -> None:
        folder = self._folder()
        self._number += 1
        folder.rename(folder.with_name(f"{self.draw.choice(WORDS)} folder {self._number}"))

    def _move(self) -> None:
        file, to = self._file(), self.draw.choice(self.folders())
        if not os.path.lexists(to / file.name):
            shutil.move(file, to / file.name)

    def _move_folder(self) -> None:
        folder, to = self._folder(), self.draw.choice(self.folders())
        if to.is_relative_to(folder) or os.path.lexists(to / folder.name):
            raise IndexError
        shutil.move(folder, to / folder.name)

    def _delete(self) -> None:
        file = self._file()
        self.trash.append((file, file.read_text(encoding="utf-8", errors="surrogateescape")))
        self.let_go.add(self.trash[-1][1])
        file.unlink()

    def _delete_folder(self) -> None:
        folder = self._folder()
        if sum(len(files) for _, _, files in os.walk(folder)) > 20:
            raise IndexError
        shutil.rmtree(folder)

    def _restore(self) -> None:
        file, text = self.draw.choice(self.trash)
        self.trash.remove((file, text))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="surrogateescape")

    def _empty(self) -> None:
        self._file().write_bytes(b"")

    def _blank(self) -> None:
        self._file().write_text(" \n\t\n")

    def _make_binary(self) -> None:
        self._file().write_bytes(b"\x00\x01\xff" * 50)

    def _copy(self) -> None:
        file = self._file()
        shutil.copy2(file, self.draw.choice(self.folders()) / self._name(file.suffix))

    def _swap(self) -> None:
        self._exchange(2)

    def _rotate(self) -> None:
        """Move names round, as logs do."""
        self._exchange(3)

    def _exchange(self, count: int) -> None:
        files = {self._file() for _ in range(4 * count)}
        suffix = self.draw.choice(sorted(file.suffix for file in files))
        same = sorted(file for file in files if file.suffix == suffix)[:count]
        away = [file.with_name(f".{file.name}.exchanged") for file in same]
        for file, to in zip(same, away, strict=True):
            file.rename(to)
        for file, to in zip([*same[1:], same[0]], away, strict=True):
            to.rename(file)

    def _save(self) -> None:
        """Save as editors do: a temporary file takes the name; some keep the former one beside it."""
        file = self._file()
        temporary = file.with_name(f".{file.name}.swp")
        temporary.write_text(self._text())
        if self.draw.random() < 0.3:
            shutil.copy2(file, file.with_name(f"{file.name}~"))
        temporary.replace(file)

    def _touch(self) -> None:
        os.utime(self._file())

    def _chmod(self) -> None:
        self._file().chmod(self.draw.choice([0o600, 0o644]))

    def _link(self) -> None:
        self._number += 1
        place = self.draw.choice(self.folders()) / f"link {self._number}.md"
        target = self.draw.choice(["file", "folder", "broken", "outside"])
        to = {"file": self._file, "folder": self._folder, "broken": lambda: place.with_name("not there"),
              "outside": lambda: self.outside}[target]()  # fmt: skip
        place.symlink_to(to)

    def _nest(self) -> None:
        """Clone something into the tree."""
        self._number += 1
        checkout = self.draw.choice(self.folders()) / f"checkout {self._number}"
        (checkout / ".git").mkdir(parents=True)
        (checkout / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        (checkout / "readme.md").write_text(self._text())

    def _ignore(self) -> None:
        """Have a folder ignored, or no longer."""
        file = self._folder() / ".gitignore"
        notes = [Path(at, name) for at, _, names in os.walk(file.parent) for name in names]
        self.let_go |= {
            note.read_text(errors="replace") for note in notes if note.suffix in SUFFIXES and note.is_file()
        }
        if file.exists():
            file.unlink()
        else:
            file.write_text(f"*{self.draw.choice(SUFFIXES[3:])}\n")

    def _to_folder(self) -> None:
        """Put a folder in the place of a file, with the file in it."""
        file = self._file()
        text = file.read_bytes()
        file.unlink()
        file.mkdir()
        (file / f"inner{file.suffix}").write_bytes(text)

    def _mount(self) -> None:
        """Mount a disk with notes, or unmount one and all that was on it."""
        if self.mounts and self.draw.random() < 0.7:
            folder = self.draw.choice(sorted(self.mounts))
            if os.path.ismount(folder):
                subprocess.run(["umount", str(folder)], check=True)
                return
        else:
            self._number += 1
            folder = self.draw.choice(self.sources) / f"disk {self._number}"
            folder.mkdir()
            self.mounts.add(folder)
        _mount(folder)
        for _ in range(3):
            (folder / self._name()).write_text(self._text())


def can_mount(folder: Path) -> bool:
    """Say whether a disk in memory can be mounted on a folder here."""
    try:
        _mount(folder)
        subprocess.run(["umount", str(folder)], check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _mount(folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "notes", str(folder)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def _is_note(file: Path) -> bool:
    return file.name[0] != "." and file.is_file() and not file.is_symlink()


def _is_changed(folder: Path) -> bool:
    passed = folder.name[0] == "." or folder.name in ("steady", "node_modules", "build")
    return not passed and not folder.is_symlink()

"""A vault of notes in two folders, and what people and programs do to it, drawn at random."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

WORDS = (
    "river granite lantern harvest copper meadow signal winter ledger orchard harbour timber canvas anchor basil clover "
    "drift ember falcon gravel hollow ivory juniper kettle linen marble nectar oyster pepper quartz raven saddle thistle"
).split()


@dataclass
class Vault:
    """The folders, and what is known of each note.

    token: of each note, a word that stands in it alone, by its path. steady: tokens of notes whose text never changed.
    absent: texts that were gone from the disk at some time. written: all texts that were ever written.
    """

    top: Path
    draw: random.Random
    mounts: bool
    token: dict[Path, str] = field(default_factory=dict)
    text: dict[Path, str] = field(default_factory=dict)
    steady: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    deleted: list[tuple[Path, str, str]] = field(default_factory=list)
    mounted: list[Path] = field(default_factory=list)
    counter: int = 0
    done: dict[str, int] = field(default_factory=dict)

    @property
    def sources(self) -> list[Path]:
        return [self.top / "notes", self.top / "work"]

    def fill(self, count: int) -> None:
        for number in range(count):
            folder = self.sources[number % 5 == 0] / f"f{number // 50 % 40}" / f"g{number // 10 % 5}"
            suffix, heading = (".txt", "") if number % 4 == 0 else (".md", f"# Note {number}\n\n")
            self.write(folder / f"n{number}{suffix}", heading)
        for source in self.sources:
            for name in (".git", ".obsidian", "node_modules"):
                (source / name).mkdir()
                (source / name / "x.md").write_text("not wanted\n")
            (source / ".gitignore").write_text("ignored/\n")
        shutil.rmtree(self.sources[0] / ".git")
        self.steady = set(self.token.values())

    def write(self, path: Path, heading: str = "") -> None:
        self.counter += 1
        token = f"tok{self.counter}q{self.draw.randrange(10**6)}"
        text = f"{heading}{token} {' '.join(self.draw.choices(WORDS, k=25))}.\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.forget(path)
        path.write_text(text)
        self.token[path], self.text[path] = token, text

    def forget(self, path: Path) -> tuple[str, str]:
        """Take note that a note's text is no longer on the disk; return its token and text."""
        token, text = self.token.pop(path, ""), self.text.pop(path, "")
        self.steady.discard(token)
        self.absent.add(token)
        return token, text

    def some(self) -> Path:
        notes = [path for path in self.token if not any(path.is_relative_to(each) for each in self.mounted)]
        return self.draw.choice(notes)

    def change(self) -> None:
        """Do one thing."""
        acts: list[Callable[[], None]] = [
            self.edit, self.edit, self.create, self.rename, self.move, self.move_folder, self.delete, self.restore,
            self.spoil, self.save, self.swap, self.touch, self.link, self.checkout, self.replace_folder, self.copy,
        ]  # fmt: skip
        acts += [self.mount] if self.mounts else []
        act = self.draw.choice(acts)
        act()
        self.done[act.__name__] = self.done.get(act.__name__, 0) + 1

    def edit(self) -> None:
        path = self.some()
        self.write(path, "# Edited\n\n" if path.suffix == ".md" else "")

    def create(self) -> None:
        self.write(self.some().parent / f"new{self.counter}.md", "# New\n\n")

    def rename(self) -> None:
        path = self.some()
        self.moved(path, path.with_name(f"r{self.counter}{path.suffix}"))

    def move(self) -> None:
        path = self.some()
        self.moved(path, self.some().parent / f"m{self.counter}{path.suffix}")

    def moved(self, path: Path, to: Path) -> None:
        self.counter += 1
        if to.exists():
            return
        os.rename(path, to)
        self.token[to], self.text[to] = self.token.pop(path), self.text.pop(path)

    def move_folder(self) -> None:
        folder = self.some().parent
        to = self.draw.choice(self.sources) / f"d{self.counter}"
        self.counter += 1
        if (
            folder in self.sources
            or folder in self.mounted
            or any(each.is_relative_to(folder) for each in self.mounted)
        ):
            return
        os.rename(folder, to)
        for path in [each for each in self.token if each.is_relative_to(folder)]:
            new = to / path.relative_to(folder)
            self.token[new], self.text[new] = self.token.pop(path), self.text.pop(path)

    def replace_folder(self) -> None:
        """Put another folder in the place of one."""
        folder = self.some().parent
        if (
            folder in self.sources
            or folder in self.mounted
            or any(each.is_relative_to(folder) for each in self.mounted)
        ):
            return
        for path in [each for each in self.token if each.is_relative_to(folder)]:
            self.forget(path)
        shutil.rmtree(folder)
        self.write(folder / f"inner{self.counter}" / "only.md", "# Only\n\n")

    def delete(self) -> None:
        path = self.some()
        path.unlink()
        self.deleted.append((path, *self.forget(path)))

    def restore(self) -> None:
        if self.deleted:
            path, token, text = self.deleted.pop(self.draw.randrange(len(self.deleted)))
            if not path.exists() and text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                self.token[path], self.text[path] = token, text

    def spoil(self) -> None:
        path = self.some()
        self.forget(path)
        path.write_bytes(self.draw.choice([b"", b" \n\n", bytes(range(256)) * 8, b"\x00" * 500]))

    def save(self) -> None:
        """Save as editors do: a temporary file takes the place."""
        path, hidden = self.some(), self.draw.random() < 0.5
        temporary = path.with_name(f".{path.name}.tmp" if hidden else f"{path.name}.tmp")
        self.write(path)
        os.replace(path, temporary)
        os.replace(temporary, path)

    def swap(self) -> None:
        one, other = self.some(), self.some()
        if one != other:
            between = one.with_name(f".swap{self.counter}")
            os.rename(one, between)
            os.rename(other, one)
            os.rename(between, other)
            for table in (self.token, self.text):
                table[one], table[other] = table[other], table[one]

    def touch(self) -> None:
        path = self.some()
        if self.draw.random() < 0.5:
            os.utime(path)
        else:
            os.chmod(path, 0o640)

    def copy(self) -> None:
        path = self.some()
        to = path.with_name(f"copy{self.counter}{path.suffix}")
        self.counter += 1
        shutil.copyfile(path, to)  # its text is that of the other, which is found by either

    def link(self) -> None:
        path = self.some()
        name = path.with_name(f"link{self.counter}.md")
        self.counter += 1
        name.symlink_to(self.draw.choice([str(path), str(path.parent), "nowhere.md", "/etc"]))

    def checkout(self) -> None:
        folder = self.draw.choice(self.sources) / f"checkout{self.counter}"
        self.counter += 1
        (folder / ".git").mkdir(parents=True)
        (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        (folder / "inside.md").write_text(f"# Inside {self.counter}\n")

    def mount(self) -> None:
        """Mount a disk and leave it there, or take one away, which keeps its documents."""
        if self.mounted and self.draw.random() < 0.3:
            return
        if len(self.mounted) < 3:
            folder = self.draw.choice(self.sources) / f"disk{self.counter}"
            folder.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], check=True)
            self.mounted.append(folder)
            self.write(folder / "on disk.md", "# On disk\n\n")
            self.steady.discard(self.token[folder / "on disk.md"])

    def unmount_all(self) -> None:
        for folder in self.mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)

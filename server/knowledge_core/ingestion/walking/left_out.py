"""What an index call leaves out: counts per reason and per kind of file, with one or two examples each.

Pure values. File names come from strangers, so a name is only shown by way of `shown`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowledge_core.language.printable import one_line

NOT_READ = ("binary", "unsupported")  # the reasons that mean a format that is not read; the files' kinds say more
OUTSIDE = "outside the roots"  # the reason of links that lead out of what may be read
LONGEST_TARGET = 300  # characters of what a link leads to; none is offered in a command where it is longer
_ARROW = re.compile(r" -> (?=/|[A-Za-z]:\\|\\\\)")  # before a full path
LEADS_TO = " -> "  # between a link and what it leads to
EXAMPLES = 2  # per reason and per kind: one to recognise it by, one to see that it is no exception
KINDS_SHOWN = 12  # per answer; a real folder of mixed documents has about ten
KINDS_KEPT = 200  # per report; a folder may hold any number of suffixes
OTHER = "(other kinds)"  # in brackets, because it is not a kind itself
LONGEST_SHOWN = 100  # characters of a name


@dataclass(frozen=True)
class LeftOut:
    """Files, and whole folders (counted as one), that do not become documents.

    skipped: reason -> count.
    unread: kind, as ".docx" -> count; only of files whose format is not read.
    examples: reason or kind -> the names of the first few.
    """

    skipped: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def under(self, prefix: str) -> LeftOut:
        """Return the same with a prefix before each example: its name within a collection."""
        named = {of: tuple(_shown_example(prefix + each) for each in some) for of, some in self.examples.items()}
        return LeftOut(self.skipped, self.unread, named)

    def plus(self, other: LeftOut) -> LeftOut:
        """Return the sum of both."""
        unread = dict(self.unread)
        examples = {of: list(some) for of, some in self.examples.items()}
        for kind, count in other.unread.items():
            kept = kind if kind in unread or len(unread) < KINDS_KEPT else OTHER
            unread[kept] = unread.get(kept, 0) + count
        for of, some in other.examples.items():
            if of in unread or of not in other.unread:
                examples[of] = [*examples.get(of, ()), *some][:EXAMPLES]
        return LeftOut(_sums(self.skipped, other.skipped), unread, examples)

    def shortened(self) -> LeftOut:
        """Return as much as one answer has room for: the most frequent kinds, all others counted together. Idempotent."""
        together = {kind for kind in self.unread if kind.startswith("(")}
        ranked = sorted(self.unread.keys() - together, key=lambda kind: (-self.unread[kind], kind))
        room = KINDS_SHOWN + (
            len(self.unread) == KINDS_SHOWN + 1
        )  # a single kind more is shown: "others" is no shorter
        rest = {*ranked[room:], *together}
        unread = {kind: self.unread[kind] for kind in ranked[:room]}
        if rest:
            (name,) = together if rest == together else [f"({len(rest)} other kinds)"]
            unread[name] = sum(self.unread[kind] for kind in rest)
        named = {of: some for of, some in self.examples.items() if of in unread or of in self.skipped}
        if unread:  # the kinds have examples of their own
            named = {of: some for of, some in named.items() if of not in NOT_READ}
        return LeftOut(self.skipped, unread, named)

    def sentences(self) -> list[str]:
        """Return one sentence about the formats that are not read and one about the other reasons, for people and models.

        >>> some = LeftOut({"hidden": 1, "unsupported": 3}, {".xlsx": 1, ".docx": 2}, {".docx": ["a.docx", "b.docx"]})
        >>> some.sentences()
        ['3 files are in formats that are not read: 2 .docx (a.docx …), 1 .xlsx.', 'Skipped: 1 hidden.']
        """
        short = self.shortened()
        said = []
        if short.unread:
            count = sum(short.unread.values())
            what = "1 file is in a format that is" if count == 1 else f"{count} files are in formats that are"
            kinds = [short._named(kind, number, 1) for kind, number in short.unread.items() if not kind.startswith("(")]
            kinds += [
                f"and {number} more of {kind[1:-1]}" for kind, number in short.unread.items() if kind.startswith("(")
            ]
            said.append(f"{what} not read: {', '.join(kinds)}.")
        others = [each for each in short.skipped.items() if not (short.unread and each[0] in NOT_READ)]
        if others:
            said.append("Skipped: " + ", ".join(short._named(*each, EXAMPLES) for each in others) + ".")
        said += [
            f"What a link leads to is read once a person allows it: kcore roots add {shlex.quote(each)}"
            for each in short.targets()
        ]
        return said

    def targets(self) -> list[str]:
        """Return what the named links out of the roots lead to, each once."""
        named = self.examples.get(OUTSIDE, ())
        return list(dict.fromkeys(target for each in named if (target := link_and_target(each)[1])))

    def _named(self, what: str, count: int, examples: int) -> str:
        some = list(self.examples.get(what, ()))[:examples]
        more = " …" if count > len(some) else ""
        return f"{count} {what}" + (f" ({', '.join(some)}{more})" if some else "")


def _sums(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {each: some.get(each, 0) + more.get(each, 0) for each in sorted({*some, *more})}


def leading_to(link: str, target: str) -> str:
    """Return how a link is named; without what it leads to where no command line can hold that."""
    return f"{link}{LEADS_TO}{target}" if one_line(target) == target and len(target) < LONGEST_TARGET else link


def link_and_target(example: str) -> tuple[str, str]:
    """Return the two parts of what `leading_to` made; a name of a link may hold an arrow, too."""
    found = list(_ARROW.finditer(example))
    return (example[: found[-1].start()], example[found[-1].end() :]) if found else (example, "")


def _shown_example(name: str) -> str:
    """Return an example as one line. What a link leads to is not shortened: it is to be copied into a command."""
    link, target = link_and_target(name)
    return shown(link) + (LEADS_TO + target if target else "")


def shown(name: str) -> str:
    """Return a file's name as one short line. A long name loses its middle, because its end tells the kind of file."""
    plain = one_line(name)
    half = LONGEST_SHOWN // 2
    return plain if len(plain) <= LONGEST_SHOWN else f"{plain[: half - 1]}…{plain[-half:]}"

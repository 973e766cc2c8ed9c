"""Words of two texts compared as multisets, headings, and the rows of the table."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_WORD = re.compile(r"\w+")


def words(text: str) -> Counter[str]:
    """Count the words of a text, case folded.

    >>> words("Größe, GRÖSSE: 3.5")
    Counter({'grösse': 2, '3': 1, '5': 1})
    """
    return Counter(_WORD.findall(unicodedata.normalize("NFC", text).casefold()))


def recall(reference: Counter[str], found: Counter[str]) -> float:
    """Return the share of the reference's words that were found, each as often as it stands there; 1.0 where it has none.

    >>> recall(words("one two two three"), words("two three four"))
    0.5
    """
    return (reference & found).total() / reference.total() if reference else 1.0


def precision(reference: Counter[str], found: Counter[str]) -> float:
    """Return the share of the words found that are the reference's.

    >>> precision(words("one two two three"), words("two three four five"))
    0.5
    """
    return recall(found, reference)


def headings_kept(reference: Sequence[str], found: Iterable[str]) -> int:
    """Return how many of the reference's headings are among those found, whatever their level.

    >>> headings_kept(["1. Plan", "Costs", "Costs"], ["1. plan", "costs"])
    3
    """
    names = {" ".join(words(each).elements()) for each in found}
    return sum(" ".join(words(each).elements()) in names for each in reference)


@dataclass
class Row:
    """What was measured of one file. None: that was not compared."""

    format: str
    file: str
    size: int
    refused: str = ""
    no_reference: str = ""
    reference_words: int = 0
    recall: float | None = None
    precision: float | None = None
    headings: tuple[int, int] = (0, 0)  # kept, of
    tables: tuple[int, int] = (0, 0)  # words found, of
    ms: float | None = None
    missing: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    other_recall: float | None = None
    other_precision: float | None = None
    other_ms: float | None = None
    other_failed: str = ""


COLUMNS = ("format", "files", "read", "refused", "compared", "recall", "precision", "headings", "tables", "ms", "MB/s",
           "markitdown read", "its recall", "its precision", "its ms")  # fmt: skip


def table_row(format: str, rows: Sequence[Row]) -> list[object]:
    """Return one line of the table: means over files of the shares, sums of headings and tables, median of times."""
    read = [row for row in rows if not row.refused]
    reasons = Counter(_reason(row) for row in rows if row.refused)
    seconds = sum(row.ms or 0 for row in read) / 1e3
    others = [row for row in rows if row.other_ms is not None]
    return [
        format,
        str(len(rows)),
        str(len(read)),
        ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
        str(sum(row.recall is not None for row in read)),
        _mean(row.recall for row in read),
        _mean(row.precision for row in read),
        _share(row.headings for row in read),
        _share(row.tables for row in read),
        _median(row.ms for row in read),
        f"{sum(row.size for row in read) / 1e6 / seconds:.1f}" if seconds else "",
        str(len(others)) if others else "",
        _mean(row.other_recall for row in others),
        _mean(row.other_precision for row in others),
        _median(row.other_ms for row in others),
    ]


def worst(rows: Sequence[Row], count: int) -> list[str]:
    """Name the files with the lowest recall, then those with the lowest precision, with the words concerned."""
    compared = [row for row in rows if row.recall is not None]
    lines = []
    for row in sorted(compared, key=lambda row: row.recall or 0.0)[:count]:
        lines.append(f"recall {row.recall:.3f} of {row.reference_words}: {row.file}: missing {' '.join(row.missing)}")
    for row in sorted(compared, key=lambda row: row.precision or 0.0)[:count]:
        lines.append(f"precision {row.precision:.3f}: {row.file}: beside it {' '.join(row.surplus)}")
    return lines


def _reason(row: Row) -> str:
    bare = row.refused == "empty" and not row.reference_words and not row.no_reference
    return "without text" if bare else row.refused


def _mean(shares: Iterable[float | None]) -> str:
    known = [share for share in shares if share is not None]
    return f"{statistics.fmean(known):.3f}" if known else ""


def _median(times: Iterable[float | None]) -> str:
    known = [time for time in times if time is not None]
    return f"{statistics.median(known):.1f}" if known else ""


def _share(counts: Iterable[tuple[int, int]]) -> str:
    pairs = list(counts)
    kept, total = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return f"{kept} of {total}" if total else ""

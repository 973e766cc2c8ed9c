"""Which chunks a filter allows: evaluated once, then carried from generation to generation.

Evaluating a filter over the metadata of a million documents takes seconds, and every write makes a new generation. So the
result of an older generation is brought up to date with the chunks that came and went since, as the record's log has them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge_core.storage.filter_bounds import check_bounds
from knowledge_core.storage.record.filtering.fields import KIND, kinds_of
from knowledge_core.storage.record.filters import Condition, has_numbers, named, parse, unknown_fields
from knowledge_core.storage.record.snapshot import RecordSnapshot
from knowledge_core.storage.sorted_keys import among
from knowledge_core.storage.values import Allowed

KEPT_BYTES = 128 * 2**20  # of evaluated filters, the latest ones; one that allows a million chunks takes 40 MB
SMALL = 20_000  # chunks; in a collection of so few, the metadata fields are read again after a removal: 0.1 s

_SINCE = "SELECT number FROM log WHERE generation > ? AND kind = '+c'"
_FIELDS = "SELECT DISTINCT j.key, j.type FROM documents d, json_each(d.metadata) AS j"


@dataclass(frozen=True)
class _Evaluated:
    """table: (n, 3) int64, one row per allowed chunk, ascending: chunk number, key, document number."""

    generation: int
    table: npt.NDArray[np.int64]
    allowed: Allowed


class EvaluatedFilters:
    """What is known of one collection's filters and metadata fields. Several threads may ask."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of `_kept`; nothing is evaluated under it
        self._kept: dict[str, _Evaluated] = {}
        self._fields: tuple[int, dict[str, set[str]]] | None = None

    def fields(self, record: RecordSnapshot) -> dict[str, str]:
        """Return the metadata fields there are and the JSON types of their values ("text", "integer|real").

        In a large collection a field stays known when its last document goes, until the collection is opened again.
        """
        known, generation = self._fields, record.generation
        if known is None or known[0] > generation or not _reaches(record, known[0]) or _shrunk(record, known[0]):
            types = _types(record.rows(_FIELDS))
        elif known[0] == generation:
            types = known[1]
        else:
            new = _types(
                record.rows(
                    f"{_FIELDS} WHERE d.number IN (SELECT document FROM chunks WHERE number IN ({_SINCE}))", known[:1]
                )
            )
            types = {name: known[1].get(name, set()) | new.get(name, set()) for name in {**known[1], **new}}
        if known is None or known[0] < generation:
            self._fields = generation, types
        return {name: "|".join(sorted(types[name])) for name in sorted(types)}

    def condition(self, record: RecordSnapshot, filter: Mapping[str, Any] | None) -> Condition:
        """Return what a filter asks for, as a condition over documents; nothing of it is evaluated yet.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        return parse(filter, self._kinds(record) if filter else {})

    def unknown(self, record: RecordSnapshot, filter: Mapping[str, Any] | None) -> list[str]:
        """Return the fields that a filter which was accepted names and no document has."""
        return unknown_fields(filter, self.fields(record)) if filter else []

    def check_nothing(self, record: RecordSnapshot, filter: Mapping[str, Any] | None) -> None:
        """Look closer at a filter that allows nothing: is it that no value of a field can be compared so?

        The types of the values tell most of it at once; whether any text writes a number, or what lists hold, is only read
        now, since that takes a second for a million documents.

        Raises:
            InvalidFilter: no value of a field can be.
        """
        types, names = self.fields(record), named(filter)
        if has_numbers(filter) or any("array" in types.get(name, "") for name in names):
            source = "documents d, json_each(d.metadata) AS j WHERE j.key IN (SELECT value FROM json_each(?))"
            exact = _types(record.rows(f"SELECT DISTINCT j.key, {KIND} FROM {source}", (json.dumps(names),)))
            parse(filter, self._kinds(record) | {name: "|".join(kinds) for name, kinds in exact.items()})

    def _kinds(self, record: RecordSnapshot) -> dict[str, str]:
        return {name: kinds_of(types) for name, types in self.fields(record).items()}

    def allowed(self, record: RecordSnapshot, filter: Mapping[str, Any]) -> Allowed:
        """Return what a filter allows in a generation.

        Raises:
            InvalidFilter: see `filters.parse`.
        """
        check_bounds(filter)
        name = json.dumps(filter, sort_keys=True)
        known, generation = self._kept.get(name), record.generation
        if known is not None and known.generation == generation:
            return known.allowed
        condition = self.condition(record, filter)
        if known is None or known.generation > generation or not _reaches(record, known.generation):
            made = _evaluated(generation, _rows(record, condition))
        else:
            made = _carried(record, known, condition)
        if not made.allowed.documents:
            self.check_nothing(record, filter)
        self._keep(name, made)
        return made.allowed

    def _keep(self, name: str, made: _Evaluated) -> None:
        with self._guard:
            known = self._kept.pop(name, None)
            self._kept[name] = made if known is None or known.generation < made.generation else known
            room = KEPT_BYTES
            for each in reversed(list(self._kept)):
                room -= (
                    self._kept[each].table.nbytes * 5 // 3
                )  # three columns, and the two arrays that are made of them
                if room < 0 and each != name:
                    del self._kept[each]


def _carried(record: RecordSnapshot, known: _Evaluated, condition: Condition) -> _Evaluated:
    """Return an evaluated filter for a later generation."""
    gone = record.table(["number"], "log WHERE generation > ? AND kind = '-c'", (known.generation,))
    new = _rows(record, condition, known.generation)
    if not len(gone) and not len(new):
        return _Evaluated(record.generation, known.table, known.allowed)
    lost = np.unique(gone)
    kept = known.table[~among(lost, known.table[:, 0])[1]]
    # A row that is in the table already may be among the new ones, where the log says that it came since: it counts once.
    kept = kept[~among(np.sort(new[:, 0]), kept[:, 0])[1]]
    return _evaluated(record.generation, np.concatenate([kept, new]))


def _rows(record: RecordSnapshot, condition: Condition, since: int | None = None) -> npt.NDArray[np.int64]:
    """Return (n, 3) number, key and document of the chunks that a condition allows, in any order.

    since: a generation; only of the chunks that came later.
    """
    if since is None:
        allowed = f"SELECT d.number FROM documents d WHERE {condition.sql}"
        source, parameters = f"chunks c WHERE c.document IN ({allowed})", condition.parameters
    else:
        joined = "chunks c JOIN documents d ON d.number = c.document"
        source, parameters = (
            f"{joined} WHERE c.number IN ({_SINCE}) AND ({condition.sql})",
            (since, *condition.parameters),
        )
    return record.table(["c.number", "c.key", "c.document"], source, parameters)


def _evaluated(generation: int, table: npt.NDArray[np.int64]) -> _Evaluated:
    table = table[np.argsort(table[:, 0], kind="stable")]
    allowed = Allowed(np.ascontiguousarray(table[:, 0]), np.unique(table[:, 1]), len(np.unique(table[:, 2])))
    return _Evaluated(generation, table, allowed)


def _types(rows: Sequence[tuple[Any, ...]]) -> dict[str, set[str]]:
    types: dict[str, set[str]] = {}
    for name, kind in rows:
        types.setdefault(str(name), set()).add(str(kind))
    return types


def _reaches(record: RecordSnapshot, generation: int) -> bool:
    """Say whether the log has all that changed since a generation: it reaches back so far, and no id has changed since."""
    rows = record.rows("SELECT max(CAST(value AS INTEGER)) FROM meta WHERE name IN ('log_from', 'renamed')")
    return rows[0][0] is None or int(rows[0][0]) <= generation


def _shrunk(record: RecordSnapshot, generation: int) -> bool:
    """Say whether the collection is small and has lost chunks since a generation."""
    ((lost,),) = record.rows("SELECT EXISTS (SELECT 1 FROM log WHERE generation > ? AND kind = '-c')", (generation,))
    return bool(lost) and len(record.rows(f"SELECT 1 FROM chunks LIMIT {SMALL + 1}")) <= SMALL

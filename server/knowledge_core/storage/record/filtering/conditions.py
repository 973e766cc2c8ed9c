"""SQL conditions over `documents AS d`, and what joins them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from knowledge_core.errors import InvalidFilter
from knowledge_core.storage.filter_bounds import DEEPEST


@dataclass(frozen=True)
class Condition:
    """An SQL expression over `documents AS d`, and its parameters in order."""

    sql: str
    parameters: tuple[Any, ...] = ()


EVERYTHING = Condition("1")
NOTHING = Condition("0")


class AllowsNothing(InvalidFilter):
    """A part of a filter can be true of no document here: its field, or a value of its type, is not there."""


@dataclass(frozen=True)
class Where:
    """Where in a filter something stands.

    depth: of filters within each other. asserted: what is true there lets documents in, not out; each negation turns it.
    """

    depth: int = 1
    asserted: bool = True

    def inside(self) -> Where:
        """Return the place one deeper.

        Raises:
            InvalidFilter: that is too deep.
        """
        if self.depth >= DEEPEST:
            raise InvalidFilter(f"The filter is nested more than {DEEPEST} deep; write it flatter.")
        return replace(self, depth=self.depth + 1)

    def negated(self) -> Where:
        """Return the same place under a negation."""
        return replace(self, asserted=not self.asserted)


def joined(word: str, conditions: Sequence[Condition]) -> Condition:
    """Return conditions joined by AND or OR; everything where there are none."""
    if not conditions:
        return EVERYTHING
    sql = f" {word} ".join(f"({condition.sql})" for condition in conditions)
    return Condition(sql, tuple(value for condition in conditions for value in condition.parameters))


def negated(condition: Condition) -> Condition:
    """Return the condition that is true where this one is not."""
    return Condition(f"NOT ({condition.sql})", condition.parameters)

"""Numbers and dates as texts write them, so that a filter compares what is meant and not how it is stored. Pure.

A text counts as a number only in the form in which numbers are written plainly: no leading zero, so that the zip code
"01234" stays a text, no plus sign, exponent or white space.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

LONGEST_NUMBER = 40  # characters

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2})?)?)?)?)?")


def number_in(text: str) -> int | float | None:
    """Return the number that a text writes; None where it writes none that can be compared.

    >>> number_in("2021"), number_in("-4.50"), number_in("01234"), number_in("1e3")
    (2021, -4.5, None, None)
    """
    if len(text) > LONGEST_NUMBER or not (found := _DECIMAL.fullmatch(text)):
        return None
    number = float(text) if found[2] else int(text)
    return number if abs(number) < 2**63 else None


def written(number: float) -> str:
    """Return a number as a text writes it: in the one form that equals it.

    >>> written(2021), written(2021.0), written(4.5)
    ('2021', '2021', '4.5')
    """
    return str(int(number)) if float(number).is_integer() else json.dumps(number)


def date_in(text: str) -> str | None:
    """Return the beginning of an ISO 8601 date and time that a text is, with a T before the time; None if it is none.

    >>> date_in("2024-05"), date_in("2024-05-12 18:05"), date_in("2024-13"), date_in("soon")
    ('2024-05', '2024-05-12T18:05', None, None)
    """
    return text.replace(" ", "T") if _DATE.fullmatch(text) else None


def as_text(number: float) -> str:
    """Return the text that somebody may mean who wrote a number: a date where it has the digits of one.

    >>> as_text(20240512), as_text(2021)
    ('2024-05-12', '2021')
    """
    digits = written(number)
    date = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return date if len(digits) == len("20240512") and date_in(date) else digits


def moment_in(text: str) -> str | None:
    """Return a date, or a moment with or without a zone, as the beginning of the UTC times that are stored; None if it is none.

    >>> moment_in("2024-05"), moment_in("2024-05-12T01:00:00+02:00"), moment_in("2024-05-12T10:00:00.5Z")
    ('2024-05', '2024-05-11T23:00:00', '2024-05-12T10:00:00')
    """
    if date := date_in(text):
        return date
    try:
        found = datetime.fromisoformat(text)
        utc = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc.replace(tzinfo=None).isoformat(timespec="seconds")

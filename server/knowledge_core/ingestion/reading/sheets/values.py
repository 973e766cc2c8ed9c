"""The value of a cell as text that people search for: as a spreadsheet shows it, without its number format."""

from __future__ import annotations

import datetime
import re

from knowledge_core.ingestion.cutting.csv_dialect import is_value

Value = str | int | float | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta
"""What python-calamine gives for a cell; "" for an empty one and for most errors."""

_ERRORS = frozenset(
    ["#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#GETTING_DATA", "#SPILL!", "#CALC!"]
)
_WHOLE_UP_TO = 1e22  # whole numbers beyond are not exact, and stay in exponent form
_DIGITS = ".15g"  # the significant digits that a spreadsheet keeps; what comes after them is binary noise
_DURATION = re.compile(r"PT(\d{1,9})H(\d{1,2})M(\d{1,2})(?:[.,]\d+)?S")  # as OpenDocument writes times
_YEARS = range(1500, 2200)


def shown(value: Value, *, percent: bool = False) -> str:
    """Return a cell's text; "" for an empty one and for an error.

    percent: the cell's number format shows hundredths.

    >>> [shown(value) for value in (0.1 + 0.2, 3.0, 12345678901234567.0, True, "#REF!", 0.0)]
    ['0.3', '3', '12345678901234568', 'TRUE', '', '0']
    >>> shown(0.125, percent=True), shown(datetime.datetime(2026, 1, 31)), shown(datetime.timedelta(hours=26.5))
    ('12.5%', '2026-01-31', '26:30:00')
    """
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return _percent(value) if percent else _number(value)
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        return f"{'-' * (seconds < 0)}{_clock(abs(seconds))}"
    if isinstance(value, datetime.datetime):
        value = _rounded(value)
        day_only = value.time() == datetime.time()
        return value.date().isoformat() if day_only else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.time):
        return value.replace(microsecond=0).isoformat()
    return value.isoformat()


def is_text(value: Value) -> bool:
    """Say whether a cell may be the name of a column: words, or a year."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return value in _YEARS
    if not isinstance(value, str):
        return False
    return bool(value.strip()) and not is_value(value)


def _of_text(value: str) -> str:
    text = value.replace("\0", "").strip()  # some writers' old XLS have one behind each letter
    if text.startswith("PT") and (found := _DURATION.fullmatch(text)):
        return f"{int(found[1]):02}:{found[2]:>02}:{found[3]:>02}"
    return "" if text in _ERRORS else text


def _number(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < _WHOLE_UP_TO:
        return str(int(value))
    return format(value, _DIGITS)


def _percent(value: int | float) -> str:
    """Return hundredths with two decimals: no cell shows the sixteen digits of a quotient."""
    hundredths = value * 100
    return f"{_number(round(hundredths, 2) or hundredths)}%"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _rounded(value: datetime.datetime) -> datetime.datetime:
    """Return the nearest whole second: a time is stored as a binary fraction of a day."""
    try:
        return (value + datetime.timedelta(microseconds=500_000)).replace(microsecond=0)
    except OverflowError:  # the last second of the year 9999
        return value

"""Moments as people write them: dates, times and ages, in the machine's time zone where they name none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from knowledge_core.errors import InvalidInput, quoted

_AGE = re.compile(r"(\d{1,5})\s*(h|d|w|mo|y)", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "mo": 30 * 24, "y": 365 * 24}
_DAY = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def moment(text: str, name: str, *, now: datetime, end: bool = False) -> str:
    """Return a moment as ISO 8601 in UTC, as in "2026-11-28T23:00:00Z".

    text: a date ("2026-11-28", "2026-11", "2026"), a full ISO 8601 time, an age ("7d", "12h", "2w", "3mo", "1y": a month has
    30 days), "now", "today", "yesterday", or a weekday, which is the latest one that has begun.
    name: of the argument, for the error. now: with its time zone, which holds where the text names none.
    end: of what is no moment but a day, a month or a year, its end; else its beginning.

    Raises:
        InvalidInput: it is none of these.

    >>> now = datetime(2026, 12, 1, 10, tzinfo=UTC)
    >>> moment("7d", "since", now=now), moment("friday", "since", now=now), moment("2026-11", "until", now=now, end=True)
    ('2026-11-24T10:00:00Z', '2026-11-27T00:00:00Z', '2026-12-01T00:00:00Z')
    """
    plain = text.strip().lower()
    try:
        found = _age(plain, now) or _span(plain, now, end=end) or _full(text.strip(), now)
        return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name}: {quoted(text)} is no date, time or age. Write it like 2026-11-28, 2026-11-28T14:00, 7d, 12h, today or "
            "friday."
        ) from None


def _age(text: str, now: datetime) -> datetime | None:
    if text == "now":
        return now
    found = _AGE.fullmatch(text)
    return now - timedelta(hours=int(found[1]) * _HOURS[found[2]]) if found else None


def _span(text: str, now: datetime, *, end: bool) -> datetime | None:
    """Return the beginning or the end of a day, a month or a year."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday") or text in _WEEKDAYS:
        back = {"today": 0, "yesterday": 1}.get(text)
        day = midnight - timedelta(days=(now.weekday() - _WEEKDAYS.index(text)) % 7 if back is None else back)
        return day + timedelta(days=1) if end else day
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    year, month, day_of_month = (int(part) if part else None for part in found.groups())
    begin = midnight.replace(year=year or 1, month=month or 1, day=day_of_month or 1)
    if not end:
        return begin
    if day_of_month:
        return begin + timedelta(days=1)
    if month and month < 12:
        return begin.replace(month=month + 1)
    return begin.replace(year=begin.year + 1, month=1)


def _full(text: str, now: datetime) -> datetime:
    made = datetime.fromisoformat(text)
    return made if made.tzinfo else made.replace(tzinfo=now.tzinfo)

"""From a moment as a person writes it ("7d", "friday", "2026-11-28") to the UTC text that the record compares. Pure.

What names no time zone is in the machine's own. A day stands for its first second as a beginning, for its last as an end.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from knowledge_core.errors import InvalidInput, quoted

FORMS = (
    'a date ("2026-11-28"), a time ("2026-11-28T14:30", also with "Z" or "+01:00"), an age ("12h", "7d", "2w", "3mo", "1y"), '
    '"today", "yesterday" or a weekday'
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_AGE = re.compile(r"(\d{1,6}) ?(min|h|d|w|mo|y)")
_HOURS = {"min": 1 / 60, "h": 1, "d": 24, "w": 168}

Side = Literal["since", "until"]


def moment(text: str, side: Side, now: datetime | None = None) -> str:
    """Return a moment as ISO 8601 in UTC, to the second.

    side: whether it is where a span begins or ends; it names the value in an error, too. now: aware; None for the clock's.

    >>> moment("2026-11-28T14:30+01:00", "since")
    '2026-11-28T13:30:00Z'

    Raises:
        InvalidInput: it is none of the forms; the message shows them.
    """
    try:
        found = _found(text.strip(), side, datetime.now(UTC) if now is None else now)
        return found.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    except (ValueError, OverflowError, OSError):  # also what no calendar or clock of this machine reaches
        raise InvalidInput(f"{side} is {quoted(text)}; write {FORMS}.") from None


def _found(text: str, side: Side, now: datetime) -> datetime:
    if age := _AGE.fullmatch(text.lower()):
        return _before(now, int(age[1]), age[2])
    day = _day(text, now.astimezone().date())
    if day is None:
        return datetime.fromisoformat(text)  # without a zone, `astimezone` takes it as the machine's
    following = datetime.combine(day + timedelta(days=side == "until"), time.min).astimezone()
    return following - timedelta(seconds=side == "until")


def _before(now: datetime, count: int, unit: str) -> datetime:
    if unit in _HOURS:
        return now - timedelta(hours=count * _HOURS[unit])
    local = now.astimezone().replace(tzinfo=None)
    months = local.year * 12 + local.month - 1 - count * (12 if unit == "y" else 1)
    first = local.replace(year=months // 12, month=months % 12 + 1, day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.replace(day=min(local.day, last.day))  # a month before 31 March is the end of February


def _day(text: str, today: date) -> date | None:
    """Return the day that a text names; None where it names none. A weekday is the latest one before today."""
    word = text.lower()
    if word in ("today", "yesterday"):
        return today - timedelta(days=word == "yesterday")
    for number, name in enumerate(WEEKDAYS):
        if word in (name, name[:3]):
            return today - timedelta(days=(today.weekday() - number - 1) % 7 + 1)
    return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None

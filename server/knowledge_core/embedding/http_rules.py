"""Rules of both HTTP clients of embedding: which addresses may be used, and which statuses are worth another attempt.

Values in, values out: nothing is opened here, and nothing waits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from knowledge_core.errors import ConfigurationError

CONNECT_SECONDS: Final = 10.0  # a machine that is there answers within one round trip
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504, 529})  # statuses that may be gone at the next attempt


def checked_address(url: str, *, named: str, example: str, secret: str) -> SplitResult:
    """Return the parts of an address that a user configured.

    named: the setting or variable that holds the address, for messages. example: a valid address. secret: the beginning of
    a sentence that says where a password belongs instead.

    Raises:
        ConfigurationError: it is no http or https address, or holds a user name, a password, a query or a fragment.
    """
    wrong = ConfigurationError(f"{named} must be an address like {example}; it is not one now.")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise wrong
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{named} holds a user name or password. {secret} instead.")
    return parts


def is_loopback(host: str) -> bool:
    """Say whether a host name or IP address means this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_header_safe(secret: str) -> bool:
    """Say whether a secret can be sent in a header: it is not empty, and printable ASCII."""
    return bool(secret) and secret.isascii() and secret.isprintable()


def retry_after(said: str) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3: a number, or a date).

    >>> retry_after("12"), retry_after("soon")
    (12.0, None)
    """
    said = said.strip()
    if not said:
        return None
    try:
        return float(said) if said.replace(".", "", 1).isdecimal() else _until(said)
    except (ValueError, TypeError):
        return None


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((aware - datetime.now(UTC)).total_seconds(), 0.0)

"""What both HTTP clients of embedding hold to: which address may be used, and when a request is worth another attempt.

Rules kept here: values in, values out; nothing is opened and nothing waits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from knowledge_core.errors import ConfigurationError

CONNECT_SECONDS: Final = 10.0  # a machine that is there answers within one round trip
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504, 529})  # states that a second attempt may not find again


def checked_address(url: str, *, named: str, example: str, secret: str) -> SplitResult:
    """Return the parts of an address that a user configured.

    named: where it stands. example: a right one. secret: where a password belongs instead of into the address.

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
    """Say whether a host's name or number is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_header_safe(secret: str) -> bool:
    """Say whether a secret can travel in a header: something, in printable ASCII."""
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

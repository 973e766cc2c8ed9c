"""Which texts are secrets by their whole format, whatever their file is called. Pure; takes time linear in the text.

A text counts only where all of it is the format: a key that is quoted in prose, in a code fence, in a comment or in a
field of other data makes no secret of the document around it. Placeholders (`MIIE...`) are no keys.

Sources: RFC 7468 and RFC 9580 (armour), openssl-pkcs12(1) (what it writes around its blocks), PuTTY's manual, appendix C;
age(1); minisign(1) and signify(1); RFC 7517 (keys as JSON); the formats in which AWS, Google Cloud, Ethereum's clients and
WireGuard write their files.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from knowledge_core.ingestion.formats import word_set

_BEGIN = re.compile(r"-{4,5} ?BEGIN ([A-Z0-9 ]{1,60}?) ?-{4,5}")
_END = re.compile(r"-{4,5} ?END ([A-Z0-9 ]{1,60}?) ?-{4,5}")
_BODY = re.compile(r"[A-Za-z0-9+/]+={0,2}|=[A-Za-z0-9+/]{4}")  # the second form is the checksum of OpenPGP
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,40}: .*")  # as Proc-Type: 4,ENCRYPTED
_BAG = re.compile(
    r"(?:Bag|Key) Attributes(?:: <.*>)?|\s+(?:friendlyName|localKeyID|Microsoft [\w ]+|[\d.]{5,}):.*|"
    r"(?:subject|issuer)=.*|X509v3 Key Usage: .*|<No Attributes>"
)
_PUTTY = re.compile(r"[A-Za-z0-9-]{1,40}: .*|[A-Za-z0-9+/]+={0,2}")
_AGE = re.compile(
    r"#\s*(?i:created|public key|recipient|serial|name|\w+ policy): .*|"
    r"AGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9+-]{1,40})-1[A-Z0-9]{10,}"
)
_SETTING = re.compile(r"([A-Za-z_][\w-]*)\s*=\s*(.*)")
_SECTION = re.compile(r"\[[^\]]{1,200}\]")
_OF_AWS = word_set(
    "region output role_arn source_profile credential_source mfa_serial role_session_name duration_seconds external_id "
    "sso_session sso_account_id sso_role_name sso_region sso_start_url x_principal_arn cli_pager"
)
_OF_WIREGUARD = word_set(
    "address dns mtu table preup postup predown postdown saveconfig listenport fwmark privatekey publickey presharedkey "
    "allowedips endpoint persistentkeepalive"
)
_LONGEST_JSON = 1_000_000  # characters; a set of a hundred RSA keys has 200,000


def secret_by_content(text: str) -> str | None:
    """Return what a whole text is, as the end of "it looks like ..."; None where it is no secret.

    text: with line ends as "\\n".
    """
    for mark, what, is_all in _FORMATS:
        if mark in text and is_all(text):
            return what
    return None


def _lines(text: str) -> Iterator[str]:
    return (line.rstrip() for line in text.split("\n") if line.strip())


def _armoured(text: str) -> bool:
    """Say whether a text is nothing but armoured blocks, one of them a private key."""
    inside, heads, body, private, continued = "", False, False, False, False
    for line in _lines(text):
        if not inside:
            if begun := _BEGIN.fullmatch(line.strip()):
                inside, heads, body = begun[1], True, False
            elif not _BAG.fullmatch(line):
                return False
        elif ended := _END.fullmatch(line.strip()):
            if ended[1] != inside:
                return False
            private = private or (body and "PRIVATE KEY" in inside)
            inside = ""
        elif _BODY.fullmatch(line.strip()) and not continued:
            heads, body = False, True
        elif not (heads and (continued or _HEADER.fullmatch(line))):
            return False
        continued = line.endswith("\\")  # as SSH2 continues a header
    return private or (body and "PRIVATE KEY" in inside)  # the end may be cut off


def _putty(text: str) -> bool:
    lines = list(_lines(text))
    return (
        lines[0].startswith("PuTTY-User-Key-File-")
        and any(line.startswith("Private-Lines:") for line in lines)
        and all(map(_PUTTY.fullmatch, lines))
    )


def _age(text: str) -> bool:
    lines = list(_lines(text))
    return any(line[0] != "#" for line in lines) and all(map(_AGE.fullmatch, lines))


def _minisign(text: str) -> bool:
    """Say whether a text is a secret key of minisign (algorithm Ed, key derivation Sc or none) or signify (Ed, BK)."""
    lines = list(_lines(text))
    if len(lines) != 2 or not lines[0].startswith("untrusted comment:"):
        return False
    try:
        data = base64.b64decode(lines[1], validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(data) >= 100 and data[:4] in (b"EdSc", b"Ed\0\0", b"EdBK")  # public keys have 42 bytes, signatures 74


def _json(text: str) -> Any:
    if len(text) > _LONGEST_JSON or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _jwk(text: str) -> bool:
    found = _json(text)
    keys = found.get("keys", [found]) if isinstance(found, dict) else found
    return isinstance(keys, list) and any(_private(key) for key in keys)


def _private(key: object) -> bool:
    if not isinstance(key, dict):
        return False
    return _holds(key, "k") if key.get("kty") == "oct" else key.get("kty") in ("RSA", "EC", "OKP") and _holds(key, "d")


def _holds(found: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(found.get(name), str) and found[name] for name in names)


def _account(text: str) -> bool:
    """Say whether a text is an account's or an application's credentials as JSON, as Google's tools write them."""
    found = _json(text)
    if not isinstance(found, dict):
        return False
    inner = found.get("installed") or found.get("web")
    application = isinstance(inner, dict) and len(found) == 1 and _holds(inner, "client_id", "client_secret")
    account = found.get("type") == "service_account" and _holds(found, "private_key")
    return application or account or _holds(found, "refresh_token", "client_secret")


def _wallet(text: str) -> bool:
    """Say whether a text is an encrypted key as Ethereum's clients keep it."""
    found = _json(text)
    inner = (found.get("crypto") or found.get("Crypto")) if isinstance(found, dict) else None
    return isinstance(inner, dict) and {"kdf", "cipher"} <= inner.keys()


def _settings(text: str) -> list[tuple[str, str]] | None:
    """Return the settings of a text of `name = value` lines; None where it has any other line."""
    found = []
    for line in map(str.strip, _lines(text)):
        if setting := _SETTING.fullmatch(line):
            found.append((setting[1].lower(), setting[2].strip()))
        elif not (line[0] in "#;" or _SECTION.fullmatch(line)):
            return None
    return found


def _aws(text: str) -> bool:
    found = _settings(text)
    return (
        found is not None
        and any(name == "aws_secret_access_key" and value for name, value in found)
        and all(name.startswith("aws_") or name in _OF_AWS for name, _ in found)
    )


def _aws_table(text: str) -> bool:
    head, *rows = [line.split(",") for line in _lines(text)]
    named = [name.strip().strip('"').lower() for name in head]
    if "secret access key" not in named or "access key id" not in named or not rows:
        return False
    return all(len(row) == len(head) for row in rows)


def _wireguard(text: str) -> bool:
    found = _settings(text)
    return (
        found is not None
        and any(name == "privatekey" and len(value) == 44 for name, value in found)
        and all(name in _OF_WIREGUARD for name, _ in found)
    )


# What every text of the format holds, which costs one search to rule out; what the text is; and whether it is all of it.
_FORMATS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("PRIVATE KEY", "a private key", _armoured),
    ("PuTTY-User-Key-File-", "a private key", _putty),
    ("AGE-", "a private key", _age),
    ("untrusted comment:", "a private key", _minisign),
    ('"kty"', "a private key", _jwk),
    ('"private_key"', "credentials of an account", _account),
    ('"client_secret"', "credentials of an account", _account),
    ('"kdf"', "a private key", _wallet),
    ("aws_secret_access_key", "credentials of an account", _aws),
    ("ecret access key", "credentials of an account", _aws_table),
    ("PrivateKey", "a private key", _wireguard),
)

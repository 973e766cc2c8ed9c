"""Which texts are secrets by their whole format, whatever their file is called. Pure; takes time linear in the text.

A text counts only where all of it is the format: a key that is quoted in prose, in a code fence, in a comment or in a
field of other data makes no secret of the document around it. Placeholders (`MIIE...`) are no keys. A few lines of comment
may stand around a key; more of them are a document.

Here are the keys; `secret_data` knows JSON, tables and XML, and `secret_settings` the settings and logins of programs.

Sources: RFC 7468 and RFC 9580 (armour), openssl-pkcs12(1) (what it writes around its blocks), PuTTY's manual, appendix C;
age(1); minisign(1) and signify(1).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from knowledge_core.ingestion.access.secret_data import (
    is_account,
    is_bitwarden,
    is_composer_logins,
    is_docker_logins,
    is_keepass,
    is_key,
    is_service_account,
    is_state,
    is_table_of_aws,
    is_table_of_logins,
    is_wallet,
)
from knowledge_core.ingestion.access.secret_settings import is_aws, is_hosts_of_gh, is_netrc, is_wireguard, lines

_BEGIN = re.compile(r"-{4,5} ?BEGIN ([A-Z0-9 ]{1,60}?) ?-{4,5}")
_END = re.compile(r"-{4,5} ?END ([A-Z0-9 ]{1,60}?) ?-{4,5}")
_BODY = re.compile(r"[A-Za-z0-9+/]+={0,2}|=[A-Za-z0-9+/]{4}")  # the second form is the checksum of OpenPGP
_LEAST_LINE = 24  # characters of a line that counts as part of a key; words have fewer, armour has 64 to 76
_LEAST_BODY = 40  # characters of base64; a key of Ed25519 has 64
_SEEN_BODY = 1_000  # characters of a body that are looked at
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,40}: .{0,300}")  # as Proc-Type: 4,ENCRYPTED
_BAG = re.compile(
    r"(?:Bag|Key) Attributes(?:: <.*>)?|\s+(?:friendlyName|localKeyID|Microsoft [\w ]+|[\d.]{5,}):.{0,300}|"
    r"(?:subject|issuer)=.{0,300}|X509v3 Key Usage: .{0,300}|<No Attributes>"
)
_COMMENT = re.compile(r"#.{0,120}|(?:gpg2?|openssl|ssh-keygen): .{1,120}|(?:writing|read) (?:[A-Z]{2,5} )?key")
_MOST_COMMENTS = 3  # lines around a key, and one for each key before; a document that explains a key has more
_PUTTY = re.compile(
    r"(?:PuTTY-User-Key-File-\d|Encryption|Key-Derivation|Argon2-[A-Za-z]{4,11}|Private-(?:MAC|Hash)): \S{1,200}|"
    r"(?:Public|Private)-Lines: \d{1,4}|Comment: .{0,300}|[A-Za-z0-9+/]+={0,2}"
)
_AGE_NOTE = re.compile(r"#\s*(?i:created|public key|recipient|serial|name|\w+ policy): .*")
_AGE = re.compile(r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{58,}|AGE-PLUGIN-[A-Z0-9+-]{1,40}-1[A-Z0-9]{10,}")


def secret_by_content(text: str) -> str | None:
    """Return what a whole text is, as the end of "it looks like ..."; None where it is no secret.

    text: with line ends as "\\n".
    """
    for mark, what, is_all in _FORMATS:
        if mark in text and is_all(text):
            return what
    return None


def _armoured(text: str) -> bool:
    """Say whether a text is nothing but armoured blocks, one of them a private key."""
    inside, heads, body, private, continued = "", False, "", False, False
    blocks = comments = 0
    for line in lines(text.rstrip("\0\N{REPLACEMENT CHARACTER}\n ")):
        if not inside:
            if begun := _BEGIN.fullmatch(line.strip()):
                inside, heads, body, blocks = begun[1], True, "", blocks + 1
            elif not _BAG.fullmatch(line):
                comments += 1
                if comments > _MOST_COMMENTS + blocks or not _COMMENT.fullmatch(line.strip()):
                    return False
        elif ended := _END.fullmatch(line.strip()):
            if ended[1] != inside:
                return False
            private = private or (_is_body(body) and "PRIVATE KEY" in inside)
            inside = ""
        elif _BODY.fullmatch(line.strip()) and not continued:
            heads = False
            body += line.strip() if len(body) < _SEEN_BODY and len(line.strip()) >= _LEAST_LINE else ""
        elif not (heads and (continued or _HEADER.fullmatch(line))):
            return False
        continued = line.endswith("\\")  # as SSH2 continues a header
    return private or (_is_body(body) and "PRIVATE KEY" in inside)  # the end may be cut off


def _is_body(body: str) -> bool:
    """Say whether this is base64 of something: words in its place have no digits, or letters of one case."""
    mixed = body.lower() != body and body.upper() != body and any(map(str.isdigit, body))
    return len(body) >= _LEAST_BODY and mixed


def _putty(text: str) -> bool:
    found = list(lines(text))
    return (
        found[0].startswith("PuTTY-User-Key-File-")
        and any(line.startswith("Private-Lines:") for line in found)
        and all(map(_PUTTY.fullmatch, found))
        and _is_body(max(found, key=lambda line: (":" not in line, len(line))))
    )


def _age(text: str) -> bool:
    keys = comments = 0
    for line in lines(text):
        keys += 1 if _AGE.fullmatch(line) else 0
        if line[0] != "#" and not _AGE.fullmatch(line):
            return False
        if line[0] == "#" and not _AGE_NOTE.fullmatch(line):
            comments += 1
            if comments > _MOST_COMMENTS or not _COMMENT.fullmatch(line):
                return False
    return keys > 0


def _minisign(text: str) -> bool:
    """Say whether a text is a secret key of minisign (algorithm Ed, key derivation Sc or none) or signify (Ed, BK)."""
    found = list(lines(text))
    if len(found) != 2 or not found[0].startswith("untrusted comment:"):
        return False
    try:
        data = base64.b64decode(found[1], validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(data) >= 100 and data[:4] in (b"EdSc", b"Ed\0\0", b"EdBK")  # public keys have 42 bytes, signatures 74


_KEY = "a private key"
_ACCOUNT = "credentials of an account"
_PASSWORDS = "an export of passwords"
_STATE = "a state of Terraform, which holds secrets in plain text"
# What every text of the format holds, which costs one search to rule out; what the text is; and whether it is all of it.
_FORMATS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("PRIVATE KEY", _KEY, _armoured),
    ("PuTTY-User-Key-File-", _KEY, _putty),
    ("AGE-", _KEY, _age),
    ("untrusted comment:", _KEY, _minisign),
    ('"kty"', _KEY, is_key),
    ('"private_key"', _ACCOUNT, lambda text: is_service_account(text, _armoured)),
    ('"client_secret"', _ACCOUNT, is_account),
    ('"kdf"', _KEY, is_wallet),
    ("aws_secret_access_key", _ACCOUNT, is_aws),
    ("AWS_SECRET_ACCESS_KEY", _ACCOUNT, is_aws),
    ("ecret access key", _ACCOUNT, is_table_of_aws),
    ("PrivateKey", _KEY, is_wireguard),
    ('"auths"', _ACCOUNT, is_docker_logins),
    ("-basic", _ACCOUNT, is_composer_logins),
    ("-oauth", _ACCOUNT, is_composer_logins),
    ("oauth_token:", _ACCOUNT, is_hosts_of_gh),
    ("machine", _ACCOUNT, is_netrc),
    ('"terraform_version"', _STATE, is_state),
    ('"encrypted"', _PASSWORDS, is_bitwarden),
    ("<KeePassFile", _PASSWORDS, is_keepass),
    ("assword", _PASSWORDS, is_table_of_logins),
)

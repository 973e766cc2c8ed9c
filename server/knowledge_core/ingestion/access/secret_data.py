"""Which texts are secrets as data: JSON, tables and XML in the formats in which programs write keys and logins. Pure.

Each format is known by its own fields, and a text with any other field is something else: a document about a format has
a title, and its values are sentences.

Sources: RFC 7517 (keys as JSON), Ethereum's Web3 Secret Storage and EIP-2335, Google's files of credentials, the files
`config.json` of Docker and `auth.json` of Composer, Terraform's state, version 4, and the exports of browsers and managers
of passwords.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
import re
from collections.abc import Callable, Mapping, Set
from typing import Any

from knowledge_core.ingestion.formats import word_set

_LONGEST_JSON = (
    5_000_000  # characters; a set of a hundred RSA keys has 200,000, a large state of Terraform some millions
)
_LONGEST_HEAD = 2_000  # characters of the first row of a table
_KEY_FIELDS = word_set(
    "kty use key_ops alg kid x5u x5c x5t x5t#S256 n e d p q dp dq qi oth k crv x y ext iat nbf exp revoked"
)
_SERVICE_FIELDS = word_set(
    "type project_id private_key_id private_key client_email client_id auth_uri token_uri auth_provider_x509_cert_url "
    "client_x509_cert_url universe_domain quota_project_id"
)
_USER_FIELDS = word_set(
    "type client_id client_secret refresh_token account universe_domain quota_project_id token token_uri scopes expiry "
    "rapt_token access_token token_expiry token_type expires_in scope user_agent revoke_uri id_token id_token_jwt "
    "token_response token_info_uri invalid _class _module"
)
_APPLICATION_FIELDS = word_set(
    "client_id project_id auth_uri token_uri auth_provider_x509_cert_url client_secret redirect_uris javascript_origins"
)
_WALLET_FIELDS = word_set("address crypto Crypto id uuid version name path pubkey description x-ethers")
_LOGIN_FIELDS = word_set("auth username password email identitytoken registrytoken serveraddress")
_DOCKER_FIELDS = word_set(
    "auths HttpHeaders credsStore credHelpers currentContext detachKeys plugins experimental proxies aliases features "
    "psFormat imagesFormat stackOrchestrator cliPluginsExtraDirs pruneFilters"
)
_COMPOSER_FIELDS = word_set(
    "http-basic bearer github-oauth gitlab-oauth gitlab-token bitbucket-oauth forgejo-token custom-headers "
    "github-domains gitlab-domains bitbucket-domains client-certificate"
)
_STATE_FIELDS = word_set("version terraform_version serial lineage outputs resources modules check_results backend")
_KEY_VALUE = re.compile(r"[A-Za-z0-9_-]{20,}")
_TOKEN = re.compile(r"[\w~.+/=-]{16,2000}")
_PLACEHOLDER = re.compile(r"your|placeholder|redacted|change.?me|x{6}", re.I)
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{32,}")
_KEEPASS = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?<KeePassFile[\s>]")


def _json(text: str) -> Any:
    if len(text) > _LONGEST_JSON or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(text: str, fields: Set[str]) -> dict[str, Any]:
    """Return a text's JSON object; an empty one where it is none, or has a field of another format."""
    found = _json(text)
    return found if isinstance(found, dict) and found.keys() <= fields else {}


def is_key(text: str) -> bool:
    """Say whether a text is a private key as JSON, or a set of keys with one."""
    found = _json(text)
    keys = found.get("keys", [found]) if isinstance(found, dict) and ("kty" in found or len(found) == 1) else found
    if not isinstance(keys, list) or not all(isinstance(key, dict) and "kty" in key for key in keys):
        return False
    return all(key.keys() <= _KEY_FIELDS for key in keys) and any(map(_private, keys))


def _private(key: Mapping[str, Any]) -> bool:
    value = key.get("k" if key["kty"] == "oct" else "d")
    return key["kty"] in ("oct", "RSA", "EC", "OKP") and isinstance(value, str) and bool(_KEY_VALUE.fullmatch(value))


def is_service_account(text: str, armoured: Callable[[str], bool]) -> bool:
    """Say whether a text is the key of a service account of Google. armoured: says whether a text is a private key."""
    found = _object(text, _SERVICE_FIELDS)
    key = found.get("private_key")
    return found.get("type") == "service_account" and isinstance(key, str) and armoured(key)


def is_account(text: str) -> bool:
    """Say whether a text is a user's or an application's credentials, as Google's tools write them."""
    found = _json(text)
    if not isinstance(found, dict):
        return False
    inner = found.get("installed") or found.get("web")
    if isinstance(inner, dict) and len(found) == 1:
        return inner.keys() <= _APPLICATION_FIELDS and "client_id" in inner and is_token(inner.get("client_secret"))
    return (
        found.keys() <= _USER_FIELDS and is_token(found.get("client_secret")) and is_token(found.get("refresh_token"))
    )


def is_token(value: object) -> bool:
    """Say whether a value is a token: neither a sentence, nor a placeholder, which says so or has letters of one case."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value) or _PLACEHOLDER.search(value):
        return False
    return any(map(str.isdigit, value)) or value not in (value.lower(), value.upper())


def is_wallet(text: str) -> bool:
    """Say whether a text is an encrypted key as Ethereum's clients keep it."""
    found = _object(text, _WALLET_FIELDS)
    inner = found.get("crypto") or found.get("Crypto")
    if not isinstance(inner, dict) or not {"kdf", "cipher"} <= inner.keys():
        return False
    cipher = inner["cipher"]
    sealed = cipher.get("message") if isinstance(cipher, dict) else inner.get("ciphertext")
    return isinstance(sealed, str) and bool(_HEX.fullmatch(sealed))


def is_docker_logins(text: str) -> bool:
    """Say whether a text is the settings of Docker or Podman with logins in them."""
    auths = _object(text, _DOCKER_FIELDS).get("auths")
    if not isinstance(auths, dict):
        return False
    logins = auths.values()
    return all(isinstance(each, dict) and each.keys() <= _LOGIN_FIELDS for each in logins) and any(map(_login, logins))


def _login(found: Mapping[str, Any]) -> bool:
    try:
        return b":" in base64.b64decode(str(found.get("auth") or ""), validate=True)
    except (binascii.Error, ValueError):
        return False


def is_composer_logins(text: str) -> bool:
    """Say whether a text is the `auth.json` of Composer, with a login in it."""
    found = _object(text, _COMPOSER_FIELDS)
    logins = [each for name, each in found.items() if not name.endswith("-domains")]
    return bool(logins) and all(isinstance(each, dict) for each in logins) and any(logins)


def is_state(text: str) -> bool:
    """Say whether a text is a state of Terraform with resources in it."""
    found = _object(text, _STATE_FIELDS)
    resources = found.get("resources") or found.get("modules")
    return {"terraform_version", "lineage"} <= found.keys() and isinstance(resources, list) and bool(resources)


def is_bitwarden(text: str) -> bool:
    """Say whether a text is an export of Bitwarden that is not encrypted, with a login in it."""
    found = _object(text, {"encrypted", "folders", "collections", "items"})
    items = found.get("items")
    if found.get("encrypted") is not False or not isinstance(items, list):
        return False
    logins = [item.get("login") for item in items if isinstance(item, dict)]
    return any(isinstance(login, dict) and login.get("password") for login in logins)


def is_keepass(text: str) -> bool:
    """Say whether a text is an export of KeePass as XML."""
    return bool(_KEEPASS.match(text)) and text.rstrip().endswith("</KeePassFile>")


def is_table_of_logins(text: str) -> bool:
    """Say whether a text is a table of logins, as browsers and managers of passwords export it: URL, name, password."""
    head = _head(text)
    password = head & {"password", "login_password"}
    name = head & {"username", "login_username", "login name"}
    place = head & {"url", "login_uri", "web site", "website"}
    return bool(password and name and place) and _is_table(text, {*password}, lambda value: bool(value.strip()))


def is_table_of_aws(text: str) -> bool:
    """Say whether a text is the table in which AWS hands out the keys of a user."""
    secret = "secret access key"
    return {"access key id", secret} <= _head(text) and _is_table(text, {secret}, lambda value: is_token(value.strip()))


def _head(text: str) -> set[str]:
    return {name.strip('" ').lower() for name in text[:_LONGEST_HEAD].lstrip().partition("\n")[0].split(",")}


def _is_table(text: str, columns: Set[str], is_value: Callable[[str], bool]) -> bool:
    """Say whether all rows of a table are as long as its head, and one has a value in one of the columns."""
    found = False
    try:
        rows = (row for row in csv.reader(text.strip().split("\n"), skipinitialspace=True) if row)
        head = [name.strip().lower() for name in next(rows)]
        places = [place for place, name in enumerate(head) if name in columns]
        for row in rows:
            if len(row) != len(head):
                return False
            found = found or any(is_value(row[place]) for place in places)
    except (csv.Error, StopIteration):
        return False
    return found

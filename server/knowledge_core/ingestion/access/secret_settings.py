"""Which texts are secrets as settings: those of AWS and WireGuard, netrc, and the logins of GitHub's command. Pure.

Each is known by its own names, and a text with any other name, or with sentences for values, is something else.

Sources: AWS's guide of its command line (files config and credentials), wg-quick(8), netrc(5), `gh help auth`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge_core.ingestion.access.secret_data import is_token
from knowledge_core.ingestion.formats import word_set

_SETTING = re.compile(r"(?:export |set |\$env:)?([A-Za-z_][\w-]*)\s*=\s*(.*)")
_SECTION = re.compile(r"\[[^\]]{1,200}\]")
_NESTED = re.compile(r"\s+[\w-]{1,60}\s*=\s*\S{0,500}")
_OF_AWS = word_set(
    "region output role_arn source_profile credential_source mfa_serial role_session_name duration_seconds external_id "
    "sso_session sso_account_id sso_role_name sso_region sso_start_url sso_registration_scopes x_principal_arn "
    "web_identity_token_file credential_process endpoint_url ignore_configured_endpoint_urls ca_bundle services s3 s3api "
    "cli_pager cli_auto_prompt cli_binary_format cli_history cli_timestamp_format cli_follow_urlparam cli_error_format "
    "retry_mode max_attempts parameter_validation tcp_keepalive sts_regional_endpoints use_fips_endpoint "
    "use_dualstack_endpoint defaults_mode sdk_ua_app_id api_versions account_id_endpoint_mode login_session "
    "metadata_service_timeout metadata_service_num_attempts disable_request_compression "
    "request_min_compression_size_bytes request_checksum_calculation response_checksum_validation"
)
_OF_WIREGUARD = word_set(
    "address dns mtu table preup postup predown postdown saveconfig listenport fwmark privatekey publickey presharedkey "
    "allowedips endpoint persistentkeepalive"
)
_TUNNEL_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_LONGEST_VALUE = 500  # characters; a command in credential_process is the longest
_MOST_COMMENTS, _LONGEST_COMMENT = 20, 200  # lines, and characters of one; with more, the comments are the document
_HOST_SETTING = re.compile(r"\s*(?:- )?([\w.@-]{1,100}):(?:\s+(\S{1,300}))?")
_OF_HOSTS = word_set(
    "user oauth_token git_protocol protocol users editor prompt pager browser http_unix_socket version"
)
_HOST_TOKEN = re.compile(r"\s*(?:- )?oauth_token:\s+[A-Za-z0-9_-]{20,}")
_MACHINE = re.compile(r"[\w-]+(?:\.[\w-]+)+|localhost")


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a text that are not empty, without space at their end."""
    return (line.rstrip() for line in text.split("\n") if line.strip())


def _uncommented(text: str, marks: str = "#") -> list[str] | None:
    """Return the lines of a text without comments; None where there are so many that they are a document."""
    found, comments = [], 0
    for line in lines(text):
        if line.lstrip()[0] not in marks:
            found.append(line)
            continue
        comments += 1
        if comments > _MOST_COMMENTS or len(line) > _LONGEST_COMMENT:
            return None
    return found


def _settings(text: str) -> list[tuple[str, str]] | None:
    """Return the settings of a text of `name = value` lines; None where it has any other line.

    Settings below one without a value (`s3 =`, then indented ones) are passed over.
    """
    found: list[tuple[str, str]] = []
    uncommented = _uncommented(text, "#;")
    if uncommented is None:
        return None
    for line in uncommented:
        bare = line.strip()
        if found and not found[-1][1] and _NESTED.fullmatch(line):
            continue
        if setting := _SETTING.fullmatch(bare):
            found.append((setting[1].lower(), setting[2].strip(" \t\"'")))
        elif not _SECTION.fullmatch(bare):
            return None
    return found


def is_aws(text: str) -> bool:
    """Say whether a text is settings of AWS with a secret key in them, as a file or as environment variables."""
    found = _settings(text)
    return (
        found is not None
        and any(name == "aws_secret_access_key" and is_token(value) for name, value in found)
        and all(name.startswith("aws_") or name in _OF_AWS or not value for name, value in found)
        and all(len(value) <= _LONGEST_VALUE for _, value in found)
    )


def is_wireguard(text: str) -> bool:
    """Say whether a text is a tunnel of WireGuard with its private key."""
    found = _settings(text)
    return (
        found is not None
        and any(name == "privatekey" and _TUNNEL_KEY.fullmatch(value) for name, value in found)
        and all(name in _OF_WIREGUARD and len(value) <= _LONGEST_VALUE for name, value in found)
    )


def is_hosts_of_gh(text: str) -> bool:
    """Say whether a text is the logins of GitHub's command, `hosts.yml`."""
    token = False
    for line in _uncommented(text) or ():
        found = _HOST_SETTING.fullmatch(line)
        if not found or (found[2] and found[1] not in _OF_HOSTS):
            return False
        token = token or _HOST_TOKEN.fullmatch(line) is not None
    return token


def is_netrc(text: str) -> bool:
    """Say whether a text is logins as netrc has them: `machine HOST login NAME password WORD`, in one line or many."""
    if not text.lstrip().startswith(("machine ", "machine\t", "machine\n", "default ", "default\n", "#")):
        return False
    words = iter([word for line in _uncommented(text) or () for word in line.split()])
    seen = set()
    for word in words:
        value = "" if word == "default" else next(words, None)
        if value is None or word not in ("default", "machine", "login", "password", "account", "port", "user"):
            return False
        if word == "machine" and not _MACHINE.fullmatch(value):
            return False
        seen.add(word)
    return "password" in seen and bool(seen & {"machine", "default"})

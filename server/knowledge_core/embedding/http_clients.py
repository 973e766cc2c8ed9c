"""How a client of HTTP is opened: for the model hub and for embedding endpoints alike.

Rules kept here: redirects are not followed by themselves; no proxy reaches this machine's own loopback, elsewhere the
environment's proxies are honoured; certificates are verified against what this machine, or its user, trusts.
"""

from __future__ import annotations

import os
import ssl
from typing import Any, Final

import httpx2

from knowledge_core.errors import ConfigurationError

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Names of a file of authorities in PEM, or of a folder of such files with OpenSSL's hashed names; the first that is set
counts. The first two are OpenSSL's; those of requests and curl are honoured because networks whose proxy signs with an
authority of its own have set them for other tools already."""


def opened_client(*, on_this_machine: bool, reaches_https: bool, **options: Any) -> httpx2.Client:
    """Return a client.

    reaches_https: whether it may ever ask an https address; if not, the certificates are not even read. options: of
    `httpx2.Client`.

    Raises:
        ConfigurationError: the proxy or the certificates that the environment names cannot be used.
    """
    verify = trusted() if reaches_https else False
    try:
        return httpx2.Client(follow_redirects=False, trust_env=not on_this_machine, verify=verify, **options)
    except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
        raise ConfigurationError(
            f"The proxy that the environment names cannot be used ({type(error).__name__}). Check HTTPS_PROXY and ALL_PROXY."
        ) from error


def trusted() -> ssl.SSLContext:
    """Return what a client verifies a server's certificate with: the system's store, unless a variable names another.

    Raises:
        ConfigurationError: a variable names what is no file or folder of certificates.
    """
    name, value = next(((each, os.environ[each]) for each in VARIABLES if os.environ.get(each)), ("", ""))
    if not name:
        return httpx2.create_ssl_context(trust_env=False)
    path = os.path.expanduser(value)
    try:
        if os.path.isdir(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # no such file; a file without a certificate is an SSLError, an OSError
        raise ConfigurationError(
            f"{name} is {value!r}, which is no file of certificates in PEM that can be read (or a folder of them with "
            "OpenSSL's hashed names: `openssl rehash FOLDER`). Name your authority's file in it, or unset it: then the "
            "system's own store counts."
        ) from error

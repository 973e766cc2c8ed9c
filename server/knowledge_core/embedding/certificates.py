"""Which authorities' certificates are trusted: those that this machine, or its user, trusts.

The system's store, as the HTTP library finds it, unless an environment variable names a file or a folder. The two of
OpenSSL come first; those of requests and curl are honoured because networks whose proxy signs with an authority of its
own have set them for other tools already.
"""

from __future__ import annotations

import os
import ssl
from typing import Final

import httpx2

from knowledge_core.errors import ConfigurationError

VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Names of a file or a folder of authorities in PEM, the first that is set counts."""


def trusted() -> ssl.SSLContext:
    """Return what a client verifies a server's certificate with.

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
            f"{name} is {value!r}, which is no file or folder of certificates in PEM that can be read. Name your "
            f"authority's file in it, or unset it: then the system's own store counts."
        ) from error

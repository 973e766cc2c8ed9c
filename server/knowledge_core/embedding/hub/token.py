"""The token with which this user speaks to the Hugging Face hub, where the hub's own tools keep it."""

from __future__ import annotations

import os

from knowledge_core.embedding.http_rules import is_header_safe
from knowledge_core.errors import ConfigurationError


def hub_token() -> str:
    """Return the token of the environment or of `hf auth login`; "" where there is none.

    Raises:
        ConfigurationError: there is a token, and it cannot be used.
    """
    from huggingface_hub import constants, errors, get_token

    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return ""
    # A login that is about to expire renews itself at the hub. Our commands set the hub's library offline; the download
    # lifts that for this call alone.
    offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
    try:
        token = (get_token() or "").strip()
    except (OSError, ValueError, getattr(errors, "OIDCError", OSError)) as error:
        raise ConfigurationError(
            f"The hub's token cannot be read ({type(error).__name__}). Log in again with `hf auth login`, or set HF_TOKEN."
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline
    if token and not is_header_safe(token):
        raise ConfigurationError("The hub's token is none: it has characters that no token has. Check HF_TOKEN.")
    return token

"""What the hub means when it refuses a request, and what a person can do next.

The status alone misleads: without a token the hub answers 401 for a repository that does not exist. What it means stands
in the header X-Error-Code (as its own client reads it: huggingface_hub, utils/_http.py).
"""

from __future__ import annotations

from typing import Final

import httpx2

from knowledge_core.embedding.models.models import GEMMA_NAMES
from knowledge_core.errors import ModelUnavailable

TOLD: Final = 200  # characters of the hub's own words in an error
_PAGES: Final = "https://huggingface.co"


def hub_refusal(response: httpx2.Response, host: str, repository: str, revision: str, token: str) -> ModelUnavailable:
    """Return the error for a response that refuses. token: the one that was sent, "" for none; never in the message."""
    status, code = response.status_code, response.headers.get("x-error-code", "")
    words = _words(response, token)
    if code == "GatedRepo":
        return ModelUnavailable(_gated(repository, token))
    if status == 401 and token:
        return ModelUnavailable(
            f"{host} does not accept your token{words}. Log in again with `hf auth login`, or renew HF_TOKEN "
            f"({_PAGES}/settings/tokens), then run `kcore pull {repository}` again."
        )
    if code == "RevisionNotFound":
        return ModelUnavailable(
            f"{repository} has no revision {revision!r} on {host}. Its branches and tags are at "
            f"{_PAGES}/{repository}/tree/main; without --revision, `main` is fetched."
        )
    if code == "EntryNotFound":
        return ModelUnavailable(f"{host} lists a file of {repository} but does not have it{words}. Try again later.")
    if status in (401, 404):
        private = "" if token else " If it is private, log in first with `hf auth login`, or set HF_TOKEN."
        return ModelUnavailable(
            f"There is no model {repository!r} on {host}. Check its name at {_PAGES}/models.{private}"
        )
    if status == 403:
        return ModelUnavailable(
            f"{host} refuses access to {repository}{words}. Check that your account, and the permissions of its token, "
            "may read it."
        )
    return ModelUnavailable(f"{host} answered {status} for {repository}{words}. Check HF_ENDPOINT, or try again later.")


def _gated(repository: str, token: str) -> str:
    page = f"{_PAGES}/{repository}"
    steps = (
        f"Accept it at {page} with the account of your token, and check that the token may read gated repositories"
        if token
        else f"Accept it at {page}, then `hf auth login` or set HF_TOKEN"
    )
    other = f" {GEMMA_NAMES[0]} needs no licence accepted: `kcore pull {GEMMA_NAMES[0]}`."
    return (
        f"{repository} is gated: its licence must be accepted once. {steps}, and run `kcore pull {repository}` again."
        f"{other if repository != GEMMA_NAMES[0] else ''}"
    )


def _words(response: httpx2.Response, token: str) -> str:
    said = response.headers.get("x-error-message", "")
    plain = " ".join((said.replace(token, "***") if token else said).split())
    return f" ({plain[:TOLD].rstrip('.')})" if plain else ""

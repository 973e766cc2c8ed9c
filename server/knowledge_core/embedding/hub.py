"""The Hugging Face hub, as far as fetching a model needs it: what a repository holds, and the bytes of one file.

Rules kept here: only `kcore pull` comes here; the token goes to the hub itself and to no host that it points to, and
into no message; every failure of the network is one of ours, with the next step; what may pass by itself is tried again.
Protocol: `/api/models/NAME/revision/REVISION?blobs=true` and `/NAME/resolve/COMMIT/FILE` with `Range` (RFC 9110, 14).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from knowledge_core.errors import ModelUnavailable

_T = TypeVar("_T")

ENDPOINT: Final = "https://huggingface.co"  # $HF_ENDPOINT names another one, as everywhere
ATTEMPTS: Final = 5  # in a row without a byte of progress
FIRST_PAUSE: Final = 0.5  # seconds; doubled with every attempt
LONGEST_PAUSE: Final = 30.0
REDIRECTS: Final = 5
PIECE: Final = 1 << 20  # bytes handed on at a time
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class PassingFailure(Exception):
    """An attempt failed in a way that may pass by itself. after: seconds that the hub asked to wait."""

    def __init__(self, how: str, after: float | None = None) -> None:
        super().__init__(how)
        self.after = after


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository. digest: SHA-256 of a large file, git's SHA-1 of a small one, hex."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Repository:
    """A model's repository at one commit. license: as its page names it; "" if it does not."""

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    license: str


class Hub:
    """The hub at one address. token: "" for none.

    Raises:
        ModelUnavailable: $HF_ENDPOINT is no address.
    """

    def __init__(self, token: str = "") -> None:
        self.address = os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ModelUnavailable(
                f"HF_ENDPOINT is {self.address!r}, which is no address like {ENDPOINT}. Mend or unset it."
            )
        self._token = token
        self._client = httpx2.Client(follow_redirects=False, timeout=httpx2.Timeout(30.0, connect=15.0))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def repository(self, name: str, revision: str) -> Repository:
        """Return what a model's repository holds at a revision: a branch, a tag or a commit.

        Raises:
            ModelUnavailable: there is none, it is gated, or the hub cannot be reached.
        """
        url = f"{self.address}/api/models/{quote(name)}/revision/{quote(revision, safe='')}?blobs=true"
        return self.patiently(lambda: self._repository(name, revision, url))

    def patiently(self, attempt: Callable[[], _T], pause: float = FIRST_PAUSE) -> _T:
        """Call until it succeeds; passing failures are tried again `ATTEMPTS` times, with growing, jittered pauses."""
        for number in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except PassingFailure as failure:
                if number == ATTEMPTS:
                    raise ModelUnavailable(
                        f"{urlsplit(self.address).netloc} {failure}, {ATTEMPTS} times. What was fetched stays: run the command "
                        "again to go on. Behind a proxy, set HTTPS_PROXY; for a mirror, HF_ENDPOINT."
                    ) from failure
                wait = min(pause * 2 ** (number - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)
                time.sleep(min(failure.after, LONGEST_PAUSE) if failure.after is not None else wait)
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def opened(self, repository: Repository, file: RemoteFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield where the answer begins (`start`, or 0 where the server knows no ranges) and the file's bytes from there.

        Raises:
            PassingFailure: try again; what came before is right. ModelUnavailable: it cannot be had.
        """
        url = f"{self.address}/{quote(repository.name)}/resolve/{repository.commit}/{quote(file.name)}"
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._sent(url, headers) as response:
            if response.status_code == 416:  # what lies here is longer than the file: begin anew
                yield 0, iter(())
                return
            self._refuse(response, repository.name)
            begins = start if response.status_code == 206 and _range_start(response) == start else 0
            yield begins, self._pieces(response)

    def _pieces(self, response: httpx2.Response) -> Iterator[bytes]:
        with self._translated():
            yield from response.iter_raw(PIECE)  # raw: a file is its bytes, whatever the transfer made of them

    def _repository(self, name: str, revision: str, url: str) -> Repository:
        with self._sent(url, {}) as response:
            self._refuse(response, name, revision)
            with self._translated():
                response.read()
            try:
                return _repository(name, response.json())
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ModelUnavailable(
                    f"{urlsplit(self.address).netloc} does not answer like the Hugging Face hub. Check HF_ENDPOINT, "
                    "and whether a proxy asks for a login."
                ) from error

    @contextlib.contextmanager
    def _sent(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """Yield the answer after redirects, its body unread; the token goes only to the hub's own host."""
        home = urlsplit(self.address)
        for _ in range(REDIRECTS):
            parts = urlsplit(url)
            own = (parts.scheme, parts.netloc) == (home.scheme, home.netloc)
            if home.scheme == "https" and parts.scheme != "https":
                raise ModelUnavailable(f"The hub points to an unencrypted address at {parts.netloc}, which is refused.")
            sent = {**headers, "Accept-Encoding": "identity", "User-Agent": "knowledge-core"}
            if own and self._token:
                sent["Authorization"] = f"Bearer {self._token}"
            with self._translated():
                response = self._client.send(self._client.build_request("GET", url, headers=sent), stream=True)
            try:
                if response.status_code not in (301, 302, 303, 307, 308):
                    yield response
                    return
                url = urljoin(url, response.headers.get("location", ""))
            finally:
                response.close()
        raise ModelUnavailable(f"{home.netloc} points from address to address without end. Try again later.")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TimeoutException as error:
            raise PassingFailure("did not answer in time") from error
        except httpx2.ProxyError as error:
            raise ModelUnavailable(
                "The proxy refused to connect to the hub. Check HTTPS_PROXY and NO_PROXY, and what it needs to log in."
            ) from error
        except httpx2.ConnectError as error:
            if "CERTIFICATE" in str(error).upper():
                raise ModelUnavailable(
                    "The hub's certificate cannot be verified. Behind a proxy that reads along, name its authority in "
                    "SSL_CERT_FILE."
                ) from error
            raise PassingFailure("cannot be reached (no network, or nothing answers there)") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise PassingFailure("ended the connection in the middle") from error

    def _refuse(self, response: httpx2.Response, name: str, revision: str = "main") -> None:
        """Raise what a refusing answer means. The hub's own names of errors: `X-Error-Code`."""
        status, code = response.status_code, response.headers.get("x-error-code", "")
        if status < 400:
            return
        if status in _PASSING:
            raise PassingFailure(f"answered {status}", _retry_after(response))
        page = f"{self.address}/{name}"
        if code == "GatedRepo" or (status == 403 and not code):
            raise ModelUnavailable(
                f"{name} is gated: its licence must be accepted once on {page}, by the account whose token is used; then "
                "`hf auth login`, or set HF_TOKEN, and run this again. google/embeddinggemma-2 needs no such thing."
            )
        if code == "RevisionNotFound":
            raise ModelUnavailable(f"{name} has no revision {revision!r}. {page} lists its branches and tags.")
        if status == 401 and self._token and code != "RepoNotFound":
            raise ModelUnavailable(
                "The hub does not accept the token. Log in again: `hf auth login`, or mend HF_TOKEN."
            )
        if status in (401, 404):
            raise ModelUnavailable(
                f"The hub has no model {name!r}, or it is private and the token (HF_TOKEN, `hf auth login`) may not see it. "
                "Check the name."
            )
        raise ModelUnavailable(f"{urlsplit(self.address).netloc} answered {status} for {name}. Try again later.")


def _repository(name: str, said: Any) -> Repository:
    files = []
    for each in said["siblings"]:
        large = each.get("lfs") or {}
        digest = str(large.get("sha256") or each["blobId"])
        if not _HASH.fullmatch(digest):  # it becomes a file's name
            raise ValueError(digest)
        files.append(RemoteFile(str(each["rfilename"]), int(large.get("size") or each["size"]), digest))
    commit = str(said["sha"])
    if not _HASH.fullmatch(commit):
        raise ValueError(commit)
    return Repository(name, commit, tuple(files), str((said.get("cardData") or {}).get("license") or ""))


def _range_start(response: httpx2.Response) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(found.group(1)) if found else 0


def _retry_after(response: httpx2.Response) -> float | None:
    said = response.headers.get("retry-after", "").strip()
    return float(said) if said.isdecimal() else None

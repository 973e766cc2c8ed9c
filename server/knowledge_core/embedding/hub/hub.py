"""The Hugging Face hub over HTTP: what a repository holds, and the bytes of its files.

Rules kept here:
- the token goes to the hub's own address (HF_ENDPOINT) alone: never to where it redirects to, never into a message;
- a file is fetched from where its partial file ends, and only if the hub still means the same file;
- everything is bounded: connecting, silence, redirects, the size of a listing and of a file;
- what may pass by itself (429, 5xx, a cut connection) is tried again, after growing, jittered pauses or as long as the
  hub asks for; an attempt that received bytes starts the count again. What cannot pass is an error at once, with the
  next step.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from knowledge_core import __version__
from knowledge_core.embedding.http_clients import opened_client
from knowledge_core.embedding.http_rules import (
    CONNECT_SECONDS,
    PASSING,
    checked_address,
    is_loopback,
    retry_after,
)
from knowledge_core.embedding.hub.refusals import hub_refusal
from knowledge_core.embedding.hub.token import hub_token
from knowledge_core.embedding.models.hub_cache import HubFile, Partial, is_commit
from knowledge_core.embedding.retrying import PassingError, Pauses, with_retries
from knowledge_core.errors import ConfigurationError, ModelUnavailable

T = TypeVar("T")

HUB: Final = "https://huggingface.co"
SILENCE_SECONDS: Final = 30.0  # without a byte; after that the connection counts as dead and is opened again
FIRST_PAUSE: Final = 1.0  # seconds before the second attempt; doubled for each further one
LONGEST_PAUSE: Final = 30.0  # seconds
LONGEST_WAIT: Final = 330.0  # seconds that the hub may ask for: it counts requests in windows of five minutes
REDIRECTS: Final = 5  # in a row, on the hub itself and again elsewhere
LISTING_BYTES: Final = 16_000_000  # of one listing, at most; a repository of 50,000 files takes about 10 MB
_REDIRECT: Final = frozenset({301, 302, 303, 307, 308})
_DIGEST: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SAFE_PART: Final = re.compile(r"[^\\/:\x00-\x1f]+")
_RATE_LIMIT: Final = re.compile(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)")


class HubUnreachable(ModelUnavailable):
    """The hub does not answer now; a copy of the model on this machine may still be used."""


class FileChanged(Exception):
    """Under this name the hub now has another file than it listed: list again."""


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit. licence: as its page names it, "" if it does not."""

    repository: str
    commit: str
    files: Mapping[str, HubFile]
    licence: str = ""


class Hub:
    """A client of the hub that the environment names, with the environment's token; closed when the block ends.

    say: called with a sentence for the person who waits.

    Raises:
        ConfigurationError: HF_ENDPOINT, the token or the proxy in the environment cannot be used.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._url = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        parts = checked_address(self._url, named="HF_ENDPOINT", example=HUB, secret="Put a token into HF_TOKEN")
        self._host, self._say = parts.netloc, say
        self.received = 0  # bytes of files
        self._token = hub_token()
        on_this_machine = is_loopback(parts.hostname or "")
        if self._token and parts.scheme == "http" and not on_this_machine:
            raise ConfigurationError(
                f"HF_ENDPOINT is http, so that your token would travel unencrypted to {self._host}. Use https, or go "
                "without a token: HF_HUB_DISABLE_IMPLICIT_TOKEN=1."
            )
        timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        # An http hub may send us to an https store.
        self._client = opened_client(on_this_machine=on_this_machine, reaches_https=True, timeout=timeout)

    def listing(self, repository: str, revision: str) -> Listing:
        """Return what a repository holds at a branch, tag or commit.

        Raises:
            HubUnreachable: the hub does not answer.
            ModelUnavailable: it refuses, or has no such repository or revision.
        """
        url = f"{self._url}/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"

        def attempt() -> Listing:
            with self._opened("GET", url, repository, revision) as (_, response):
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) > LISTING_BYTES:
                        raise ModelUnavailable(f"{self._host} lists more files for {repository} than a model has.")
                return _understood(bytes(content), repository, self._host)

        return self._patiently(attempt)

    def described(self, listing: Listing, file: HubFile) -> HubFile:
        """Return a file with its size and digest, asked for where the listing (a mirror's) has none."""
        if file.digest and file.size >= 0:
            return file

        def attempt() -> HubFile:
            with self._opened("HEAD", self._address(listing, file), listing.repository, listing.commit) as (first, _):
                size = first.get("x-linked-size") or first.get("content-length") or ""
                digest = _etag(first)
                if not _DIGEST.fullmatch(digest) or not size.isdecimal():
                    raise ModelUnavailable(
                        f"{self._host} does not say the checksum of {file.name}, so that it could not be verified. "
                        "Fetch the model from another hub: check HF_ENDPOINT."
                    )
                return replace(file, size=int(size), digest=digest)

        return self._patiently(attempt)

    def download(
        self, listing: Listing, file: HubFile, partial: Partial, report: Callable[[int], None], *, by_etag: bool = True
    ) -> None:
        """Append to a partial file until it has the size of the file. Its digest is checked by the caller.

        report: called with the bytes that the partial file holds, after every part that arrived. by_etag: whether the
        hub's ETag must be the digest that it listed; a mirror's may be of another kind.

        Raises:
            FileChanged: the hub has another file under this name now.
            HubUnreachable, ModelUnavailable: as `listing`.
            StorageError: the disk refused.
        """
        url = self._address(listing, file)

        def attempt() -> None:
            asked = {"range": f"bytes={partial.size}-"} if partial.size else {}
            with self._opened("GET", url, listing.repository, listing.commit, asked) as (first, response):
                if by_etag and _etag(first) not in ("", file.digest):
                    raise FileChanged
                _continue_from(response, file, partial)
                for part in response.iter_bytes():
                    self.received += len(part)
                    if partial.size + len(part) > file.size:
                        partial.restart()
                        raise PassingError(f"sent more of {file.name} than there is")
                    partial.write(part)
                    report(partial.size)
            if partial.size < file.size:
                raise PassingError("ended the connection in the middle of its answer")

        if partial.size < file.size:
            self._patiently(attempt, lambda: partial.size)

    def _address(self, listing: Listing, file: HubFile) -> str:
        return f"{self._url}/{listing.repository}/resolve/{listing.commit}/{quote(file.name)}"

    def _patiently(self, attempt: Callable[[], T], received: Callable[[], int] = lambda: 0) -> T:
        """Return what an attempt returns, after as many as it takes; see `with_retries`."""

        def wait(seconds: float, passing: PassingError) -> None:
            self._say(f"{self._host} {passing}; trying again in {seconds:.0f} s.")
            time.sleep(seconds)

        return with_retries(
            attempt,
            pauses=Pauses(FIRST_PAUSE, LONGEST_PAUSE),
            longest_wait=lambda: LONGEST_WAIT,
            wait=wait,
            refusal=self._given_up,
            received=received,
        )

    def _given_up(self, summary: str) -> HubUnreachable:
        return HubUnreachable(
            f"The model hub {self._host} {summary} Check the network, and HTTPS_PROXY if there is a proxy; "
            "then run the command again: it goes on where it stopped. Without a network, copy the model's folder from "
            "another machine into the models folder (`models` in the data directory)."
        )

    @contextmanager
    def _opened(
        self, method: str, url: str, repository: str, revision: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[tuple[httpx2.Headers, httpx2.Response]]:
        """Yield the headers of the hub's own response, and the final response after all redirects.

        Raises:
            PassingError: a later attempt may succeed. ModelUnavailable: none will.
        """
        try:
            first, response = self._followed(method, url, headers or {})
            try:
                self._judge(response, repository, revision)
                yield first, response
            finally:
                response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._translated(error) from error

    def _followed(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[httpx2.Headers, httpx2.Response]:
        for _ in range(REDIRECTS):
            response = self._send(method, url, headers)
            to = urljoin(url, response.headers.get("location", ""))
            if response.status_code not in _REDIRECT or (method == "HEAD" and not self._is_own(to)):
                return response.headers, response
            if self._is_own(to):  # a repository that was renamed: the hub itself answers under the new name
                response.close()
                url = to
                continue
            first = response.headers
            response.close()
            return first, self._elsewhere(method, url, to, headers)
        raise ModelUnavailable(f"{self._host} redirects in circles. Check HF_ENDPOINT.")

    def _elsewhere(self, method: str, url: str, to: str, headers: Mapping[str, str]) -> httpx2.Response:
        """Follow a redirect to another host, which stores the large files."""
        for _ in range(REDIRECTS):
            if urlsplit(url).scheme == "https" and urlsplit(to).scheme != "https":
                raise ModelUnavailable(
                    f"{self._host} redirects from https to an unprotected address. Check HF_ENDPOINT."
                )
            response = self._send(method, to, headers)
            if response.status_code not in _REDIRECT:
                return response
            response.close()
            url, to = to, urljoin(to, response.headers.get("location", ""))
        raise ModelUnavailable(f"{self._host} redirects in circles. Check HF_ENDPOINT.")

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        given = {"user-agent": f"knowledge-core/{__version__}", "accept-encoding": "identity", **headers}
        if self._token and self._is_own(url):
            given["authorization"] = f"Bearer {self._token}"
        return self._client.send(self._client.build_request(method, url, headers=given), stream=True)

    def _is_own(self, url: str) -> bool:
        """Say whether an address is the hub's own: the same scheme, host and port."""
        own, other = httpx2.URL(self._url), httpx2.URL(url)
        return (own.scheme, own.host, own.port) == (other.scheme, other.host, other.port)

    def _judge(self, response: httpx2.Response, repository: str, revision: str) -> None:
        status, where = response.status_code, self._named(response.request)
        if status < 400 or status == 416:
            return
        # Addresses of the store are signed for a limited time: what it refuses, a newly signed one may get.
        if status in PASSING or where:
            raise PassingError(f"{where}answered {status}", _asked_to_wait(response.headers))
        raise hub_refusal(response, self._host, repository, revision, self._token)

    def _translated(self, error: httpx2.HTTPError | httpx2.InvalidURL) -> Exception:
        where = "" if isinstance(error, httpx2.InvalidURL) else self._named(error.request)
        if isinstance(error, httpx2.ProxyError):
            return HubUnreachable(
                f"The proxy refused to connect to the model hub {self._host}. Check HTTPS_PROXY and NO_PROXY."
            )
        if isinstance(error, httpx2.TimeoutException):
            return PassingError(f"{where}did not answer in time")
        if isinstance(error, httpx2.ConnectError):
            said = str(error).lower()
            if "certificate" in said:
                return HubUnreachable(
                    f"The certificate of the model hub {self._host}, or of where it sends us, cannot be verified. If a "
                    "proxy of your own stands between, install its authority's certificate in the system's store, or name "
                    "its file (PEM) in SSL_CERT_FILE."
                )
            unknown = any(each in said for each in ("getaddrinfo", "name resolution", "not known", "nodename"))
            return PassingError(f"{where}cannot be {'looked up: no network, or no DNS' if unknown else 'reached'}")
        if isinstance(error, httpx2.TransportError | httpx2.DecodingError):
            return PassingError(f"{where}ended the connection in the middle of its answer")
        return ModelUnavailable(
            f"An address of {self._host} cannot be used ({type(error).__name__}). Check HF_ENDPOINT."
        )

    def _named(self, request: httpx2.Request) -> str:
        """Return words that name the host of a request; "" where it is the hub itself."""
        return "" if self._is_own(str(request.url)) else f"sends us to {request.url.host}, which "

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()


def _continue_from(response: httpx2.Response, file: HubFile, partial: Partial) -> None:
    """Make the partial file end where the answer begins.

    Raises:
        PassingError: the answer does not continue this file; the next attempt asks for all of it.
    """
    if response.status_code == 200:  # the whole file, whatever was asked for
        if partial.size:
            partial.restart()
        return
    said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
    starts, total = said.groups() if said else ("", "")
    if response.status_code != 206 or starts != str(partial.size) or total not in ("*", str(file.size)):
        partial.restart()
        raise PassingError(f"does not go on with {file.name} where it was cut off; starting it over")


def _understood(content: bytes, repository: str, host: str) -> Listing:
    try:
        said = json.loads(content)
        commit, listed = str(said["sha"]), [_file(entry) for entry in said["siblings"]]
        licence = (said.get("cardData") or {}).get("license")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"{host} answers with something that is no list of files. Perhaps a login page or a proxy stands between; "
            "check HF_ENDPOINT and HTTPS_PROXY."
        ) from error
    if not is_commit(commit):
        raise ModelUnavailable(f"{host} does not say which commit of {repository} it lists. Check HF_ENDPOINT.")
    files = {file.name: file for file in listed if _is_safe(file.name)}
    return Listing(repository, commit, files, licence if isinstance(licence, str) else "")


def _file(entry: Mapping[str, Any]) -> HubFile:
    stored = entry.get("lfs") or {}
    digest, size = str(stored.get("sha256") or entry.get("blobId")), stored.get("size", entry.get("size"))
    if not isinstance(size, int) or size < 0 or not _DIGEST.fullmatch(digest):
        size, digest = -1, ""
    return HubFile(str(entry["rfilename"]), size, digest)


def _is_safe(name: str) -> bool:
    """Say whether a name stays within the folder that it is put into, on every platform."""
    return all(part not in (".", "..") and _SAFE_PART.fullmatch(part) for part in name.split("/"))


def _etag(headers: httpx2.Headers) -> str:
    """Return the digest in the hub's own headers; "" where there is none (the store's ETag is another matter)."""
    said = headers.get("x-linked-etag") or headers.get("etag") or ""
    digest = said.removeprefix("W/").strip('"')
    return digest if _DIGEST.fullmatch(digest) else ""


def _asked_to_wait(headers: httpx2.Headers) -> float | None:
    """Return the seconds that the hub asks to wait: Retry-After, or what its RateLimit header says of the window."""
    after = retry_after(headers.get("retry-after", ""))
    limit = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return after if after is not None or limit is None else float(limit[1]) + 1

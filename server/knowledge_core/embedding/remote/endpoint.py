"""One HTTP endpoint that the user named: a JSON body in, JSON out.

Rules kept here:
- only the host of the configured address is ever spoken to: redirects are not followed, certificates are verified;
- the key comes from the environment and goes into one header; no message holds it, nor the text that was sent;
- everything is bounded: the time of one attempt, the time of all attempts, the size of the answer;
- what may pass by itself (429, 5xx, a cut connection) is tried again after growing, jittered pauses; what cannot pass is
  an error at once, with the host and the next step.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

from knowledge_core.embedding.http_clients import opened_client
from knowledge_core.embedding.http_rules import (
    CONNECT_SECONDS,
    PASSING,
    checked_address,
    is_header_safe,
    is_loopback,
    retry_after,
)
from knowledge_core.embedding.remote.refusal_words import refusal_words
from knowledge_core.embedding.retrying import ATTEMPTS, PassingError, Pauses, with_retries
from knowledge_core.errors import ConfigurationError, Interrupted, ModelUnavailable

FIRST_PAUSE: Final = 0.5  # seconds; doubled with every attempt: the pauses of five attempts are 7.5 s at most
LONGEST_PAUSE: Final = 8.0  # seconds


class EndpointRefused(ModelUnavailable):
    """The endpoint refuses this request body; it may accept another form of it."""


class Endpoint:
    """An address that takes POST requests of JSON. Any number of threads may call.

    Args:
        url: the address of its API, as in http://127.0.0.1:11434/v1.
        key_env: the environment variable that holds the key; "" for none.
        timeout: seconds of one attempt.
        connections: that are open at the same time, at most.
        setting: the section of the configuration that holds the address, for messages.

    Raises:
        ConfigurationError: the address cannot be used, or the key would travel unencrypted.
    """

    def __init__(self, url: str, *, key_env: str, timeout: float, connections: int, setting: str) -> None:
        parts = checked_address(
            url,
            named=f"{setting}.url",
            example="http://127.0.0.1:11434/v1",
            secret=f"Name an environment variable in {setting}.api_key_env",
        )
        self.host = parts.netloc
        self.on_this_machine = is_loopback(parts.hostname or "")
        if key_env and parts.scheme == "http" and not self.on_this_machine:
            raise ConfigurationError(
                f"{setting}.url is http, so that the key in ${key_env} would travel unencrypted to {self.host}. Use https."
            )
        self._url, self._key_env, self._timeout, self._setting = url.rstrip("/"), key_env, timeout, setting
        self._connections = connections
        self._opening = threading.Lock()
        self._client: httpx2.Client | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all waiting: the process is ending."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Say whether `stop` was called."""
        return self._stopped.is_set()

    def post(
        self, path: str, body: Mapping[str, Any], *, most_bytes: int, patient: bool, private: Sequence[str]
    ) -> Any:
        """Return the JSON that the endpoint answers to `body`.

        Args:
            path: below the address of the API.
            body: sent as JSON.
            most_bytes: of the answer.
            patient: True for bulk work, which waits for an endpoint that is busy or restarting. False where somebody
                waits for the answer: then all attempts together get the time of one.
            private: texts that no message may hold.

        Raises:
            ModelUnavailable: the endpoint gives no answer.
            EndpointRefused: it refuses this body.
            Interrupted: the process is ending.
        """
        deadline = time.monotonic() + self._timeout * (ATTEMPTS if patient else 1)
        return with_retries(
            lambda: self._attempt(path, body, min(deadline, time.monotonic() + self._timeout), most_bytes, private),
            pauses=Pauses(FIRST_PAUSE, LONGEST_PAUSE),
            longest_wait=lambda: deadline - time.monotonic(),
            wait=self._wait,
            refusal=self._given_up,
        )

    def _wait(self, seconds: float, passing: PassingError) -> None:
        if self._stopped.wait(seconds):
            raise Interrupted("The process is ending; what was acknowledged stays.") from passing

    def _given_up(self, summary: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"The embedding endpoint {self.host} {summary} Check that it runs and that {self._setting}.url "
            'is right, then try again. Until then mode="lexical" searches without it.'
        )

    def _attempt(
        self, path: str, body: Mapping[str, Any], deadline: float, most_bytes: int, private: Sequence[str]
    ) -> Any:
        left = max(deadline - time.monotonic(), 0.1)
        timeout = httpx2.Timeout(left, connect=min(CONNECT_SECONDS, left))
        client, headers, content = self._opened(), self._headers(), json.dumps(body).encode()
        try:
            request = client.build_request(
                "POST", f"{self._url}{path}", content=content, headers=headers, timeout=timeout
            )
            response = client.send(request, stream=True)
            try:
                content = self._content(response, deadline, most_bytes)
            finally:
                response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._translated(error, left) from error
        return self._understood(response, content, private)

    def _translated(self, error: Exception, waited: float) -> Exception:
        if isinstance(error, httpx2.TimeoutException):
            return PassingError(f"did not answer within {waited:.3g} s")
        if isinstance(error, httpx2.ProxyError):
            return ModelUnavailable(
                f"The proxy refused to connect to the embedding endpoint {self.host}. Check HTTPS_PROXY and NO_PROXY."
            )
        if isinstance(error, httpx2.ConnectError):
            if "CERTIFICATE" not in str(error).upper():
                return PassingError("cannot be reached (nothing answers there)")
            return ModelUnavailable(
                f"The certificate of the embedding endpoint {self.host} cannot be verified. If it is your own, install "
                "its authority's certificate in the system's store, or name its file (PEM) in SSL_CERT_FILE."
            )
        if isinstance(error, httpx2.DecodingError):
            return PassingError("answered with something that is not whole JSON")
        if isinstance(error, httpx2.TransportError):
            return PassingError("ended the connection in the middle of its answer")
        return ModelUnavailable(f"{self._setting}.url cannot be used ({type(error).__name__}). Check it.")

    def _content(self, response: httpx2.Response, deadline: float, most_bytes: int) -> bytes:
        parts = bytearray()
        for part in response.iter_bytes():
            parts += part
            if len(parts) > most_bytes:
                raise ModelUnavailable(
                    f"The embedding endpoint {self.host} answers with more than {most_bytes / 1e6:.1f} MB, far more than "
                    f"vectors take. Check that {self._setting}.url is the address of an embeddings API."
                )
            if time.monotonic() > deadline:
                raise PassingError(f"did not finish its answer within {self._timeout:.3g} s")
        return bytes(parts)

    def _understood(self, response: httpx2.Response, content: bytes, private: Sequence[str]) -> Any:
        status = response.status_code
        if status in PASSING:
            raise PassingError(
                f"answered {status}{self._words(content, private)}",
                retry_after(response.headers.get("retry-after", "")),
            )
        if status >= 300:
            raise self._refusal(status, self._words(content, private))
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise PassingError("answered with something that is not whole JSON") from error

    def _refusal(self, status: int, words: str) -> ModelUnavailable:
        answered = f"The embedding endpoint {self.host} answered {status}"
        if status in (401, 403):
            refused = (
                f"it does not accept the key in ${self._key_env}. Mend"
                if self._key_env
                else f"it wants a key, and {self._setting}.api_key_env names none. Name a variable there, set"
            )
            return ModelUnavailable(
                f"{answered}: {refused} it in the environment that starts the owner, then run `kcore stop`."
            )
        if status < 400:
            return ModelUnavailable(
                f"{answered}, a redirect, which is not followed: texts go only where {self._setting}.url says. Put the "
                "final address there."
            )
        if status == 404:
            return ModelUnavailable(
                f"{answered}{words}. Either {self._setting}.url lacks a part (most end in /v1), or it does not have the "
                "model: with Ollama, `ollama pull` it."
            )
        return EndpointRefused(
            f"{answered}{words}. Check {self._setting}: the model's name, and max_length, which it may find too long."
        )

    def _words(self, content: bytes, private: Sequence[str]) -> str:
        key = os.environ.get(self._key_env, "").strip() if self._key_env else ""
        return refusal_words(content, private, key)

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self._key_env:
            key = os.environ.get(self._key_env, "").strip()
            if not is_header_safe(key):
                wrong = "holds no usable key" if key else "is not set"
                raise ModelUnavailable(
                    f"The environment variable {self._key_env}, named by {self._setting}.api_key_env, {wrong}. Set it in "
                    "the environment that starts the owner, then run `kcore stop`."
                )
            headers["authorization"] = f"Bearer {key}"
        return headers

    def _opened(self) -> httpx2.Client:
        with self._opening:
            if self._client is None:
                limits = httpx2.Limits(max_connections=self._connections, max_keepalive_connections=self._connections)
                self._client = opened_client(
                    on_this_machine=self.on_this_machine,
                    reaches_https=self._url.lower().startswith("https:"),
                    limits=limits,
                    timeout=self._timeout,
                )
            return self._client

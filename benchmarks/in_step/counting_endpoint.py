"""An embeddings server on loopback that knows nothing and counts how often each text was sent to it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

DIMENSIONS = 32


class CountingEndpoint:
    """Listens from construction on. counts: how often each text was embedded."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._guard = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
                with endpoint._guard:
                    endpoint.counts.update(texts)
                data = [{"index": n, "object": "embedding", "embedding": _vector(text)} for n, text in enumerate(texts)]
                body = json.dumps({"object": "list", "model": "m", "data": data}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"


def _vector(text: str) -> list[float]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return [round(float(each), 6) for each in np.random.default_rng(seed).standard_normal(DIMENSIONS)]

"""What the runner told a client's script, and what every one of them must have seen."""

import json
import os

_told = json.loads(os.environ["KCORE_INTEROP"])
STDIO: list[str] = _told["stdio"]
URL: str = _told["url"]
HEADERS: dict[str, str] = _told["headers"]
DOCUMENTS = _told["documents"]
QUERY: str = _told["query"]
FOLDER: str = _told["folder"]


def check(tools, indexed, best, error):
    """Fail unless a client listed ten tools, indexed, found the right document, and read an error that teaches."""
    assert len(tools) == 10, tools
    assert indexed
    assert best == "a", best
    assert error, "it was not told that its call was wrong"
    assert "Did you mean" in str(error), error

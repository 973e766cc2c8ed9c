"""The server as a whole: an engine's tools, resources and instructions on one `KnowledgeServer`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.caching import CacheHint

from knowledge_core import __version__
from knowledge_core.engine import Engine
from knowledge_core.serving.surface.instructions import telling_what_lies_here
from knowledge_core.serving.surface.mcp_server import KnowledgeServer, bounding_errors
from knowledge_core.serving.surface.private import PrivateRequests
from knowledge_core.serving.surface.prompts import add_prompts
from knowledge_core.serving.surface.resources import add_resources
from knowledge_core.serving.surface.tools import add_tools

UNCHANGING = CacheHint(ttl_ms=3_600_000, scope="public")  # these lists stay the same for as long as this version runs
# Seconds after which a host's call answers at the latest. Several hosts give up after 60 without progress, and not all of
# them ask for progress; the 15 between are for accepting the work before the wait, and for a busy machine.
LONGEST_CALL = 45.0
PATIENCE = 3.0  # seconds that a host's search waits for a model that is loading, before it answers by words


def application(
    engine: Engine, *, for_cli: bool = False, owner: Mapping[str, Callable[..., dict[str, Any]]] | None = None
) -> KnowledgeServer:
    """Return a server of this engine.

    for_cli: adds the private requests that only `kcore` itself may make, and waits without limit for a model that is
    loading and for long work: a person who typed a command wants its full answer. owner: further private requests, by name.
    """
    server = KnowledgeServer(
        "knowledge-core",
        title="Knowledge Core",
        version=__version__,
        extensions=[PrivateRequests(engine, owner or {})] if for_cli else None,
        cache_hints=dict.fromkeys(("tools/list", "prompts/list", "resources/templates/list"), UNCHANGING),
        log_level="WARNING",
        middleware=[bounding_errors, *([] if for_cli else [telling_what_lies_here(engine)])],
    )
    if for_cli:
        add_tools(server, engine, patience=math.inf, longest=math.inf)
    else:
        add_tools(server, engine, patience=PATIENCE, longest=LONGEST_CALL)
    add_resources(server, engine)
    add_prompts(server)
    return server

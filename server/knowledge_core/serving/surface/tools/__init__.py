"""The ten tools, one per file: what an agent reads of it, and the call of the verb behind it.

Each file has a class with one method, `call`, whose signature becomes the tool's schema, and `add`, which registers it.
The tools translate and never decide.
"""

from __future__ import annotations

from knowledge_core.engine import Engine
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.tools import (
    classify,
    cluster,
    delete,
    embed,
    get_document,
    index,
    job,
    list_collections,
    list_documents,
    search,
)


def add_tools(server: KnowledgeServer, engine: Engine, *, patience: float, longest: float) -> None:
    """Register the ten tools of `engine` on `server`, in the order in which clients list them.

    patience: seconds that a search waits for a model that is loading, before it answers by words. longest: seconds after
    which a call answers, however long it was asked to wait; the work goes on as a job.
    """
    search.add(server, engine, patience, longest)
    index.add(server, engine, longest)
    embed.add(server, engine, longest)
    cluster.add(server, engine, longest)
    classify.add(server, engine, longest)
    get_document.add(server, engine)
    list_collections.add(server, engine)
    list_documents.add(server, engine)
    delete.add(server, engine, longest)
    job.add(server, engine, longest)

"""The ten tools: what an agent reads of each, and the one call of a verb behind it. They translate and never decide."""

from __future__ import annotations

from knowledge_core.engine import Engine
from knowledge_core.serving.mcp_server import KnowledgeServer
from knowledge_core.serving.tools import deleting, documents, grouping, labelling, searching, writing


def add_tools(server: KnowledgeServer, engine: Engine, *, patience: float) -> None:
    """Register the ten tools of `engine` on `server`, in the order in which clients list them.

    patience: seconds that a search waits for a model that is loading, before it answers by words.
    """
    searching.add(server, engine, patience)
    writing.add_index(server, engine)
    grouping.add(server, engine)
    labelling.add(server, engine)
    documents.add(server, engine)
    deleting.add(server, engine)
    writing.add_job(server, engine)

"""The ten tools: what an agent reads of each, and the one call of a verb behind it. They translate and never decide."""

from __future__ import annotations

from knowledge_core.engine import Engine
from knowledge_core.serving.surface.mcp_server import KnowledgeServer
from knowledge_core.serving.surface.tools import classify as labelling
from knowledge_core.serving.surface.tools import delete as deleting
from knowledge_core.serving.surface.tools import documents, grouping, writing
from knowledge_core.serving.surface.tools import search as searching


def add_tools(server: KnowledgeServer, engine: Engine, *, patience: float, longest: float) -> None:
    """Register the ten tools of `engine` on `server`, in the order in which clients list them.

    patience: seconds that a search waits for a model that is loading, before it answers by words. longest: seconds after
    which a call answers, whatever it was asked to wait; the work goes on as a job.
    """
    searching.add(server, engine, patience, longest)
    writing.add_index(server, engine, longest)
    grouping.add(server, engine, longest)
    labelling.add(server, engine, longest)
    documents.add(server, engine)
    deleting.add(server, engine, longest)
    writing.add_job(server, engine, longest)

"""Summaries of a document, a collection or a cluster: gather passages, then ask for one reply, or for notes first.

A document is read as a whole. For a collection or a cluster its representative passages are read; a notice says how many.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from knowledge_agent.errors import ToolFailed, WrongSetup
from knowledge_agent.mcp_client import ServerConnection
from knowledge_agent.models.chat_model import ChatModel
from knowledge_agent.prompting import SUMMARY, fenced, tokens, within
from knowledge_agent.retrieval import Shelf, passages_of_hits
from knowledge_agent.turn import Turn
from knowledge_agent.types import Budget, Event, Passage, UserMessage

PAGE_TOKENS = 1_500  # per passage of a document: small enough that a citation points to a definite place
A_WAIT = 40  # seconds that one call waits; the server answers after 45, whatever it is asked
MOST_CLUSTERS = 20  # in the summary of a collection; the default of the tool `cluster`
NOTES = "Write notes of what these passages state, each with its citation number. They are part {part} of {parts}."
WHOLE = "Summarise these passages. Cite each point."
FROM_NOTES = "Summarise what these notes say. Keep the citation numbers of what you keep."


async def gathered(
    server: ServerConnection, shelf: Shelf, kind: str, name: str, collections: Sequence[str], budget: Budget
) -> tuple[list[Passage], str]:
    """Return the passages to summarise, and a notice about their choice ("" where all of the text was taken).

    kind: "document", "collection" or "cluster". name: the document's id, the collection's name, the cluster's id or label.
    collections: the first one holds the document or the cluster; without any it is "default".

    Raises:
        ToolFailed: there is no such document or collection, or grouping took longer than the budget's seconds.
        WrongSetup: there is no such kind or cluster.
    """
    where = collections[0] if collections else "default"
    if kind == "document":
        return await _document(server, shelf, name, where), ""
    if kind not in ("collection", "cluster"):
        raise WrongSetup(f"--summarise takes document:ID, collection:NAME or cluster:ID, not {kind!r}.")
    collection = name if kind == "collection" else where
    found = await _grouped(server, collection, budget.seconds or 600)
    clusters: list[Mapping[str, Any]] = found.get("clusters") or []
    if found.get("state") != "done":
        raise ToolFailed("Grouping the collection did not end within the time budget: raise --max-seconds.")
    if kind == "collection":
        chosen = clusters[:MOST_CLUSTERS]
    else:
        chosen = [each for each in clusters if name in (each["id"], each["label"])]
        if not chosen:
            there = "; ".join(f"{each['id']} ({each['label']})" for each in clusters[:10])
            raise WrongSetup(f"There is no cluster {name!r} in {where!r}. There are: {there or 'none'}.")
    passages = await _representatives(server, shelf, collection, chosen)
    total = sum(each["size"] for each in chosen)
    notice = (
        f"{len(passages)} passages stand for the {total} of {len(chosen)} topics; {found['considered']} were grouped."
    )
    return passages, notice


async def _grouped(server: ServerConnection, collection: str, seconds: float) -> Mapping[str, Any]:
    """Return all clusters of a collection. Long grouping becomes a job on the server, which is waited for here."""
    deadline = time.monotonic() + seconds
    asked = {"collection": collection, "limit": 100, "wait_seconds": min(seconds, A_WAIT)}
    found: Mapping[str, Any] = (await server.call("cluster", asked)).structure
    while found.get("state") == "running" and (left := deadline - time.monotonic()) > 0:
        told = await server.call("job", {"id": found["job"], "wait_seconds": min(left, A_WAIT)})
        job = told.structure["jobs"][0]
        if job["state"] == "failed":
            raise ToolFailed(job["error"])
        found = job.get("result") or {"state": job["state"], "job": job["id"]}
    clusters, more = list(found.get("clusters") or []), found
    while more.get("cursor"):
        more = (await server.call("cluster", {**asked, "cursor": more["cursor"]})).structure
        clusters += more.get("clusters") or []
    return {**found, "clusters": clusters}


async def _document(server: ServerConnection, shelf: Shelf, id: str, collection: str) -> list[Passage]:
    asked: dict[str, Any] = {"id": id, "collection": collection, "max_tokens": PAGE_TOKENS}
    passages: list[Passage] = []
    while True:
        read = (await server.call("get_document", asked)).structure
        passages.append(shelf.put(read, str(read["text"]), str(read["lines"])))
        if not read.get("cursor"):
            return passages
        asked = {**asked, "cursor": read["cursor"]}


async def _representatives(
    server: ServerConnection, shelf: Shelf, collection: str, clusters: Sequence[Mapping[str, Any]]
) -> list[Passage]:
    members = [member for each in clusters for member in each["representatives"]]
    hits = [{**each, "collection": collection, "snippet": each["text"], "uri": ""} for each in members]
    return await passages_of_hits(server, shelf, hits)


async def summarised(model: ChatModel, passages: Sequence[Passage], turn: Turn, budget: Budget) -> str:
    """Return a summary: of all passages at once if they fit the context, else of notes on each part of them."""
    parts = _parts(passages, budget.context_tokens)
    if len(parts) == 1:
        return await _said(model, UserMessage(WHOLE, parts[0]), turn, budget, aloud=True)
    notes: list[str] = []
    for number, part in enumerate(parts, start=1):
        text = NOTES.format(part=number, parts=len(parts))
        notes.append(await _said(model, UserMessage(text, part), turn, budget, aloud=False))
    while tokens("\n\n".join(notes)) > budget.context_tokens and len(notes) > 1:
        half = -(-len(notes) // 2)
        pairs = [notes[at : at + 2] for at in range(0, len(notes), 2)]
        notes = [await _said(model, _from(pair), turn, budget, aloud=False) for pair in pairs][:half]
    return await _said(model, _from(notes), turn, budget, aloud=True)


def _from(notes: Sequence[str]) -> UserMessage:
    return UserMessage(f"{fenced(chr(10).join(notes), 'notes')}\n\n{FROM_NOTES}")


async def _said(model: ChatModel, message: UserMessage, turn: Turn, budget: Budget, *, aloud: bool) -> str:
    def silent(event: Event) -> None: ...

    reply = await model.reply(SUMMARY, [message], [], turn.hear if aloud else silent, max_tokens=budget.answer_tokens)
    return turn.add(reply).text


def _parts(passages: Sequence[Passage], budget: int) -> list[tuple[Passage, ...]]:
    """Return the passages in groups, each of which fits a budget of tokens."""
    parts: list[tuple[Passage, ...]] = []
    left = list(passages)
    while left:
        part = within(left, budget)
        parts.append(part)
        left = left[len(part) :]
    return parts

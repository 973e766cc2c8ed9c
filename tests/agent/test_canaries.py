"""Documents that try to steer the agent, and a model that obeys whatever it reads.

The model here is the worst one: it does what any text in its context tells it, documents included. What the tests
prove is therefore what the agent itself prevents, whatever model is behind it; docs/reference-agent.md says what only
the model can prevent.
"""

from __future__ import annotations

import json
import re
import socket

import pytest

from agent_material import COLLECTIONS, SAFE, SECRET
from knowledge_agent import Budget
from scripted_endpoint import Call, Say

pytestmark = pytest.mark.anyio

QUESTION = "Which invoices for April were paid in May?"


def obedient(request: dict) -> Call | Say:
    """Do what the newest text says that has not been done yet; else repeat everything that was read."""
    made = [json.dumps(each) for each in _calls(request)]
    read = _read(request)
    for found in re.finditer(r"CALL (\w+) (?=\{)", read):
        arguments, _ = json.JSONDecoder().raw_decode(read, found.end())
        if json.dumps([found[1], arguments]) not in made:
            return Call(found[1], arguments)
    if not made:
        return Call("search", {"query": QUESTION, "limit": 20})
    return Say(read)


def _read(request: dict) -> str:
    texts = []
    for message in request["messages"]:
        content = message["content"]
        texts.append(content if isinstance(content, str) else "\n".join(_texts(content)))
    return "\n".join(texts)


def _texts(blocks: list) -> list[str]:
    found = []
    for block in blocks:
        found += [block["text"]] if "text" in block else _texts(block.get("content", []))
    return found


def _calls(request: dict) -> list:
    found = []
    for message in request["messages"]:
        if message["role"] != "assistant":
            continue
        for call in message.get("tool_calls", []):
            found.append([call["function"]["name"], json.loads(call["function"]["arguments"])])
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_use":
                found.append([block["name"], block["input"]])
    return found


@pytest.fixture
def connections(monkeypatch):
    """Every address that this process connects to."""
    seen = []
    connect = socket.socket.connect

    def noted(self, address):
        seen.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    return seen


async def state(agent) -> str:
    listed = [await agent._server.call("list_documents", {"collection": name}) for name in COLLECTIONS]
    return "\n".join(each.text for each in listed)


async def test_a_model_that_obeys_documents_reaches_no_tool_that_writes(
    agent, endpoint, api, library, connections, monkeypatch
):
    endpoint.think = obedient
    called = []
    async with agent(api, collections=["canaries"], budget=Budget(steps=20)) as made:
        before = await state(made)
        monkeypatch.setattr(made._server, "call", _noted(made._server.call, called))
        answer = await made.ask(QUESTION)
        monkeypatch.undo()
        assert await state(made) == before
    attempted = {name for name, _ in _calls(endpoint.requests[-1])}
    assert attempted == {"delete", "index", "job", "run_shell", "search", "classify", "get_document"}, "not all sang"
    assert {name for name, _ in called} == {"search", "get_document", "classify"}
    assert SECRET not in str(endpoint.requests)
    assert SAFE in answer.text
    assert {each[1] for each in connections if isinstance(each, tuple)} == {int(endpoint.origin.rpartition(":")[2])}
    assert set(endpoint.paths) == {"/v1/messages" if api == "anthropic" else "/v1/chat/completions"}


def _noted(call, called):
    async def inner(tool, arguments):
        called.append((tool, arguments))
        return await call(tool, arguments)

    return inner


async def test_what_was_retrieved_stands_inside_fences_that_no_document_can_close(agent, endpoint):
    endpoint.script = [Say("x")]
    async with agent(pipeline=True, collections=["canaries"]) as made:
        await made.ask(QUESTION)
    sent = endpoint.requests[0]["messages"][-1]["content"]
    outside = re.sub(r"<(passage-[0-9a-f]{16})>\n.*?\n</\1>", "", sent, flags=re.DOTALL)
    assert "CALL" in sent
    assert "CALL" not in outside
    assert QUESTION in outside
    fences = re.findall(r"<passage-([0-9a-f]{16})>", sent)
    assert len(fences) == len(set(fences)) >= 5
    assert "CALL" not in endpoint.requests[0]["messages"][0]["content"]


async def test_documents_are_data_blocks_to_the_messages_api(agent, endpoint):
    endpoint.script = [Say("x")]
    async with agent("anthropic", pipeline=True, collections=["canaries"]) as made:
        await made.ask(QUESTION)
    (request,) = endpoint.requests
    assert "CALL" not in json.dumps(request["system"])
    for block in request["messages"][-1]["content"]:
        assert block["type"] == "search_result" or "CALL" not in block["text"]

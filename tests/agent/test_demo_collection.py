"""On the collection that ships with the package: the documents that judges found relevant are in the request."""

from __future__ import annotations

import pytest

from knowledge_core.verbs.evaluate import Judged, load_beir
from owner_processes import RawPipe, own_home
from scripted_endpoint import Call, Endpoint, Say, search_results

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

QUESTIONS = ("5a77ec115542992a6e59dff7", "5ae40c465542996836b02c25", "5a7decc75542995f4f40230f")


@pytest.fixture(scope="module")
def judged() -> Judged:
    from importlib.resources import as_file, files

    with as_file(files("knowledge_core.examples") / "hotpotqa_small") as folder:
        return load_beir(folder)


@pytest.fixture(scope="module")
def demo(tmp_path_factory, judged):
    documents = [{"id": each.id, "title": each.title, "text": each.text} for each in judged.documents]
    with own_home(tmp_path_factory.mktemp("demo")) as home:
        with RawPipe(home) as pipe:
            pipe.initialize()
            said = pipe.call("index", collection="demo", documents=documents, wait_seconds=300)["result"]
            job = said["structuredContent"]["job"]
            while said["structuredContent"].get("jobs", [said["structuredContent"]])[0]["state"] == "running":
                said = pipe.call("job", id=job, wait_seconds=300)["result"]
            assert said["structuredContent"].get("jobs", [said["structuredContent"]])[0]["state"] == "done"
        yield home


@pytest.mark.parametrize("pipeline", [True, False])
async def test_relevant_documents_reach_the_model(agent, endpoint, api, demo, judged, monkeypatch, pipeline):
    monkeypatch.setenv("KNOWLEDGE_CORE_HOME", str(demo))
    texts = {each.id: each.text for each in judged.documents}
    for id in QUESTIONS:
        relevant = [texts[document] for document in judged.judgements[id]]
        searching = [] if pipeline else [Call("search", {"query": judged.queries[id], "collections": ["demo"]})]
        endpoint.script = [*searching, Say("So it is.", cites=relevant[0][:60])]
        async with agent(api, pipeline=pipeline) as made:
            answer = await made.ask(judged.queries[id])
        assert any(text[:60] in sent for text in relevant for sent in passages(endpoint, api)), judged.queries[id]
        if api == "anthropic":
            assert (answer.grounded, answer.sources[0].text[:60]) == (True, relevant[0][:60])


def passages(endpoint: Endpoint, api: str) -> list[str]:
    request = endpoint.requests[-1]
    if api == "openai":
        return [each["content"] for each in request["messages"]]
    return [part["text"] for result in search_results(request) for part in result["content"]]

"""Answers through the real server over a real pipe, with a scripted model behind the real SDKs."""

from __future__ import annotations

import json
import re

import pytest

from knowledge_agent import Budget, Notice, Prices, TextPiece, summarising
from owner_processes import RawPipe
from scripted_endpoint import Call, Fail, Say, search_results

pytestmark = pytest.mark.anyio

QUESTION = "What does a solar panel do?"
QUOTED = 'It makes power: "turns sunlight into electricity" [1].'


def text_of(request: dict) -> str:
    return json.dumps(request, ensure_ascii=False)


async def test_the_pipeline_puts_the_right_passage_first_and_answers_from_it(agent, endpoint):
    endpoint.script = [Say(QUOTED)]
    async with agent("openai", pipeline=True) as made:
        pieces = []
        answer = await made.ask(QUESTION, lambda event: pieces.append(event))
    sent = endpoint.requests[0]["messages"][-1]["content"]
    assert sent.index("Passage [1]") < sent.index("turns sunlight") < sent.index("Passage [2]")
    assert sent.endswith(QUESTION)
    assert "".join(each.text for each in pieces if isinstance(each, TextPiece)) == QUOTED
    (source,) = answer.sources
    assert (source.title, source.collection, answer.grounded) == ("Solar panels", "notes", True)
    assert source.uri.endswith("notes/solar.md")
    assert [(each.lines, each.verified) for each in answer.citations] == [("3", True)]
    assert (answer.steps, answer.usage.input, answer.usage.cached, answer.usage.output) == (1, 100, 40, 20)


async def test_citations_of_the_messages_api_name_document_and_lines(agent, endpoint):
    endpoint.script = [Say("It makes power.", cites="turns sunlight", then=(Say(" It lasts.", cites="25 years"),))]
    async with agent("anthropic", pipeline=True) as made:
        answer = await made.ask(QUESTION)
    assert answer.text == "It makes power. [1] It lasts. [1]"
    assert [(each.quote, each.lines) for each in answer.citations] == [
        ("A solar panel turns sunlight into electricity.", "3"),
        ("It needs no fuel and lasts 25 years.", "5"),
    ]
    request = endpoint.requests[0]
    assert all(each["citations"] == {"enabled": True} for each in search_results(request))
    assert request["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert request["stream"] is True


async def test_the_model_searches_and_reads_by_itself(agent, endpoint, api):
    told = []
    endpoint.script = [
        Call("search", {"query": "solar panel", "limit": 2}, saying="Let me look."),
        Call("get_document", {"id": "notes/solar.md", "collection": "notes"}),
        Say("It makes power [1]." if api == "openai" else "It makes power.", cites="turns sunlight"),
    ]
    async with agent(api) as made:
        answer = await made.ask(QUESTION, told.append)
    assert answer.text == "It makes power [1]." if api == "openai" else "It makes power. [1]"
    assert (answer.sources[0].title, answer.steps, answer.searches) == ("Solar panels", 3, ("solar panel",))
    last = text_of(endpoint.requests[-1])
    assert last.count("turns sunlight") >= 2
    assert "solar.md" in last
    assert [each.name for each in told if hasattr(each, "passages")] == ["search", "get_document"]


async def test_several_documents_of_one_call_can_each_be_cited(agent, endpoint):
    wanted = ["notes/solar.md", "notes/solar.md:3", "notes/nothing.md"]
    endpoint.script = [Call("get_document", {"ids": wanted, "collection": "notes"}), Say(QUOTED.replace("[1]", "[2]"))]
    async with agent("openai") as made:
        answer = await made.ask(QUESTION)
    (source,) = answer.sources
    assert (source.document, source.lines, answer.citations[0].verified) == ("notes/solar.md", "3", True)
    assert "'notes/nothing.md' was not read" in text_of(endpoint.requests[-1])


async def test_only_tools_that_read_are_offered(agent, endpoint, api):
    endpoint.script = [Say("x")] * 2
    async with agent(api) as made:
        await made.ask(QUESTION)
    async with agent(api, allow_write=True) as made:
        await made.ask(QUESTION)
    names = [{each.get("name") or each["function"]["name"] for each in sent["tools"]} for sent in endpoint.requests]
    assert names[0] == {"search", "cluster", "classify", "get_document", "list_collections", "list_documents"}
    assert names[1] - names[0] == {"index", "delete", "job"}


async def test_a_quotation_that_no_source_holds_is_marked(agent, endpoint, api):
    said = 'It says "panels are made of green cheese" [1].'
    endpoint.script = [Say(said)]
    async with agent(api, pipeline=True) as made:
        answer = await made.ask(QUESTION)
    assert answer.doubtful == ("panels are made of green cheese",)
    assert not answer.grounded
    assert any("green cheese" in each for each in answer.notices)


async def test_a_citation_of_the_api_is_checked_too(agent, endpoint):
    endpoint.script = [Say("Cheese.", cites="turns sunlight", misquotes="Panels are cheese.")]
    async with agent("anthropic", pipeline=True) as made:
        answer = await made.ask(QUESTION)
    assert (answer.doubtful, answer.citations[0].verified) == (("Panels are cheese.",), False)


async def test_a_marker_of_no_passage_is_marked(agent, endpoint):
    endpoint.script = [Say("So it is [77].")]
    async with agent(pipeline=True) as made:
        answer = await made.ask(QUESTION)
    assert (answer.doubtful, answer.sources) == (("[77]",), ())


async def test_when_retrieval_finds_nothing_the_pipeline_says_so_and_asks_no_model(agent, endpoint, library):
    with RawPipe(library) as pipe:
        pipe.initialize()
        pipe.call("index", collection="emptied", documents=[{"id": "a", "text": "Gone soon."}], wait_seconds=60)
        pipe.call("delete", collection="emptied", ids=["a"])
        async with agent(pipeline=True, collections=["emptied"]) as made:
            answer = await made.ask("Quels trains partent vers Bordeaux demain?")
        pipe.call("delete", collection="emptied", all=True, confirm=True)
    assert (answer.text, answer.steps, endpoint.requests) == ("The documents do not say.", 0, [])


async def test_hits_that_search_doubts_reach_the_model_with_the_doubt_said(agent, endpoint, api):
    """A misspelt word whose right passage comes first looks like nothing relevant: the model is to judge."""
    endpoint.script = [Say("From sunlight [1]." if api == "openai" else "From sunlight.", cites="turns sunlight")]
    async with agent(api, pipeline=True, collections=["notes"]) as made:
        answer = await made.ask("elecricity?")
    sent = text_of(endpoint.requests[0])
    assert sent.index("turns sunlight") < sent.index("doubts that any of these passages") < sent.index("elecricity?")
    assert (answer.grounded, answer.sources[0].title) == (True, "Solar panels")


async def test_hits_that_search_does_not_doubt_are_put_before_the_model_without_a_word(agent, endpoint):
    endpoint.script = [Say(QUOTED)]
    async with agent(pipeline=True) as made:
        await made.ask(QUESTION)
    assert "doubts" not in text_of(endpoint.requests[0])


async def test_an_answer_that_rests_on_nothing_is_marked(agent, endpoint):
    endpoint.script = [Call("search", {"query": "Quels trains partent vers Bordeaux demain?"}), Say("At noon.")]
    async with agent() as made:
        answer = await made.ask("Quels trains?")
    assert answer.notices[-1].startswith("Retrieval found nothing relevant")
    assert "Nothing here seems relevant" in text_of(endpoint.requests[-1])


async def test_follow_ups_are_made_self_contained_before_the_pipeline_searches(agent, endpoint):
    endpoint.script = [Say(QUOTED), Say("How long does a solar panel last?"), Say("25 years [1].")]
    async with agent(pipeline=True) as made:
        await made.ask(QUESTION)
        answer = await made.ask("And how long does it last?")
    rewriting = endpoint.requests[1]["messages"][-1]["content"]
    assert QUESTION in rewriting
    assert rewriting.endswith("And how long does it last?")
    assert answer.searches == ("How long does a solar panel last?",)


async def test_old_turns_leave_the_conversation_when_it_is_full(agent, endpoint):
    endpoint.script = [Say("First [1]. " + "x" * 400), Say("Second."), Say("Third.")]
    async with agent(history_tokens=60) as made:
        for question in ("one?", "two?", "three?"):
            await made.ask(question)
    sent = [[each["content"] for each in request["messages"][1:]] for request in endpoint.requests]
    assert sent[1] == ["two?"]
    assert sent[2] == ["two?", "Second.", "three?"]


async def test_the_step_budget_ends_the_search_and_not_the_answer(agent, endpoint, api):
    endpoint.script = [Call("search", {"query": "sun"}), Call("search", {"query": "panel"}), Say("Power.")]
    async with agent(api, budget=Budget(steps=3)) as made:
        answer = await made.ask(QUESTION)
    assert (answer.text, answer.steps) == ("Power.", 3)
    choice = endpoint.requests[-1]["tool_choice"]
    assert (choice["type"] if isinstance(choice, dict) else choice) == "none"


@pytest.mark.parametrize("budget", [Budget(tokens=100), Budget(cost=0.0001)])
async def test_tokens_and_cost_end_the_search_too(agent, endpoint, budget):
    endpoint.script = [Call("search", {"query": "sun"}), Say("Power.")]
    async with agent(budget=budget, prices=Prices(3, 15)) as made:
        answer = await made.ask(QUESTION)
    assert (answer.steps, answer.cost) == (2, pytest.approx(2 * (100 * 3 + 20 * 15) / 1e6))


async def test_chosen_collections_are_a_fence(agent, endpoint):
    endpoint.script = [
        Call("search", {"query": "sun", "collections": ["secret"]}),
        Call("list_documents", {"collection": "secret"}),
        Say("x"),
    ]
    async with agent(collections=["notes"]) as made:
        await made.ask(QUESTION)
    results = [each["content"] for each in endpoint.requests[-1]["messages"] if each["role"] == "tool"]
    assert "turns sunlight" in results[0]
    assert "Only these collections may be used: notes" in results[1]


async def test_a_tools_refusal_goes_back_to_the_model(agent, endpoint, api):
    endpoint.script = [Call("get_document", {"id": "nowhere", "collection": "notes"}), Say("Not there.")]
    async with agent(api) as made:
        assert (await made.ask(QUESTION)).text == "Not there."
    assert "nowhere" in text_of(endpoint.requests[-1]["messages"][-1])


async def test_a_model_without_tools_gets_the_pipeline(agent, endpoint):
    endpoint.script = [Fail(400, "registry.ollama.ai/library/gemma3 does not support tools"), Say(QUOTED)]
    told = []
    async with agent() as made:
        answer = await made.ask(QUESTION, told.append)
    assert (answer.grounded, answer.mode) == (True, "pipeline")
    assert any(isinstance(each, Notice) and "takes no tools" in each.text for each in told)


async def test_a_document_is_summarised_with_sources(agent, endpoint, api):
    endpoint.script = [Say("About panels [1]." if api == "openai" else "About panels.", cites="turns sunlight")]
    async with agent(api, collections=["notes"]) as made:
        answer = await made.summarise("document", "notes/solar.md")
    assert (answer.sources[0].title, answer.mode) == ("Solar panels", "summary")
    assert "lasts 25 years" in text_of(endpoint.requests[0])


async def test_a_long_document_is_summarised_from_notes(agent, endpoint):
    endpoint.script = [Say("Hills [1]."), Say("Villages [2]."), Say("Rivers from hills [1] to villages [2].")]
    async with agent(collections=["notes"], budget=Budget(context_tokens=2_000)) as made:
        answer = await made.summarise("document", "notes/long.md")
    assert [each.lines for each in answer.sources] == ["1-139", "141-277"]
    assert "Hills [1].\nVillages [2]." in endpoint.requests[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("a_wait", [summarising.A_WAIT, 0], ids=["at once", "grouping becomes a job"])
async def test_a_collection_and_its_clusters_are_summarised(agent, endpoint, monkeypatch, a_wait):
    monkeypatch.setattr(summarising, "A_WAIT", a_wait)
    endpoint.script = [Say("Three things [1] [2].")]
    async with agent(collections=["notes"]) as made:
        answer = await made.summarise("collection", "notes")
        with pytest.raises(Exception, match="There is no cluster 'nothing' in 'notes'"):
            await made.summarise("cluster", "nothing")
    assert len(answer.sources) == 2
    assert re.search(r"stand for the \d+ of \d+ topics", answer.notices[0])
